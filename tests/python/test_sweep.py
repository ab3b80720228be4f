"""excitor sweep: its points, its files, that it loses nothing when it is killed, and that its runs are what `train` makes of them."""
import csv
import json
import os
import re
import signal
import time

import pytest

import browser
import integration_support as support
from integration_support import adapter_bytes, configuration, metrics, refused, repeatable_steps, write_run
from program import run_excitor

GRID = {"method.type": ["excitor", "lora"], "train.learning_rate": [0.01, 0.003]}


@pytest.fixture(scope="module")
def model(tmp_path_factory, tokenizer_file):
    return support.write_model(tmp_path_factory.mktemp("sweep") / "model", tokenizer_file)


def settings(model, sweep, **sections):
    whole = configuration(model, output_dir="out", sweep=sweep, data={"val_size": 4}, eval={"forgetting": {"path": "held_out.txt"}})
    whole["train"] |= {"max_steps": 4}
    for name, section in sections.items():
        whole[name] = whole.get(name, {}) | section
    return whole


def write(folder, whole):
    file = write_run(folder, whole)
    (folder / "held_out.txt").write_text("The fox finds three apples.\n\nThe river follows its colour.")
    return file


def results(out):
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def events(run, kind):
    return [row for row in metrics(run) if row["event"] == kind]


@pytest.fixture(scope="module")
def grid(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("grid")
    file = write(folder, settings(model, GRID))
    return file, folder / "out", run_excitor("sweep", file)


def test_runs_every_point_and_ranks_them(grid):
    _, out, done = grid
    rows = results(out)
    assert [row["rank"] for row in rows] == [1, 2, 3, 4]
    assert [row["eval_loss"] for row in rows] == sorted(row["eval_loss"] for row in rows)
    assert sorted(tuple(row["settings"].values()) for row in rows) == sorted((m, r) for m in GRID["method.type"] for r in GRID["train.learning_rate"])
    assert sorted(path.name for path in (out / "runs").iterdir()) == sorted(row["id"] for row in rows)
    lines = done.stdout.splitlines()
    assert len(lines) == 5 and lines[1].startswith("1 ") and rows[0]["id"] in lines[1]


def test_rows_say_what_the_runs_recorded(grid):
    _, out, _ = grid
    for row in results(out):
        run = out / row["folder"]
        config, last = json.loads((run / "config.json").read_text()), events(run, "eval")[-1]
        assert config["method"]["type"] == row["settings"]["method.type"]
        assert config["train"]["learning_rate"] == row["settings"]["train.learning_rate"]
        assert row["eval_loss"] == last["eval_loss"] and row["forgetting"] == last["forgetting"]
        assert row["gain"] == pytest.approx(last["base_loss"] - last["eval_loss"])
        assert row["trainable_parameters"] == events(run, "start")[0]["trainable_parameters"]
        assert row["seconds"] == pytest.approx(sum(step["seconds"] for step in events(run, "step")))
        assert row["peak_memory_bytes"] > 2**20 and row["steps"] == 4 and row["state"] == "finished"


def test_the_csv_holds_the_same(grid):
    _, out, _ = grid
    with open(out / "results.csv", newline="") as file:
        table = list(csv.DictReader(file))
    for cells, row in zip(table, results(out), strict=True):
        assert cells["id"] == row["id"] and cells["method.type"] == row["settings"]["method.type"]
        assert float(cells["eval_loss"]) == row["eval_loss"] and int(cells["rank"]) == row["rank"]


def test_a_point_is_the_run_that_train_makes(grid, tmp_path):
    file, out, _ = grid
    for row in results(out):
        overrides = [f"{key}={json.dumps(value)}" for key, value in row["settings"].items()]
        run_excitor("train", file, f"output_dir={tmp_path / row['id']}", *overrides)
        alone, run = tmp_path / row["id"], out / row["folder"]
        assert adapter_bytes(run) == adapter_bytes(alone)
        assert repeatable_steps(run) == repeatable_steps(alone)
        assert events(run, "eval") == events(alone, "eval") and events(run, "health") == events(alone, "health")
        left, right = (json.loads((folder / "config.json").read_text()) | {"output_dir": ""} for folder in (run, alone))
        assert left == right


def test_base_and_data_are_loaded_once(tmp_path, model):
    done = run_excitor("sweep", write(tmp_path, settings(model, {"data.max_seq_length": [384, 256], "train.seed": [1, 2]})))
    assert done.stderr.count("training data:") == 2  # once for each length, not for each point
    done = run_excitor("sweep", write(tmp_path / "b", settings(model, {"train.seed": [1, 2], "data.max_seq_length": [384, 256]})))
    assert done.stderr.count("training data:") == 2  # points that share their data follow one another


def test_finished_points_are_not_run_again(grid):
    file, out, done = grid
    before = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*")}
    again = run_excitor("sweep", file)
    assert again.stdout == done.stdout and "4 of 4 points are finished already" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*")} == before


def test_more_points_add_to_those_that_are_there(tmp_path, model):
    run_excitor("sweep", write(tmp_path, settings(model, {"train.seed": [1]})))
    [first] = results(tmp_path / "out")
    stamp = (tmp_path / "out" / first["folder"] / "metrics.jsonl").stat().st_mtime_ns
    run_excitor("sweep", write(tmp_path, settings(model, [{"train.seed": 2}, {"train.seed": 1}])))
    rows = results(tmp_path / "out")
    assert len(rows) == 2 and first["id"] in [row["id"] for row in rows]
    assert (tmp_path / "out" / first["folder"] / "metrics.jsonl").stat().st_mtime_ns == stamp


def test_points_of_other_data_are_not_ranked_together(tmp_path, model):
    file, out = write(tmp_path, settings(model, {"train.seed": [0, 1]})), tmp_path / "out"
    run_excitor("sweep", file)
    before = results(out)
    rows = tmp_path / "rows.json"
    rows.write_text(rows.read_text().replace("apples", "plums"))
    support.refused("sweep", file, words=["point 1", "data.train"], code=2)
    assert results(out) == before


def test_points_of_equal_configuration_are_run_once(tmp_path, model):
    done = run_excitor("sweep", write(tmp_path, settings(model, {"method.type": ["lora"], "method.adapter_len": [3, 4]})))
    assert len(results(tmp_path / "out")) == 1 and "1 points have the configuration of an earlier one" in done.stderr


def test_random_points_are_the_same_again(tmp_path, model):
    sweep = {"random": {"points": 3, "seed": 4, "train.learning_rate": {"log_uniform": [1e-4, 1e-2]}}, "train.seed": [0, 1]}
    file = write(tmp_path, settings(model, sweep))
    points = run_excitor("sweep", file, "--dry-run").stdout.splitlines()
    assert points == run_excitor("sweep", file, "--dry-run").stdout.splitlines()
    rates = [json.loads(line.split(" ", 1)[1])["train.learning_rate"] for line in points]
    assert len(set(rates)) == 3 and all(1e-4 <= rate <= 1e-2 for rate in rates)
    assert len({line.split()[0] for line in points}) == 6 and not (tmp_path / "out").exists()


def test_json_on_the_terminal(tmp_path, model):
    done = run_excitor("sweep", write(tmp_path, settings(model, [{"train.seed": 1}])), "--json")
    assert done.stdout == (tmp_path / "out/results.jsonl").read_text()


def test_a_failing_point_is_recorded_and_the_others_go_on(tmp_path, model):
    (tmp_path / "bad.json").write_text('[{"instruction": "a", "input": "", "output": 7}]')
    sweep = [{"train.seed": 1}, {"data.train": [{"path": "bad.json"}], "data.val_size": 0}, {"train.seed": 2}]
    done = run_excitor("sweep", write(tmp_path, settings(model, sweep)), check=False)
    assert done.returncode == 1 and "1 of 3 points failed" in done.stderr and "point 2 failed" in done.stderr
    rows = results(tmp_path / "out")
    assert [row["state"] for row in rows] == ["finished", "finished", "failed"]
    assert rows[2]["rank"] is None and "bad.json" in rows[2]["error"]
    (tmp_path / "bad.json").write_text(json.dumps(support.ROWS))  # mended, it is run and the others are not
    done = run_excitor("sweep", tmp_path / "run.json")
    assert [row["state"] for row in results(tmp_path / "out")] == ["finished"] * 3 and "2 of 3 points are finished" in done.stderr


SEEDS = {"train.seed": [1, 2, 3]}
LONG = {"train": {"max_steps": 60}, "checkpoint": {"save_steps": 5}, "eval": {"eval_steps": 30}}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("undisturbed")
    run_excitor("sweep", write(folder, settings(model, SEEDS, **LONG)))
    return folder / "out"


def stop_in_the_second_point(file, how):
    """Starts the sweep, sends the signal once its second run has 20 steps, and returns the exit code and the points' folders."""
    out = file.parent / "out"
    ids = [line.split()[0] for line in run_excitor("sweep", file, "--dry-run").stdout.splitlines()]
    process = support.start("sweep", file)
    support.wait_for_step(process, out / "runs" / ids[1], 20, timeout=60)
    process.send_signal(how)
    return process.wait(timeout=60), [out / "runs" / name for name in ids]


def same_as(undisturbed, out):
    rows, expected = results(out), results(undisturbed)  # their ids differ, since the folder of the data does
    assert len(list((out / "runs").iterdir())) == len(rows)
    for row, reference in zip(rows, expected, strict=True):
        ours, theirs = out / row["folder"], undisturbed / reference["folder"]
        assert adapter_bytes(ours) == adapter_bytes(theirs) and repeatable_steps(ours) == repeatable_steps(theirs)
        assert [step["step"] for step in events(ours, "step")] == list(range(1, 61)) and len(events(ours, "end")) == 1
        for key in ("rank", "point", "state", "settings", "eval_loss", "forgetting"):
            assert row[key] == reference[key]


def test_killed_in_the_middle_no_point_is_lost_or_run_twice(tmp_path, model, undisturbed):
    file = write(tmp_path, settings(model, SEEDS, **LONG))
    code, runs = stop_in_the_second_point(file, signal.SIGKILL)
    assert code == -signal.SIGKILL and not runs[2].exists()
    first = (runs[0] / "metrics.jsonl").read_bytes()
    done = run_excitor("sweep", file)
    assert "1 of 3 points are finished already" in done.stderr and "it goes on after step" in done.stderr
    assert (runs[0] / "metrics.jsonl").read_bytes() == first
    assert [len(events(run, "start")) for run in runs] == [1, 2, 1]
    same_as(undisturbed, tmp_path / "out")


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_after_a_checkpoint(tmp_path, model, undisturbed, number, code):
    file = write(tmp_path, settings(model, SEEDS, **LONG))
    ended, runs = stop_in_the_second_point(file, number)
    assert ended == code
    states = {row["id"]: row["state"] for row in results(tmp_path / "out")}
    assert [states[run.name] for run in runs] == ["finished", "stopped", "waiting"]
    run_excitor("sweep", file)
    resumed = events(runs[1], "start")[-1]["step"]
    assert resumed >= 20 and [len(events(run, "start")) for run in runs] == [1, 2, 1]
    same_as(undisturbed, tmp_path / "out")


HALVING = {"method.type": ["excitor", "lora"], "train.seed": [1, 2], "early_stop": {"rungs": [0.25, 0.5], "keep": 0.5}}
HALVED = {"train": {"max_steps": 8}, "eval": {"eval_steps": 3}}  # rungs after steps 2 and 4, between the evaluations


@pytest.fixture(scope="module")
def halved(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("halved")
    file = write(folder, settings(model, HALVING, **HALVED))
    return file, folder / "out", run_excitor("sweep", file)


def test_halving_trains_the_better_half_on(halved):
    _, out, done = halved
    rows = results(out)
    assert [(row["state"], row["steps"], row.get("rung")) for row in rows] == [
        ("finished", 8, None), ("dropped", 4, 2), ("dropped", 2, 1), ("dropped", 2, 1)]
    assert [row["rank"] for row in rows] == [1, None, None, None]
    looks = {row["id"]: [event for event in metrics(out / row["folder"]) if event["event"] == "rung"] for row in rows}
    first = sorted(rows, key=lambda row: looks[row["id"]][0]["eval_loss"])
    assert {row["id"] for row in first[:2]} == {row["id"] for row in rows[:2]}
    assert looks[rows[0]["id"]][1]["eval_loss"] < looks[rows[1]["id"]][1]["eval_loss"]
    assert "the best 2 of 4 points by eval_loss go on" in done.stderr


def test_a_point_that_halving_trained_on_is_the_run_that_train_makes(halved, tmp_path):
    file, out, _ = halved
    best = results(out)[0]
    run_excitor("train", file, f"output_dir={tmp_path / 'alone'}", *(f"{key}={json.dumps(value)}" for key, value in best["settings"].items()))
    alone, run = tmp_path / "alone", out / best["folder"]
    assert adapter_bytes(run) == adapter_bytes(alone) and repeatable_steps(run) == repeatable_steps(alone)
    assert events(run, "eval") == events(alone, "eval") and not (run / "checkpoints").exists()


def test_halving_decides_the_same_again(halved):
    file, out, done = halved
    before = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*")}
    assert run_excitor("sweep", file).stdout == done.stdout
    assert {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*")} == before


def test_more_is_kept_later(halved, tmp_path, model):
    """Dropped points have their checkpoint: with a larger share they go on from it."""
    file = write(tmp_path, settings(model, HALVING | {"early_stop": {"rungs": [0.25], "keep": 0.25}}, **HALVED))
    run_excitor("sweep", file)
    assert [row["steps"] for row in results(tmp_path / "out")] == [8, 2, 2, 2]
    file = write(tmp_path, settings(model, HALVING | {"early_stop": {"rungs": [0.25], "keep": 1.0}}, **HALVED))
    assert run_excitor("sweep", file).stderr.count("it goes on after step 2") == 3
    assert [row["state"] for row in results(tmp_path / "out")] == ["finished"] * 4


def test_a_point_that_is_beyond_a_rung_is_not_compared_at_it(tmp_path, model):
    """The rungs are changed between two starts: the dropped point has nothing to show for an earlier one."""
    points = {"train.seed": [1, 2]}
    file = write(tmp_path, settings(model, points | {"early_stop": {"rungs": [0.5], "keep": 0.5}}, **HALVED))
    run_excitor("sweep", file)
    assert [row["steps"] for row in results(tmp_path / "out")] == [8, 4]
    file = write(tmp_path, settings(model, points | {"early_stop": {"rungs": [0.25], "keep": 0.5}}, **HALVED))
    assert "passed rung 1 before the sweep had it" in run_excitor("sweep", file).stderr
    assert [row["state"] for row in results(tmp_path / "out")] == ["finished"] * 2


def test_a_metric_and_its_direction_rank(tmp_path, model):
    (tmp_path / "choices.jsonl").write_text("".join(json.dumps({"context": f"Count {i}", "choices": ["the apples", "the stones"], "answer": i % 2}) + "\n"
                                                    for i in range(9)))
    points = {"method.type": ["excitor", "lora"], "train.learning_rate": [0.1, 0.01]}
    whole = settings(model, points | {"metric": "choices.accuracy"}, eval={"tasks": ["choices=choices.jsonl"], "eval_steps": 4})
    done = run_excitor("sweep", write(tmp_path, whole))
    figures = [row["choices.accuracy"] for row in results(tmp_path / "out")]
    assert figures == sorted(figures, reverse=True) and "choices.accuracy" in done.stdout
    again = run_excitor("sweep", tmp_path / "run.json", "sweep.metric=forgetting", "sweep.direction=max")
    figures = [row["forgetting"] for row in results(tmp_path / "out")]
    assert figures == sorted(figures, reverse=True) and "4 of 4 points are finished already" in again.stderr


def test_chosen_points_are_combined_with_the_keys_beside_them(tmp_path, model):
    sweep = {"points": [{"method.type": "lora"}, {"method.type": "excitor", "method.r": 1}], "train.seed": [1, 2]}
    lines = run_excitor("sweep", write(tmp_path, settings(model, sweep)), "--dry-run").stdout.splitlines()
    assert [json.loads(line.split(" ", 1)[1])["train.seed"] for line in lines] == [1, 2, 1, 2] and '"method.r":1' in lines[3]


def test_methods_stand_beside_each_other(tmp_path, model):
    sweep = {"method.type": ["excitor", "lora"], "train.learning_rate": [0.01, 0.003], "train.seed": [1, 2]}
    table = run_excitor("sweep", write(tmp_path, settings(model, sweep))).stdout.split("\n\n")[-1].splitlines()
    assert table[0].startswith("| method.type | train.learning_rate | seeds | gain | forgetting |") and table[0].endswith("| trainable | seconds | peak MiB |")
    assert len(table) == 4 and sorted(line.split(" | ")[0] for line in table[2:]) == ["| excitor", "| lora"]
    rows = [row for row in results(tmp_path / "out") if row["settings"]["method.type"] == "lora"]
    mean = {rate: sum(row["gain"] for row in rows if row["settings"]["train.learning_rate"] == rate) / 2 for rate in (0.01, 0.003)}
    [line] = [line for line in table if line.startswith("| lora")]
    assert line.split(" | ")[1:4:2] == [str(max(mean, key=mean.get)), line.split(" | ")[3]] and f"{max(mean.values()):.4f} ± " in line


TOGETHER = {"parallel": 2}


def test_two_at_a_time_give_the_same_runs(grid, tmp_path, model):
    _, one_by_one, _ = grid
    done = run_excitor("sweep", write(tmp_path, settings(model, GRID | TOGETHER)))
    assert "2 points at a time" in done.stderr and done.stderr.count("is finished after") == 4
    for row, reference in zip(results(tmp_path / "out"), results(one_by_one), strict=True):
        ours, theirs = tmp_path / "out" / row["folder"], one_by_one / reference["folder"]
        assert adapter_bytes(ours) == adapter_bytes(theirs) and repeatable_steps(ours) == repeatable_steps(theirs)
        assert events(ours, "eval") == events(theirs, "eval") and (ours / "log.txt").exists()
        assert all(row[key] == reference[key] for key in ("rank", "point", "state", "settings", "eval_loss", "forgetting"))


def test_two_at_a_time_a_failing_point_is_recorded(tmp_path, model):
    (tmp_path / "bad.json").write_text('[{"instruction": "a", "input": "", "output": 7}]')
    sweep = {"points": [{"train.seed": 1}, {"data.train": [{"path": "bad.json"}], "data.val_size": 0}, {"train.seed": 2}]} | TOGETHER
    done = run_excitor("sweep", write(tmp_path, settings(model, sweep)), check=False)
    assert done.returncode == 1 and "point 2 failed" in done.stderr
    rows = results(tmp_path / "out")
    assert [row["state"] for row in rows] == ["finished", "finished", "failed"] and "bad.json" in rows[2]["error"]


def ids_of(file):
    return [line.split()[0] for line in run_excitor("sweep", file, "--dry-run").stdout.splitlines()]


def children(process):
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
        return [int(child) for child in file.read().split()]


def test_two_at_a_time_a_process_that_dies_fails_its_point_alone(tmp_path, model):
    file = write(tmp_path, settings(model, SEEDS | TOGETHER, **LONG))
    process = support.start("sweep", file)
    support.wait_for_step(process, tmp_path / "out/runs" / ids_of(file)[0], 1, timeout=60)
    os.kill(children(process)[0], signal.SIGKILL)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 1 and "ended by signal 9" in words
    assert sorted(row["state"] for row in results(tmp_path / "out")) == ["failed", "finished", "finished"]


@pytest.mark.parametrize("number, code", [(signal.SIGKILL, -9), (signal.SIGTERM, 143)])
def test_two_at_a_time_stopped_and_again_nothing_is_lost_or_run_twice(tmp_path, model, undisturbed, number, code):
    file = write(tmp_path, settings(model, SEEDS | TOGETHER, **LONG))
    runs = [tmp_path / "out/runs" / name for name in ids_of(file)]
    process = support.start("sweep", file)
    for run in runs[:2]:
        support.wait_for_step(process, run, 8, timeout=60)
    workers = children(process)
    process.send_signal(number)
    assert process.wait(timeout=60) == code and len(workers) == 2
    run_excitor("sweep", file)
    assert not any(os.path.exists(f"/proc/{worker}") for worker in workers)
    assert all(1 <= len(events(run, "start")) <= 2 for run in runs) and len(events(runs[2], "start")) == 1
    same_as(undisturbed, tmp_path / "out")


def test_halving_two_at_a_time_killed_and_again_decides_the_same(halved, tmp_path, model):
    _, reference, _ = halved
    file = write(tmp_path, settings(model, HALVING | TOGETHER, **HALVED))
    process = support.start("sweep", file)
    support.wait_for_step(process, tmp_path / "out/runs" / ids_of(file)[0], 1, timeout=60)
    process.kill()
    process.wait(timeout=60)
    run_excitor("sweep", file)
    for row, expected in zip(results(tmp_path / "out"), results(reference), strict=True):
        assert all(row.get(key) == expected.get(key) for key in ("rank", "point", "state", "rung", "steps", "eval_loss"))
        looks, others = (events(folder / each["folder"], "rung") for folder, each in ((tmp_path / "out", row), (reference, expected)))
        assert looks == others and repeatable_steps(tmp_path / "out" / row["folder"]) == repeatable_steps(reference / expected["folder"])


def test_two_at_once_are_refused(tmp_path, model):
    file = write(tmp_path, settings(model, SEEDS, train={"max_steps": 100_000}, eval={"eval_steps": 100_000}))
    [first, *_] = [line.split()[0] for line in run_excitor("sweep", file, "--dry-run").stdout.splitlines()]
    process = support.start("sweep", file)
    support.wait_for_step(process, tmp_path / "out/runs" / first, 2, timeout=60)
    refused("sweep", file, words=[tmp_path / "out"], code=1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143


BAD = {
    "no section": (None, ["has no section sweep"]),
    "empty grid": ({}, ["sweep: has no points"]),
    "no values": ({"train.seed": []}, ["sweep.train.seed: has no values"]),
    "not a list": ({"train.seed": 3}, ["sweep.train.seed: found the integer 3"]),
    "unknown key": ({"train.learning_rat": [1e-3, 1e-4]}, ["train.learning_rat", "learning_rate", "point 1", "1 more point"]),
    "another trainer's key": ({"method.lora_rank": [8]}, ["lora_rank", "method.r"]),
    "bad value": ({"train.learning_rate": [1e-3, "fast", -1]}, ["point 2", "point 3", "train.learning_rate", "fast"]),
    "a key inside a number": ({"train.seed.x": [1]}, ["train.seed"]),
    "too many": ({"train.seed": list(range(101)), "method.r": list(range(1, 101))}, ["10100 points", "10000"]),
    "bad shape": ({"method.adapter_layers": [1, 3]}, ["point 2", "method.adapter_layers"]),
    "no such file": ([{"data.train": [{"path": "absent.json"}]}], ["absent.json", "point 1"]),
    "output_dir": ({"output_dir": ["a", "b"]}, ["sweep.output_dir"]),
    "settings alone": ({"metric": "eval_loss"}, ["sweep: has no points"]),
    "points and draws": ({"points": [{}], "random": {"points": 1, "method.r": [1]}}, ["sweep.points: stands beside sweep.random"]),
    "points that are none": ({"points": [3], "train.seed": [1]}, ["sweep.points[0]"]),
    "rungs that fall": ({"train.seed": [1], "early_stop": {"rungs": [0.5, 0.25]}}, ["sweep.early_stop.rungs", "[0.5,0.25]", "ascend"]),
    "a rung at the end": ({"train.seed": [1], "early_stop": {"rungs": [1.0]}}, ["sweep.early_stop.rungs"]),
    "none is kept": ({"train.seed": [1], "early_stop": {"keep": 0}}, ["sweep.early_stop.keep"]),
    "a misspelt rung": ({"train.seed": [1], "early_stop": {"rung": [0.5]}}, ["sweep.early_stop.rung:", "rungs"]),
    "an unknown metric": ({"train.seed": [1], "metric": "bleu"}, ["sweep.metric", '"bleu"', "eval_loss", "forgetting"]),
    "an absent benchmark": ({"train.seed": [1], "early_stop": {"metric": "mmlu.accuracy"}}, ["sweep.early_stop.metric", "mmlu.accuracy"]),
    "a direction": ({"train.seed": [1], "direction": "up"}, ["sweep.direction", "up", "min"]),
    "no point at a time": ({"train.seed": [1], "parallel": 0}, ["sweep.parallel: found 0"]),
    "half a point": ({"train.seed": [1], "parallel": 1.5}, ["sweep.parallel: found 1.5"]),
    "bad range": ({"random": {"points": 2, "train.learning_rate": {"log_uniform": [0, 1]}}}, ["sweep.random.train.learning_rate"]),
    "a word": ("grid", ["sweep: found the string"]),
}


@pytest.mark.parametrize("name", BAD)
def test_refusals_name_the_place_before_anything_is_written(tmp_path, model, name):
    sweep, words = BAD[name]
    refused("sweep", write(tmp_path, settings(model, sweep)), words=["run.json", *words], code=2, absent=tmp_path / "out")


def test_what_contradicts_a_sweep(tmp_path, model):
    file = write(tmp_path, settings(model, SEEDS))
    refused("sweep", file, "checkpoint.resume=never", words=["checkpoint.resume", "2 more points"], code=2, absent=tmp_path / "out")
    refused("sweep", file, "distributed.devices=2", words=["distributed.devices"], code=2, absent=tmp_path / "out")
    run_excitor("train", file)
    refused("sweep", file, words=["holds a single run"], code=2)


def test_train_passes_the_section_over(tmp_path, model):
    done = run_excitor("train", write(tmp_path, settings(model, SEEDS)))
    assert "the section sweep is for excitor sweep" in done.stderr
    assert "sweep" not in json.loads((tmp_path / "out/config.json").read_text())


def test_ten_thousand_points_are_checked_in_seconds(tmp_path, model):
    file = write(tmp_path, settings(model, {"train.seed": list(range(100)), "train.learning_rate": [1e-3 + i * 1e-6 for i in range(100)]}))
    start = time.monotonic()
    assert len(run_excitor("sweep", file, "--dry-run").stdout.splitlines()) == 10_000
    assert time.monotonic() - start < 60


@pytest.mark.skipif(not browser.CHROMIUM, reason="Chromium is not installed (apt-get install chromium)")
def test_the_page_draws_everything_without_a_word_on_the_console(grid):
    _, out, _ = grid
    document, console = browser.dump(out / "report.html")
    assert console == []
    drawn = document.split('id="data"')[0]
    for words in ("Ranking", "method.type", "train.learning_rate", "Learning curves", "Forgetting against gain", "Time in steps", "Peak memory",
                  "Trainable parameters", "4 finished", "All settings at once", "Methods", *(row["id"] for row in results(out))):
        assert words in drawn
    dots = re.findall(r'class="dot" cx="([-0-9.]+)" cy="([-0-9.]+)"', drawn)
    assert len(dots) == 4 * 6 and drawn.count('class="thread"') == 4 and "NaN" not in drawn and "undefined" not in drawn
