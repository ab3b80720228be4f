"""PEFT loads the folder that the program writes, unchanged, and the program loads the folder that PEFT writes: same logits."""
import json

import peft
import pytest
import safetensors.torch
import torch

import program
import random_adapters
import tiny_models
from integration_support import refused
from program import assert_close, inspect_logits, relative_error

TOLERANCE = 1e-5
IDS = tiny_models.random_ids(40)

OURS = {
    "q and v": dict(r=4, lora_alpha=8),
    "all-linear": dict(r=2, lora_alpha=3, target_modules="all-linear"),
    "rslora": dict(r=4, lora_alpha=4, use_rslora=True, target_modules=["k_proj", "down_proj"]),
    "with dropout": dict(r=4, lora_alpha=8, lora_dropout=0.3),
}


def peft_logits(model, adapter):
    return tiny_models.judge_logits(peft.PeftModel.from_pretrained(tiny_models.judge(model), adapter).eval(), IDS)


@pytest.mark.parametrize("settings", OURS.values(), ids=OURS)
def test_peft_loads_what_the_program_trained(tmp_path, model_factory, settings):
    model = model_factory()
    (tmp_path / "data.json").write_text(json.dumps([{"instruction": "The fox counts", "output": "three apples."}] * 4))
    run = program.train(tmp_path, {
        "model": {"path": str(model)}, "method": {"type": "lora"} | settings,
        "data": {"train": [{"path": "data.json"}]},
        "train": {"max_steps": 2, "learning_rate": 0.1, "lr_scheduler_type": "constant", "warmup_ratio": 0}})
    expected = peft_logits(model, run / "adapter")
    assert relative_error(tiny_models.judge_logits(tiny_models.judge(model), IDS), expected) > 1e-2
    assert_close(inspect_logits(model, IDS, tmp_path / "logits.safetensors", run / "adapter"), expected, TOLERANCE)


def test_peft_misses_nothing_in_our_folder(tmp_path, model_factory, recwarn):
    model = model_factory()
    adapter = random_adapters.write_lora(tmp_path / "adapter", model, target_modules="all-linear", size=0.1)
    loaded = peft.PeftModel.from_pretrained(tiny_models.judge(model), adapter)
    assert not [w for w in recwarn if "missing adapter keys" in str(w.message)]
    ours = safetensors.torch.load_file(adapter / "adapter_model.safetensors")
    theirs = peft.get_peft_model_state_dict(loaded)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


THEIRS = {
    "default targets": dict(r=4, lora_alpha=8),
    "defaults": dict(),
    "all-linear": dict(r=3, lora_alpha=5, target_modules="all-linear"),
    "rslora": dict(r=3, lora_alpha=5, use_rslora=True, target_modules=["o_proj", "up_proj"]),
    "regular expression": dict(r=3, target_modules=r".*\.(q|gate)_proj"),
    "whole paths": dict(r=3, target_modules=["model.layers.1.self_attn.q_proj", "model.layers.0.mlp.down_proj"]),
    "partial path": dict(r=3, target_modules=["self_attn.v_proj"]),
    "alpha_pattern": dict(r=3, lora_alpha=5, target_modules=["q_proj", "v_proj"], alpha_pattern={"v_proj": 20, "k_proj": 0.5}),
    "rank_pattern": dict(r=3, lora_alpha=5, target_modules=["q_proj", "v_proj"], rank_pattern={"v_proj": 5, "layers.7.q_proj": 2}),
    "one layer": dict(r=3, target_modules=["q_proj", "v_proj"], layers_to_transform=1),
    "layers by pattern": dict(r=3, target_modules=["q_proj", "v_proj"], layers_to_transform=[0, 5], layers_pattern=["blocks", "layers"]),
    "a layer and a whole path": dict(r=3, target_modules=["q_proj", "model.layers.0.mlp.up_proj"], layers_to_transform=[1]),
    "excluded module": dict(r=3, target_modules=["q_proj", "v_proj"], exclude_modules=["model.layers.0.self_attn.v_proj", "k_proj"]),
    "excluded by expression": dict(r=3, target_modules="all-linear", exclude_modules=r".*\.1\..*"),
    "a name that no module has": dict(r=3, target_modules=["q_proj", "query_key_value"]),
    "negative alpha": dict(r=3, lora_alpha=-4, alpha_pattern={"v_proj": -1.5}),
    "alpha 0": dict(r=3, lora_alpha=0),
    "transposed weights elsewhere": dict(r=3, fan_in_fan_out=True),
    "gaussian start": dict(r=3, init_lora_weights="gaussian"),
    "orthogonal start": dict(r=4, init_lora_weights="orthogonal"),
}

# What PEFT computes beyond the tensors of a LoRA on linears: refused by name, never other logits.
REFUSED = {
    "dora": (dict(use_dora=True), "use_dora"),
    "bias": (dict(bias="lora_only"), "bias"),
    "bias of B": (dict(lora_bias=True), "lora_bias"),
    "trained head": (dict(modules_to_save=["lm_head"]), "modules_to_save"),
    "trained tokens": (dict(trainable_token_indices=[1, 5]), "trainable_token_indices"),
    "embedding": (dict(target_modules=["q_proj", "embed_tokens"]), "target_modules: chooses model.embed_tokens"),
    "head": (dict(target_modules=["q_proj", "lm_head"]), "target_modules: chooses lm_head"),
    "from some token on": (dict(alora_invocation_tokens=[100, 101]), "alora_invocation_tokens"),
    "layers twice": (dict(layer_replication=[(0, 1), (0, 2)]), "layer_replication"),
    "pissa": (dict(init_lora_weights="pissa"), "init_lora_weights"),
    "pissa, iterated": (dict(init_lora_weights="pissa_niter_4"), "path_initial_model_for_weight_conversion"),
    "olora": (dict(init_lora_weights="olora"), "init_lora_weights"),
}


def set_config(folder, **keys):
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | keys))


def write_with_peft(folder, model, settings):
    torch.manual_seed(1)
    config = settings if isinstance(settings, peft.PeftConfig) else peft.LoraConfig(task_type="CAUSAL_LM", **settings)
    wrapped = peft.get_peft_model(tiny_models.judge(model), config)
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    wrapped.save_pretrained(folder)
    return tiny_models.judge_logits(wrapped.eval(), IDS)


@pytest.mark.parametrize("settings", THEIRS.values(), ids=THEIRS)
def test_the_program_loads_what_peft_wrote(tmp_path, model_factory, settings):
    model = model_factory(attention_bias=True)
    expected = write_with_peft(tmp_path / "adapter", model, settings)
    assert_close(inspect_logits(model, IDS, tmp_path / "logits.safetensors", tmp_path / "adapter"), expected, TOLERANCE)


@pytest.mark.parametrize("settings, word", REFUSED.values(), ids=REFUSED)
def test_what_peft_alone_can_do_is_refused_by_name(tmp_path, model_factory, settings, word):
    model = model_factory(attention_bias=True)
    write_with_peft(tmp_path / "adapter", model, dict(r=3, target_modules=["q_proj", "v_proj"]) | settings)
    output = tmp_path / "logits.safetensors"
    refused("inspect", "logits", model, "--adapter", tmp_path / "adapter", "--ids", "1,5", "--output", output,
            words=[tmp_path / "adapter", word], absent=output)
    refused("import", tmp_path / "adapter", "--output", tmp_path / "ours", words=[tmp_path / "adapter", word], absent=tmp_path / "ours")


@pytest.mark.parametrize("start", ["loftq", "corda", "lora_ga"])
def test_starts_that_change_the_base_are_refused(tmp_path, model_factory, start):
    """PEFT writes these only beside data or quantised weights; its word in the configuration is what counts."""
    model = model_factory()
    adapter = random_adapters.write_lora(tmp_path / "adapter", model, r=4)
    set_config(adapter, init_lora_weights=start)
    refused("inspect", "logits", model, "--adapter", adapter, "--ids", "1,5", "--output", tmp_path / "logits.safetensors",
            words=[adapter, "init_lora_weights", start])


def test_keys_that_peft_does_not_know_either_are_passed_over_by_name(tmp_path, model_factory):
    model = model_factory()
    expected = write_with_peft(tmp_path / "adapter", model, dict(r=4))
    set_config(tmp_path / "adapter", some_new_switch=3, another_one_that_is_off=False)
    output = tmp_path / "logits.safetensors"
    done = program.run_excitor("inspect", "logits", model, "--adapter", tmp_path / "adapter", "--ids", ",".join(map(str, IDS)),
                               "--output", output)
    assert "some_new_switch" in done.stderr and "another_one_that_is_off" not in done.stderr
    assert_close(safetensors.torch.load_file(output)["logits"], expected, TOLERANCE)


@pytest.mark.parametrize("config", [dict(r=4), peft.AdaptionPromptConfig(adapter_len=4, adapter_layers=1, task_type="CAUSAL_LM")],
                         ids=["lora", "adaption_prompt"])
def test_a_bin_file_of_peft_is_read_as_it_is(tmp_path, model_factory, config):
    model = model_factory()
    expected = write_with_peft(tmp_path / "adapter", model, config)
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    torch.save(safetensors.torch.load_file(file), tmp_path / "adapter" / "adapter_model.bin")
    file.unlink()
    assert_close(inspect_logits(model, IDS, tmp_path / "logits.safetensors", tmp_path / "adapter"), expected, TOLERANCE)


def test_a_narrowed_choice_goes_to_peft_and_back(tmp_path, model_factory):
    model = model_factory()
    expected = write_with_peft(tmp_path / "adapter", model, dict(r=3, target_modules=["q_proj", "up_proj"], layers_to_transform=[1],
                                                                 exclude_modules=["q_proj"]))
    program.run_excitor("import", tmp_path / "adapter", "--output", tmp_path / "ours")
    program.run_excitor("export", model, "--adapter", tmp_path / "ours", "--format", "peft", "--output", tmp_path / "exported")
    assert_close(peft_logits(model, tmp_path / "exported"), expected, TOLERANCE)
    assert_close(inspect_logits(model, IDS, tmp_path / "logits.safetensors", tmp_path / "ours"), expected, TOLERANCE)


def test_settings_that_peft_leaves_out_have_pefts_defaults(tmp_path, model_factory):
    """r and lora_alpha are 8 when adapter_config.json does not say."""
    model = model_factory()
    adapter = random_adapters.write_lora(tmp_path / "adapter", model, r=8)
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps({"peft_type": "LORA", "task_type": "CAUSAL_LM", "target_modules": ["q_proj", "v_proj"]}))
    assert_close(inspect_logits(model, IDS, tmp_path / "logits.safetensors", adapter), peft_logits(model, adapter), TOLERANCE)


def test_training_goes_on_from_what_peft_wrote(tmp_path, model_factory):
    model = model_factory()
    write_with_peft(tmp_path / "adapter", model, dict(r=4, lora_alpha=8))
    (tmp_path / "data.json").write_text(json.dumps([{"instruction": "The fox counts", "output": "three apples."}] * 4))
    run = program.train(tmp_path, {"model": {"path": str(model)}, "method": {"adapter_path": "adapter"},
                                   "data": {"train": [{"path": "data.json"}]}, "train": {"max_steps": 1}})
    assert_close(inspect_logits(model, IDS, tmp_path / "logits.safetensors", run / "adapter"), peft_logits(model, run / "adapter"),
                 TOLERANCE)
