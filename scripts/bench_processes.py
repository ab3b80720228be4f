#!/usr/bin/env python3
"""Speed and memory of two processes on this machine beside one, with the base whole and in parts.

    scripts/bench_processes.py MODEL DATA [--method lora] [--steps 12] [--rounds 2] [--set a.b=value …]

MODEL is the frozen base, DATA a file in the Alpaca format. One process has all cores, two share them; both train on the
same global batches. Memory is the peak of one process (of rank 0), files that are mapped included. Each way takes its turn in each
round; medians are printed, and the losses compared. The first two steps are not counted. Run it on an idle machine.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
WARM_STEPS = 2
WAYS = {
    "one process": {"train.micro_batch_size": 4},
    "two processes": {"distributed.devices": 2, "train.micro_batch_size": 2},
    "two processes, base in parts": {"distributed.devices": 2, "train.micro_batch_size": 2, "distributed.shard_base": True},
}
METHODS = {
    "lora": {"type": "lora", "r": 16, "lora_alpha": 32, "target_modules": "all-linear"},
    "excitor": {"type": "excitor", "adapter_layers": 10},
}


def train(a, folder, way):
    config = {
        "model": {"path": str(a.model.resolve()), "dtype": "float32"},
        "method": METHODS[a.method],
        "data": {"train": [{"path": str(a.data.resolve()), "format": "alpaca"}], "max_seq_length": 512},
        "train": {"max_steps": a.steps, "lr_scheduler_type": "constant", "warmup_ratio": 0},
        "eval": {"health": False, "eval_steps": a.steps},
        "distributed": {"device": "cpu"},
        "output_dir": str(folder / "run"),
    }
    (folder / "run.json").write_text(json.dumps(config))
    settings = [f"{key}={json.dumps(value)}" for key, value in WAYS[way].items()] + a.set
    done = subprocess.run([a.program, "train", folder / "run.json", *settings], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{way} failed:\n{done.stderr[-2000:]}")
    steps = [row for row in map(json.loads, (folder / "run/metrics.jsonl").read_text().splitlines()) if row["event"] == "step"]
    timed = steps[WARM_STEPS:]
    return {"tokens_per_second": sum(row["tokens"] for row in timed) / sum(row["seconds"] for row in timed),
            "peak": max(row["peak_memory_bytes"] for row in steps), "losses": [row["loss"] for row in steps]}


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=pathlib.Path)
    p.add_argument("data", type=pathlib.Path)
    p.add_argument("--program", default=ROOT / "build/release/excitor", type=pathlib.Path)
    p.add_argument("--method", default="lora", choices=METHODS)
    p.add_argument("--steps", type=int, default=12)
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--set", nargs="*", default=[], help="settings for all ways, as excitor train takes them")
    return p.parse_args()


def main():
    a = arguments()
    results = {way: [] for way in WAYS}
    for _ in range(a.rounds):
        for way in WAYS:
            with tempfile.TemporaryDirectory() as folder:
                results[way].append(train(a, pathlib.Path(folder), way))
    median = lambda way, key: statistics.median(result[key] for result in results[way])
    print(f"{a.method}, {a.steps} steps, {a.rounds} rounds, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
    for way in WAYS:
        speed, peak = median(way, "tokens_per_second"), median(way, "peak")
        off = max(abs(x / y - 1) for x, y in zip(results[way][0]["losses"], results["one process"][0]["losses"]))
        same = results[way][0]["losses"] == results["two processes"][0]["losses"]
        print(f"{way:30} {speed:7.0f} tokens/s ({speed / median('one process', 'tokens_per_second'):.2f})   "
              f"{peak / 2**20:6.0f} MiB a process ({peak / median('two processes', 'peak'):.2f} of the whole base's)   "
              f"losses {'the same bits as two processes' if same else f'within {off:.1e} of one process'}")


if __name__ == "__main__":
    main()
