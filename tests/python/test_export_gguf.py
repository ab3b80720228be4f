"""The gguf package reads the LoRA that the program exports, and the change of each weight is the adapter's."""
import json

import gguf
import numpy
import pytest
import safetensors.numpy

import program
import random_adapters

NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}

LORAS = {
    "q and v": dict(),
    "all-linear": dict(target_modules="all-linear", r=2, lora_alpha=3),
    "rslora": dict(use_rslora=True, target_modules=("q_proj", "k_proj", "down_proj"), r=4),
    "ranks and alphas of their own": dict(target_modules=("q_proj", "k_proj", "o_proj"), rank_pattern={"k_proj": 5},
                                          alpha_pattern={"o_proj": 11}),
    "rslora with mixed ranks": dict(target_modules=("q_proj", "up_proj"), use_rslora=True, rank_pattern={"up_proj": 7}),
}


def export(tmp_path, model, adapter, *arguments, **settings):
    file = tmp_path / "adapter.gguf"
    done = program.run_excitor("export", model, "--adapter", adapter, "--format", "gguf", "--output", file, *arguments, **settings)
    return file, done


def changes_in_file(file):
    """name of a weight -> what llama.cpp adds to it."""
    reader = gguf.GGUFReader(file)
    alpha = reader.fields["adapter.lora.alpha"].contents()
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    changes = {}
    for name, a in tensors.items():  # a [r,in]
        if name.endswith(".lora_a"):
            b = tensors[name[:-1] + "b"]  # [out,r]
            scale = alpha / a.shape[0] if alpha else 1
            changes[name.removesuffix(".lora_a")] = scale * b.astype(float) @ a.astype(float)
    return changes, reader


def neighbours_rotate(change, heads):
    """Rows of each head from halves (j, j + d/2) to neighbours (2j, 2j + 1)."""
    rows, columns = change.shape
    return change.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def expected_changes(adapter, config):
    settings = json.loads((adapter / "adapter_config.json").read_text())
    tensors = safetensors.numpy.load_file(adapter / "adapter_model.safetensors")
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    changes = {}
    for name, a in tensors.items():
        if not name.endswith("lora_A.weight"):
            continue
        module = name.removeprefix("base_model.model.model.layers.").removesuffix(".lora_A.weight")
        layer, _, linear = module.partition(".")
        leaf = linear.split(".")[1]
        alpha = settings.get("alpha_pattern", {}).get(leaf, settings["lora_alpha"])
        scale = alpha / (len(a) ** 0.5 if settings.get("use_rslora") else len(a))
        change = scale * tensors[name.replace("lora_A", "lora_B")].astype(float) @ a.astype(float)
        changes[f"blk.{layer}.{NAMES[linear]}.weight"] = neighbours_rotate(change, heads[leaf]) if leaf in heads else change
    return changes


@pytest.mark.parametrize("settings", LORAS.values(), ids=LORAS)
def test_the_change_of_every_weight_is_the_adapters(tmp_path, model_factory, settings):
    model = model_factory()
    adapter = random_adapters.write_lora(tmp_path / "adapter", model, **settings)
    file, _ = export(tmp_path, model, adapter)
    found, reader = changes_in_file(file)
    expected = expected_changes(adapter, json.loads((model / "config.json").read_text()))
    assert found.keys() == expected.keys()
    for name in expected:
        numpy.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.architecture"] == "llama" and fields["general.type"] == "adapter" and fields["adapter.type"] == "lora"
    assert reader.fields["adapter.lora.alpha"].types == [gguf.GGUFValueType.FLOAT32]
    assert {tensor.tensor_type for tensor in reader.tensors} == {gguf.GGMLQuantizationType.F32}


def test_an_adapter_v2_that_is_lora_alone_is_a_lora(tmp_path, model_factory):
    model = model_factory()
    adapter = random_adapters.write_adapter_v2(tmp_path / "adapter", model, adapter_len=0, scales=(), biases=(), train_norms=False,
                                               lora_r=2, lora_alpha=3)
    found, _ = changes_in_file(export(tmp_path, model, adapter)[0])
    expected = expected_changes(adapter, json.loads((model / "config.json").read_text()))
    for name in expected:
        numpy.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)


OTHERS = {"excitor": (random_adapters.write_excitor, {}, "Excitor"), "adapter": (random_adapters.write_adapter, {}, "prompts"),
          "adapter_v2": (random_adapters.write_adapter_v2, {}, "scales")}


@pytest.mark.parametrize("write, settings, part", OTHERS.values(), ids=OTHERS)
def test_other_methods_are_refused(tmp_path, model_factory, write, settings, part):
    model = model_factory()
    file, done = export(tmp_path, model, write(tmp_path / "adapter", model, **settings), check=False)
    assert done.returncode == 2 and part in done.stderr and "LoRA" in done.stderr
    assert not file.exists()


def test_nothing_is_overwritten(tmp_path, model_factory):
    model = model_factory()
    adapter = random_adapters.write_lora(tmp_path / "adapter", model)
    (tmp_path / "adapter.gguf").write_text("mine")
    file, done = export(tmp_path, model, adapter, check=False)
    assert done.returncode == 2 and str(file) in done.stderr and file.read_text() == "mine"
