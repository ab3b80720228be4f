"""PEFT loads the folders that the program exports, unchanged, and the program imports PEFT's: same logits."""
import dataclasses
import json
import shutil

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


def export(tmp_path, model, adapter):
    program.run_excitor("export", model, "--adapter", adapter, "--format", "peft", "--output", tmp_path / "peft")
    return tmp_path / "peft"


def peft_logits(model, adapter):
    return tiny_models.judge_logits(peft.PeftModel.from_pretrained(tiny_models.judge(model), adapter).eval(), IDS)


def equal_gates(folder, model, **settings):
    """An adapter whose gates are equal within each layer."""
    random_adapters.write_adapter(folder, model, **settings)
    file = folder / "adapter_model.safetensors"
    tensors = safetensors.torch.load_file(file)
    for name, tensor in tensors.items():
        if name.endswith("adaption_gate"):
            tensors[name] = tensor[:1].repeat(len(tensor)).contiguous()
    safetensors.torch.save_file(tensors, file, metadata={"format": "pt"})
    return folder


EXPORTED = {
    "lora": (random_adapters.write_lora, dict()),
    "lora, all-linear": (random_adapters.write_lora, dict(target_modules="all-linear", size=0.1)),
    "lora, patterns": (random_adapters.write_lora, dict(target_modules=("q_proj", "k_proj", "o_proj"), use_rslora=True,
                                                        rank_pattern={"k_proj": 5}, alpha_pattern={"o_proj": 11})),
    "v2 that is lora alone": (random_adapters.write_adapter_v2, dict(adapter_len=0, scales=(), biases=(), train_norms=False,
                                                                     lora_r=2, lora_alpha=3)),
    "adapter, PEFT's gate": (random_adapters.write_adapter, dict(gate="per_layer", gate_activation="none")),
    "adapter, one gate, tanh": (random_adapters.write_adapter, dict(gate="per_layer", adapter_layers=1)),
    "adapter, equal gates, tanh": (equal_gates, dict()),
    "adapter, equal gates": (equal_gates, dict(gate_activation="none")),
}


@pytest.mark.parametrize("write, settings", EXPORTED.values(), ids=EXPORTED)
def test_peft_computes_what_the_adapter_computes(tmp_path, model_factory, recwarn, write, settings):
    model = model_factory()
    adapter = write(tmp_path / "adapter", model, **settings)
    exported = export(tmp_path, model, adapter)
    found = peft_logits(model, exported)
    assert not [w for w in recwarn if "adapter" in str(w.message)]
    assert_close(found, inspect_logits(model, IDS, tmp_path / "logits.safetensors", adapter), TOLERANCE)
    assert relative_error(tiny_models.judge_logits(tiny_models.judge(model), IDS), found) > 1e-2
    config = json.loads((exported / "adapter_config.json").read_text())
    kind = peft.PEFT_TYPE_TO_CONFIG_MAPPING[config["peft_type"]]
    assert config.keys() <= {field.name for field in dataclasses.fields(kind)}
    assert config["base_model_name_or_path"]
    # And back: the exported folder is an adapter of ours as it is.
    assert_close(inspect_logits(model, IDS, tmp_path / "logits.safetensors", exported), found, TOLERANCE)


def test_regular_expressions_are_written_out(tmp_path, model_factory):
    """Python's dialect is another than ours."""
    model = model_factory()
    adapter = random_adapters.write_lora(tmp_path / "adapter", model, target_modules=("q_proj", "v_proj"))
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"target_modules": r".*\.[qv]_proj"}))
    exported = export(tmp_path, model, adapter)
    targets = json.loads((exported / "adapter_config.json").read_text())["target_modules"]
    assert targets == [f"model.layers.{layer}.self_attn.{name}" for layer in (0, 1) for name in ("q_proj", "v_proj")]
    assert_close(peft_logits(model, exported), inspect_logits(model, IDS, tmp_path / "logits.safetensors", adapter), TOLERANCE)


REFUSED = {
    "excitor": (random_adapters.write_excitor, {}, ["excitor", "generate"]),
    "v2": (random_adapters.write_adapter_v2, {}, ["adapter_v2", "scales", "generate"]),
    "gates of heads": (random_adapters.write_adapter, {}, ["adaption_gate differs between the 4 heads", "per_layer"]),
}


@pytest.mark.parametrize("write, settings, words", REFUSED.values(), ids=REFUSED)
def test_what_peft_has_no_place_for_is_refused(tmp_path, model_factory, write, settings, words):
    model = model_factory()
    adapter = write(tmp_path / "adapter", model, **settings)
    refused("export", model, "--adapter", adapter, "--format", "peft", "--output", tmp_path / "peft", words=words, code=2,
            absent=tmp_path / "peft")


@pytest.fixture(scope="module")
def without_output_biases(tmp_path_factory, model_factory):
    """A base with biases in its attention, all of o_proj's zero."""
    folder = tmp_path_factory.mktemp("zero") / "model"
    shutil.copytree(model_factory(attention_bias=True), folder)
    file = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(file)
    safetensors.torch.save_file({name: tensor * 0 if name.endswith("o_proj.bias") else tensor for name, tensor in tensors.items()}, file,
                                metadata={"format": "pt"})
    return folder


def test_prompts_on_a_base_whose_o_proj_has_biases_are_not_exported(tmp_path, model_factory, without_output_biases):
    """PEFT adds them twice in every layer with prompts."""
    settings = dict(gate="per_layer", gate_activation="none")
    model = model_factory(attention_bias=True)
    adapter = random_adapters.write_adapter(tmp_path / "adapter", model, **settings)
    refused("export", model, "--adapter", adapter, "--format", "peft", "--output", tmp_path / "peft",
            words=["self_attn.o_proj.bias", "a second time"], code=2, absent=tmp_path / "peft")
    adapter = random_adapters.write_adapter(tmp_path / "other", without_output_biases, **settings)
    exported = export(tmp_path, without_output_biases, adapter)
    assert_close(peft_logits(without_output_biases, exported),
                 inspect_logits(without_output_biases, IDS, tmp_path / "logits.safetensors", adapter), TOLERANCE)


def test_prompts_of_peft_on_such_a_base_are_used_with_a_warning(tmp_path, model_factory, without_output_biases):
    config = THEIRS["adaption_prompt"]
    output = tmp_path / "logits.safetensors"
    for model, differs in ((model_factory(attention_bias=True), True), (without_output_biases, False)):
        expected = write_with_peft(tmp_path / "peft", model, config)
        done = program.run_excitor("inspect", "logits", model, "--adapter", tmp_path / "peft", "--ids", ",".join(map(str, IDS)), "--output",
                                   output)
        assert "adds o_proj's bias a second time" in done.stderr
        assert (relative_error(safetensors.torch.load_file(output)["logits"], expected) > 1e-2) == differs


# --- PEFT's folders into ours ----------------------------------------------------------------------------------------------------

THEIRS = {
    "lora": peft.LoraConfig(r=4, lora_alpha=8, task_type="CAUSAL_LM"),
    "lora, o and down": peft.LoraConfig(r=3, lora_alpha=5, task_type="CAUSAL_LM", target_modules=["o_proj", "down_proj"]),
    "lora, all linear": peft.LoraConfig(r=3, lora_alpha=5, task_type="CAUSAL_LM", target_modules="all-linear"),
    "lora, patterns": peft.LoraConfig(r=3, lora_alpha=5, task_type="CAUSAL_LM", target_modules=["k_proj", "up_proj"],
                                      rank_pattern={"k_proj": 5}, alpha_pattern={"up_proj": 11}),
    "adaption_prompt": peft.AdaptionPromptConfig(adapter_len=4, adapter_layers=1, task_type="CAUSAL_LM"),
}


def write_with_peft(folder, model, config, *, bin=False):
    torch.manual_seed(1)
    wrapped = peft.get_peft_model(tiny_models.judge(model), config)
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    wrapped.save_pretrained(folder)
    if bin:
        file = folder / "adapter_model.safetensors"
        torch.save(safetensors.torch.load_file(file), folder / "adapter_model.bin")
        file.unlink()
    return tiny_models.judge_logits(wrapped.eval(), IDS)


@pytest.mark.parametrize("bin", [False, True], ids=["safetensors", "bin"])
@pytest.mark.parametrize("config", THEIRS.values(), ids=THEIRS)
def test_import_of_what_peft_wrote(tmp_path, model_factory, config, bin):
    model = model_factory()
    expected = write_with_peft(tmp_path / "peft", model, config, bin=bin)
    for place, base in ((tmp_path / "alone", []), (tmp_path / "with its base", ["--model", model])):
        done = program.run_excitor("import", tmp_path / "peft", "--output", place, "--json", *base)
        assert json.loads(done.stdout)["method"] == ("lora" if isinstance(config, peft.LoraConfig) else "adapter")
    assert (tmp_path / "alone/adapter_model.safetensors").read_bytes() == (place / "adapter_model.safetensors").read_bytes()
    assert_close(inspect_logits(model, IDS, tmp_path / "logits.safetensors", tmp_path / "alone"), expected, TOLERANCE)


def damage(folder, change):
    file = folder / "adapter_model.safetensors"
    tensors = safetensors.torch.load_file(file)
    change(tensors)
    safetensors.torch.save_file(tensors, file, metadata={"format": "pt"})


NAME = "base_model.model.model.layers.1.self_attn.v_proj.lora_"
DAMAGED = {
    "missing": (lambda t: t.pop(NAME + "B.weight"), [NAME + "B.weight is missing"]),
    "left over": (lambda t: t.update({"base_model.model.lm_head.lora_A.weight": torch.ones(4, 32)}), ["lm_head.lora_A.weight is left over"]),
    "another rank": (lambda t: t.update({NAME + "B.weight": torch.ones(16, 3)}), [NAME + "B.weight has shape [16, 3]", "[16, 4]"]),
    "integers": (lambda t: t.update({NAME + "A.weight": torch.ones(4, 32, dtype=torch.int64)}), [NAME + "A.weight has type int64"]),
}


@pytest.mark.parametrize("change, words", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("named", [False, True], ids=["alone", "with its base"])
def test_damaged_folders_are_refused(tmp_path, model_factory, change, words, named):
    model = model_factory()
    write_with_peft(tmp_path / "peft", model, THEIRS["lora"])
    damage(tmp_path / "peft", change)
    base = ["--model", model] if named else []
    refused("import", tmp_path / "peft", "--output", tmp_path / "ours", *base, words=[tmp_path / "peft", *words], absent=tmp_path / "ours")


def set_config(folder, **keys):
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | keys))


def test_a_choice_of_modules_that_do_not_exist_is_refused(tmp_path, model_factory):
    model = model_factory()
    write_with_peft(tmp_path / "peft", model, THEIRS["lora"])
    set_config(tmp_path / "peft", target_modules=["query_key_value"])
    refused("import", tmp_path / "peft", "--output", tmp_path / "ours", words=["query_key_value", "q_proj"], absent=tmp_path / "ours")


def test_another_base_is_named(tmp_path, model_factory):
    model, other = model_factory(), model_factory(hidden_size=48)
    write_with_peft(tmp_path / "peft", model, THEIRS["lora"])
    refused("import", tmp_path / "peft", "--output", tmp_path / "ours", "--model", other, words=[other, "has shape [4, 32], expected [4, 48]"],
            absent=tmp_path / "ours")


def test_what_is_not_computed_here_is_refused(tmp_path, model_factory):
    model = model_factory()
    write_with_peft(tmp_path / "peft", model, peft.LoraConfig(r=4, use_dora=True, task_type="CAUSAL_LM"))
    refused("import", tmp_path / "peft", "--output", tmp_path / "ours", words=["use_dora"], absent=tmp_path / "ours")


def test_a_folder_without_tensors_is_refused(tmp_path, model_factory):
    model = model_factory()
    write_with_peft(tmp_path / "peft", model, THEIRS["lora"])
    (tmp_path / "peft" / "adapter_model.safetensors").unlink()
    refused("import", tmp_path / "peft", "--output", tmp_path / "ours", words=["adapter_model.safetensors", "adapter_model.bin"],
            absent=tmp_path / "ours")
