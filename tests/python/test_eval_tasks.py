"""eval.tasks: benchmarks in the course of a run are scored as `excitor eval` scores them, and a signal meanwhile loses nothing."""
import json
import re
import signal

import pytest

import evaluation_files
import integration_support as support
from integration_support import adapter_bytes, configuration, metrics, refused, repeatable_steps, write_run
from program import run_excitor


@pytest.fixture(scope="module")
def model(tmp_path_factory, tokenizer_file):
    return support.write_model(tmp_path_factory.mktemp("tasks") / "model", tokenizer_file)


def write(folder, model, tasks, **sections):
    folder.mkdir(parents=True, exist_ok=True)
    evaluation_files.write_choices(folder / "choices.jsonl")
    evaluation_files.write_hellaswag(folder / "h.jsonl")
    (folder / "text.txt").write_text("The fox finds three apples.\n\nThe river follows its colour.")
    whole = configuration(model, output_dir="out", eval={"tasks": tasks, "eval_steps": 2}, train={"max_steps": 4})
    for name, section in sections.items():
        whole[name] = whole.get(name, {}) | section
    return write_run(folder, whole)


def evaluations(run):
    return [row for row in metrics(run) if row["event"] == "eval"]


TASKS = ["choices=choices.jsonl", {"type": "hellaswag", "path": "h.jsonl", "limit": 4, "name": "first four"}, "perplexity=text.txt"]


@pytest.fixture(scope="module")
def run(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("run")
    done = run_excitor("train", write(folder, model, TASKS, logging={"tensorboard": True}))
    return folder, done


def test_scores_are_those_of_eval(run, model):
    folder, _ = run
    last = evaluations(folder / "out")[-1]["tasks"]
    assert [(task["name"], task["type"], task["samples"]) for task in last] == [
        ("choices", "choices", 7), ("first four", "hellaswag", 4), ("text", "perplexity", 2)]
    for task, arguments in zip(last, (["choices=choices.jsonl"], ["hellaswag=h.jsonl", "--limit", 4], ["perplexity=text.txt"]), strict=True):
        kind, file = arguments[0].split("=")
        done = run_excitor("eval", model, "--adapter", folder / "out/adapter", "--task", f"{kind}={folder / file}", *arguments[1:])
        [scores] = json.loads(done.stdout)["tasks"]
        assert task["metrics"] == scores["metrics"] and task["base_metrics"] == scores["base_metrics"]


def test_each_evaluation_has_them_and_says_so(run):
    folder, done = run
    assert [(row["step"], len(row["tasks"])) for row in evaluations(folder / "out")] == [(0, 3), (2, 3), (4, 3)]
    assert re.search(r"step 4: choices accuracy 0\.\d{4} \(base 0\.\d{4}\) first four accuracy", done.stderr)
    first = evaluations(folder / "out")[0]["tasks"]
    assert all(task["metrics"] == pytest.approx(task["base_metrics"], rel=1e-6) for task in first)  # nothing is learned yet


def test_tensorboard_and_page_show_them(run):
    folder, _ = run
    [events] = (folder / "out").glob("events.out.tfevents.*")
    assert events.read_bytes().count(b"eval/tasks/first four/metrics/accuracy_norm") == 3
    page = (folder / "out/report.html").read_text()
    assert '"first four"' in page and '"accuracy_norm"' in page


def test_the_recorded_configuration_names_them(run):
    folder, _ = run
    tasks = json.loads((folder / "out/config.json").read_text())["eval"]["tasks"]
    assert [task["path"] for task in tasks] == [str(folder / name) for name in ("choices.jsonl", "h.jsonl", "text.txt")]
    assert [task["name"] for task in tasks] == ["choices", "first four", "text"] and tasks[1]["limit"] == 4


def test_their_own_interval(tmp_path, model):
    run_excitor("train", write(tmp_path, model, TASKS[:1], eval={"tasks": TASKS[:1], "eval_steps": 1, "task_steps": 3, "sample_prompts": ["Count"]},
                               train={"max_steps": 7, "micro_batch_size": 4, "learning_rate": 0.01}))
    assert [row["step"] for row in evaluations(tmp_path / "out") if "tasks" in row] == [3, 6, 7]
    assert len(evaluations(tmp_path / "out")) == 8


def test_early_stopping_scores_the_end(tmp_path, model):
    eval_ = {"tasks": TASKS[:1], "eval_steps": 1, "task_steps": 1000, "early_stopping_patience": 1, "early_stopping_threshold": 100}
    run_excitor("train", write(tmp_path, model, [], eval=eval_, data={"val_size": 4}))
    rows = evaluations(tmp_path / "out")
    assert rows[-1]["step"] < 4 and [row["step"] for row in rows if "tasks" in row] == [rows[-1]["step"]]


BAD = {
    "an unknown type": (["helaswag=h.jsonl"], ["eval.tasks[0]", 'did you mean "hellaswag"?']),
    "no path": (["choices"], ["eval.tasks[0]", "has no path"]),
    "an unknown key": ([{"type": "choices", "path": "choices.jsonl", "limits": 3}], ["eval.tasks[0].limits", "limit"]),
    "no such file": (["choices=choices.jsonl", "perplexity=absent.txt"], ["eval.tasks[1].path", "absent.txt"]),
    "one name twice": (["choices=choices.jsonl", {"type": "hellaswag", "path": "h.jsonl", "name": "choices"}], ["eval.tasks[1]", "eval.tasks[0]"]),
    "shots of a task without": ([{"type": "hellaswag", "path": "h.jsonl", "shots": 2}], ["eval.tasks[0].shots", "mmlu"]),
    "a number": ([3], ["eval.tasks[0]"]),
    "captions without images": (["captions=h.jsonl"], ["eval.tasks[0].images", "is missing"]),
    "a limit of none": ([{"type": "choices", "path": "choices.jsonl", "limit": 0}], ["eval.tasks[0].limit"]),
}


@pytest.mark.parametrize("name", BAD)
def test_refusals_name_the_place_before_anything_is_written(tmp_path, model, name):
    tasks, words = BAD[name]
    refused("train", write(tmp_path, model, tasks), words=["run.json", *words], code=2, absent=tmp_path / "out")


def test_files_are_read_before_the_weights(tmp_path, model, tokenizer_file):
    broken = support.write_model(tmp_path / "model", tokenizer_file)
    (broken / "model.safetensors").write_bytes(b"no weights")
    file = write(tmp_path, broken, ["choices=choices.jsonl"])
    (tmp_path / "choices.jsonl").write_text('{"context": "a", "choices": ["b", "c"], "answer": 2}\n')
    refused("train", file, words=["choices.jsonl:1", "0 to 1"], absent=tmp_path / "out")
    words = run_excitor("check", file, check=False).stdout
    assert "choices.jsonl:1" in words and "NOT ready" in words


LONG = {"benchmarks": {"tasks": ["choices=choices.jsonl"], "task_steps": 2}, "samples": {"sample_prompts": ["Count"] * 40, "sample_max_new_tokens": 60}}


@pytest.mark.parametrize("part", LONG)
def test_a_signal_in_an_evaluation_loses_nothing(tmp_path, model, part):
    """The run is stopped in the long part of the evaluation after step 2 and goes on; every record is that of the undisturbed run."""
    for name in ("undisturbed", "stopped"):
        write(tmp_path / name, model, LONG[part].get("tasks", []), data={"val_size": 4}, eval=LONG[part] | {"eval_steps": 2})
        evaluation_files.write_choices(tmp_path / name / "choices.jsonl", rows=300)
    run_excitor("train", tmp_path / "undisturbed/run.json")
    process = support.start("train", tmp_path / "stopped/run.json")
    support.wait_for_step(process, tmp_path / "stopped/out", 2)
    process.send_signal(signal.SIGTERM)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 143 and "stopped while step 2 was evaluated" in words, words
    run_excitor("train", tmp_path / "stopped/run.json")
    ours, theirs = tmp_path / "stopped/out", tmp_path / "undisturbed/out"
    assert adapter_bytes(ours) == adapter_bytes(theirs) and repeatable_steps(ours) == repeatable_steps(theirs)
    assert evaluations(ours) == evaluations(theirs)
    health = lambda run: [row for row in metrics(run) if row["event"] == "health"]
    assert health(ours) == health(theirs)
