"""A model is the same whatever files hold it: Hugging Face's safetensors and .bin, Meta's consolidated.NN.pth."""
import json

import pytest
import torch

import meta_models
import tiny_models
from program import assert_close, inspect_logits, run_excitor

TOLERANCE = 1e-5
SHAPE = dict(vocab_size=160, hidden_size=32, num_attention_heads=4, num_key_value_heads=4, intermediate_size=88,
             rms_norm_eps=1e-5)
LLAMA3 = dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=8192)
IDS = tiny_models.random_ids(40, vocabulary=160)


def write_source(folder, **settings):
    tiny_models.write_model(folder, **SHAPE | settings)
    return folder


def expected_logits(folder):
    return tiny_models.judge_logits(tiny_models.judge(folder), IDS)


def assert_same_model(source, folder, tmp_path):
    assert_close(inspect_logits(folder, IDS, tmp_path / "logits.safetensors"), expected_logits(source), TOLERANCE)
    assert fingerprint(folder) == fingerprint(source)


def fingerprint(folder):
    return json.loads(run_excitor("inspect", "model", folder, "--json").stdout)["fingerprint"]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("embedding_dim", [0, 1])
@pytest.mark.parametrize("shards", [1, 2, 4])
def test_meta_folder_equals_hugging_face(tmp_path, shards, embedding_dim, dtype):
    source = write_source(tmp_path / "hf", dtype=dtype)
    meta = meta_models.write_meta(source, tmp_path / "meta", shards=shards, embedding_dim=embedding_dim)
    assert_same_model(source, meta, tmp_path)


SETTINGS = {
    "gqa": (dict(num_key_value_heads=2), dict(shards=2)),
    "tied, no output": (dict(tie_word_embeddings=True), dict()),
    "biases": (dict(attention_bias=True, mlp_bias=True), dict(shards=2)),
    "theta": (dict(rope_parameters=dict(rope_type="default", rope_theta=500000.0)), dict(rope_theta=500000.0)),
    "llama 3.1": (dict(rope_parameters=LLAMA3, max_position_embeddings=131072),
                  dict(rope_theta=500000.0, use_scaled_rope=True)),
    "multiplier": (dict(intermediate_size=112), dict(ffn_dim_multiplier=1.3)),
    "vocabulary in params.json": (dict(), dict(vocab_size=160, shards=4, embedding_dim=0)),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_params_json_says_what_config_json_says(tmp_path, name):
    settings, params = SETTINGS[name]
    source = write_source(tmp_path / "hf", **settings)
    assert_same_model(source, meta_models.write_meta(source, tmp_path / "meta", **params), tmp_path)


def test_an_output_layer_that_repeats_the_embedding_is_tied(tmp_path):
    source = write_source(tmp_path / "hf", tie_word_embeddings=True)
    meta = meta_models.write_meta(source, tmp_path / "meta")
    tensors = torch.load(meta / "consolidated.00.pth")
    torch.save(tensors | {"output.weight": tensors["tok_embeddings.weight"].clone()}, meta / "consolidated.00.pth")
    assert_same_model(source, meta, tmp_path)


def test_params_may_be_nested(tmp_path):
    source = write_source(tmp_path / "hf")
    meta = meta_models.write_meta(source, tmp_path / "meta")
    params = json.loads((meta / "params.json").read_text())
    (meta / "params.json").write_text(json.dumps({"model": params}))
    assert_same_model(source, meta, tmp_path)


@pytest.mark.parametrize("shards", [1, 3])
def test_bin_folder_equals_safetensors(tmp_path, shards):
    source = write_source(tmp_path / "hf", dtype="float16", num_key_value_heads=2)
    assert_same_model(source, meta_models.write_torch_bin(source, tmp_path / "bin", shards), tmp_path)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_types_are_those_of_the_safetensors_folder(tmp_path, precision):
    source = write_source(tmp_path / "hf", dtype="float16")
    expected = inspect_logits(source, IDS, tmp_path / "a.safetensors", precision=precision)
    for folder in (meta_models.write_meta(source, tmp_path / "meta", shards=2),
                   meta_models.write_torch_bin(source, tmp_path / "bin")):
        assert torch.equal(inspect_logits(folder, IDS, tmp_path / "b.safetensors", precision=precision), expected)


def refusal(folder):
    done = run_excitor("inspect", "model", folder, check=False)
    assert done.returncode == 1, done.stderr
    return done.stderr


def test_a_missing_last_shard_is_named(tmp_path):
    meta = meta_models.write_meta(write_source(tmp_path / "hf"), tmp_path / "meta", shards=4)
    (meta / "consolidated.03.pth").unlink()
    (meta / "consolidated.02.pth").unlink()
    assert "found 2" in refusal(meta) and "one of 4 pieces" in refusal(meta)


def test_a_missing_shard_between_others_is_named(tmp_path):
    meta = meta_models.write_meta(write_source(tmp_path / "hf"), tmp_path / "meta", shards=4)
    (meta / "consolidated.01.pth").unlink()
    assert "consolidated.01.pth is missing" in refusal(meta)


def test_a_shard_of_another_model_is_named(tmp_path):
    meta = meta_models.write_meta(write_source(tmp_path / "hf"), tmp_path / "meta", shards=2)
    other = meta_models.write_meta(write_source(tmp_path / "hf2", vocab_size=200), tmp_path / "other", shards=2)
    (other / "consolidated.01.pth").rename(meta / "consolidated.01.pth")
    assert "consolidated.01.pth: tok_embeddings.weight is a tensor float32 [200, 16]" in refusal(meta)


def test_params_json_that_contradicts_the_weights_is_named(tmp_path):
    meta = meta_models.write_meta(write_source(tmp_path / "hf"), tmp_path / "meta")
    params = json.loads((meta / "params.json").read_text())
    (meta / "params.json").write_text(json.dumps(params | {"multiple_of": 256}))
    assert "do not fit params.json" in refusal(meta) and "mlp.gate_proj.weight" in refusal(meta)


def test_a_whole_run_on_a_meta_folder(tmp_path, model_factory):
    source = model_factory(intermediate_size=88)
    meta = meta_models.write_meta(source, tmp_path / "meta", shards=2)
    (tmp_path / "text.txt").write_text("The fox finds three apples.\n\nMy sister counts seven stones.\n")
    config = {"model": {"path": str(meta)}, "method": {"type": "excitor", "adapter_len": 2, "adapter_layers": 2, "r": 2},
              "data": {"train": [{"path": "text.txt", "format": "text"}]}, "train": {"max_steps": 2}, "output_dir": "run"}
    (tmp_path / "run.json").write_text(json.dumps(config))
    run_excitor("train", tmp_path / "run.json")
    adapter = tmp_path / "run/adapter"
    done = run_excitor("generate", meta, "--adapter", adapter, "--prompt", "The fox", "--max-new-tokens", "4", "--json")
    on_source = run_excitor("generate", source, "--adapter", adapter, "--prompt", "The fox", "--max-new-tokens", "4", "--json")
    assert json.loads(done.stdout) == json.loads(on_source.stdout)
