"""A merged folder, loaded by transformers, computes what base and adapter compute; what can't be merged is refused."""
import json
import shutil

import pytest
import safetensors.torch
import torch

import original_llama_adapter
import program
import random_adapters
import tiny_models
from integration_support import refused
from program import assert_close, inspect_logits, relative_error

TOLERANCE = 1e-5
IDS = tiny_models.random_ids(40)
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")

BASES = {
    "gqa": dict(),
    "mqa, biases, tied": dict(num_key_value_heads=1, attention_bias=True, mlp_bias=True, tie_word_embeddings=True),
    "wide heads": dict(head_dim=16),
}

ADAPTERS = {
    "lora": (random_adapters.write_lora, dict(target_modules="all-linear", size=0.1)),
    "lora with patterns": (random_adapters.write_lora, dict(target_modules=("q_proj", "up_proj"), use_rslora=True,
                                                            rank_pattern={"up_proj": 5}, alpha_pattern={"q_proj": 2})),
    "v2, the paper's": (random_adapters.write_adapter_v2, dict(adapter_len=0)),
    "v2, scales on the input": (random_adapters.write_adapter_v2, dict(adapter_len=0, scale_position="input")),
    "v2, one bias": (random_adapters.write_adapter_v2, dict(adapter_len=0, scales=(), biases=("k_proj",), train_norms=False)),
    "v2, norms alone": (random_adapters.write_adapter_v2, dict(adapter_len=0, scales=(), biases=())),
    "v2 with lora": (random_adapters.write_adapter_v2, dict(adapter_len=0, lora_r=2, lora_alpha=3, scale_position="input")),
}


def merge(tmp_path, model, adapter, *arguments):
    merged = tmp_path / "merged"
    done = program.run_excitor("export", model, "--adapter", adapter, "--format", "hf", "--output", merged, "--json", *arguments)
    return merged, json.loads(done.stdout)


CASES = [(base, adapter) for base in BASES for adapter in ADAPTERS if base == "gqa" or adapter in ("lora", "v2, the paper's")]


@pytest.mark.parametrize("base, adapter", CASES, ids=", ".join)
def test_transformers_computes_what_base_and_adapter_compute(tmp_path, model_factory, base, adapter):
    model = model_factory(**BASES[base])
    write, settings = ADAPTERS[adapter]
    adapter = write(tmp_path / "adapter", model, **settings)
    merged, result = merge(tmp_path, model, adapter)
    expected = inspect_logits(model, IDS, tmp_path / "logits.safetensors", adapter)
    judge = tiny_models.judge(merged)
    assert_close(tiny_models.judge_logits(judge, IDS), expected, TOLERANCE)
    assert relative_error(tiny_models.judge_logits(tiny_models.judge(model), IDS), expected) > 1e-2  # the adapter does something
    assert result["largest_logit_difference"] < TOLERANCE * result["largest_logit"] and result["dtype"] == "float32"


def test_biases_that_are_added_are_declared(tmp_path, model_factory):
    model = model_factory()
    adapter = random_adapters.write_adapter_v2(tmp_path / "adapter", model, adapter_len=0, scales=(), biases=("up_proj",))
    merged, _ = merge(tmp_path, model, adapter)
    config = json.loads((merged / "config.json").read_text())
    assert config["mlp_bias"] is True and config["attention_bias"] is False
    tensors = safetensors.torch.load_file(merged / "model.safetensors")
    assert not tensors["model.layers.0.mlp.gate_proj.bias"].any() and tensors["model.layers.0.mlp.up_proj.bias"].any()
    assert "model.layers.0.self_attn.q_proj.bias" not in tensors


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_merged_in_fp32_and_rounded_once(tmp_path, model_factory, dtype):
    model = model_factory(dtype=dtype)
    adapter = random_adapters.write_lora(tmp_path / "adapter", model, r=3, lora_alpha=5)
    merged, result = merge(tmp_path, model, adapter)
    before = safetensors.torch.load_file(model / "model.safetensors")
    after = safetensors.torch.load_file(merged / "model.safetensors")
    tensors = safetensors.torch.load_file(adapter / "adapter_model.safetensors")
    assert before.keys() == after.keys()
    for name, weight in after.items():
        a = tensors.get(f"base_model.model.{name}".replace(".weight", ".lora_A.weight"))
        if a is None:
            assert torch.equal(weight, before[name])
            continue
        b = tensors[f"base_model.model.{name}".replace(".weight", ".lora_B.weight")]
        exact = before[name].double() + 5 / 3 * b.double() @ a.double()
        step = {"bfloat16": 2**-8, "float16": 2**-11}[dtype]  # half a unit in the last place, relative
        assert weight.dtype == before[name].dtype and ((weight.double() - exact).abs() <= step * exact.abs() * 1.001 + 1e-7).all()
    assert 0 < result["largest_logit_difference"] < 0.05 * result["largest_logit"] and result["dtype"] == dtype
    shown = program.run_excitor("export", model, "--adapter", adapter, "--format", "hf", "--output", tmp_path / "again").stdout
    assert f"rounding of the merged weights to {dtype}" in shown


def test_large_models_are_sharded(tmp_path, model_factory):
    model = model_factory()
    adapter = random_adapters.write_lora(tmp_path / "adapter", model)
    whole, _ = merge(tmp_path, model, adapter)
    shards = tmp_path / "shards"
    program.run_excitor("export", model, "--adapter", adapter, "--format", "hf", "--output", shards, "--max-shard-size", "40KB")
    assert len(list(shards.glob("model-*-of-*.safetensors"))) > 2 and not (shards / "model.safetensors").exists()
    assert all(file.stat().st_size < 64_000 for file in shards.glob("model-*.safetensors"))  # the embedding stands alone
    same = lambda folder: tiny_models.judge_logits(tiny_models.judge(folder), IDS)
    assert torch.equal(same(shards), same(whole))


def test_the_folder_is_complete(tmp_path, model_factory):
    model = model_factory()
    config = json.loads((model / "config.json").read_text())
    merged, _ = merge(tmp_path, model, random_adapters.write_lora(tmp_path / "adapter", model))
    assert (merged / "tokenizer.model").read_bytes() == (model / "tokenizer.model").read_bytes()
    assert (merged / "generation_config.json").read_bytes() == (model / "generation_config.json").read_bytes()
    again = json.loads((merged / "config.json").read_text())
    missing = {key for key in config if again.get(key) != config[key] and key not in ("rope_parameters", "transformers_version")}
    assert not missing, missing
    answer = program.generate(merged, "--prompt", "The fox", "--max-new-tokens", "4")
    assert len(answer) == 1


def test_a_meta_folder_is_merged_into_a_hugging_face_folder(tmp_path, model_factory):
    model = model_factory(num_key_value_heads=2)
    meta = original_llama_adapter.write_meta_folder(tmp_path / "meta", model)
    adapter = random_adapters.write_adapter_v2(tmp_path / "adapter", model, adapter_len=0, lora_r=2)
    merged, _ = merge(tmp_path, meta, adapter)
    expected = inspect_logits(model, IDS, tmp_path / "logits.safetensors", adapter)
    assert_close(tiny_models.judge_logits(tiny_models.judge(merged), IDS), expected, TOLERANCE)
    assert (merged / "tokenizer.model").exists()


def test_pytorch_bins_are_merged(tmp_path, model_factory):
    model = model_factory()
    folder = shutil.copytree(model, tmp_path / "bin")
    torch.save(safetensors.torch.load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    adapter = random_adapters.write_lora(tmp_path / "adapter", model)
    merged, _ = merge(tmp_path, folder, adapter)
    expected = inspect_logits(model, IDS, tmp_path / "logits.safetensors", adapter)
    assert_close(tiny_models.judge_logits(tiny_models.judge(merged), IDS), expected, TOLERANCE)


UNMERGEABLE = {"excitor": (random_adapters.write_excitor, {}), "adapter": (random_adapters.write_adapter, {}),
               "v2 with prompts": (random_adapters.write_adapter_v2, {})}


@pytest.mark.parametrize("write, settings", UNMERGEABLE.values(), ids=UNMERGEABLE)
def test_what_changes_attention_is_refused(tmp_path, model_factory, write, settings):
    model = model_factory()
    adapter = write(tmp_path / "adapter", model, **settings)
    refused("export", model, "--adapter", adapter, "--format", "hf", "--output", tmp_path / "merged", code=2,
            words=["can't be merged", "excitor generate", "lora"], absent=tmp_path / "merged")


def test_an_adapter_of_another_base_needs_force(tmp_path, model_factory):
    model = model_factory()
    adapter = random_adapters.write_lora(tmp_path / "adapter", model)
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"base_fingerprint": "0" * 64}))
    refused("export", model, "--adapter", adapter, "--format", "hf", "--output", tmp_path / "merged", words=["another base", "--force"],
            absent=tmp_path / "merged")
    merge(tmp_path, model, adapter, "--force")


def test_a_folder_that_is_there_stays(tmp_path, model_factory):
    model = model_factory()
    adapter = random_adapters.write_lora(tmp_path / "adapter", model)
    refused("export", model, "--adapter", adapter, "--format", "hf", "--output", adapter, words=[adapter, "overwritten"], code=2)
    assert (adapter / "adapter_config.json").exists()
