"""distributed.shard_base: each process holds its part of the frozen weights, and nothing else changes."""
import json

import pytest
import safetensors.torch

import integration_support as support
import meta_models
from integration_support import adapter_bytes, configuration, metrics, repeatable_steps, write_run
from program import run_excitor

METHODS = {
    "excitor": {"type": "excitor", "adapter_len": 3, "adapter_layers": 2, "r": 2},
    "adapter": {"type": "adapter", "adapter_len": 3, "adapter_layers": 1},
    "adapter_v2": {"type": "adapter_v2", "adapter_len": 3, "adapter_layers": 2, "lora_r": 2},
    "lora": {"type": "lora", "r": 2, "lora_dropout": 0.1, "target_modules": ["q_proj", "down_proj"]},
}


def train(folder, model, processes, shard, **sections):
    whole = configuration(model, **sections) | {"distributed": {"devices": processes, "shard_base": shard}}
    done = run_excitor("train", write_run(folder, whole))
    return folder / "run", done.stderr


def evaluations(run):
    return [row for row in metrics(run) if row["event"] in ("eval", "health")]


def settings(checkpointing, packing):
    return {"train": {"max_steps": 20, "micro_batch_size": 2, "gradient_accumulation_steps": 2, "learning_rate": 0.01,
                      "gradient_checkpointing": checkpointing},
            "data": {"packing": packing}}


@pytest.fixture(scope="module")
def model(model_factory):
    return model_factory(num_hidden_layers=3)


LAYOUTS = {f"{processes} processes{', checkpointing' * checkpointing}{', packing' * packing}": (processes, checkpointing, packing)
           for processes in (2, 4) for checkpointing in (False, True) for packing in (False, True)}
USUAL = {"excitor": ["2 processes, checkpointing", "4 processes, packing"], "adapter": ["2 processes, packing"],
         "adapter_v2": ["2 processes, checkpointing, packing"], "lora": ["2 processes", "4 processes, checkpointing"]}


@pytest.mark.parametrize("method, layout", [(method, layout) for method in METHODS for layout in support.cases(LAYOUTS, *USUAL[method])])
def test_losses_and_weights_have_the_bits_of_the_whole_base(tmp_path, model, method, layout):
    processes, checkpointing, packing = LAYOUTS[layout]
    chosen = settings(checkpointing, packing) | {"method": METHODS[method]}
    whole, _ = train(tmp_path / "whole", model, processes, False, **chosen)
    sharded, _ = train(tmp_path / "sharded", model, processes, True, **chosen)
    assert adapter_bytes(sharded) == adapter_bytes(whole)
    assert repeatable_steps(sharded) == repeatable_steps(whole)
    assert len(repeatable_steps(sharded)) == 20
    assert json.loads((sharded / "adapter/adapter_config.json").read_text()) == json.loads((whole / "adapter/adapter_config.json").read_text())


SHAPES = {
    "tied": {"tie_word_embeddings": True},
    "biased": {"attention_bias": True, "mlp_bias": True, "num_key_value_heads": 1},
    "bf16": {"dtype": "bfloat16"},
}


def expect_same_run(folder, model, processes, *, dtype="float32", rows=support.ROWS, **chosen):
    """With the whole base and with the sharded one."""
    for shard in (False, True):
        whole = configuration(model, **chosen) | {"distributed": {"devices": processes, "shard_base": shard}}
        whole["model"]["dtype"] = dtype
        run_excitor("train", write_run(folder / str(shard), whole, rows=rows))
    whole, sharded = folder / "False/run", folder / "True/run"
    assert adapter_bytes(sharded) == adapter_bytes(whole)
    assert repeatable_steps(sharded) == repeatable_steps(whole)
    return sharded


SHORT = {"max_steps": 4, "micro_batch_size": 2, "learning_rate": 0.01}


@pytest.mark.parametrize("dtype", support.cases({"float32": 0, "bfloat16": 0, "float16": 0}, "float32"))
@pytest.mark.parametrize("shape", SHAPES)
def test_every_base_and_type(tmp_path, model_factory, shape, dtype):
    expect_same_run(tmp_path, model_factory(**SHAPES[shape]), 2, dtype=dtype, method=METHODS["lora"], train=SHORT)


@pytest.mark.parametrize("kind", ["meta", "bin"])
def test_every_kind_of_folder(tmp_path, model_factory, kind):
    """Meta's shards are joined, and rows of q and k stand in another order: no process may read its part as bytes of one file."""
    source = model_factory(intermediate_size=88, num_hidden_layers=2)
    if kind == "meta":
        model = meta_models.write_meta(source, tmp_path / "model", shards=2)
    else:
        model = meta_models.write_torch_bin(source, tmp_path / "model", shards=2)
    expect_same_run(tmp_path, model, 3, method=METHODS["excitor"], train=SHORT)


def test_ranks_with_nothing_to_do_in_a_step(tmp_path, model):
    """Five examples in global batches of four over four processes: the second step of an epoch has one."""
    sharded = expect_same_run(tmp_path, model, 4, rows=support.ROWS[:5], method=METHODS["excitor"],
                              train={"max_steps": 4, "micro_batch_size": 1, "learning_rate": 0.01})
    assert [row["label_tokens"] for row in repeatable_steps(sharded)][1] < repeatable_steps(sharded)[0]["label_tokens"] / 2


def test_evaluations_samples_and_health(tmp_path, model):
    held_out = tmp_path / "held_out.txt"
    held_out.write_text("The fox counts three apples.\n\nThe river follows the long letter.\n\nMy sister paints.\n")
    chosen = {"method": METHODS["adapter"], "data": {"val_size": 3},
              "train": {"max_steps": 4, "micro_batch_size": 1, "learning_rate": 0.1},
              "eval": {"eval_steps": 2, "forgetting": {"path": str(held_out)}, "sample_prompts": ["The fox counts"], "sample_max_new_tokens": 8}}
    whole, _ = train(tmp_path / "whole", model, 2, False, **chosen)
    sharded, _ = train(tmp_path / "sharded", model, 2, True, **chosen)
    assert evaluations(sharded) == evaluations(whole)
    assert {row["event"] for row in evaluations(sharded)} == {"eval", "health"}


def test_a_sharded_run_goes_on_unsharded_and_with_another_number_of_processes(tmp_path, model):
    """What is saved does not know how the base was held."""
    chosen = {"method": METHODS["lora"], "train": {"max_steps": 6, "micro_batch_size": 1, "global_batch_size": 4, "learning_rate": 0.01}}
    reference, _ = train(tmp_path / "reference", model, 2, False, **chosen)
    sharded, _ = train(tmp_path / "sharded", model, 2, True, **chosen)
    one, _ = train(tmp_path / "one", model, 1, False, **chosen)
    assert adapter_bytes(sharded) == adapter_bytes(reference)
    ours, single = (safetensors.torch.load_file(run / "adapter/adapter_model.safetensors") for run in (sharded, one))
    for name, tensor in single.items():
        assert (ours[name] - tensor).abs().max() <= 1e-5 * max(1, tensor.abs().max())


def test_one_process_holds_all_without_a_word(tmp_path, model):
    plain, words = train(tmp_path / "plain", model, 1, False)
    alone, told = train(tmp_path / "alone", model, 1, True)
    assert adapter_bytes(plain) == adapter_bytes(alone)
    assert "shard" not in told and "warning" not in told


def test_method_full_is_refused(tmp_path, model):
    whole = configuration(model) | {"method": {"type": "full"}, "distributed": {"devices": 2, "shard_base": True}}
    support.refused("train", write_run(tmp_path, whole), words=["distributed.shard_base", "method full"], code=2, absent=tmp_path / "run")
