"""Formats, weights and the cache of tokens, as a run sees them: the same losses from the cache as from memory, little memory for
large files, and nothing lost when the process, the data file or the cache ends early."""
import json
import os
import resource
import signal
import subprocess
import sys
import time

import pytest

from program import find_program, run_excitor, step_metrics, train
from tiny_models import sentences

ROWS = [{"instruction": f"Say it {i} times.", "output": text} for i, text in enumerate(sentences()[:64])]


@pytest.fixture
def model(model_factory):
    return model_factory()


def as_chat(row):
    return {"conversations": [{"from": "human", "value": row["instruction"]}, {"from": "gpt", "value": row["output"]}]}


def as_openai(row):
    return {"messages": [{"role": "user", "content": row["instruction"]},
                         {"role": "assistant", "content": [{"type": "text", "text": row["output"]}]}]}


def write_lines(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def configuration(model, *files, **data):
    return {"model": {"path": str(model)}, "method": {"type": "lora", "r": 2},
            "data": {"train": [file if isinstance(file, dict) else {"path": str(file)} for file in files], **data},
            "train": {"max_steps": 6, "micro_batch_size": 4, "learning_rate": 1e-2}}


def write_config(folder, content):
    file = folder / "run.json"
    file.write_text(json.dumps(content | {"output_dir": "run"}))
    return file


def prepare(config, *overrides):
    return json.loads(run_excitor("prepare", config, "--json", *overrides).stdout)["files"]


def losses(run):
    return [row["loss"] for row in step_metrics(run)]


def test_the_same_conversations_in_every_format_train_alike(tmp_path, model):
    by_format = {}
    for name, rows in {"alpaca": ROWS, "sharegpt": map(as_chat, ROWS), "openai": map(as_openai, ROWS)}.items():
        file = write_lines(tmp_path / f"{name}.jsonl", rows)
        by_format[name] = losses(train(tmp_path / name, configuration(model, file, cache_dir="none")))
    assert by_format["alpaca"] == by_format["sharegpt"] == by_format["openai"]


def test_losses_from_the_cache_equal_those_from_memory(tmp_path, model):
    chats = write_lines(tmp_path / "chats.jsonl", map(as_chat, ROWS[:40]))
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps(ROWS[40:], indent=1))
    files = [{"path": str(chats), "weight": 1.5}, str(rows)]
    memory = losses(train(tmp_path / "memory", configuration(model, *files, cache_dir="none", val_size=5)))
    cached = configuration(model, *files, cache_dir=str(tmp_path / "cache"), val_size=5)
    assert losses(train(tmp_path / "first", cached)) == memory
    assert losses(train(tmp_path / "second", cached)) == memory


def test_prepare_says_what_lies_where_and_the_second_time_that_it_is_there(tmp_path, model):
    train_file = write_lines(tmp_path / "rows.jsonl", ROWS)
    held_out = tmp_path / "held_out.txt"
    held_out.write_text("\n\n".join(sentences()[:5]))
    validation = write_lines(tmp_path / "validation.jsonl", map(as_openai, ROWS[:7]))
    content = configuration(model, train_file, cache_dir="cache", validation=[{"path": str(validation)}])
    config = write_config(tmp_path, content | {"eval": {"forgetting": {"path": str(held_out)}}})
    first = prepare(config)
    assert [(f["use"], f["format"], f["examples"], f["was_cached"]) for f in first] == [
        ("train", "alpaca", 64, False), ("validation", "openai", 7, False), ("forgetting", "text", 5, False)]
    assert all(os.path.isdir(f["cache_folder"]) for f in first)
    second = prepare(config)
    assert [f | {"was_cached": False} for f in second] == first and all(f["was_cached"] for f in second)
    assert "is there already" in run_excitor("prepare", config).stdout
    assert not (tmp_path / "run").exists()


def test_weights_decide_what_an_epoch_holds(tmp_path, model):
    one, two = write_lines(tmp_path / "one.jsonl", ROWS[:20]), write_lines(tmp_path / "two.jsonl", map(as_chat, ROWS[20:]))
    config = configuration(model, {"path": str(one), "weight": 2.5}, {"path": str(two), "weight": 0.5}, val_size=4)
    config["train"] |= {"max_steps": 30}
    rows = step_metrics(train(tmp_path, config))
    assert rows[17]["epoch"] == 1.0  # 2.5 · 20 + 0.5 · (44 − 4) = 70 examples, 18 batches of 4
    checked = json.loads(run_excitor("check", tmp_path / "run.json", "--json", "output_dir=elsewhere").stdout)
    assert [(f["examples"], f["weight"]) for f in checked["data"]["files"]] == [(20, 2.5), (44, 0.5)]


def test_weights_of_one_change_nothing(tmp_path, model):
    one, two = write_lines(tmp_path / "one.jsonl", ROWS[:20]), write_lines(tmp_path / "two.jsonl", ROWS[20:])
    without = losses(train(tmp_path / "a", configuration(model, one, two)))
    entries = [{"path": str(file), "weight": 1} for file in (one, two)]
    assert losses(train(tmp_path / "b", configuration(model, *entries))) == without


GOOD = as_chat(ROWS[0])
BAD_ROWS = {
    "roles do not alternate": ({"conversations": [{"from": "human", "value": "a"}] * 2 + [{"from": "gpt", "value": "b"}]},
                               ["rows.jsonl:2", "message 2", "assistant"]),
    "unknown role": ({"conversations": [{"from": "observation", "value": "a"}]}, ["rows.jsonl:2", "observation"]),
    "no value": ({"conversations": [{"from": "human", "text": "a"}]}, ["rows.jsonl:2", "value"]),
    "empty question": ({"conversations": [{"from": "human", "value": ""}, {"from": "gpt", "value": "a"}]}, ["rows.jsonl:2", "empty"]),
    "another format": (ROWS[0], ["rows.jsonl:2", "Alpaca", "sharegpt"]),
    "tools": (GOOD | {"tools": "[{}]"}, ["rows.jsonl:2", "tools"]),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_rows_are_named(tmp_path, model, name):
    row, words = BAD_ROWS[name]
    config = write_config(tmp_path, configuration(model, write_lines(tmp_path / "rows.jsonl", [GOOD, row]), cache_dir="c"))
    for command in "train", "prepare":
        done = run_excitor(command, config, check=False)
        assert done.returncode == 1 and all(word in done.stderr for word in words), done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("entry, words", [
    ({"weight": 0}, ["data.train[0].weight", "must be > 0"]), ({"weight": -1}, ["data.train[0].weight"]),
    ({"weight": "2"}, ["data.train[0].weight", "a number"]), ({"format": "sharegtp"}, ["data.train[0].format", "sharegpt"]),
    ({"weight": 0.001}, ["weights"])])
def test_wrong_entries_are_refused(tmp_path, model, entry, words):
    file = write_lines(tmp_path / "rows.jsonl", ROWS)
    config = write_config(tmp_path, configuration(model, {"path": str(file)} | entry))
    done = run_excitor("train", config, check=False)
    assert done.returncode == 2 and all(word in done.stderr for word in words), done.stderr
    assert not (tmp_path / "run").exists()


def test_a_cache_that_cannot_be_written_is_a_warning_for_train_and_an_error_for_prepare(tmp_path, model):
    (tmp_path / "file").write_text("")
    config = write_config(tmp_path, configuration(model, write_lines(tmp_path / "rows.jsonl", ROWS), cache_dir="file/x"))
    assert "in memory instead" in run_excitor("train", config).stderr
    done = run_excitor("prepare", config, check=False)
    assert done.returncode == 1 and "file/x" in done.stderr
    assert run_excitor("prepare", config, "data.cache_dir=none", check=False).returncode == 2


def test_a_full_disk_leaves_the_cache_out(tmp_path, model):
    file = write_lines(tmp_path / "rows.jsonl", ROWS * 200)
    content = configuration(model, file, cache_dir="cache")
    program, _ = find_program()
    limited = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    done = subprocess.run([program, "train", write_config(tmp_path, content)], preexec_fn=limited, capture_output=True, text=True)
    assert done.returncode == 0 and "in memory instead" in done.stderr, done.stderr
    assert not list((tmp_path / "cache").glob("*.partial"))


def large_file(path, megabytes):
    row = json.dumps({"instruction": "Tell a tale.", "output": " ".join(sentences()[:20])})
    with path.open("w") as out:
        for i in range(megabytes * 2**20 // (len(row) + 9)):
            out.write(row[:-1] + f', "n": {i:6}' + "}\n")
    return path


def measured(command):
    """Exit code, and peak memory in MiB."""
    script = ("import resource, subprocess, sys; code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL);"
              "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    done = subprocess.run([sys.executable, "-c", script, *map(str, command)], stdout=subprocess.PIPE, text=True)
    code, kilobytes = map(int, done.stdout.split())
    return code, kilobytes / 1024


def test_memory_does_not_grow_with_the_file(tmp_path, model):
    program, _ = find_program()
    peaks = []
    for megabytes in 8, 30:
        file = large_file(tmp_path / f"{megabytes}.jsonl", megabytes)
        config = write_config(tmp_path, configuration(model, file, cache_dir="cache"))
        code, peak = measured([program, "prepare", config])
        assert code == 0
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 30, peaks


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_an_interrupted_prepare_goes_on(tmp_path, model, number, code):
    config = write_config(tmp_path, configuration(model, large_file(tmp_path / "rows.jsonl", 24), cache_dir="cache"))
    program, _ = find_program()
    process = subprocess.Popen([program, "prepare", config], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("cache/*.partial/manifest.json")) and process.poll() is None:
        assert time.monotonic() < deadline, "no chunk was written"
        time.sleep(0.01)
    process.send_signal(number)
    process.communicate()
    assert process.returncode == code
    assert "goes on behind its first" in run_excitor("prepare", config).stderr
    (entry,) = prepare(config)
    assert entry["was_cached"] and entry["examples"] == sum(1 for _ in (tmp_path / "rows.jsonl").open())
    assert not list(tmp_path.glob("cache/*.partial"))


def test_a_data_file_that_vanishes_during_the_run_is_no_matter(tmp_path, model):
    config = configuration(model, write_lines(tmp_path / "rows.jsonl", ROWS), cache_dir="cache")
    config["train"] |= {"max_steps": 60}
    expected = losses(train(tmp_path / "undisturbed", config))
    program, _ = find_program()
    folder = tmp_path / "disturbed"
    folder.mkdir()
    process = subprocess.Popen([program, "train", write_config(folder, config)], stderr=subprocess.DEVNULL)
    while not (folder / "run/metrics.jsonl").exists() and process.poll() is None:
        time.sleep(0.005)
    (tmp_path / "rows.jsonl").write_text("gone")
    (tmp_path / "rows.jsonl").unlink()
    assert process.wait() == 0
    assert losses(folder / "run") == expected


def test_the_cache_is_listed_and_cut_to_what_was_used_last(tmp_path, model):
    cache = tmp_path / "cache"
    old = write_config(tmp_path, configuration(model, write_lines(tmp_path / "old.jsonl", ROWS[:20]), cache_dir=str(cache)))
    [old_file] = prepare(old)
    other = configuration(model, write_lines(tmp_path / "new.jsonl", ROWS[20:]), cache_dir=str(cache))
    [new_file] = prepare(write_config(tmp_path, other))
    for path in [new_file["cache_folder"], *(os.path.join(new_file["cache_folder"], name) for name in os.listdir(new_file["cache_folder"]))]:
        os.utime(path, (1, 1))

    def listing(*options):
        return json.loads(run_excitor("cache", "--dir", cache, "--json", *options).stdout)

    entries = listing()["entries"]
    assert [entry["folder"] for entry in entries] == [new_file["cache_folder"], old_file["cache_folder"]]
    assert {entry["content"] for entry in entries} == {"tokens"}
    rest = listing("--limit", str(entries[1]["bytes"] / 2**30))
    assert [entry["folder"] for entry in rest["removed"]] == [new_file["cache_folder"]]
    assert [entry["folder"] for entry in rest["entries"]] == [old_file["cache_folder"]]
    assert "last used" in run_excitor("cache", "--dir", cache).stdout
    assert prepare(write_config(tmp_path, other))[0]["was_cached"] is False, "what was removed is made again"
    assert listing("--clear")["entries"] == [] and not os.path.exists(old_file["cache_folder"])
