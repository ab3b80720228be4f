"""CLIP's vision towers, compared with transformers: shapes, files, activations; folders that do not fit."""
import json
import shutil

import pytest
import safetensors.torch
import torch

import picture_files
import tiny_towers
from integration_support import refused
from program import assert_close, relative_error, run_excitor

B32 = dict(hidden_size=768, intermediate_size=3072, num_attention_heads=12, patch_size=32, projection_dim=512)
L14 = dict(hidden_size=1024, intermediate_size=4096, num_attention_heads=16, patch_size=14, projection_dim=768)

TOWERS = {
    "B/32": dict(**B32, num_hidden_layers=3),
    "B/16": dict(**B32 | {"patch_size": 16}, num_hidden_layers=2, kind="CLIPVisionModelWithProjection"),
    "L/14": dict(**L14, num_hidden_layers=2, kind="CLIPModel"),
    "L/14-336": dict(**L14, num_hidden_layers=1, image_size=336),
    "small, gelu": dict(hidden_act="gelu", num_hidden_layers=4),
    "small, eps": dict(layer_norm_eps=0.1, kind="CLIPVisionModelWithProjection"),
    "patches do not fill the image": dict(image_size=100, patch_size=32, kind="CLIPModel"),
    "stored in bfloat16": dict(dtype="bfloat16"),
    "stored in float16": dict(dtype="float16", kind="CLIPModel"),
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    files = [folder / "a.png", folder / "b.png"]
    for number, file in enumerate(files):
        picture_files.picture(300, 260, seed=number).save(file)
    return files


def states_of(folder, pictures, output, *arguments):
    run_excitor("inspect", "image", folder, "--image", *pictures, "--output", output, *arguments)
    return safetensors.torch.load_file(output)


def compare(model, folder, pictures, output):
    states = states_of(folder, pictures, output)
    expected = tiny_towers.judge_states(model, states.pop("pixel_values"))
    assert states.keys() == expected.keys()
    for name, state in expected.items():
        assert_close(states[name], state, 1e-4, "tower")


@pytest.mark.parametrize("name", TOWERS)
def test_a_tower_computes_what_transformers_computes(name, pictures, tmp_path):
    model = tiny_towers.write_tower(tmp_path / "tower", **TOWERS[name])
    compare(model, tmp_path / "tower", pictures, tmp_path / "states")


@pytest.mark.parametrize("kind, prefix", [("CLIPVisionModel", ""), ("CLIPVisionModel", "vision_model."), ("CLIPModel", "")])
def test_torch_files_hold_the_same_tower(kind, prefix, pictures, tmp_path):
    model = tiny_towers.write_tower(tmp_path / "tower", kind=kind)
    tiny_towers.as_torch_file(tmp_path / "tower", prefix)
    compare(model, tmp_path / "tower", pictures, tmp_path / "states")


def test_shards_hold_the_same_tower(pictures, tmp_path):
    model = tiny_towers.write_tower(tmp_path / "tower", kind="CLIPModel", max_shard_size="60KB")
    assert (tmp_path / "tower/model.safetensors.index.json").exists()
    compare(model, tmp_path / "tower", pictures, tmp_path / "states")


def test_half_precision_stays_near_single(pictures, tmp_path):
    tiny_towers.write_tower(tmp_path / "tower", num_hidden_layers=3)
    exact = states_of(tmp_path / "tower", pictures, tmp_path / "exact")
    for precision, tolerance in (("bf16", 0.05), ("fp16", 0.01)):
        states = states_of(tmp_path / "tower", pictures, tmp_path / precision, "--precision", precision)
        error = relative_error(states["last_hidden_state"], exact["last_hidden_state"])
        assert 1e-5 < error < tolerance, f"{precision}: {error}"


# --- folders that are no towers ------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def good_tower(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good") / "tower"
    tiny_towers.write_tower(folder, kind="CLIPVisionModelWithProjection")
    return folder


@pytest.fixture
def tower(tmp_path, good_tower):
    """A copy that a test may spoil."""
    return shutil.copytree(good_tower, tmp_path / "tower")


def tower_is_refused(folder, pictures, tmp_path, words, code=(1, 2)):
    refused("inspect", "image", folder, "--image", pictures[0], "--output", tmp_path / "states", words=[folder, *words], code=code,
            absent=tmp_path / "states")


def with_tensors(change):
    def spoil(folder):
        tensors = safetensors.torch.load_file(folder / "model.safetensors")
        change(tensors)
        safetensors.torch.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return spoil


def with_config(**values):
    def spoil(folder):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({key: value for key, value in (config | values).items() if value != "gone"}))
    return spoil


def replace(name, tensor):
    return with_tensors(lambda tensors: tensors.__setitem__(name, tensor))


FC1 = "vision_model.encoder.layers.1.mlp.fc1.weight"
SPOILT = {
    "a weight is missing": (with_tensors(lambda t: t.pop(FC1)), [FC1, "missing", "[96, 64]"]),
    "no class token": (with_tensors(lambda t: t.pop("vision_model.embeddings.class_embedding")), ["class_embedding", "missing"]),
    "a weight of another shape": (replace(FC1, torch.zeros(96, 65)), [FC1, "[96, 65]", "[96, 64]"]),
    "a weight of whole numbers": (replace(FC1, torch.zeros(96, 64, dtype=torch.int8)), [FC1, "I8"]),
    "position embedding of another image size": (with_config(image_size=256), ["position_embedding", "[50, 64]", "[65, 64]"]),
    "a projection of another width": (replace("visual_projection.weight", torch.zeros(24, 65)), ["visual_projection", "[24, 65]"]),
    "more layers than there are": (with_config(num_hidden_layers=3), ["encoder.layers.2", "missing", "more"]),
    "another width": (with_config(hidden_size=128), ["class_embedding", "[64]", "[128]"]),
    "another model": (with_config(model_type="llama"), ["config.json", "model_type", "clip"]),
    "heads that do not divide": (with_config(num_attention_heads=5), ["num_attention_heads", "multiple"]),
    "a patch larger than the image": (with_config(patch_size=500), ["patch_size"]),
    "an unknown activation": (with_config(hidden_act="relu"), ["hidden_act", "relu"]),
    "no layers": (with_config(num_hidden_layers=0), ["num_hidden_layers"]),
    "a width of text": (with_config(hidden_size="wide"), ["hidden_size"]),
    "a negative width": (with_config(hidden_size=-64), ["hidden_size"]),
    "an enormous width": (with_config(hidden_size=2**62), ["hidden_size"]),
    "four colours": (with_config(num_channels=4), ["num_channels"]),
    "vision_config is no object": (with_config(model_type="clip", vision_config=3), ["vision_config"]),
    "config.json is no JSON": (lambda f: (f / "config.json").write_text("{"), ["config.json"]),
    "config.json is a list": (lambda f: (f / "config.json").write_text("[]"), ["config.json", "object"]),
    "no config.json": (lambda f: (f / "config.json").unlink(), ["config.json"]),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), ["model.safetensors"]),
    "cut weights": (lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-100]), ["model.safetensors"]),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_folder_that_does_not_fit_is_refused(name, tower, pictures, tmp_path):
    spoil, words = SPOILT[name]
    spoil(tower)
    tower_is_refused(tower, pictures, tmp_path, words)


def test_no_folder_is_refused(pictures, tmp_path):
    tower_is_refused(tmp_path / "nowhere", pictures, tmp_path, ["no such"], code=2)
    tower_is_refused(pictures[0], pictures, tmp_path, ["is a file"], code=2)


def test_layers_beyond_the_configuration_are_a_warning(tower, pictures, tmp_path):
    with_config(num_hidden_layers=1)(tower)
    done = run_excitor("inspect", "image", tower, "--image", pictures[0], "--output", tmp_path / "states")
    assert "ignored" in done.stderr
