"""Runs the program under test, and reads what it writes."""
import json
import os
import pathlib
import subprocess

import safetensors.torch
import torch

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def find_program():
    """The program and "", or None and the reason."""
    named = os.environ.get("EXCITOR_BIN")
    path = pathlib.Path(named) if named else REPOSITORY / "build/release/excitor"
    if not path.is_file():
        return None, f"{'EXCITOR_BIN: ' if named else ''}{path} does not exist"
    return (path, "") if os.access(path, os.X_OK) else (None, f"{path} cannot be executed")


def run_excitor(*arguments, check=True, timeout=120):
    """The finished process with its output as text; with `check`, a failure is an assertion that shows its words."""
    path, reason = find_program()
    assert path, reason
    environment = {"OMP_NUM_THREADS": "1"} | os.environ
    command = [str(path), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, timeout=timeout)
    if check:
        assert done.returncode == 0, f"{' '.join(command)}\nended with {done.returncode}:\n{done.stderr}"
    assert done.returncode >= 0, f"{' '.join(command)}\nwas killed by signal {-done.returncode}:\n{done.stderr}"
    return done


def inspect_logits(model, ids, output, adapter=None, precision=None):
    """Logits [T,V] of `excitor inspect logits`."""
    arguments = ["inspect", "logits", model, "--ids", ",".join(map(str, ids)), "--output", output]
    arguments += ["--adapter", adapter] if adapter else []
    arguments += ["--precision", precision] if precision else []
    run_excitor(*arguments)
    return safetensors.torch.load_file(output)["logits"]


def generate(model, *arguments, adapter=None):
    """One object a prompt of `excitor generate --json`."""
    chosen = ["--adapter", adapter] if adapter else []
    done = run_excitor("generate", model, *chosen, "--json", *arguments)
    return [json.loads(line) for line in done.stdout.splitlines()]


def train(folder, configuration):
    """Trains in `folder` as `configuration` says; returns the folder of the run."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "run.json"
    file.write_text(json.dumps({"output_dir": "run"} | configuration))
    run_excitor("train", file)
    return folder / "run"


def step_metrics(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["event"] == "step"]


def relative_error(actual, expected):
    """max |a − b| / max |b|"""
    actual, expected = torch.as_tensor(actual).double(), torch.as_tensor(expected).double()
    assert actual.shape == expected.shape, f"{tuple(actual.shape)} is not {tuple(expected.shape)}"
    return ((actual - expected).abs().max() / expected.abs().max()).item()


LARGEST = {}  # (test file, what) -> largest relative error seen


def assert_close(actual, expected, tolerance, what="logits"):
    error = relative_error(actual, expected)
    file = os.environ.get("PYTEST_CURRENT_TEST", "").split("::")[0].rpartition("/")[2]
    LARGEST[file, what] = max(error, LARGEST.get((file, what), 0))
    assert error <= tolerance, f"{what}: {error:.2e} relative, more than {tolerance:.0e}"
    return error
