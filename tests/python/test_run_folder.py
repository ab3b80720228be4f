"""What a run leaves behind, and that nothing is lost or doubled when it is stopped on its way."""
import json
import os
import random
import shutil
import signal
import subprocess
import time

import pytest
import safetensors.torch
import torch

import integration_support as support
from integration_support import ROWS, adapter_bytes, configuration, metrics, refused, repeatable_steps, write_run
from program import run_excitor

STEP_KEYS = {"event", "step", "epoch", "loss", "learning_rate", "grad_norm", "tokens", "label_tokens", "tokens_per_second", "seconds",
             "peak_memory_bytes"}
RESULT_FILES = ["README.md", "adapter_config.json", "adapter_model.safetensors"]


@pytest.fixture(scope="module")
def model(tmp_path_factory, tokenizer_file):
    return support.write_model(tmp_path_factory.mktemp("good") / "model", tokenizer_file)


def events(run, kind):
    return [row for row in metrics(run) if row["event"] == kind]


def files_of(run):
    return sorted(str(path.relative_to(run)) for path in run.rglob("*"))


def same_result(run, reference):
    assert adapter_bytes(run) == adapter_bytes(reference)
    assert repeatable_steps(run) == repeatable_steps(reference)
    assert len(events(run, "end")) == 1
    visible = lambda folder: [path for path in files_of(folder) if not path.startswith(".")]
    assert visible(run) == visible(reference)


@pytest.fixture(scope="module")
def usual(tmp_path_factory, model):
    """A run of three epochs with validation and held-out text."""
    folder = tmp_path_factory.mktemp("usual")
    (folder / "held_out.txt").write_text("The fox finds three apples.\n\nThe river follows its colour.")
    whole = configuration(model, data={"val_size": 4, "prompt_template": "plain"}, eval={"forgetting": {"path": "held_out.txt"}})
    whole["train"] = {"epochs": 3, "micro_batch_size": 4, "learning_rate": 0.01, "seed": 5}
    whole["output_dir"] = "runs/deep/run"
    done = run_excitor("train", write_run(folder, whole))
    assert done.stdout == ""
    return folder / "runs/deep/run", done


def test_files(usual):
    run, done = usual
    assert files_of(run) == ["adapter", *(f"adapter/{name}" for name in RESULT_FILES), "best", *(f"best/{name}" for name in RESULT_FILES),
                             "config.json", "log.txt", "metrics.jsonl", "report.html"]
    log = (run / "log.txt").read_text()
    for line in done.stderr.splitlines():
        if not line.startswith("training data"):  # said before the folder was made
            assert line in log
    assert str(run / "adapter") in done.stderr


def test_metrics(usual):
    run, _ = usual
    kinds = [row["event"] for row in metrics(run)]
    assert kinds == ["start", "eval", "health"] + (["step"] * 3 + ["eval", "health"]) * 3 + ["end"]
    steps = events(run, "step")
    assert all(set(row) >= STEP_KEYS for row in steps)
    assert [row["step"] for row in steps] == list(range(1, 10))
    assert [row["epoch"] for row in steps] == pytest.approx([number / 3 for number in range(1, 10)])
    assert steps[-1]["loss"] < steps[0]["loss"]
    for row in steps:
        assert 0 < row["label_tokens"] < row["tokens"] and row["seconds"] > 0 and row["peak_memory_bytes"] > 2**20
        assert row["tokens_per_second"] == pytest.approx(row["tokens"] / row["seconds"])
    evals = events(run, "eval")
    assert [row["step"] for row in evals] == [0, 3, 6, 9]
    for row in evals:
        assert row["base_loss"] == evals[0]["base_loss"]
        assert row["forgetting"] == pytest.approx(row["held_out_loss"] - row["held_out_base_loss"])
    assert evals[-1]["eval_loss"] < evals[0]["eval_loss"]


def test_start_and_end(usual):
    run, _ = usual
    [start], [end] = events(run, "start"), events(run, "end")
    assert start["version"] in run_excitor("--version").stdout
    assert start["train_examples"] == 12 and start["validation_examples"] == 4 and start["total_steps"] == 9
    for name in ("base_fingerprint", "tokenizer_sha256", "config_sha256"):
        assert len(start[name]) == 64
    stored = safetensors.torch.load_file(run / "adapter/adapter_model.safetensors")
    assert start["trainable_parameters"] == sum(tensor.numel() for tensor in stored.values())
    adapter = json.loads((run / "adapter/adapter_config.json").read_text())
    assert {key: adapter[key] for key in ("base_fingerprint", "tokenizer_sha256")} == {
        key: start[key] for key in ("base_fingerprint", "tokenizer_sha256")}
    assert adapter["prompt_template"] == "plain"
    assert end["step"] == 9 and end["seconds"] > 0


def test_the_resolved_configuration_trains_the_same(tmp_path, usual):
    run, _ = usual
    resolved = json.loads((run / "config.json").read_text())
    assert os.path.isabs(resolved["model"]["path"]) and resolved["train"]["adam_beta2"] and resolved["data"]["packing"] is True
    shutil.copy(run / "config.json", tmp_path / "again.json")
    run_excitor("train", tmp_path / "again.json", f"output_dir={tmp_path / 'again'}")
    same_result(tmp_path / "again", run)
    again = json.loads((tmp_path / "again/config.json").read_text())
    assert again | {"output_dir": ""} == resolved | {"output_dir": ""}


def test_another_seed_is_another_run(tmp_path, usual):
    run, _ = usual
    run_excitor("train", run / "config.json", f"output_dir={tmp_path / 'run'}", "train.seed=6")
    assert adapter_bytes(tmp_path / "run") != adapter_bytes(run)
    assert events(tmp_path / "run", "step")[0]["loss"] != events(run, "step")[0]["loss"]


def test_a_relative_output_dir_belongs_to_the_configuration(tmp_path, model):
    config = write_run(tmp_path / "configs", configuration(model, output_dir="../runs/a"))
    process = support.start("train", "configs/run.json", cwd=tmp_path)
    assert process.wait(timeout=60) == 0, process.stderr.read()
    assert (tmp_path / "runs/a/adapter").is_dir() and config.exists()


def test_epochs_and_max_steps(tmp_path, model):
    """16 rows, 4 a step: half an epoch is 2 steps; max_steps overrides epochs and goes beyond one."""
    def steps(name, **train):
        whole = configuration(model, output_dir=name)
        whole["train"] = {"micro_batch_size": 4, "learning_rate": 0.01} | train
        run_excitor("train", write_run(tmp_path, whole))
        return events(tmp_path / name, "step")

    assert [row["epoch"] for row in steps("half", epochs=0.5)] == [0.25, 0.5]
    assert [row["step"] for row in steps("rounded", epochs=0.6)] == [1, 2, 3]
    assert steps("steps", epochs=0.25, max_steps=6)[-1]["epoch"] == 1.5


@pytest.mark.parametrize("rows, steps", [(3, [1]), (6, [1, 2])])
def test_the_last_batch_of_an_epoch_is_smaller(tmp_path, model, rows, steps):
    whole = configuration(model)
    whole["train"] = {"micro_batch_size": 4, "epochs": 1, "learning_rate": 0.01}
    run_excitor("train", write_run(tmp_path, whole, ROWS[:rows]))
    taken = events(tmp_path / "run", "step")
    assert [row["step"] for row in taken] == steps and taken[-1]["epoch"] == 1


def test_an_epoch_takes_every_example_once(tmp_path, model):
    """One example a step with distinct lengths; unshuffled in the file's order, shuffled in another each epoch."""
    rows = [{"instruction": "a" * (number + 1), "output": "b" * (number + 1)} for number in range(8)]

    def tokens(name, **data):
        whole = configuration(model, output_dir=name, data=data | {"prompt_template": "plain"})
        whole["train"] = {"micro_batch_size": 1, "epochs": 2, "learning_rate": 1e-3}
        run_excitor("train", write_run(tmp_path, whole, rows))
        taken = [row["tokens"] for row in events(tmp_path / name, "step")]
        return taken[:8], taken[8:]

    first, second = tokens("in order", shuffle=False)
    assert first == second == sorted(first) and len(set(first)) == 8
    shuffled = tokens("shuffled")
    assert sorted(shuffled[0]) == sorted(shuffled[1]) == first
    assert shuffled[0] != shuffled[1] and shuffled[0] != first


def test_layout_does_not_change_the_mathematics(tmp_path, model):
    """The same 8 examples a step: at once, one by one, accumulated, packed or not."""
    layouts = [dict(micro_batch_size=8), dict(micro_batch_size=1, gradient_accumulation_steps=8),
               dict(micro_batch_size=2, global_batch_size=8, packing=False), dict(micro_batch_size=8, micro_batch_tokens=400)]
    losses = []
    for number, layout in enumerate(layouts):
        packing = layout.pop("packing", True)
        whole = configuration(model, output_dir=str(number), data={"packing": packing})
        whole["train"] = {"max_steps": 3, "learning_rate": 0.01} | layout
        run_excitor("train", write_run(tmp_path, whole))
        losses.append(torch.tensor([(row["loss"], row["grad_norm"]) for row in events(tmp_path / str(number), "step")]))
        assert [row["label_tokens"] for row in events(tmp_path / str(number), "step")] == [
            row["label_tokens"] for row in events(tmp_path / "0", "step")]
    for other in losses[1:]:  # AdamW's first update enlarges rounding where a gradient is next to nothing
        torch.testing.assert_close(other[0], losses[0][0], rtol=2e-5, atol=0)
        torch.testing.assert_close(other[1:], losses[0][1:], rtol=5e-3, atol=0)


def test_logging_and_evaluation_steps(tmp_path, model):
    config = write_run(tmp_path, configuration(model, data={"val_size": 2}, train={"max_steps": 7}, eval={"eval_steps": 3},
                                               logging={"logging_steps": 2}))
    run_excitor("train", config)
    assert [row["step"] for row in events(tmp_path / "run", "step")] == [2, 4, 6]
    assert [row["step"] for row in events(tmp_path / "run", "eval")] == [0, 3, 6, 7]


def test_a_validation_file(tmp_path, model):
    config = write_run(tmp_path, configuration(model, data={"validation": [{"path": "other.jsonl"}]}))
    (tmp_path / "other.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS[:3]))
    run_excitor("train", config)
    [start] = events(tmp_path / "run", "start")
    assert (start["train_examples"], start["validation_examples"]) == (16, 3)
    assert [row["step"] for row in events(tmp_path / "run", "eval")] == [0, 2]


# --- starting from an adapter --------------------------------------------------------------------------------------------------

def test_going_on_from_an_adapter(tmp_path, model):
    """Its weights are the start: the first loss of the second run is the loss after the first."""
    whole = configuration(model, train={"micro_batch_size": 16, "max_steps": 5})
    run_excitor("train", write_run(tmp_path, whole))
    reached = events(tmp_path / "run", "step")[-1]["loss"]
    for method in ({}, {"r": 2, "type": "excitor", "adapter_len": 3}):
        again = whole | {"method": method | {"adapter_path": "run/adapter"}, "output_dir": f"again{len(method)}"}
        run_excitor("train", write_run(tmp_path, again))
        first = events(tmp_path / again["output_dir"], "step")[0]["loss"]
        assert first < reached
        resolved = json.loads((tmp_path / again["output_dir"] / "config.json").read_text())["method"]
        assert (resolved["adapter_len"], resolved["adapter_layers"], resolved["r"]) == (3, 2, 2)


CONTRADICTIONS = {
    "rank": ({"r": 4}, ["method.r", "4", "2"]),
    "type": ({"type": "lora"}, ["method.type", "lora", "excitor"]),
    "two": ({"gate": "per_layer", "adapter_len": 4}, ["method.gate", "per_layer", "per_head", "method.adapter_len", "4", "3"]),
    "unknown": ({"lora_rank": 4}, ["method.lora_rank"]),
    "nowhere": ({"adapter_path": "nowhere"}, ["nowhere"]),
    "full": ({"type": "full"}, ["method."]),
}


def test_contradictions_to_the_adapter(tmp_path, model):
    whole = configuration(model)
    run_excitor("train", write_run(tmp_path, whole))
    for name in ("type", "two", "nowhere") if not os.environ.get("EXCITOR_ALL_CASES") else CONTRADICTIONS:
        method, words = CONTRADICTIONS[name]
        again = whole | {"method": {"adapter_path": "run/adapter"} | method, "output_dir": "again"}
        refused("train", write_run(tmp_path, again), words=words, code=2, absent=tmp_path / "again")


# --- stopped and gone on -------------------------------------------------------------------------------------------------------

LONG = dict(train={"max_steps": 250, "micro_batch_size": 2}, data={"val_size": 2, "prompt_template": "plain"}, eval={"eval_steps": 100})


METHODS = {"excitor": {"adapter_len": 3, "adapter_layers": 2, "r": 2}, "lora": {"type": "lora", "r": 2, "lora_dropout": 0.1}}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, model):
    folder, runs = tmp_path_factory.mktemp("undisturbed"), {}
    for name, method in METHODS.items():
        whole = configuration(model, **LONG) | {"method": method}
        run_excitor("train", write_run(folder / name, whole))
        runs[name] = whole, folder / name / "run"
    return runs


@pytest.mark.parametrize("method, number, code", [("excitor", signal.SIGINT, 130), ("lora", signal.SIGTERM, 143)])
def test_a_signal_leaves_a_checkpoint(tmp_path, undisturbed, method, number, code):
    whole, reference = undisturbed[method]
    config, run = write_run(tmp_path, whole), tmp_path / "run"
    process = support.start("train", config)
    support.wait_for_step(process, run, 20)
    process.send_signal(number)
    _, words = process.communicate(timeout=30)
    assert process.returncode == code, words
    [checkpoint] = (run / "checkpoints").iterdir()
    reached = int(checkpoint.name.removeprefix("step-"))
    assert 20 <= reached < 250
    assert str(checkpoint) in words and "same command" in words
    assert not (run / "adapter").exists() and not events(run, "end")
    assert [row["step"] for row in events(run, "step")] == list(range(1, reached + 1))

    done = run_excitor("train", config)
    assert f"step {reached}" in done.stderr
    same_result(run, reference)
    assert [row["step"] for row in events(run, "start")] == [0, reached]
    evals = lambda folder: [(row["step"], row["eval_loss"], row["base_loss"]) for row in events(folder, "eval")]
    assert evals(run) == evals(reference)


def test_a_signal_before_the_first_step(tmp_path, model):
    """While the data is read: nothing is there that needed saving, and the same command starts."""
    config = write_run(tmp_path, configuration(model, data={"prompt_template": "plain"}), ROWS * 20000)
    process = support.start("train", config)
    time.sleep(0.6)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=30)
    assert process.returncode == 130, words
    assert "internal error" not in words


def test_a_second_signal_ends_at_once(tmp_path, model):
    config = write_run(tmp_path, configuration(model, **LONG), ROWS * 1000)
    process = support.start("train", config, "train.micro_batch_size=4096", "data.packing=false")
    for _ in range(2):
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=5)
    assert process.returncode in (130, -signal.SIGINT), words


def test_a_resumed_run_may_change_what_does_not_count(tmp_path, undisturbed):
    whole, reference = undisturbed["excitor"]
    config, run = write_run(tmp_path, whole), tmp_path / "run"
    process = support.start("train", config)
    support.wait_for_step(process, run, 5)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143
    refused("train", config, "train.max_steps=300", words=["train.max_steps", "another configuration"], code=2)
    refused("train", config, "checkpoint.resume=never", words=["resume", "never"], code=2)
    shutil.move(run, tmp_path / "moved")
    run_excitor("train", config, "output_dir=moved", "checkpoint.save_steps=100")
    same_result(tmp_path / "moved", reference)


def test_checkpoints_on_the_way(tmp_path, model):
    """Every save_steps one checkpoint, save_total_limit of them at a time."""
    whole = configuration(model, train={"max_steps": 400}, data={"prompt_template": "plain"},
                          checkpoint={"save_steps": 2, "save_total_limit": 3})
    config, run = write_run(tmp_path, whole), tmp_path / "run"
    process = support.start("train", config)
    support.wait_for_step(process, run, 20)
    process.kill()
    process.communicate(timeout=30)
    kept = sorted(int(path.name.removeprefix("step-")) for path in (run / "checkpoints").iterdir() if not path.name.startswith("."))
    assert 3 <= len(kept) <= 4 and kept == list(range(kept[0], kept[0] + 2 * len(kept), 2))
    for step in kept:
        assert run_excitor("inspect", "adapter", run / f"checkpoints/step-{step}/adapter").stdout


def test_killed_at_random_moments(tmp_path, model):
    """kill -9 leaves a run that goes on: each step stands in metrics.jsonl once, and the end is the undisturbed one."""
    whole = configuration(model, train={"max_steps": 20}, checkpoint={"save_steps": 1}, data={"prompt_template": "plain"})
    write_run(tmp_path / "reference", whole)
    run_excitor("train", tmp_path / "reference/run.json")
    config, run, moments = write_run(tmp_path, whole), tmp_path / "run", random.Random(time.time_ns())
    for step in (1, 8):
        process = support.start("train", config)
        support.wait_for_step(process, run, step)
        time.sleep(moments.random() * 0.03)
        process.kill()
        process.communicate(timeout=30)
    run_excitor("train", config)
    same_result(run, tmp_path / "reference/run")


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    library = support.build_faults(tmp_path_factory.mktemp("faults"))
    if not library:
        pytest.skip("no C compiler")
    return library


def test_killed_between_any_two_file_operations(tmp_path, model, faults):
    """A sample of the moments at which a run of two steps, a checkpoint after each, can be killed."""
    whole = configuration(model, train={"max_steps": 2}, checkpoint={"save_steps": 1, "save_total_limit": 1},
                          data={"prompt_template": "plain"})
    reference = write_run(tmp_path / "reference", whole)
    code, words = support.run_with_faults(faults, tmp_path / "reference/run", "train", reference, count=tmp_path / "count")
    assert code == 0, words
    operations = int((tmp_path / "count").read_text().split()[0])
    moments = range(operations) if os.environ.get("EXCITOR_EVERY_MOMENT") else random.Random(time.time_ns()).sample(range(operations), 4)
    for moment in moments:
        folder = tmp_path / str(moment)
        config = write_run(folder, whole)
        code, words = support.run_with_faults(faults, folder / "run", "train", config, die_at=moment)
        assert code == -signal.SIGKILL, f"{moment} of {operations}: {words}"
        done = run_excitor("train", config, check=False)
        if done.returncode == 2:  # killed after the end was written
            assert "finished" in done.stderr, f"{moment} of {operations}: {done.stderr}"
            assert adapter_bytes(folder / "run") == adapter_bytes(tmp_path / "reference/run")
            continue
        assert done.returncode == 0, f"{moment} of {operations}: {done.stderr}"
        same_result(folder / "run", tmp_path / "reference/run")


def test_half_written_folders_of_a_killed_run_are_removed(tmp_path, model, faults):
    """Killed while the result is written, as a sweep over the last moments finds it."""
    whole = configuration(model, train={"max_steps": 1}, data={"prompt_template": "plain"})
    reference = write_run(tmp_path / "reference", whole)
    support.run_with_faults(faults, tmp_path / "reference/run", "train", reference, count=tmp_path / "count")
    operations = int((tmp_path / "count").read_text().split()[0])
    for moment in range(operations - 6, operations - 12, -1):
        config = write_run(tmp_path / str(moment), whole)
        support.run_with_faults(faults, tmp_path / str(moment) / "run", "train", config, die_at=moment)
        if any(path.startswith(".adapter") for path in files_of(tmp_path / str(moment) / "run")):
            break
    else:
        pytest.skip("no such moment was met")
    run_excitor("train", config)
    assert files_of(config.parent / "run") == files_of(tmp_path / "reference/run")


def damaged_checkpoint(tmp_path, model):
    config = write_run(tmp_path, configuration(model, **LONG))
    process = support.start("train", config)
    support.wait_for_step(process, tmp_path / "run", 3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    return config, next((tmp_path / "run/checkpoints").iterdir())


CHECKPOINT_FILES = ["optimizer.safetensors", "adapter/adapter_model.safetensors"]


def cut(file):
    file.write_bytes(file.read_bytes()[:-8])


def misshape(file):
    tensors = safetensors.torch.load_file(file)
    name = next(name for name in tensors if "gate" in name)
    tensors[name] = torch.zeros(1)  # would broadcast
    safetensors.torch.save_file(tensors, file)


@pytest.mark.parametrize("damage", [cut, misshape])
def test_a_damaged_checkpoint_is_not_gone_on_from(tmp_path, model, damage):
    config, checkpoint = damaged_checkpoint(tmp_path, model)
    for name in CHECKPOINT_FILES:
        whole = (checkpoint / name).read_bytes()
        damage(checkpoint / name)
        before = (tmp_path / "run/metrics.jsonl").read_bytes()
        refused("train", config, words=[checkpoint / name], code=1)
        assert (tmp_path / "run/metrics.jsonl").read_bytes() == before
        (checkpoint / name).write_bytes(whole)


def test_two_runs_into_one_folder(tmp_path, model):
    """The second is refused while the first is at work."""
    config = write_run(tmp_path, configuration(model, **LONG) | {"train": {"max_steps": 2000, "micro_batch_size": 2}})
    first = support.start("train", config)
    try:
        support.wait_for_step(first, tmp_path / "run", 5)
        second = support.start("train", config)
        try:
            _, words = second.communicate(timeout=3)
        except subprocess.TimeoutExpired:
            second.kill()
            second.communicate()
            pytest.fail("the second run began to train in the first one's folder")
        assert second.returncode in (1, 2), words
        assert "output_dir" in words
    finally:
        first.kill()
        first.communicate()
