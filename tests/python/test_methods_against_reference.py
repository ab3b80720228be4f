"""Every setting of every method computes the formula of methods.md, written out in float64 in reference_training.py."""
import importlib.util
import itertools
import json

import pytest
import torch

import program
import random_adapters
import reference_training
import tiny_models
from program import assert_close, inspect_logits, relative_error

TOLERANCE = 1e-5
LENGTH = 40
SPECIFICATION = program.REPOSITORY.parent / "shared/reference/reference.py"

BASES = {
    "mha": dict(num_key_value_heads=4),
    "gqa": dict(),
    "mqa, biases, tied": dict(num_key_value_heads=1, attention_bias=True, mlp_bias=True, tie_word_embeddings=True),
    "bf16, wide heads": dict(head_dim=16, dtype="bfloat16"),
}

EXCITORS = {
    f"{gate}, {attention}, {'before' if before else 'after'} rotation":
        dict(gate=gate, prompt_attention=attention, add_before_rotation=before)
    for gate, attention, before in itertools.product(("per_head", "per_layer"), ("per_head", "full_width"), (False, True))
}
EXCITORS["top layer only"] = dict(adapter_layers=1)
EXCITORS["many prompts, large rank"] = dict(adapter_len=70, r=40)

LORAS = {
    "q and v": dict(),
    "all-linear": dict(target_modules="all-linear", size=0.1),
    "rslora": dict(use_rslora=True, target_modules=("k_proj", "o_proj", "down_proj")),
    "fraction of alpha": dict(lora_alpha=0.75, r=1, target_modules=("gate_proj", "up_proj")),
}

LORAS["ranks and alphas of their own"] = dict(target_modules=("q_proj", "v_proj", "up_proj"), rank_pattern={"v_proj": 5},
                                             alpha_pattern={"up_proj": 1.5, "v_proj": 7})

ADAPTERS = {f"{gate}, {activation}": dict(gate=gate, gate_activation=activation)
            for gate, activation in itertools.product(("per_head", "per_layer"), ("tanh", "none"))}
ADAPTERS["PEFT's"] = dict(gate="per_layer", peft=True)
ADAPTERS["top layer, many prompts"] = dict(adapter_layers=1, adapter_len=40)

SOME = ("q_proj", "o_proj", "gate_proj", "up_proj", "down_proj")  # as the released multimodal model
ADAPTERS_V2 = {
    "scales on the output": dict(),
    "scales on the input": dict(scale_position="input"),
    "released chat model": dict(adapter_len=0, scale_position="input"),
    "released multimodal model": dict(scales=(), biases=SOME, lora_r=3, prompt_projection="frozen", new_gate=True),
    "all parts, per_layer, none": dict(lora_r=3, lora_alpha=5, gate="per_layer", gate_activation="none"),
    "all parts, input, frozen prompts": dict(lora_r=3, lora_alpha=5, scale_position="input", prompt_projection="frozen"),
    "scales only": dict(adapter_len=0, biases=(), train_norms=False, scales=("v_proj", "down_proj")),
}
# Beyond the executable specification, which has no prompts on frozen projections.
UNSPECIFIED = ("frozen", "released multimodal")

CASES = [pytest.param(base, write, settings, id=f"{method} {name}, {base}")
         for base in BASES
         for method, write, all_settings in (("excitor", random_adapters.write_excitor, EXCITORS),
                                             ("adapter", random_adapters.write_adapter, ADAPTERS),
                                             ("adapter_v2", random_adapters.write_adapter_v2, ADAPTERS_V2),
                                             ("lora", random_adapters.write_lora, LORAS))
         for name, settings in all_settings.items()]


@pytest.mark.parametrize("base, write_adapter, settings", CASES)
def test_logits_equal_the_formula(tmp_path, model_factory, base, write_adapter, settings):
    model = model_factory(**BASES[base])
    adapter = write_adapter(tmp_path / "adapter", model, **settings)
    ids = tiny_models.random_ids(LENGTH)
    expected = reference_training.Model(model, adapter).logits(ids)
    assert relative_error(reference_training.Model(model).logits(ids), expected) > 1e-2  # the adapter does something
    assert_close(inspect_logits(model, ids, tmp_path / "logits.safetensors", adapter), expected, TOLERANCE)


@pytest.mark.parametrize("base", BASES)
def test_the_formula_without_an_adapter_is_transformers(model_factory, base):
    model = model_factory(**BASES[base])
    ids = tiny_models.random_ids(LENGTH)
    expected = tiny_models.judge_logits(tiny_models.judge(model), ids)
    assert_close(reference_training.Model(model).logits(ids), expected, TOLERANCE, "reference beside transformers")


@pytest.fixture(scope="module")
def specification():
    """(model, adapter, ids) -> logits of the project's executable specification."""
    if not SPECIFICATION.exists():
        pytest.skip(f"{SPECIFICATION} is not here")
    spec = importlib.util.spec_from_file_location("specification", SPECIFICATION)
    module = importlib.util.module_from_spec(spec)
    before = torch.get_default_dtype()

    def logits(model, adapter, ids):
        torch.set_default_dtype(torch.float64)
        try:
            config = json.loads((model / "config.json").read_text())
            return module.logits(config, module.load(model), module.Adapter(adapter), torch.tensor(ids))
        finally:
            torch.set_default_dtype(before)

    spec.loader.exec_module(module)
    torch.set_default_dtype(before)
    return logits


@pytest.mark.parametrize("base, write_adapter, settings", [
    case for case in CASES if "gqa" in case.id and "their own" not in case.id and not any(word in case.id for word in UNSPECIFIED)])
def test_logits_equal_the_executable_specification(tmp_path, model_factory, specification, base, write_adapter, settings):
    model = model_factory(**BASES[base])
    adapter = write_adapter(tmp_path / "adapter", model, **settings)
    ids = tiny_models.random_ids(LENGTH)
    expected = specification(model, adapter, ids)
    assert_close(reference_training.Model(model, adapter).logits(ids), expected, 1e-9, "reference beside the specification")
    assert_close(inspect_logits(model, ids, tmp_path / "logits.safetensors", adapter), expected, TOLERANCE)


METHODS = {
    "excitor": dict(type="excitor", adapter_len=4, adapter_layers=2, r=3, up_init="normal"),
    "excitor, up_init zero": dict(type="excitor", adapter_len=4, adapter_layers=1, r=3, up_init="zero", gate_init_mean=1.0),
    "excitor, per_layer, full_width": dict(type="excitor", adapter_len=4, adapter_layers=2, r=3, gate="per_layer",
                                           prompt_attention="full_width", add_before_rotation=True),
    "adapter": dict(type="adapter", adapter_len=4, adapter_layers=2),
    "adapter, per_layer, none": dict(type="adapter", adapter_len=4, gate="per_layer", gate_activation="none"),
    "adapter_v2": dict(type="adapter_v2", adapter_len=4, adapter_layers=2),
    "adapter_v2, input, LoRA": dict(type="adapter_v2", adapter_len=0, scale_position="input", lora_r=2),
    "lora": dict(type="lora", r=4, lora_alpha=8),
    "rslora, all-linear": dict(type="lora", r=4, lora_alpha=8, use_rslora=True, target_modules="all-linear"),
}


@pytest.mark.parametrize("method", METHODS)
def test_a_trained_adapter_computes_the_formula(tmp_path, model_factory, method):
    model = model_factory()
    rows = [{"instruction": text, "output": "It is three."} for text in tiny_models.sentences()[:8]]
    (tmp_path / "data.json").write_text(json.dumps(rows))
    run = program.train(tmp_path, {
        "model": {"path": str(model)},
        "method": METHODS[method],
        "data": {"train": [{"path": "data.json"}], "prompt_template": "plain"},
        "train": {"max_steps": 3, "learning_rate": 0.1, "lr_scheduler_type": "constant", "warmup_ratio": 0}})
    ids = tiny_models.random_ids(LENGTH)
    expected = reference_training.Model(model, run / "adapter").logits(ids)
    assert relative_error(reference_training.Model(model).logits(ids), expected) > 1e-2
    assert_close(inspect_logits(model, ids, tmp_path / "logits.safetensors", run / "adapter"), expected, TOLERANCE)


@pytest.mark.parametrize("method", ["excitor, up_init zero", "adapter", "adapter_v2", "lora"])
def test_the_first_loss_is_the_base_models(tmp_path, model_factory, method):
    model = model_factory()
    (tmp_path / "data.json").write_text(json.dumps([{"instruction": "The fox counts", "output": "three apples."}]))
    run = program.train(tmp_path, {
        "model": {"path": str(model)}, "method": METHODS[method],
        "data": {"train": [{"path": "data.json"}], "prompt_template": "plain"}, "train": {"max_steps": 1}})
    examples = tiny_models.instruction_examples(model, [("The fox counts", "three apples.")])
    expected = reference_training.Model(model).loss(examples).item()
    assert_close([program.step_metrics(run)[0]["loss"]], [expected], TOLERANCE, "first loss")
