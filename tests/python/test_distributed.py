"""Many processes train as one does: the same losses and weights, whoever starts them; signals, checkpoints and folders as ever."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

import pytest
import safetensors.torch

import integration_support as support
from integration_support import configuration, metrics, write_run
from program import find_program, run_excitor

METHODS = {
    # At the start W_up is zero: every token's key gets the same change, which a softmax over keys does not see, so prompts and gates
    # have no gradient. Computed in fp64 (reference_training.py) it is below 2e-13, in fp32 3e-9 to 5e-9 of rounding, beside 5e-2 of
    # W_up. Of that, Adam with its usual epsilon of 1e-8 makes a third of a whole step, in a direction that the order of the sums
    # decides: at a learning rate of 1e-2 weights then differ by 2e-4, by as much as another split into micro-batches of one process.
    "excitor": ({"type": "excitor", "adapter_len": 3, "adapter_layers": 2, "r": 2}, {"learning_rate": 1e-3, "adam_epsilon": 1e-6}),
    "adapter": ({"type": "adapter", "adapter_len": 3, "adapter_layers": 2}, {}),
    # A bias that all keys have is seen as far as positions turn it: where they turn slowly its gradient is small. At 1e-2 two splits of
    # one process differ by up to 7e-6, and four processes by 1e-5.
    "adapter_v2": ({"type": "adapter_v2", "adapter_len": 3, "adapter_layers": 1, "lora_r": 2}, {"learning_rate": 1e-3}),
    "lora": ({"type": "lora", "r": 2, "lora_dropout": 0.2, "target_modules": "all-linear"}, {}),
}
SETTINGS = {"max_steps": 20, "micro_batch_size": 2, "global_batch_size": 8, "learning_rate": 0.01}


@pytest.fixture(scope="module")
def model(tmp_path_factory, tokenizer_file):
    return support.write_model(tmp_path_factory.mktemp("good") / "model", tokenizer_file)


def steps_of(run):
    return [row for row in metrics(run) if row["event"] == "step"]


def weights_of(run):
    return safetensors.torch.load_file(run / "adapter" / "adapter_model.safetensors")


def prepare(folder, model, processes, **sections):
    sections["train"] = SETTINGS | sections.get("train", {})
    sections["distributed"] = {"devices": processes} | sections.get("distributed", {})
    return write_run(folder, configuration(model, **sections))


def train(folder, model, processes, **sections):
    return folder / "run", run_excitor("train", prepare(folder, model, processes, **sections)).stderr


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def variables(rank, size, port, **others):
    return {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)} | others


def assert_same(run, reference, *, losses=1e-6, weights=1e-5):
    steps, expected = steps_of(run), steps_of(reference)
    assert len(steps) == len(expected)
    for step, one in zip(steps, expected):
        assert step["loss"] == pytest.approx(one["loss"], rel=losses)
        assert {key: step[key] for key in ("step", "epoch", "learning_rate", "tokens", "label_tokens")} == \
               {key: one[key] for key in ("step", "epoch", "learning_rate", "tokens", "label_tokens")}
    trained, wanted = weights_of(run), weights_of(reference)
    assert set(trained) == set(wanted)
    for name, tensor in wanted.items():
        assert (trained[name] - tensor).abs().max() <= weights * tensor.abs().max(), name


LAYOUTS = {"packed": {"packing": True}, "unpacked": {"packing": False}}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("method", METHODS)
def test_two_and_four_processes_train_as_one(tmp_path, model, method, layout):
    section, settings = METHODS[method]
    runs = {count: train(tmp_path / str(count), model, count, method=section, train=settings, data=LAYOUTS[layout])[0] for count in (1, 2, 4)}
    assert_same(runs[2], runs[1])
    assert_same(runs[4], runs[1])


def test_neither_the_split_into_micro_batches_nor_a_short_last_batch_matters(tmp_path, model):
    """13 examples in steps of 6: in the last step of an epoch the fourth process has none."""
    rows = support.ROWS[:13]
    runs = []
    for number, (processes, micro_batch) in enumerate([(1, 6), (1, 1), (2, 3), (3, 1), (6, 1)]):
        folder = tmp_path / str(number)
        file = prepare(folder, model, processes, method=METHODS["lora"][0],
                       train={"micro_batch_size": micro_batch, "global_batch_size": 6, "max_steps": 9})
        write_run(folder, file.read_text(), rows)
        run_excitor("train", file)
        runs.append(folder / "run")
    assert {row["label_tokens"] for row in steps_of(runs[0])} != {steps_of(runs[0])[0]["label_tokens"]}
    for run in runs[1:]:
        assert_same(run, runs[0])


def test_accumulation_and_processes_make_up_the_global_batch(tmp_path, model):
    one, _ = train(tmp_path / "one", model, 1, train={"global_batch_size": None, "gradient_accumulation_steps": 4})
    two, _ = train(tmp_path / "two", model, 2, train={"global_batch_size": None, "gradient_accumulation_steps": 2})
    assert [row["label_tokens"] for row in steps_of(one)] == [row["label_tokens"] for row in steps_of(two)]


def test_evaluation_forgetting_and_the_best_are_the_same(tmp_path, model):
    (tmp_path / "held_out.txt").write_text("The fox counts seven stones.\n\nMy sister paints a green boat.\n\nAt once!\n")
    sections = dict(method=METHODS["lora"][0], data={"val_size": 5},
                    eval={"eval_steps": 5, "forgetting": {"path": str(tmp_path / "held_out.txt")}, "sample_prompts": ["The fox"], "sample_max_new_tokens": 4},
                    checkpoint={"load_best_model_at_end": True})
    one, _ = train(tmp_path / "one", model, 1, **sections)
    four, _ = train(tmp_path / "four", model, 4, **sections)
    keys = ("eval_loss", "base_loss", "held_out_loss", "held_out_base_loss")
    for ours, expected in zip(*[[row for row in metrics(run) if row["event"] == "eval"] for run in (four, one)], strict=True):
        assert ours["label_tokens"] == expected["label_tokens"] and ours["samples"] == expected["samples"]
        for key in keys:
            assert ours[key] == pytest.approx(expected[key], rel=1e-6)
        assert ours["kl"] == pytest.approx(expected["kl"], rel=1e-3, abs=1e-7)
    assert_same(four, one)


def test_the_log_names_the_processes_and_what_they_add_up(tmp_path, model):
    run, words = train(tmp_path, model, 2, method=METHODS["lora"][0])
    [start] = [row for row in metrics(run) if row["event"] == "start"]
    assert start["processes"] == 2 and start["examples_per_step"] == 8
    trainables = 4 * start["trainable_parameters"]
    assert trainables < start["reduced_bytes_per_step"] <= trainables + 4 * (len(weights_of(run)) + 16)
    assert f"{start['reduced_bytes_per_step']} bytes in one all-reduce" in words
    assert re.search(r"2 processes with 1 threads each: rank 0 \(.*process \d+\), rank 1 \(", words)
    assert words.count("the adapter lies in") == 1
    assert "ready after" in (run / "log.txt").read_text() and "ready after" in (run / "log-rank-1.txt").read_text()


def test_two_machines_with_torchruns_variables_and_folders_of_their_own(tmp_path, model):
    one, _ = train(tmp_path / "one", model, 1, method=METHODS["lora"][0])
    port, processes = free_port(), []
    for rank in (0, 1):
        file = prepare(tmp_path / f"machine{rank}", model, "auto", method=METHODS["lora"][0])
        processes.append(support.start("train", file, cwd=tmp_path / f"machine{rank}", env=variables(rank, 2, port)))
    for process in processes:
        words = support.words_at_end(process)
        assert process.returncode == 0, words
    assert_same(tmp_path / "machine0/run", one)
    assert sorted(path.name for path in (tmp_path / "machine1/run").iterdir()) == ["log-rank-1.txt"]


def starters():
    """Programs that start processes, with the words in front of ours."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d",
                "--rdzv-endpoint", "127.0.0.1:0", "--no-python"]
    mpirun = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", "2", "-x", f"MASTER_PORT={free_port()}"]
    return {"torchrun": torchrun, "mpirun": mpirun}


@pytest.mark.parametrize("starter", ["torchrun", "mpirun"])
def test_torchrun_and_mpirun_themselves(tmp_path, model, starter):
    command = starters()[starter]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{starter} is not installed")
    settings = {"max_steps": 2, "micro_batch_size": 4}
    one, _ = train(tmp_path / "one", model, 1, method=METHODS["lora"][0], train=settings)
    file = prepare(tmp_path / "two", model, "auto", method=METHODS["lora"][0], train=settings)
    done = subprocess.run([*command, str(find_program()[0]), "train", str(file)], capture_output=True, text=True, cwd=tmp_path,
                          env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=support.PATIENCE)
    assert done.returncode == 0, done.stderr
    assert_same(tmp_path / "two/run", one)


@pytest.mark.parametrize("starter", ["slurm", "open_mpi"])
def test_ranks_from_the_variables_of_srun_and_mpirun(tmp_path, model, starter):
    port = free_port()
    environments = {
        "slurm": lambda rank: {"SLURM_PROCID": str(rank), "SLURM_STEP_NUM_TASKS": "2", "SLURM_LOCALID": str(rank), "SLURM_JOB_ID": "7",
                               "SLURM_STEP_ID": "0", "SLURM_STEP_NODELIST": "localhost", "MASTER_PORT": str(port)},
        "open_mpi": lambda rank: {f"OMPI_COMM_WORLD_{name}": value for name, value in
                                  {"RANK": str(rank), "SIZE": "2", "LOCAL_RANK": str(rank), "LOCAL_SIZE": "2"}.items()} | {"MASTER_PORT": str(port)}}
    file = prepare(tmp_path, model, "auto", train={"max_steps": 2})
    processes = [support.start("train", file, env=environments[starter](rank)) for rank in (0, 1)]
    for process in processes:
        words = support.words_at_end(process)
        assert process.returncode == 0, words
    assert len(steps_of(tmp_path / "run")) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_goes_on_with_another_number_of_processes(tmp_path, model, number):
    settings = {"method": METHODS["lora"][0], "train": {"max_steps": 60}}
    reference, _ = train(tmp_path / "reference", model, 1, **settings)
    process = support.start("train", prepare(tmp_path / "cut", model, 2, **settings))
    run = tmp_path / "cut/run"
    support.wait_for_step(process, run, 3)
    process.send_signal(number)
    words = support.words_at_end(process)
    assert process.returncode == 128 + number, words
    assert words.count("the same command goes on from") == 1
    done = run_excitor("train", prepare(tmp_path / "cut", model, 4, **settings))
    assert "it goes on after step" in done.stderr
    assert_same(run, reference, losses=2e-6, weights=3e-5)


def test_a_signal_to_one_rank_stops_all_at_the_same_step(tmp_path, model):
    file = prepare(tmp_path, model, 2, method=METHODS["lora"][0], train={"max_steps": 100000})
    process = support.start("train", file)
    support.wait_for_step(process, tmp_path / "run", 3)
    ranks = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    os.kill(int(ranks[1]), signal.SIGTERM)
    words = support.words_at_end(process)
    assert process.returncode == 143, words
    assert len(list((tmp_path / "run/checkpoints").glob("step-*"))) == 1


def test_sigusr1_saves_and_goes_on(tmp_path, model):
    file = prepare(tmp_path, model, 2, method=METHODS["lora"][0], train={"max_steps": 100000})
    process = support.start("train", file)
    support.wait_for_step(process, tmp_path / "run", 3)
    process.send_signal(signal.SIGUSR1)
    count = len(steps_of(tmp_path / "run"))
    support.wait_for_step(process, tmp_path / "run", count + 50)
    assert len(list((tmp_path / "run/checkpoints").glob("step-*"))) == 1
    process.terminate()
    support.words_at_end(process)
    assert process.returncode == 143
