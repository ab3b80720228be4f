"""What makes a run trustworthy: precision, recomputed layers, early stopping, health, damaged checkpoints, bad steps."""
import json
import signal

import pytest
import safetensors.torch
import sentencepiece
import torch

import integration_support as support
from integration_support import adapter_bytes, configuration, metrics, repeatable_steps, write_run
from program import run_excitor


@pytest.fixture(scope="module")
def model(tmp_path_factory, tokenizer_file):
    return support.write_model(tmp_path_factory.mktemp("good") / "model", tokenizer_file)


def events(run, kind):
    return [row for row in metrics(run) if row["event"] == kind]


def train(folder, model, **sections):
    config = write_run(folder, configuration(model, **sections))
    done = run_excitor("train", config)
    return folder / "run", done.stderr


METHODS = {
    "excitor": {"type": "excitor", "adapter_len": 3, "adapter_layers": 2, "r": 2},
    "adapter_v2": {"type": "adapter_v2", "adapter_len": 3, "adapter_layers": 1, "lora_r": 2},
    "lora": {"type": "lora", "r": 2, "lora_dropout": 0.2, "target_modules": "all-linear"},
}


@pytest.mark.parametrize("method", METHODS)
def test_recomputed_layers_give_the_same_bits(tmp_path, model, method):
    settings = {"max_steps": 5, "micro_batch_size": 4, "learning_rate": 0.01}
    plain, _ = train(tmp_path / "plain", model, method=METHODS[method], train=settings)
    again, _ = train(tmp_path / "again", model, method=METHODS[method], train=settings | {"gradient_checkpointing": True})
    assert adapter_bytes(plain) == adapter_bytes(again)
    assert repeatable_steps(plain) == repeatable_steps(again)


@pytest.mark.parametrize("precision, tolerance", [("fp16", 0.01), ("bf16", 0.05)])
@pytest.mark.parametrize("method", ["excitor", "adapter_v2"])
def test_half_precision_learns_what_fp32_does(tmp_path, model, method, precision, tolerance):
    settings = {"max_steps": 12, "micro_batch_size": 4, "learning_rate": 0.01}
    losses = {}
    for name in ("fp32", precision):
        run, _ = train(tmp_path / name, model, method=METHODS[method], train=settings | {"precision": name})
        losses[name] = [row["loss"] for row in events(run, "step")]
        assert {tensor.dtype for tensor in safetensors.torch.load_file(run / "adapter/adapter_model.safetensors").values()} == {torch.float32}
    assert losses[precision] == pytest.approx(losses["fp32"], rel=tolerance)
    assert losses[precision] != losses["fp32"]


def test_fp16_resumes_with_its_loss_scale(tmp_path, model):
    settings = {"max_steps": 8, "micro_batch_size": 4, "learning_rate": 0.01, "precision": "fp16"}
    whole, _ = train(tmp_path / "whole", model, train=settings)
    config = write_run(tmp_path / "cut", configuration(model, train=settings, checkpoint={"save_steps": 1, "save_total_limit": 0}))
    process = support.start("train", config)
    support.wait_for_step(process, tmp_path / "cut/run", 3)
    process.kill()
    process.communicate()
    checkpoint = sorted((tmp_path / "cut/run/checkpoints").glob("step-*"))[0]
    assert "loss_scaler.scale" in safetensors.torch.load_file(checkpoint / "optimizer.safetensors")
    run_excitor("train", config)
    assert adapter_bytes(tmp_path / "cut/run") == adapter_bytes(whole)


def test_early_stopping_and_the_best_adapter(tmp_path, model):
    """A learning rate at which the eval loss falls at first and rises then."""
    sections = dict(data={"val_size": 4, "prompt_template": "plain"},
                    train={"max_steps": 60, "micro_batch_size": 4, "learning_rate": 1.0, "lr_scheduler_type": "constant", "warmup_ratio": 0},
                    eval={"eval_steps": 1, "early_stopping_patience": 3}, checkpoint={"load_best_model_at_end": True})
    run, words = train(tmp_path, model, method={"type": "lora", "r": 2}, **{**sections})
    losses = [row["eval_loss"] for row in events(run, "eval")]
    best = min(range(len(losses)), key=losses.__getitem__)
    [end] = events(run, "end")
    assert end["stopped_early"] and end["step"] == best + 3 < 60 and "stopped early" in words
    assert 0 < best and losses[best] < losses[0]
    assert adapter_bytes(run) == (run / "best/adapter_model.safetensors").read_bytes()
    short = sections | {"train": sections["train"] | {"max_steps": best}, "eval": {}, "checkpoint": {}}
    until_best, _ = train(tmp_path / "until", model, method={"type": "lora", "r": 2}, **short)
    assert adapter_bytes(until_best) == adapter_bytes(run)


# With this threshold no later loss counts as better than the one of the start.
NEVER_BETTER = dict(data={"val_size": 4, "prompt_template": "plain"}, method={"type": "lora", "r": 2},
                    train={"max_steps": 6, "micro_batch_size": 4, "learning_rate": 0.01},
                    eval={"eval_steps": 2, "early_stopping_threshold": 100}, checkpoint={"load_best_model_at_end": True})


def test_where_no_step_is_better_the_result_is_the_start(tmp_path, model):
    run, words = train(tmp_path, model, **NEVER_BETTER)
    assert "the result is that of step 0" in words and "no step was better than the start" in words
    tensors = safetensors.torch.load_file(run / "adapter/adapter_model.safetensors")
    assert all(not tensor.any() for name, tensor in tensors.items() if "lora_B" in name)


@pytest.mark.parametrize("key, section", [("eval.early_stopping_patience", {"eval": {"early_stopping_patience": 2}}),
                                          ("checkpoint.load_best_model_at_end", {"checkpoint": {"load_best_model_at_end": True}})])
def test_an_eval_loss_that_is_needed_and_not_there(tmp_path, model, key, section):
    support.refused("train", write_run(tmp_path, configuration(model, **section)), words=[key, "data.val_size"], code=2)


def stopped(folder, model, step=3, **sections):
    """A run that SIGTERM has stopped after some step, and its configuration."""
    sections["train"] = {"max_steps": 4000, "micro_batch_size": 2, "learning_rate": 0.01} | sections.get("train", {})
    config = write_run(folder, configuration(model, **sections))
    process = support.start("train", config)
    support.wait_for_step(process, folder / "run", step)
    process.send_signal(signal.SIGTERM)
    words = process.communicate(timeout=60)[1]
    assert process.returncode == 143, words
    return folder / "run", config


def test_the_best_is_that_of_the_checkpoint_and_not_of_an_abandoned_course(tmp_path, model):
    run, config = stopped(tmp_path, model, **NEVER_BETTER | {"train": NEVER_BETTER["train"] | {"max_steps": 4000}})
    [checkpoint] = (run / "checkpoints").glob("step-*")
    kept = (run / "best/adapter_model.safetensors").read_bytes()
    assert (checkpoint / "best/adapter_model.safetensors").read_bytes() == kept
    (run / "best/adapter_model.safetensors").unlink()
    (run / "best/adapter_model.safetensors").write_bytes(b"of a step that is no longer in the course of the run")
    process = support.start("train", config)
    support.wait_for_step(process, run, int(checkpoint.name[5:]) + 1)
    process.kill()
    process.communicate()
    assert (run / "best/adapter_model.safetensors").read_bytes() == kept


@pytest.mark.parametrize("what, word", [("base", "the weights of the base model"), ("data", "data.train")])
def test_a_run_goes_on_only_with_what_it_began_with(tmp_path, model, tokenizer_file, what, word):
    copy = support.write_model(tmp_path / "model", tokenizer_file)
    run, config = stopped(tmp_path, copy)
    before = metrics(run)
    if what == "base":
        tensors = support.model_tensors()
        tensors["model.layers.0.self_attn.q_proj.weight"] *= 0.5
        safetensors.torch.save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    else:
        (tmp_path / "rows.json").write_text((tmp_path / "rows.json").read_text().replace("apples", "plums"))
    support.refused("train", config, words=[word, "method.adapter_path"], code=1)
    assert metrics(run) == before


def test_a_signal_saves_and_the_run_goes_on(tmp_path, model):
    whole = configuration(model, train={"max_steps": 400, "micro_batch_size": 2})
    config = write_run(tmp_path, whole)
    process = support.start("train", config)
    support.wait_for_step(process, tmp_path / "run", 3)
    process.send_signal(signal.SIGUSR1)
    while not list((tmp_path / "run").glob("checkpoints/step-*/manifest.json")):
        assert process.poll() is None, process.stderr.read()
    _, words = process.communicate(timeout=60)
    assert process.returncode == 0, words
    assert events(tmp_path / "run", "end")[0]["step"] == 400


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(tmp_path, model):
    whole = configuration(model, train={"max_steps": 80, "micro_batch_size": 2}, checkpoint={"save_steps": 2})
    reference = write_run(tmp_path / "reference", whole)
    run_excitor("train", reference)
    config = write_run(tmp_path / "cut", whole)
    process = support.start("train", config)
    support.wait_for_step(process, tmp_path / "cut/run", 9)
    process.kill()
    process.communicate()
    saved = sorted((int(path.name[5:]), path) for path in (tmp_path / "cut/run/checkpoints").glob("step-*"))
    content = bytearray((saved[-1][1] / "optimizer.safetensors").read_bytes())
    content[-1] ^= 1
    (saved[-1][1] / "optimizer.safetensors").write_bytes(content)
    done = run_excitor("train", config)
    assert f"{saved[-1][1]}/optimizer.safetensors was changed" in done.stderr
    assert f"it goes on after step {saved[-2][0]}" in done.stderr
    assert adapter_bytes(tmp_path / "cut/run") == adapter_bytes(tmp_path / "reference/run")
    assert repeatable_steps(tmp_path / "cut/run") == repeatable_steps(tmp_path / "reference/run")


def test_bad_steps_are_left_out_and_their_examples_named_until_it_is_enough(tmp_path, model):
    whole = configuration(model, method={"type": "lora", "r": 2},
                          train={"max_steps": 50, "micro_batch_size": 2, "learning_rate": 1e12, "max_nonfinite_steps": 3, "warmup_ratio": 0})
    words = support.refused("train", write_run(tmp_path, whole), words=["3 times in a row", "learning_rate"], code=1)
    assert words.count("are not finite; the update is left out. Its examples: ") == 3
    assert str(tmp_path / "rows.json") + "[" in words
    [checkpoint] = (tmp_path / "run/checkpoints").glob("step-*")  # what was done before is not lost
    assert f"the same command goes on from {checkpoint}" in words
    assert " loss nan" not in words


def test_the_evaluation_of_a_step_that_ends_the_run_is_made_up_for(tmp_path, model):
    whole = configuration(model, method={"type": "lora", "r": 2}, data={"val_size": 2}, eval={"eval_steps": 1},
                          train={"max_steps": 3, "micro_batch_size": 2, "learning_rate": 1e12, "max_nonfinite_steps": 1, "warmup_ratio": 0})
    config = write_run(tmp_path, whole)
    support.refused("train", config, words=["learning_rate"], code=1)
    assert [row["step"] for row in events(tmp_path / "run", "eval")] == [0, 1, 2]
    run_excitor("train", config)
    assert [row["step"] for row in events(tmp_path / "run", "eval")] == [0, 1, 2, 3]


def test_a_validation_loss_that_is_not_a_number_is_never_the_best(tmp_path, tokenizer_file):
    """Tokens of the validation row alone are damaged in the base."""
    model = support.write_model(tmp_path / "model", tokenizer_file)
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer_file))
    known = {number for row in support.ROWS for text in row.values() for number in pieces.encode(text)}
    weights = safetensors.torch.load_file(model / "model.safetensors")
    weights["model.embed_tokens.weight"][sorted(set(pieces.encode("Z?Z?Z?")) - known)] = float("nan")
    safetensors.torch.save_file(weights, model / "model.safetensors")
    (tmp_path / "validation.json").write_text(json.dumps([{"instruction": "Count", "output": "Z?Z?Z?"}]))
    whole = configuration(model, data={"validation": [{"path": "validation.json"}]}, train={"max_steps": 4},
                          eval={"eval_steps": 1, "early_stopping_patience": 2}, checkpoint={"load_best_model_at_end": True})
    done = run_excitor("train", write_run(tmp_path, whole))
    assert [row["eval_loss"] for row in events(tmp_path / "run", "eval")] == [None] * 5
    assert "the result is the last state" in done.stderr
    plain, _ = train(tmp_path / "plain", model, train={"max_steps": 4})
    assert adapter_bytes(tmp_path / "run") == adapter_bytes(plain)


def test_what_cannot_learn_is_reported_by_step_three(tmp_path, model):
    """B starts at zero and such a learning rate leaves it there, so A never gets a gradient."""
    run, words = train(tmp_path, model, method={"type": "lora", "r": 2}, train={"max_steps": 5, "learning_rate": 1e-60})
    [report] = events(run, "never_moved")
    assert report["step"] == 3
    assert len(report["parameters"]) > 0 and all(name.endswith("lora_A.weight") for name in report["parameters"])
    assert "no gradient has reached" in words


def test_a_sweep_over_the_method_alone_is_valid(tmp_path, model):
    for method in ("excitor", "adapter", "adapter_v2", "lora"):
        section = {"type": method, "adapter_len": 3, "adapter_layers": 2, "r": 2, "lora_alpha": 4}
        run, words = train(tmp_path / method, model, method=section)
        assert ("method.adapter_len" in words) == (method == "lora") and ("method.r is" in words) == method.startswith("adapter")
        assert "adapter_len" in json.loads((run / "config.json").read_text())["method"] or method == "lora"


def test_the_configuration_of_a_run_is_one_for_other_methods(tmp_path, model):
    run, _ = train(tmp_path, model, method={"type": "lora", "r": 2}, train={"max_steps": 2})
    run_excitor("train", run / "config.json", "method.type=excitor", f"output_dir={tmp_path / 'other'}")
    assert json.loads((tmp_path / "other/adapter/adapter_config.json").read_text())["r"] == 2


def test_an_adapter_beside_random_weights(tmp_path, model):
    whole = configuration(model, method=METHODS["excitor"], train={"max_steps": 3, "learning_rate": 0.01})
    whole["model"] = {"init": {key: value for key, value in support.SHAPE.items() if key != "model_type"}, "tokenizer": str(model / "tokenizer.model")}
    done = run_excitor("train", write_run(tmp_path, whole))
    assert "random weights, which are not saved" in done.stderr
    assert len(events(tmp_path / "run", "step")) == 3


def test_health_and_samples(tmp_path, model):
    prompts = ["The fox counts", "Where is the mill?"]
    run, _ = train(tmp_path, model, train={"max_steps": 4, "micro_batch_size": 4, "learning_rate": 0.1},
                   eval={"eval_steps": 2, "sample_prompts": prompts, "sample_max_new_tokens": 8})
    evaluations, health = events(run, "eval"), events(run, "health")
    assert [row["step"] for row in evaluations] == [row["step"] for row in health] == [0, 2, 4]
    for row in evaluations:
        assert [sample["prompt"] for sample in row["samples"]] == prompts
    answer = run_excitor("generate", model, "--adapter", run / "adapter", "--prompt", prompts[0], "--max-new-tokens", 8, "--json")
    assert json.loads(answer.stdout)["text"] == evaluations[-1]["samples"][0]["text"]
    gates = safetensors.torch.load_file(run / "adapter/adapter_model.safetensors")
    for layer, values in health[-1]["gates"].items():
        name = f"base_model.model.model.layers.{layer}.self_attn.excitor_gate"
        assert values == pytest.approx(gates[name].tolist())
    assert all(share == pytest.approx(0, abs=1e-6) for shares in health[0]["attention_moved"].values() for share in shares)
    assert max(share for shares in health[-1]["attention_moved"].values() for share in shares) > 1e-4
    assert set(health[-1]["gradient_norms"]) == {f"self_attn.excitor_{name}" for name in ("prompt", "down.weight", "up.weight", "gate")}
    assert sum(norm**2 for norm in health[-1]["gradient_norms"].values())**0.5 == pytest.approx(events(run, "step")[-1]["grad_norm"], rel=1e-5)


def test_weights_that_are_cut_off_during_a_run_end_it_in_words(tmp_path, model, tokenizer_file):
    copy = support.write_model(tmp_path / "model", tokenizer_file)
    process = support.start("train", write_run(tmp_path, configuration(copy, train={"max_steps": 100000, "micro_batch_size": 2})))
    support.wait_for_step(process, tmp_path / "run", 3)
    with open(copy / "model.safetensors", "r+b") as file:
        file.truncate(5000)
    _, words = process.communicate(timeout=30)
    assert process.returncode == 1 and "was cut off or replaced" in words


def test_a_profile_records_the_steps_it_names_and_changes_nothing(tmp_path, model):
    plain, _ = train(tmp_path / "plain", model, train={"max_steps": 4})
    profiled, log = train(tmp_path / "profiled", model, train={"max_steps": 4}, logging={"profile": {"first_step": 2, "last_step": 3}})
    assert repeatable_steps(profiled) == repeatable_steps(plain)
    assert "the trace of steps 2 to 3 lies in" in log
    events = json.loads((profiled / "trace.json").read_text())["traceEvents"]
    names = [event["name"] for event in events if event.get("cat") == "cpu_op"]
    assert names.count("aten::_fused_adamw_") == 2 * 2  # two groups a step
    assert "excitor::rms_norm_backward" in names


def test_a_profile_that_ends_before_it_begins_is_refused(tmp_path, model):
    config = write_run(tmp_path, configuration(model, logging={"profile": {"first_step": 5, "last_step": 3}}))
    done = run_excitor("train", config, check=False)
    assert done.returncode == 2
    assert "logging.profile.last_step: found 3, before first_step 5" in done.stderr


def test_the_memory_probe_changes_nothing(tmp_path, model):
    plain, _ = train(tmp_path / "plain", model)
    probed, words = train(tmp_path / "probed", model, train={"max_steps": 2, "micro_batch_size": 4, "learning_rate": 0.01, "memory_probe": True})
    assert "the largest micro-batch" in words
    assert adapter_bytes(plain) == adapter_bytes(probed)
