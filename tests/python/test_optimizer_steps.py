"""Gradients and optimiser steps equal float64 torch, however a global batch is laid into micro-batches."""
import json

import pytest
import safetensors.torch

import program
import random_adapters
import reference_training
import tiny_models
from program import assert_close

STEPS = 8
BATCH = 8  # examples a step; the last batch of an epoch has 4
ROWS = [(text, answer) for text, answer in zip(tiny_models.sentences()[:2000:97], [
    "Yes.", "It is three apples and a letter.", "No", "The baker follows the river in the morning, for nothing.", "Seven stones.",
    "Nobody knows; 42 is the answer.", "The king.", "She paints the harbour green.", "At once!", "A question about numbers.",
    "Ünïcode — 日本.", "Near the mill.", "Two\nlines.", "When it rains, every teacher counts.", "Its colour.", "a", "Nothing at all.",
    "The old baker remembers the name of a town.", "Because.", "The fox."], strict=False)]
assert len(ROWS) == 20

LAYOUTS = {
    "8x1": dict(packing=False, micro=8, accumulation=1),
    "1x8": dict(packing=False, micro=1, accumulation=8),
    "4x2": dict(packing=False, micro=4, accumulation=2),
    "packed in one": dict(packing=True, micro=8, accumulation=1),
    "packed by 90 tokens": dict(packing=True, micro=2, accumulation=4, tokens=90),
}

RECIPE = dict(learning_rate=0.02, weight_decay=0.1)

# Writer, its settings, and a norm that some gradients exceed. All linears together are changed less than q and v alone: with
# larger changes, or where a single gate's gradient all but cancels, this random model is so ill-conditioned that torch in fp32 leaves torch in fp64 as well.
ADAPTERS = {
    "excitor": (random_adapters.write_excitor, dict(), 0.3),
    "excitor, per_layer, full_width, before": (random_adapters.write_excitor, dict(
        gate="per_layer", prompt_attention="full_width", add_before_rotation=True, adapter_layers=1, seed=1), 0.08),
    "adapter": (random_adapters.write_adapter, dict(), 0.3),
    "adapter, per_layer, none": (random_adapters.write_adapter, dict(
        gate="per_layer", gate_activation="none", seed=1), 0.3),
    "adapter_v2": (random_adapters.write_adapter_v2, dict(), 0.5),
    "adapter_v2, input, LoRA": (random_adapters.write_adapter_v2, dict(adapter_len=2, scale_position="input", lora_r=2), 0.8),
    "lora": (random_adapters.write_lora, dict(), 0.7),
    "rslora, all-linear": (random_adapters.write_lora, dict(use_rslora=True, target_modules="all-linear", size=0.1), 1.6),
}


def train(folder, model, adapter, *, packing, micro, accumulation, tokens=None, steps=STEPS, train_on_inputs=False, **recipe):
    """A run of the program from the adapter's weights, or of the whole model when there is none."""
    folder.mkdir()
    rows = [{"instruction": asked, "output": answer} for asked, answer in ROWS]
    (folder / "data.json").write_text(json.dumps(rows))
    return program.train(folder, {
        "model": {"path": str(model)},
        "method": {"adapter_path": str(adapter)} if adapter else {"type": "full", "save_dtype": "float32"},
        "data": {"train": [{"path": "data.json"}], "prompt_template": "plain", "max_seq_length": 128, "packing": packing,
                 "shuffle": False, "train_on_inputs": train_on_inputs},
        "train": {"max_steps": steps, "lr_scheduler_type": "constant", "warmup_ratio": 0, "micro_batch_size": micro,
                  "gradient_accumulation_steps": accumulation, **recipe}
                 | ({"micro_batch_tokens": tokens} if tokens else {})})


def batches(model, train_on_inputs=False):
    examples = tiny_models.instruction_examples(model, ROWS)
    if train_on_inputs:
        examples = [reference_training.Example(e.ids, [False] + [True] * (len(e.ids) - 1)) for e in examples]
    epoch = [examples[i:i + BATCH] for i in range(0, len(examples), BATCH)]
    return [epoch[step % len(epoch)] for step in range(STEPS)]


def reference_run(model, adapter, recipe, train_on_inputs=False):
    """Losses, gradient norms and final tensors."""
    reference = reference_training.Model(model, adapter)
    training = reference_training.Training(reference, **recipe)
    history = [training.step(batch) for batch in batches(model, train_on_inputs)]
    losses, norms = zip(*history)
    assert min(norms) < recipe["max_grad_norm"] < max(norms), "some steps should be clipped, others not"
    return losses, norms, training.tensors


def assert_run_equals(run, written, expected, recipe):
    losses, norms, tensors = expected
    metrics = program.step_metrics(run)
    assert [row["step"] for row in metrics] == list(range(1, STEPS + 1))
    assert all(row["learning_rate"] == recipe["learning_rate"] for row in metrics)
    assert_close([row["loss"] for row in metrics], losses, 1e-5, "losses")
    assert_close([row["grad_norm"] for row in metrics], norms, 2e-4, "gradient norms")
    actual = safetensors.torch.load_file(run / written)
    assert actual.keys() == tensors.keys()
    for name, tensor in tensors.items():
        # Adam's first steps are as long where a gradient is next to zero, and rounding decides their direction.
        assert_close(actual[name], tensor.detach(), 4e-4, "weights after eight steps")


@pytest.mark.parametrize("name", ADAPTERS)
def test_eight_steps_equal_torch_in_every_layout(tmp_path, model_factory, name):
    model = model_factory()
    write, settings, max_grad_norm = ADAPTERS[name]
    adapter = write(tmp_path / "adapter", model, **settings)
    recipe = RECIPE | {"max_grad_norm": max_grad_norm}
    expected = reference_run(model, adapter, recipe)
    losses = {}
    for number, (layout, how) in enumerate(LAYOUTS.items()):
        run = train(tmp_path / str(number), model, adapter, **how, **recipe)
        assert_run_equals(run, "adapter/adapter_model.safetensors", expected, recipe)
        losses[layout] = [row["loss"] for row in program.step_metrics(run)]
    for layout in LAYOUTS:
        assert_close(losses[layout], losses["8x1"], 1e-6, "losses between layouts")


@pytest.mark.parametrize("tied", [False, True])
def test_eight_steps_of_the_whole_model_equal_torch(tmp_path, model_factory, tied):
    model = model_factory(attention_bias=True, mlp_bias=True, tie_word_embeddings=tied)
    recipe = RECIPE | {"learning_rate": 0.002, "max_grad_norm": 2.0}
    expected = reference_run(model, None, recipe)
    for number, layout in enumerate(("4x2", "packed by 90 tokens")):
        run = train(tmp_path / str(number), model, None, **LAYOUTS[layout], **recipe)
        assert_run_equals(run, "model/model.safetensors", expected, recipe)


def test_training_on_inputs_labels_all_but_bos(tmp_path, model_factory):
    model = model_factory()
    adapter = random_adapters.write_excitor(tmp_path / "adapter", model)
    recipe = RECIPE | {"max_grad_norm": 0.2}
    expected = reference_run(model, adapter, recipe, train_on_inputs=True)
    run = train(tmp_path / "run", model, adapter, **LAYOUTS["packed by 90 tokens"], train_on_inputs=True, **recipe)
    assert_run_equals(run, "adapter/adapter_model.safetensors", expected, recipe)
    labels = [sum(len(e.ids) - 1 for e in batch) for batch in batches(model)]
    assert [row["label_tokens"] for row in program.step_metrics(run)] == labels


def test_counts_of_tokens(tmp_path, model_factory):
    model = model_factory()
    adapter = random_adapters.write_lora(tmp_path / "adapter", model)
    for number, layout in enumerate(("8x1", "packed in one")):
        metrics = program.step_metrics(train(tmp_path / str(number), model, adapter, **LAYOUTS[layout], **RECIPE))
        assert [row["tokens"] for row in metrics] == [sum(len(e.ids) for e in batch) for batch in batches(model)]
        assert [row["label_tokens"] for row in metrics] == [sum(sum(e.labelled) for e in batch) for batch in batches(model)]


BASES = {"mha": dict(num_key_value_heads=4), "gqa": dict(), "mqa, biases": dict(num_key_value_heads=1, attention_bias=True, mlp_bias=True)}


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("name", ADAPTERS)
def test_gradients_equal_the_formula(tmp_path, model_factory, base, name):
    """With an epsilon far above every gradient, AdamW's first step is −learning_rate/epsilon · gradient: so it shows the gradient."""
    model = model_factory(**BASES[base])
    write, settings, _ = ADAPTERS[name]
    adapter = write(tmp_path / "adapter", model, **settings)
    before = safetensors.torch.load_file(adapter / "adapter_model.safetensors")
    training = reference_training.Training(reference_training.Model(model, adapter), learning_rate=0.0, weight_decay=0.0,
                                           max_grad_norm=0.0)
    loss, norm = training.step(batches(model)[0])
    run = train(tmp_path / "run", model, adapter, **LAYOUTS["packed by 90 tokens"], steps=1, learning_rate=1e12, weight_decay=0.0,
                max_grad_norm=0.0, adam_epsilon=1e8)
    assert_close([program.step_metrics(run)[0]["loss"]], [loss], 1e-5, "losses")
    assert_close([program.step_metrics(run)[0]["grad_norm"]], [norm], 1e-5, "gradient norm")
    after = safetensors.torch.load_file(run / "adapter/adapter_model.safetensors")
    for tensor_name, tensor in training.tensors.items():
        gradient = (before[tensor_name].double() - after[tensor_name].double()) / 1e4
        assert_close(gradient, tensor.grad, 1e-5, "gradients")
