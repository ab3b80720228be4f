"""`excitor inspect logits` is what transformers computes, in fp32, whatever the model's shape, rope and files."""
import json

import pytest

import tiny_models
from program import assert_close, inspect_logits

TOLERANCE = 1e-5


def rope(kind, theta=10000.0, **more):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **more}}


LLAMA3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
YARN = dict(factor=4.0, original_max_position_embeddings=32)
LONG = 80  # tokens: beyond original_max_position_embeddings

SHAPES = {
    "mha": dict(num_key_value_heads=4),
    "gqa": dict(),
    "mqa": dict(num_key_value_heads=1),
    "tied head": dict(tie_word_embeddings=True),
    "attention_bias": dict(attention_bias=True),
    "mlp_bias": dict(mlp_bias=True),
    "both biases, gqa, tied": dict(attention_bias=True, mlp_bias=True, tie_word_embeddings=True),
    "wide heads": dict(head_dim=16),
    "narrow heads, bias": dict(head_dim=4, attention_bias=True),
    "two wide layers": dict(hidden_size=64, num_attention_heads=8, num_key_value_heads=2, intermediate_size=160),
    "odd vocabulary": dict(vocab_size=131),
    "large epsilon": dict(rms_norm_eps=1e-2),
}

FILES = {
    "bf16": dict(dtype="bfloat16"),
    "fp16": dict(dtype="float16"),
    "sharded": dict(max_shard_size="20KB"),
    "sharded, bf16, tied": dict(max_shard_size="20KB", dtype="bfloat16", tie_word_embeddings=True),
}

ROPES = {
    "default": rope("default"),
    "large theta": rope("default", theta=500000.0),
    "linear": rope("linear", factor=3.0),
    "dynamic": dict(max_position_embeddings=48) | rope("dynamic", factor=2.5),
    "llama3": rope("llama3", theta=500000.0, **LLAMA3),
    "llama3 of 3.2": rope("llama3", theta=500000.0, **LLAMA3 | dict(factor=32.0)),
    "llama3, wide heads": dict(head_dim=32) | rope("llama3", **LLAMA3),
    "yarn": rope("yarn", **YARN),
    "yarn, wide heads": dict(head_dim=32) | rope("yarn", **YARN),
    "yarn, mscale": dict(head_dim=32) | rope("yarn", mscale=0.7, mscale_all_dim=1.3, **YARN),
    "yarn, mscale alone": rope("yarn", mscale=0.7, **YARN),
    "yarn, attention_factor": rope("yarn", attention_factor=0.8, **YARN),
    "yarn, attention_factor and mscale": rope("yarn", attention_factor=1.2, mscale=0.7, mscale_all_dim=1.3, **YARN),
    "yarn, not truncated": dict(head_dim=32) | rope("yarn", truncate=False, **YARN),
    "yarn, betas": dict(head_dim=32) | rope("yarn", beta_fast=16.0, beta_slow=2.0, **YARN),
    "yarn, factor below one": rope("yarn", **YARN | dict(factor=1.0)),
}

CASES = [pytest.param(settings, False, id=name) for name, settings in (SHAPES | FILES).items()]
CASES += [pytest.param(settings, False, id=f"rope {name}") for name, settings in ROPES.items()]
CASES += [pytest.param(settings, True, id=f"rope {name}, 4.x spelling") for name, settings in ROPES.items()]


@pytest.mark.parametrize("settings, older_spelling", CASES)
def test_logits_equal_transformers(tmp_path, settings, older_spelling):
    tiny_models.write_model(tmp_path, **{"vocab_size": 160} | settings)
    if older_spelling:
        tiny_models.spell_rope_as_transformers_4(tmp_path)
    if "max_shard_size" in settings:
        assert (tmp_path / "model.safetensors.index.json").exists()
    ids = tiny_models.random_ids(LONG, vocabulary=settings.get("vocab_size", 160))
    expected = tiny_models.judge_logits(tiny_models.judge(tmp_path), ids)
    assert expected.abs().max() > 0.5
    assert_close(inspect_logits(tmp_path, ids, tmp_path / "logits.safetensors"), expected, TOLERANCE)


@pytest.mark.parametrize("length", [1, 48, 49])
def test_dynamic_rope_changes_beyond_max_position_embeddings_only(tmp_path, length):
    tiny_models.write_model(tmp_path, **ROPES["dynamic"])
    ids = tiny_models.random_ids(length)
    expected = tiny_models.judge_logits(tiny_models.judge(tmp_path), ids)
    assert_close(inspect_logits(tmp_path, ids, tmp_path / "logits.safetensors"), expected, TOLERANCE)


def test_long_sequence(tmp_path):
    tiny_models.write_model(tmp_path, max_position_embeddings=2048, vocab_size=160)
    ids = tiny_models.random_ids(1500, vocabulary=160)
    expected = tiny_models.judge_logits(tiny_models.judge(tmp_path), ids)
    assert_close(inspect_logits(tmp_path, ids, tmp_path / "logits.safetensors"), expected, TOLERANCE)


def test_config_of_the_oldest_folders(tmp_path):
    """Without rope, head_dim, num_key_value_heads and biases, as the first converted LLaMAs were written."""
    tiny_models.write_model(tmp_path, num_key_value_heads=4)
    file = tmp_path / "config.json"
    config = json.loads(file.read_text())
    for key in ("rope_parameters", "head_dim", "num_key_value_heads", "attention_bias", "mlp_bias", "tie_word_embeddings"):
        del config[key]
    file.write_text(json.dumps(config))
    ids = tiny_models.random_ids(LONG)
    expected = tiny_models.judge_logits(tiny_models.judge(tmp_path), ids)
    assert_close(inspect_logits(tmp_path, ids, tmp_path / "logits.safetensors"), expected, TOLERANCE)


@pytest.mark.parametrize("precision, tolerance", [("bf16", 0.05), ("fp16", 0.01)])
def test_half_precision_is_near(tmp_path, precision, tolerance):
    tiny_models.write_model(tmp_path, seed=3)
    ids = tiny_models.random_ids(LONG)
    expected = tiny_models.judge_logits(tiny_models.judge(tmp_path), ids)
    actual = inspect_logits(tmp_path, ids, tmp_path / "logits.safetensors", precision=precision)
    assert 1e-5 < assert_close(actual, expected, tolerance, f"logits in {precision}")
