"""Files of the original LLaMA-Adapter: what is imported computes what the original computes (original_llama_adapter.py), and what
is exported is what was imported, readable by torch.load without executing anything."""
import argparse
import json

import pytest
import safetensors.torch
import torch

import original_llama_adapter as original
import program
import random_adapters
import tiny_models
from integration_support import refused
from program import assert_close, inspect_logits, relative_error

TOLERANCE = 1e-5
IDS = tiny_models.random_ids(40)
MHA, GQA = dict(num_key_value_heads=4), dict(num_key_value_heads=2)


def save(tmp_path, state, name="released.pth"):
    torch.save(state, tmp_path / name)
    return tmp_path / name


def import_file(tmp_path, file, *arguments):
    done = program.run_excitor("import", file, "--output", tmp_path / "adapter", "--json", *arguments)
    return tmp_path / "adapter", json.loads(done.stdout), done.stderr


def export(tmp_path, model, adapter):
    file = tmp_path / "exported.pth"
    program.run_excitor("export", model, "--adapter", adapter, "--format", "llama-adapter", "--output", file)
    return torch.load(file, weights_only=True)


def logits(tmp_path, model, adapter):
    return inspect_logits(model, IDS, tmp_path / "logits.safetensors", adapter)


STATES = {
    "v1, top layer": (MHA, lambda model: original.v1_state(model), [], "adapter"),
    "v1, all layers": (MHA, lambda model: original.v1_state(model, adapter_len=3, adapter_layers=2), ["--adapter-len", 3], "adapter"),
    "v1, grouped queries": (GQA, lambda model: original.v1_state(model), [], "adapter"),
    "v2 chat": (MHA, lambda model: original.chat_state(model), ["--model"], "adapter_v2"),
    "v2 chat, grouped queries": (GQA, lambda model: original.chat_state(model), ["--model"], "adapter_v2"),
    "v2 multimodal": (MHA, lambda model: original.multimodal_state(model), [], "adapter_v2"),
    "v2 multimodal, lora": (MHA, lambda model: original.multimodal_state(model, rank=3), [], "adapter_v2"),
    "v2 multimodal, lora, grouped queries": (GQA, lambda model: original.multimodal_state(model, rank=3), [], "adapter_v2"),
}


@pytest.mark.parametrize("base, make, arguments, method", STATES.values(), ids=STATES)
def test_imported_files_compute_what_the_original_computes_and_go_back_unchanged(tmp_path, model_factory, base, make, arguments, method):
    model = model_factory(**base)
    state = make(model)
    adapter, result, words = import_file(tmp_path, save(tmp_path, state), *arguments, *([model] if "--model" in arguments else []))
    assert result["method"] == method and words == ""
    expected = original.Original(model, state).logits(IDS)
    assert relative_error(tiny_models.judge_logits(tiny_models.judge(model), IDS), expected) > 1e-2
    assert_close(logits(tmp_path, model, adapter), expected, TOLERANCE)

    again = export(tmp_path, model, adapter)
    assert again.keys() == state.keys() and again.get("config") == state.get("config")
    tensors, before = again.get("model", again), state.get("model", state)
    assert tensors.keys() == before.keys()
    for name, tensor in before.items():
        assert tensors[name].dtype == tensor.dtype and torch.equal(tensors[name], tensor), name


def test_half_precision_is_read(tmp_path, model_factory):
    model = model_factory(**MHA)
    state = original.multimodal_state(model)
    state["model"] = {name: tensor.half() for name, tensor in state["model"].items()}
    adapter, _, _ = import_file(tmp_path, save(tmp_path, state))
    assert_close(logits(tmp_path, model, adapter), original.Original(model, state).logits(IDS), TOLERANCE)


def test_the_released_inference_code_of_v1_has_no_tanh(tmp_path, model_factory):
    model = model_factory(**MHA)
    state = original.v1_state(model)
    adapter, _, _ = import_file(tmp_path, save(tmp_path, state), "--gate-activation", "none")
    expected = original.Original(model, state, gate=lambda gate: gate).logits(IDS)
    assert relative_error(original.Original(model, state).logits(IDS), expected) > 1e-2
    assert_close(logits(tmp_path, model, adapter), expected, TOLERANCE)


def test_a_chat_model_without_the_last_norm_keeps_the_bases(tmp_path, model_factory):
    model = model_factory(**MHA)
    state = original.chat_state(model, final_norm=False)
    adapter, _, _ = import_file(tmp_path, save(tmp_path, state), "--model", model)
    assert_close(logits(tmp_path, model, adapter), original.Original(model, state).logits(IDS), TOLERANCE)
    base = safetensors.torch.load_file(model / "model.safetensors")
    assert torch.equal(export(tmp_path, model, adapter)["model"]["norm.weight"], base["model.norm.weight"])


def test_the_early_spelling_of_llama_is_read(tmp_path, model_factory):
    model = model_factory(**MHA)
    state = original.multimodal_state(model)
    early = {name.replace("llama.", "llma."): tensor for name, tensor in state["model"].items()}
    adapter, _, _ = import_file(tmp_path, save(tmp_path, {"model": early, "config": state["config"]}))
    assert_close(logits(tmp_path, model, adapter), original.Original(model, state).logits(IDS), TOLERANCE)


# --- ours into the original's ------------------------------------------------------------------------------------------------------

OURS = {
    "v1": (random_adapters.write_adapter, {}),
    "v1, one gate": (random_adapters.write_adapter, dict(gate="per_layer", adapter_layers=1)),
    "v2 chat": (random_adapters.write_adapter_v2, dict(adapter_len=0, scale_position="input")),
    "v2 chat, some linears": (random_adapters.write_adapter_v2, dict(adapter_len=0, scale_position="input", scales=("q_proj",),
                                                                     biases=("k_proj", "up_proj"), train_norms=False)),
    "v2 multimodal": (random_adapters.write_adapter_v2, dict(scales=(), biases=("q_proj", "down_proj"))),
    "v2 multimodal, lora": (random_adapters.write_adapter_v2, dict(scales=(), biases=(), lora_r=2, lora_alpha=5, train_norms=False,
                                                                   prompt_projection="frozen", new_gate=True)),
}


@pytest.mark.parametrize("write, settings", OURS.values(), ids=OURS)
def test_the_original_computes_what_was_exported(tmp_path, model_factory, write, settings):
    model = model_factory(**GQA)
    adapter = write(tmp_path / "ours", model, **settings)
    state = export(tmp_path, model, adapter)
    assert_close(original.Original(model, state).logits(IDS), logits(tmp_path, model, adapter), TOLERANCE)


def test_gates_without_tanh_are_stored_as_what_tanh_makes_them_of(tmp_path, model_factory):
    model = model_factory(**MHA)
    adapter = random_adapters.write_adapter(tmp_path / "ours", model, gate_activation="none")
    file = adapter / "adapter_model.safetensors"
    tensors = {name: 0.3 * tensor for name, tensor in safetensors.torch.load_file(file).items()}
    gates = [tensor for name, tensor in tensors.items() if name.endswith("gate")]
    assert all(gate.abs().max() < 1 for gate in gates)
    safetensors.torch.save_file(tensors, file, metadata={"format": "pt"})
    state = export(tmp_path, model, adapter)
    assert_close(original.Original(model, state).logits(IDS), logits(tmp_path, model, adapter), TOLERANCE)
    gates[0][0] = 1.5
    safetensors.torch.save_file(tensors, file, metadata={"format": "pt"})
    refused("export", model, "--adapter", adapter, "--format", "llama-adapter", "--output", tmp_path / "x.pth", code=2,
            words=["layer 0", "1.5", "tanh"], absent=tmp_path / "x.pth")


REFUSED = {
    "excitor": (random_adapters.write_excitor, {}, ["method excitor"]),
    "lora": (random_adapters.write_lora, {}, ["method lora", "peft"]),
    "scales on the output": (random_adapters.write_adapter_v2, dict(adapter_len=0), ["scale_position=input", "--format hf"]),
    "lora without prompts": (random_adapters.write_adapter_v2, dict(adapter_len=0, scales=(), lora_r=2), ["no LoRA"]),
    "prompts and scales": (random_adapters.write_adapter_v2, dict(scale_position="input"), ["no scales"]),
    "prompts and a bias on k": (random_adapters.write_adapter_v2, dict(scales=(), biases=("k_proj",)), ["no bias on k_proj"]),
    "prompts through lora": (random_adapters.write_adapter_v2, dict(scales=(), biases=(), lora_r=2), ["prompt_projection=frozen"]),
}


@pytest.mark.parametrize("write, settings, words", REFUSED.values(), ids=REFUSED)
def test_what_the_layout_has_no_place_for_is_refused(tmp_path, model_factory, write, settings, words):
    model = model_factory(**GQA)
    adapter = write(tmp_path / "ours", model, **settings)
    refused("export", model, "--adapter", adapter, "--format", "llama-adapter", "--output", tmp_path / "x.pth", code=2, words=words,
            absent=tmp_path / "x.pth")


# --- files that are not what is expected --------------------------------------------------------------------------------------------

def without(key):
    def change(state):
        del state[key]
    return change


def with_more(**more):
    return lambda state: state.update(more)


V1_FAULTS = {
    "a missing gate": (without("layers.0.attention.gate"), ["layers.0.attention.gate is missing"]),
    "no prompts": (without("adapter_query.weight"), ["adapter_query.weight is missing"]),
    "a left-over tensor": (lambda s: s.update({"layers.0.attention.gate2": torch.ones(1)}), ["layers.0.attention.gate2"]),
    "the base's weights": (lambda s: s.update({"layers.0.attention.wq.weight": torch.ones(2, 2)}),
                           ["weights of the base itself", "layers.0.attention.wq.weight", "torch.save"]),
    "a gate of another width": (lambda s: s.update({"layers.1.attention.gate": torch.ones(1, 5, 1, 1)}), ["32", "5"]),
    "no tensor": (lambda s: s.update({"layers.0.attention.gate": "text"}), ["layers.0.attention.gate", "expected a tensor"]),
}


@pytest.mark.parametrize("change, words", V1_FAULTS.values(), ids=V1_FAULTS)
def test_faulty_files_are_refused(tmp_path, model_factory, change, words):
    state = original.v1_state(model_factory(**MHA), adapter_layers=2)
    change(state)
    file = save(tmp_path, state)
    refused("import", file, "--output", tmp_path / "adapter", words=[file, *words], absent=tmp_path / "adapter")


def test_prompts_that_adapter_len_does_not_divide_are_refused(tmp_path, model_factory):
    file = save(tmp_path, original.v1_state(model_factory(**MHA)))
    for length in ("7", "1"):
        refused("import", file, "--output", tmp_path / "adapter", "--adapter-len", length, code=2,
                words=[file, "10 rows", f"{length} prompts", "--adapter-len"], absent=tmp_path / "adapter")


def test_a_base_of_another_shape_is_refused(tmp_path, model_factory):
    file = save(tmp_path, original.v1_state(model_factory(**MHA)))
    for settings, words in ((dict(hidden_size=48), ["hidden_size 32", "48"]), (dict(num_hidden_layers=3), ["num_hidden_layers 2", "3"]),
                            (dict(num_attention_heads=8), ["num_attention_heads 4", "8"])):
        other = model_factory(**MHA | settings)
        refused("import", file, "--output", tmp_path / "adapter", "--model", other, words=[file, other, *words], absent=tmp_path / "adapter")


def test_an_adapter_of_another_width_is_refused_where_it_is_used(tmp_path, model_factory):
    adapter, _, _ = import_file(tmp_path, save(tmp_path, original.v1_state(model_factory(**MHA))))
    refused("inspect", "logits", model_factory(hidden_size=48), "--adapter", adapter, "--ids", "1,2", "--output", tmp_path / "x.safetensors",
            words=["adaption_prompt has shape [1, 10, 32], expected [1, 10, 48]"], absent=tmp_path / "x.safetensors")


def test_options_that_mean_nothing_to_a_file_are_refused(tmp_path, model_factory):
    model = model_factory(**MHA)
    file = save(tmp_path, original.chat_state(model))
    refused("import", file, "--output", tmp_path / "adapter", "--model", model, "--adapter-len", "10", code=2,
            words=[file, "no prompts", "--adapter-len"], absent=tmp_path / "adapter")
    folder = random_adapters.write_lora(tmp_path / "lora", model)
    refused("import", folder, "--output", tmp_path / "adapter", "--gate-activation", "none", code=2, words=[folder, "--gate-activation"],
            absent=tmp_path / "adapter")


def test_absurd_layer_numbers_are_damage(tmp_path, model_factory):
    state = original.v1_state(model_factory(**MHA)) | {"layers.9999999999999999.attention.gate": torch.ones(1, 4, 1, 1)}
    refused("import", save(tmp_path, state), "--output", tmp_path / "adapter", words=["layers.9999999999999999.attention.gate"], code=1,
            absent=tmp_path / "adapter", timeout=10)


def test_a_chat_file_needs_its_base(tmp_path, model_factory):
    file = save(tmp_path, original.chat_state(model_factory(**MHA)))
    refused("import", file, "--output", tmp_path / "adapter", words=[file, "heads", "--model"], code=2, absent=tmp_path / "adapter")


def test_an_incomplete_chat_file_is_refused(tmp_path, model_factory):
    model = model_factory(**MHA)
    state = original.chat_state(model)
    del state["model"]["layers.1.attention.wk_bias"]
    file = save(tmp_path, state)
    refused("import", file, "--output", tmp_path / "adapter", "--model", model, words=[file, "layers.1.attention.wk_bias is missing"],
            absent=tmp_path / "adapter")


def test_a_training_state_is_refused_with_what_to_extract(tmp_path, model_factory):
    state = {"model": original.v1_state(model_factory(**MHA)), "optimizer": {"state": {}}, "epoch": 4}
    file = save(tmp_path, state)
    refused("import", file, "--output", tmp_path / "adapter", words=[file, "whole training state", "\"model\"", "torch.save"],
            absent=tmp_path / "adapter")
    file = save(tmp_path, state | {"args": argparse.Namespace(lr=1e-3)}, "checkpoint-4.pth")
    refused("import", file, "--output", tmp_path / "adapter", words=[file, "Namespace"], absent=tmp_path / "adapter")


def test_a_file_of_something_else_is_refused(tmp_path):
    text = tmp_path / "notes.pth"
    text.write_text("not a file of torch")
    refused("import", text, "--output", tmp_path / "adapter", words=[text], absent=tmp_path / "adapter")
    refused("import", tmp_path / "absent.pth", "--output", tmp_path / "adapter", words=["absent.pth", "no such file"], code=2)
    other = save(tmp_path, {"weight": torch.ones(3)})
    refused("import", other, "--output", tmp_path / "adapter", words=[other, "no LLaMA-Adapter", "weight"], absent=tmp_path / "adapter")
