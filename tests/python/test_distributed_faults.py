"""What goes wrong among many processes: each fault ends all of them, in words that name the reason, with what was done kept."""
import os
import re
import signal
import socket
import subprocess
import time

import pytest

import integration_support as support
from integration_support import refused, write_run
from program import run_excitor
from test_distributed import METHODS, free_port, model, prepare, train, variables  # noqa: F401 (a fixture)

ENDLESS = {"method": METHODS["lora"][0], "train": {"max_steps": 100000}}


def ranks_of(process):
    """Process numbers of the launched ranks, by rank."""
    return [int(number) for number in subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()]


def assert_gone(processes):
    end = time.monotonic() + support.PATIENCE
    while time.monotonic() < end and any(os.path.exists(f"/proc/{process}") for process in processes):
        time.sleep(0.02)
    assert not [process for process in processes if os.path.exists(f"/proc/{process}")]


@pytest.mark.parametrize("rank", [0, 2])
def test_a_killed_rank_ends_all_with_a_checkpoint(tmp_path, model, rank):
    process = support.start("train", prepare(tmp_path, model, 3, **ENDLESS | {"train": ENDLESS["train"] | {"global_batch_size": 6}},
                                             checkpoint={"save_steps": 10}))
    support.wait_for_step(process, tmp_path / "run", 12)
    ranks = ranks_of(process)
    os.kill(ranks[rank], signal.SIGKILL)
    words = support.words_at_end(process)  # long before distributed.timeout_seconds
    assert process.returncode == 1, words
    assert f"rank {rank} (process {ranks[rank]}): it was ended by signal 9" in words
    assert_gone(ranks)
    assert list((tmp_path / "run/checkpoints").glob("step-*"))
    assert ("the same command goes on from" in words) == (rank > 0)


def test_after_a_rank_was_killed_the_run_goes_on_from_its_last_step(tmp_path, model):
    settings = {"method": METHODS["lora"][0], "train": {"max_steps": 150}}
    process = support.start("train", prepare(tmp_path / "cut", model, 2, **settings))
    support.wait_for_step(process, tmp_path / "cut/run", 3)
    os.kill(ranks_of(process)[1], signal.SIGKILL)
    words = support.words_at_end(process)
    done = int(re.search(r"stopped after step (\d+); the same command goes on from", words)[1])
    assert support.metrics(tmp_path / "cut/run")[-1]["step"] == done, "no complete step is lost"
    again = run_excitor("train", prepare(tmp_path / "cut", model, 2, **settings))
    assert f"it goes on after step {done}" in again.stderr
    reference, _ = train(tmp_path / "reference", model, 2, **settings)
    assert support.adapter_bytes(tmp_path / "cut/run") == support.adapter_bytes(reference)
    assert support.repeatable_steps(tmp_path / "cut/run") == support.repeatable_steps(reference)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_hung_rank_is_named_after_the_time_limit(tmp_path, model, rank):
    process = support.start("train", prepare(tmp_path, model, 2, **ENDLESS, distributed={"timeout_seconds": 5}))
    support.wait_for_step(process, tmp_path / "run", 3)
    ranks = ranks_of(process)
    os.kill(ranks[rank], signal.SIGSTOP)
    words = support.words_at_end(process)
    assert process.returncode == 1, words
    assert "the all-reduce of step" in words and f"rank {rank} (" in words and "no sign of life" in words
    assert_gone(ranks)
    assert ("the same command goes on from" in words) == (rank == 1)


@pytest.mark.parametrize("repetition", range(3))
def test_no_rank_is_left_when_the_launcher_is_killed(tmp_path, model, repetition):
    process = support.start("train", prepare(tmp_path, model, 2, **ENDLESS))
    support.wait_for_step(process, tmp_path / "run", 3)
    ranks = ranks_of(process)
    process.kill()
    process.wait()
    assert_gone(ranks)
    assert list((tmp_path / "run/checkpoints").glob("step-*")), "they stop as by SIGTERM: with a checkpoint"


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    library = support.build_faults(tmp_path_factory.mktemp("faults"))
    if not library:
        pytest.skip("no C compiler")
    return library


def start_with_slow_checkpoints(tmp_path, model, faults):
    """A run of two processes whose checkpoints take several seconds, and distributed.timeout_seconds is less."""
    file = prepare(tmp_path, model, 2, **ENDLESS, distributed={"timeout_seconds": 3})
    process = support.start_with_faults(faults, tmp_path / "run/checkpoints", "train", file, sync_ms=600)
    support.wait_for_step(process, tmp_path / "run", 3)
    return process


def wait_for_a_checkpoint_on_its_way(tmp_path):
    end = time.monotonic() + support.PATIENCE
    while not list((tmp_path / "run/checkpoints").glob(".step-*")):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_stop_waits_for_a_checkpoint_that_takes_longer_than_the_time_limit(tmp_path, model, faults):
    process = start_with_slow_checkpoints(tmp_path, model, faults)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    words = support.words_at_end(process)
    assert time.monotonic() - begin > 4, "else the test shows nothing"
    assert process.returncode == 130 and "the same command goes on from" in words, words
    assert len(list((tmp_path / "run/checkpoints").glob("step-*"))) == 1


def test_a_rank_that_fails_during_a_stop_leaves_rank_0_its_checkpoint(tmp_path, model, faults):
    process = start_with_slow_checkpoints(tmp_path, model, faults)
    ranks = ranks_of(process)
    process.send_signal(signal.SIGTERM)
    wait_for_a_checkpoint_on_its_way(tmp_path)
    os.kill(ranks[1], signal.SIGKILL)
    words = support.words_at_end(process)
    assert process.returncode == 1 and "rank 1 (process" in words, words
    assert "the same command goes on from" in words, "rank 0 was not asked twice, which would have ended it"
    assert len(list((tmp_path / "run/checkpoints").glob("step-*"))) == 1


def test_a_rank_killed_under_torchruns_variables_is_named_without_a_launcher(tmp_path, model):
    port = free_port()
    file = prepare(tmp_path, model, "auto", **ENDLESS)
    processes = [support.start("train", file, env=variables(rank, 2, port)) for rank in (0, 1)]
    support.wait_for_step(processes[0], tmp_path / "run", 3)
    processes[1].kill()
    processes[1].communicate()
    words = support.words_at_end(processes[0])
    assert processes[0].returncode == 1 and "rank 1 (" in words and "no sign of life" in words, words
    assert "the same command goes on from" in words


def both(first, second, size=2):
    """The words of two ranks that are started with these configurations; both must refuse."""
    port = free_port()
    processes = [support.start("train", file, env=variables(rank, size, port)) for rank, file in enumerate((first, second))]
    words = [support.words_at_end(process) for process in processes]
    assert [process.returncode for process in processes] == [2, 2], words
    return words


def test_different_configurations_are_named_in_both(tmp_path, model):
    first = prepare(tmp_path / "a", model, "auto")
    second = prepare(tmp_path / "b", model, "auto", train={"learning_rate": 0.02})
    for words in both(first, second):
        assert "rank 1 (" in words and "train.learning_rate is 0.02, rank 0 has 0.01" in words
    assert not (tmp_path / "a/run").exists()


def test_different_data_are_named_in_both(tmp_path, model):
    first = prepare(tmp_path / "a", model, "auto")
    second = prepare(tmp_path / "b", model, "auto")
    write_run(tmp_path / "b", second.read_text(), [row | {"output": row["output"].replace("3", "4")} for row in support.ROWS])
    for words in both(first, second):
        assert "rank 1 (" in words and "the training data is 16 examples with digest" in words


def test_different_base_weights_are_named_in_both(tmp_path, model, tokenizer_file):
    other = support.write_model(tmp_path / "other", tokenizer_file, seed=1)
    for words in both(prepare(tmp_path / "a", model, "auto"), prepare(tmp_path / "b", other, "auto")):
        assert "rank 1 (" in words and "the base is" in words


def test_a_rank_that_cannot_read_its_data_ends_the_others_with_its_reason(tmp_path, model):
    port = free_port()
    first = prepare(tmp_path / "a", model, "auto")
    second = prepare(tmp_path / "b", model, "auto")
    (tmp_path / "b/rows.json").write_text("[{]")
    processes = [support.start("train", file, env=variables(rank, 2, port)) for rank, file in enumerate((first, second))]
    words = [support.words_at_end(process) for process in processes]  # long before distributed.timeout_seconds
    assert [process.returncode for process in processes] == [1, 1], words
    assert "rank 1 (" in words[0] and "has ended:" in words[0] and "rows.json" in words[0]


def test_a_port_in_use_is_named(tmp_path, model):
    with socket.socket() as listener:
        listener.bind(("", 0))
        listener.listen()
        port = listener.getsockname()[1]
        process = support.start("train", prepare(tmp_path, model, "auto"), env=variables(0, 2, port))
        words = support.words_at_end(process)
    assert process.returncode == 1 and f"port {port}: it is in use" in words and "MASTER_PORT" in words, words


def test_a_rank_that_never_comes_is_named(tmp_path, model):
    process = support.start("train", prepare(tmp_path, model, "auto", distributed={"timeout_seconds": 1}), env=variables(0, 2, free_port()))
    words = support.words_at_end(process)
    assert process.returncode == 1 and "rank 1 is missing after 1 s" in words, words


REFUSALS = {
    "a list of GPUs": ([0, 2], ["distributed.devices", "[0,2]", "GPUs"]),
    "none": (0, ["distributed.devices", "0"]),
    "a fraction": (1.5, ["distributed.devices", "1.5"]),
    "a word": ("all", ["distributed.devices", "all"]),
    "one twice": ([1, 1], ["distributed.devices"]),
    "more than examples": (3, ["train.global_batch_size", "3 processes"]),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_devices_that_do_not_fit_are_refused(tmp_path, model, case):
    devices, words = REFUSALS[case]
    refused("train", prepare(tmp_path, model, devices), words=words, code=2, absent=tmp_path / "run")


@pytest.mark.parametrize("wrong, words", [({"RANK": "2"}, ["RANK=2", "WORLD_SIZE=2"]), ({"MASTER_PORT": "x"}, ["MASTER_PORT=x"]),
                                          ({"WORLD_SIZE": ""}, ["WORLD_SIZE="])])
def test_variables_that_contradict_each_other_are_named(tmp_path, model, wrong, words):
    process = support.start("train", prepare(tmp_path, model, "auto"), env=variables(0, 2, 1) | wrong)
    said = support.words_at_end(process)
    assert process.returncode == 2 and all(word in said for word in words), said


def test_a_missing_variable_is_named(tmp_path, model):
    process = support.start("train", prepare(tmp_path, model, "auto"), env={"RANK": "0", "WORLD_SIZE": "2"})
    words = support.words_at_end(process)
    assert process.returncode == 2 and "MASTER_ADDR is not set" in words


def test_going_on_with_steps_of_another_size_is_refused(tmp_path, model):
    settings = {"method": METHODS["lora"][0], "train": {"max_steps": 100000, "global_batch_size": None}}
    process = support.start("train", prepare(tmp_path, model, 2, **settings))
    support.wait_for_step(process, tmp_path / "run", 3)
    process.terminate()
    support.words_at_end(process)
    refused("train", prepare(tmp_path, model, 1, **settings), words=["4 examples", "1 process", "train.global_batch_size=4"], code=2)
    refused("train", prepare(tmp_path, model, 3, **settings), words=["4 examples", "3 processes", "train.global_batch_size=4"], code=2)
