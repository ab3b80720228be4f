#!/usr/bin/env python3
"""Measures training speed and memory, ours beside Hugging Face PEFT on the same model, data and batches.

    scripts/bench.sh [--peer-dir ../shared/bench] [--data ../shared/data/alpaca_800.json] [--rounds 1] [--steps 12]

Needs a folder with make_model.py (writes a random LLaMA of 134 M parameters) and peer_peft.py (times PEFT). Each round
runs every program once, one after the other, so that a change of the machine's speed meets all of them; the table shows
medians over the rounds and ratios within a round. Tokens are real ones; the first two steps are not counted.
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

# name -> (our `method` section, the peer's --method, or None where it has none)
RUNS = {
    "lora r16 all linears": ({"type": "lora", "r": 16, "lora_alpha": 32, "target_modules": "all-linear"}, "lora"),
    "excitor 10 layers": ({"type": "excitor", "adapter_layers": 10}, None),
    "full": ({"type": "full"}, "full"),
}


def run(command, env=None):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=env)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nfailed:\n{done.stderr[-2000:]}")
    return done.stdout


def ours(program, model, data, method, steps, batch, folder):
    config = {
        "model": {"path": str(model), "dtype": "float32"},
        "method": method,
        "data": {"train": [{"path": str(data), "format": "alpaca"}], "shuffle": False, "max_seq_length": 512},
        "train": {"max_steps": steps, "learning_rate": 1e-3, "lr_scheduler_type": "constant", "warmup_ratio": 0,
                  "micro_batch_size": batch, "max_grad_norm": 0, "weight_decay": 0.01},
        "output_dir": str(folder / "run"),
    }
    file = folder / "run.json"
    file.write_text(json.dumps(config))
    run([program, "train", file])
    events = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]
    timed = [e for e in events if e["event"] == "step"][WARM_STEPS:]
    return {
        "tokens_per_second": sum(e["tokens"] for e in timed) / sum(e["seconds"] for e in timed),
        "peak_bytes": events[-1]["peak_memory_bytes"],
        "startup_seconds": events[0]["startup_seconds"],
        "losses": [e["loss"] for e in events if e["event"] == "step"],
    }


def peer(peer_dir, model, data, method, steps, batch, env):
    out = run([sys.executable, peer_dir / "peer_peft.py", model, data, "--method", method, "--steps", steps, "--batch", batch,
               "--warm", WARM_STEPS], env)
    return json.loads(out.splitlines()[-1])


def median(results, key):
    return statistics.median(r[key] for r in results)


def row(name, results):
    return (f"| {name:<28} | {median(results, 'tokens_per_second'):8.0f} | {median(results, 'peak_bytes') / 2**30:7.2f} "
            f"| {median(results, 'startup_seconds'):6.2f} |")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", default=ROOT / "build/release/excitor", type=pathlib.Path)
    p.add_argument("--peer-dir", default=ROOT.parent / "shared/bench", type=pathlib.Path)
    p.add_argument("--data", default=ROOT.parent / "shared/data/alpaca_800.json", type=pathlib.Path)
    p.add_argument("--steps", type=int, default=12)
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--rounds", type=int, default=1)
    p.add_argument("--only", nargs="*", default=list(RUNS), help="names of the runs")
    a = p.parse_args()
    for needed in (a.program, a.peer_dir / "make_model.py", a.peer_dir / "peer_peft.py", a.data):
        if not needed.exists():
            sys.exit(f"bench: {needed} is not there")
    model = ROOT / ".cache/bench-134m"
    if not (model / "config.json").exists():
        run([sys.executable, a.peer_dir / "make_model.py", model])

    results = {}
    for _ in range(a.rounds):
        for name in a.only:
            method, peer_method = RUNS[name]
            with tempfile.TemporaryDirectory() as folder:
                results.setdefault(name, []).append(
                    ours(a.program, model, a.data, method, a.steps, a.batch, pathlib.Path(folder)))
            if peer_method:
                results.setdefault("peft " + name, []).append(
                    peer(a.peer_dir, model, a.data, peer_method, a.steps, a.batch, os.environ))

    print(f"\n134 M parameters, fp32, Alpaca in batches of {a.batch}, {os.cpu_count()} cores, {a.rounds} round(s)\n")
    print("| program                      | tokens/s | GiB peak | start s |\n|---|---|---|---|")
    for name, measured in results.items():
        print(row(name, measured))
    print()
    for name in a.only:
        if "peft " + name not in results:
            continue
        pairs = list(zip(results[name], results["peft " + name]))
        for key, text in (("tokens_per_second", "tokens/s"), ("peak_bytes", "peak memory"), ("startup_seconds", "start-up")):
            print(f"{name}: {text} {statistics.median(o[key] / t[key] for o, t in pairs):.2f} x PEFT's")
        drift = max(abs(x / y - 1) for o, t in pairs for x, y in zip(o["losses"][:1], t["losses"][:1]))
        print(f"{name}: first loss differs by {drift:.1e} (relative)")
    if "excitor 10 layers" in results and "lora r16 all linears" in results:
        ratio = median(results["excitor 10 layers"], "tokens_per_second") / median(results["lora r16 all linears"], "tokens_per_second")
        print(f"excitor: {ratio:.2f} x the tokens/s of our lora")


if __name__ == "__main__":
    main()
