"""The visual side of LLaMA-Adapter V2's multimodal files: what is imported sees images as the original does, through a small random
CLIP of transformers (original_llama_adapter.py restates it in float64), and goes back unchanged."""
import json

import PIL.Image
import pytest
import safetensors.torch
import torch
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

import original_llama_adapter as original
import picture_files
import random_adapters
import tiny_models
import tiny_towers
from integration_support import refused
from program import assert_close, relative_error, run_excitor

TOLERANCE = 1e-5
IDS = tiny_models.random_ids(30)


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    """Its folder and the model."""
    folder = tmp_path_factory.mktemp("towers") / "tower"
    return folder, tiny_towers.write_tower(folder, kind="CLIPVisionModelWithProjection")


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    file = tmp_path_factory.mktemp("images") / "a picture.png"
    picture_files.picture(260, 300, seed=3).save(file)
    return file


def pixels(file, channels="bgr"):
    picture = PIL.Image.open(file).convert("RGB")
    if channels == "bgr":
        picture = PIL.Image.merge("RGB", picture.split()[::-1])
    return CLIPImageProcessorPil()(picture, return_tensors="pt")["pixel_values"]


def save(tmp_path, state):
    torch.save(state, tmp_path / "released.pth")
    return tmp_path / "released.pth"


def import_file(tmp_path, file, *arguments):
    run_excitor("import", file, "--output", tmp_path / "adapter", *arguments)
    return tmp_path / "adapter"


def logits(tmp_path, model, adapter, *arguments):
    output = tmp_path / "logits.safetensors"
    run_excitor("inspect", "logits", model, "--adapter", adapter, "--ids", ",".join(map(str, IDS)), "--output", output, *arguments)
    return safetensors.torch.load_file(output)["logits"]


def without_language_side(state):
    """As after the first stage alone (the release's CAPTION-7B)."""
    kept = lambda name: not name.startswith("llama.") or name.endswith("gate")
    state["model"] = {name: tensor for name, tensor in state["model"].items() if kept(name)}
    state["config"]["w_bias"] = False
    return state


STATES = {
    "biases and norms": (dict(), lambda model: original.multimodal_state(model, visual={}), []),
    "lora and new gates": (dict(), lambda model: original.multimodal_state(model, rank=3, visual={}), []),
    "the first stage alone": (dict(), lambda model: without_language_side(original.multimodal_state(model, visual={})), []),
    "other shapes": (dict(num_hidden_layers=3, hidden_size=48, num_key_value_heads=2),
                     lambda model: original.multimodal_state(model, adapter_len=3, adapter_layers=2,
                                                             visual=dict(width=12, blocks=2)), ["--visual-heads", "4"]),
}


@pytest.mark.parametrize("base, make, arguments", STATES.values(), ids=STATES)
def test_images_are_seen_as_the_original_sees_them_and_the_file_goes_back_unchanged(tmp_path, model_factory, tower, image, base, make,
                                                                                      arguments):
    model = model_factory(**dict(num_key_value_heads=4) | base)
    state = make(model)
    adapter = import_file(tmp_path, save(tmp_path, state), "--vision", tower[0], *arguments)
    judge = original.Original(model, state)
    text_alone = judge.logits(IDS)
    expected = judge.see(tower[1], pixels(image), heads=int(arguments[1]) if arguments else 16).logits(IDS)
    assert relative_error(text_alone, expected) > 1e-2
    assert_close(logits(tmp_path, model, adapter, "--image", image), expected, TOLERANCE)
    assert_close(logits(tmp_path, model, adapter), text_alone, TOLERANCE)

    run_excitor("export", model, "--adapter", adapter, "--format", "llama-adapter", "--output", tmp_path / "back.pth")
    again = torch.load(tmp_path / "back.pth", weights_only=True)
    assert again["config"] == state["config"] and again["model"].keys() == state["model"].keys()
    for name, tensor in state["model"].items():
        assert again["model"][name].dtype == tensor.dtype and torch.equal(again["model"][name], tensor), name


def test_the_adapter_records_the_tower_and_the_originals_channel_order(tmp_path, model_factory, tower, image):
    model = model_factory(num_key_value_heads=4)
    state = original.multimodal_state(model, visual={})
    adapter = import_file(tmp_path, save(tmp_path, state), "--vision", tower[0])
    file = adapter / "adapter_config.json"
    settings = json.loads(file.read_text())
    assert settings["vision"]["image_channels"] == "bgr" and settings["vision"]["path"] == str(tower[0])
    assert settings["visual_layers"] == [1] and settings["visual_rows"] == 50

    settings["vision"]["image_channels"] = "rgb"
    file.write_text(json.dumps(settings))
    judge = original.Original(model, state).see(tower[1], pixels(image, "rgb"))
    assert_close(logits(tmp_path, model, adapter, "--image", image), judge.logits(IDS), TOLERANCE)


def test_the_tower_may_be_named_at_use(tmp_path, model_factory, tower, image):
    model = model_factory(num_key_value_heads=4)
    state = original.multimodal_state(model, visual={})
    adapter = import_file(tmp_path, save(tmp_path, state))
    refused("inspect", "logits", model, "--adapter", adapter, "--ids", "1,2", "--image", image, "--output", tmp_path / "x",
            words=[adapter, "--vision"], code=2, absent=tmp_path / "x")
    expected = original.Original(model, state).see(tower[1], pixels(image)).logits(IDS)
    assert_close(logits(tmp_path, model, adapter, "--image", image, "--vision", tower[0]), expected, TOLERANCE)


def test_half_precision_and_the_early_spelling_are_read(tmp_path, model_factory, tower, image):
    model = model_factory(num_key_value_heads=4)
    state = original.multimodal_state(model, visual={})
    state["model"] = {name.replace("llama.", "llma."): tensor.half() for name, tensor in state["model"].items()}
    adapter = import_file(tmp_path, save(tmp_path, state), "--vision", tower[0])
    halves = {"model": {name.replace("llma.", "llama."): tensor for name, tensor in state["model"].items()}, "config": {}}
    expected = original.Original(model, halves).see(tower[1], pixels(image)).logits(IDS)
    assert_close(logits(tmp_path, model, adapter, "--image", image), expected, TOLERANCE)


def test_the_beginning_of_a_visual_side_is_left_out_with_a_warning(tmp_path, model_factory, image):
    model = model_factory(num_key_value_heads=4)
    state = original.multimodal_state(model, visual={})
    for name in [name for name in state["model"] if name.startswith("visual_proj")]:
        del state["model"][name]
    done = run_excitor("import", save(tmp_path, state), "--output", tmp_path / "adapter")
    assert "visual_proj.weight" in done.stderr and "texts alone" in done.stderr
    assert_close(logits(tmp_path, model, tmp_path / "adapter"), original.Original(model, state).logits(IDS), TOLERANCE)
    refused("generate", model, "--adapter", tmp_path / "adapter", "--prompt", "a", "--image", image, words=["no visual side"], code=2)


FAULTS = {
    "a block's tensor is missing": (lambda s: s.pop("visual_blocks.3.attn.qkv.bias"), ["visual_blocks.3.attn.qkv.bias is missing"]),
    "a tensor that is none": (lambda s: s.update({"visual_gate": torch.ones(3)}), ["visual_gate is left over"]),
    "another width": (lambda s: s.update({"visual_proj.weight": torch.ones(32, 31)}), ["visual_proj.weight", "[32, 31]", "[32, 32]"]),
    "queries for other prompts": (lambda s: s.update({"visual_query.weight": torch.ones(3, 32)}), ["10 rows", "3 prompts"]),
    "no matrix": (lambda s: s.update({"clip_proj.weight": torch.ones(3)}), ["clip_proj.weight", "[3]", "two dimensions"]),
}


@pytest.mark.parametrize("change, words", FAULTS.values(), ids=FAULTS)
def test_faulty_visual_sides_are_refused(tmp_path, model_factory, change, words):
    state = original.multimodal_state(model_factory(num_key_value_heads=4), visual={})
    change(state["model"])
    file = save(tmp_path, state)
    refused("import", file, "--output", tmp_path / "adapter", words=[file, *words], absent=tmp_path / "adapter")


def test_options_that_do_not_fit_are_refused(tmp_path, model_factory, tower):
    model = model_factory(num_key_value_heads=4)
    file = save(tmp_path, original.multimodal_state(model))
    absent = tmp_path / "adapter"
    refused("import", file, "--output", absent, "--vision", tower[0], words=[file, "no visual side", "--vision"], code=2, absent=absent)
    file = save(tmp_path, original.multimodal_state(model, visual={}))
    refused("import", file, "--output", absent, "--visual-heads", "5", words=["visual_heads", "multiple"], absent=absent)
    file = save(tmp_path, original.multimodal_state(model, visual=dict(clip_width=20)))
    refused("import", file, "--output", absent, "--vision", tower[0], words=[tower[0], "width 24", "20"], absent=absent)
    refused("import", file, "--output", absent, "--vision", tmp_path / "nowhere", words=["nowhere"], absent=absent)


# --- ours into the original's -------------------------------------------------------------------------------------------------------

def visual_v2(folder, model, **settings):
    random_adapters.write_adapter_v2(folder, model, **dict(scales=(), biases=("q_proj",)) | settings)
    return random_adapters.add_visual_side(folder, model, rows=50, width=24)


def set_option(adapter, **values):
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_the_original_sees_what_was_exported(tmp_path, model_factory, tower, image):
    model = model_factory(num_key_value_heads=2)
    adapter = visual_v2(tmp_path / "ours", model)
    run_excitor("export", model, "--adapter", adapter, "--format", "llama-adapter", "--output", tmp_path / "x.pth")
    judge = original.Original(model, torch.load(tmp_path / "x.pth", weights_only=True))
    expected = judge.see(tower[1], pixels(image, "rgb"), heads=2).logits(IDS)
    assert_close(logits(tmp_path, model, adapter, "--image", image, "--vision", tower[0]), expected, TOLERANCE)


def test_visual_sides_that_a_layout_has_no_place_for_are_refused(tmp_path, model_factory):
    model = model_factory(num_key_value_heads=2)
    early = visual_v2(tmp_path / "early", model)
    set_option(early, visual_layers=[0])
    v1 = random_adapters.add_visual_side(random_adapters.write_adapter(tmp_path / "v1", model), model, rows=2, width=4)
    for adapter, form, words in ((early, "llama-adapter", ["layer 1 has prompts that see no image", "visual_layers"]),
                                 (v1, "llama-adapter", ["V1 has no place for a visual side"]),
                                 (v1, "peft", ["no place for a visual side"])):
        refused("export", model, "--adapter", adapter, "--format", form, "--output", tmp_path / "x", words=words, code=2,
                absent=tmp_path / "x")
