#!/usr/bin/env python3
"""Proves over minutes what the tests prove in seconds: that a run survives being killed, and does not grow.

    scripts/endurance.py CONFIG [a.b=value …] [--kills 50] [--terminations 20] [--steps 60] [--growth-steps 1000] [--only kill terminate growth evaluation]

kill       a run that saves after each step is killed (kill -9) at that many random moments and started again each time; at the
           end its weights and its recorded steps must equal, bit for bit, those of a run that nobody disturbed.
terminate  the same with SIGTERM, which must end with 143 and a checkpoint.
growth     peak memory after --growth-steps steps beside that after 50.
evaluation peak memory of --steps steps with the evaluations of the configuration after each, beside that without any. The
           configuration names data.validation: data.val_size would train on other examples.
"""
import argparse
import json
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TIMES = ("seconds", "tokens_per_second", "peak_memory_bytes")


def command(a, output, steps, *more):
    return [str(a.program), "train", str(a.config), *a.overrides, f"output_dir={output}", f"train.max_steps={steps}", *more]


def finish(words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}\nended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done.stderr


def events(run, kind):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows if row["event"] == kind]


def outcome(run):
    result = run / "adapter/adapter_model.safetensors"
    return (result if result.exists() else run / "model/model.safetensors").read_bytes(), events(run, "step"), events(run, "eval")


def disturb(a, folder, signal_number, times, reference, seconds_of_a_run):
    """Starts and stops a run until it was stopped `times` times, in as many runs as that takes."""
    stopped = completed = 0
    chance = random.Random(a.seed)
    while stopped < times:
        run = folder / f"{signal_number.name}-{completed}"
        while True:
            process = subprocess.Popen(command(a, run, a.steps, "checkpoint.save_steps=1"), stderr=subprocess.PIPE, text=True)
            try:
                _, words = process.communicate(timeout=chance.uniform(0.05, seconds_of_a_run) if stopped < times else None)
            except subprocess.TimeoutExpired:
                process.send_signal(signal_number)
                _, words = process.communicate()
                if process.returncode == 0:
                    break
                expected = (-9,) if signal_number == signal.SIGKILL else (143, -15)  # -15: before the run had begun
                assert process.returncode in expected, f"ended with {process.returncode}:\n{words}"
                stopped += 1
                continue
            already = process.returncode == 2 and "holds this run, finished" in words  # stopped after the end was written
            assert process.returncode == 0 or already, f"ended with {process.returncode}:\n{words}"
            break
        assert outcome(run) == reference, f"{run} differs from the undisturbed run"
        completed += 1
    print(f"{signal_number.name}: stopped {stopped} times in {completed} runs of {a.steps} steps; all ended as the undisturbed run did")


def growth(a, folder):
    run = folder / "growth"
    finish(command(a, run, a.growth_steps))
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    peak = {row["step"]: row["peak_memory_bytes"] for row in rows if row["event"] == "step"}
    grown = peak[a.growth_steps] / peak[50] - 1
    print(f"memory: peak {peak[50] / 2**20:.0f} MiB after step 50, {peak[a.growth_steps] / 2**20:.0f} MiB after step {a.growth_steps}: {grown:+.2%}")


def evaluation(a, folder):
    peak = {}
    for name, more in {"without": ["data.validation=[]", "eval={}"], "with": ["eval.eval_steps=1"]}.items():
        run = folder / f"{name}-evaluation"
        finish(command(a, run, a.steps, *more))
        peak[name] = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["peak_memory_bytes"]
    print(f"evaluation: peak {peak['without'] / 2**20:.0f} MiB without, {peak['with'] / 2**20:.0f} MiB with: {peak['with'] / peak['without'] - 1:+.2%}")


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("config", type=pathlib.Path)
    p.add_argument("overrides", nargs="*")
    p.add_argument("--program", default=ROOT / "build/release/excitor", type=pathlib.Path)
    p.add_argument("--kills", type=int, default=50)
    p.add_argument("--terminations", type=int, default=20)
    p.add_argument("--steps", type=int, default=60)
    p.add_argument("--growth-steps", type=int, default=1000)
    p.add_argument("--only", nargs="+", choices=["kill", "terminate", "growth", "evaluation"], default=["kill", "terminate", "growth"])
    p.add_argument("--seed", type=int, default=time.time_ns())
    return p.parse_intermixed_args()


def main():
    a = arguments()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        if {"kill", "terminate"} & set(a.only):
            print(f"seed {a.seed}")
            begin = time.monotonic()
            finish(command(a, folder / "reference", a.steps))
            seconds = time.monotonic() - begin
            reference = outcome(folder / "reference")
            if "kill" in a.only:
                disturb(a, folder, signal.SIGKILL, a.kills, reference, seconds)
            if "terminate" in a.only:
                disturb(a, folder, signal.SIGTERM, a.terminations, reference, seconds)
        if "growth" in a.only:
            growth(a, folder)
        if "evaluation" in a.only:
            evaluation(a, folder)


if __name__ == "__main__":
    main()
