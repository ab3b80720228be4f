"""PEFT loads the folder that the program writes, unchanged, and the program loads the folder that PEFT writes: same logits."""
import json

import peft
import pytest
import safetensors.torch
import torch

import program
import random_adapters
import tiny_models
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
}

# Computed as PEFT does, or refused: never other logits.
THEIRS_OR_REFUSED = {
    "alpha_pattern": dict(r=3, lora_alpha=5, target_modules=["q_proj", "v_proj"], alpha_pattern={"v_proj": 20}),
    "rank_pattern": dict(r=3, lora_alpha=5, target_modules=["q_proj", "v_proj"], rank_pattern={"v_proj": 5}),
    "one layer": dict(r=3, target_modules=["q_proj", "v_proj"], layers_to_transform=[1]),
    "excluded modules": dict(r=3, target_modules=["q_proj", "v_proj"], exclude_modules=["model.layers.0.self_attn.v_proj"]),
    "dora": dict(r=3, use_dora=True),
    "bias": dict(r=3, bias="lora_only", target_modules=["q_proj"]),
    "trained head": dict(r=3, modules_to_save=["lm_head"]),
    "embedding": dict(r=3, target_modules=["q_proj", "embed_tokens"]),
    "head": dict(r=3, target_modules=["q_proj", "lm_head"]),
}


def write_with_peft(folder, model, settings):
    torch.manual_seed(1)
    wrapped = peft.get_peft_model(tiny_models.judge(model), peft.LoraConfig(task_type="CAUSAL_LM", **settings))
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


@pytest.mark.parametrize("settings", THEIRS_OR_REFUSED.values(), ids=THEIRS_OR_REFUSED)
def test_what_peft_alone_can_do_is_computed_or_refused(tmp_path, model_factory, settings):
    model = model_factory(attention_bias=True)
    expected = write_with_peft(tmp_path / "adapter", model, settings)
    output = tmp_path / "logits.safetensors"
    done = program.run_excitor("inspect", "logits", model, "--adapter", tmp_path / "adapter", "--ids", ",".join(map(str, IDS)),
                               "--output", output, check=False)
    if done.returncode == 0:
        assert_close(safetensors.torch.load_file(output)["logits"], expected, TOLERANCE)
    else:
        assert done.returncode in (1, 2)
        assert str(tmp_path / "adapter") in done.stderr  # says where
        assert not output.exists()


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
