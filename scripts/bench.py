#!/usr/bin/env python3
"""Measures training, ours beside Hugging Face PEFT on the same model, data and batches, and prints the table of the README.

    scripts/bench.sh [--steps 12] [--rounds 1] [--only lora excitor] [--types fp32 bf16] [--peer-dir ../shared/bench]

Needs a folder with make_model.py (writes a random LLaMA of 134 M parameters) and peer_peft.py (times PEFT). Each round
runs every program once, one after the other, so that a change of the machine's speed meets all of them; the table shows
medians over the rounds. Tokens are real ones, without padding; the first two steps are not counted. Run it on an idle
machine.
"""
import argparse
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
WARM_STEPS = 2
DTYPES = {"fp32": "float32", "bf16": "bfloat16"}


@dataclasses.dataclass(frozen=True)
class Run:
    """One line of the table: our `method` section, and PEFT's method where it has one."""
    title: str
    method: dict
    peer: str | None = None
    adapted_layers: int | None = None  # the backward pass ends at the lowest of them; None: all layers

    @property
    def trains_everything(self):
        return self.method["type"] == "full"


RUNS = {
    "lora": Run("LoRA r16, all linears", {"type": "lora", "r": 16, "lora_alpha": 32, "target_modules": "all-linear"}, "lora"),
    "adapter": Run("Adapter, 10 layers", {"type": "adapter", "adapter_len": 10, "adapter_layers": 10, "gate": "per_layer",
                                          "gate_activation": "none"}, "adaption_prompt", 10),
    "full": Run("full", {"type": "full"}, "full"),
    "excitor": Run("Excitor, 10 layers", {"type": "excitor", "adapter_layers": 10}, None, 10),
}


def run(command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nfailed:\n{done.stderr[-2000:]}")
    return done.stdout


# --- measuring -----------------------------------------------------------------------------------------------------------------

def measure_ours(a, model, method, dtype):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        config = {
            "model": {"path": str(model), "dtype": dtype},
            "method": method,
            "data": {"train": [{"path": str(a.data.resolve()), "format": "alpaca"}], "shuffle": False, "max_seq_length": 512},
            "train": {"max_steps": a.steps, "learning_rate": 1e-3, "lr_scheduler_type": "constant", "warmup_ratio": 0,
                      "micro_batch_size": a.batch, "max_grad_norm": 0, "weight_decay": 0.01},
            "eval": {"eval_steps": a.steps, "health": False},
            "distributed": {"device": "cpu"},
            "output_dir": str(folder / "run"),
        }
        file = folder / "run.json"
        file.write_text(json.dumps(config))
        run([a.program, "train", file])
        events = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]
    steps = [e for e in events if e["event"] == "step"]
    timed = steps[WARM_STEPS:]
    tokens = sum(e["tokens"] for e in timed)
    return {
        "tokens_per_second": tokens / sum(e["seconds"] for e in timed),
        "label_share": sum(e["label_tokens"] for e in timed) / tokens,
        "mean_length": tokens / len(timed) / a.batch,
        "peak_bytes": events[-1]["peak_memory_bytes"],
        "startup_seconds": events[0]["startup_seconds"],
        "trainable": events[0]["trainable_parameters"],
        "losses": [e["loss"] for e in steps],
    }


def measure_peer(a, model, method, dtype):
    out = run([sys.executable, a.peer_dir / "peer_peft.py", model, a.data, "--method", method, "--steps", a.steps, "--batch", a.batch,
               "--warm", WARM_STEPS, "--dtype", dtype])
    return json.loads(out.splitlines()[-1])


def measure(a, model):
    """{(name, type, "ours" | "peft"): [a result for each round]}, and {type: [GFLOP/s of matrix products]}"""
    results, rates = {}, {}
    for _ in range(a.rounds):
        for kind in a.types:
            rates.setdefault(kind, []).append(json.loads(run([a.program, "doctor", "--json"]))["gflops"][kind])
            for name in a.only:
                results.setdefault((name, kind, "ours"), []).append(measure_ours(a, model, RUNS[name].method, DTYPES[kind]))
                if RUNS[name].peer:
                    results.setdefault((name, kind, "peft"), []).append(measure_peer(a, model, RUNS[name].peer, DTYPES[kind]))
    return results, rates


def median(results, key):
    return statistics.median(r[key] for r in results)


# --- the floor -----------------------------------------------------------------------------------------------------------------

def floor_tokens_per_second(shape, run, result, gflops):
    """What the matrix products that can't be avoided allow: forward 2N, backward 2N through the layers above the lowest
    adapted one, 6 a trainable parameter (2 of them in place of frozen ones for full), output layer for label rows alone,
    causal attention."""
    hidden, layers = shape["hidden_size"], shape["num_hidden_layers"]
    keys = hidden * shape["num_key_value_heads"] // shape["num_attention_heads"]
    layer = 2 * hidden * (hidden + keys) + 3 * hidden * shape["intermediate_size"] + hidden * result["mean_length"]
    output = hidden * shape["vocab_size"] * result["label_share"]
    passes = 6 if run.trains_everything else 4
    adapted = run.adapted_layers or layers
    trainable = 0 if run.trains_everything else 6 * result["trainable"]
    flops = passes * (adapted * layer + output) + 2 * (layers - adapted) * layer + trainable
    return gflops * 1e9 / flops


# --- the table -----------------------------------------------------------------------------------------------------------------

def ratio_cell(ours, peer, digits):
    return f"{ours:.{digits}f} | {peer:.{digits}f} | **{ours / peer:.2f}**" if peer else f"{ours:.{digits}f} | | "


def row(name, kind, results, floor):
    ours, peer = results[name, kind, "ours"], results.get((name, kind, "peft"))
    cells = []
    for key, scale, digits in (("tokens_per_second", 1, 0), ("peak_bytes", 2**30, 2), ("startup_seconds", 1, 2)):
        cells.append(ratio_cell(median(ours, key) / scale, median(peer, key) / scale if peer else None, digits))
    return f"| {RUNS[name].title} | {kind} | {' | '.join(cells)} | {median(ours, 'tokens_per_second') / floor:.0%} |"


def remarks(a, results):
    """Ratios that stand across the rows."""
    for kind in a.types:
        lora, excitor = results.get(("lora", kind, "ours")), results.get(("excitor", kind, "ours"))
        if lora and excitor:
            seconds = median(lora, "tokens_per_second") / median(excitor, "tokens_per_second")
            memory = median(excitor, "peak_bytes") / median(lora, "peak_bytes")
            yield f"Excitor takes {seconds:.2f} times the time and {memory:.2f} times the memory of our LoRA ({kind})."
    for name in a.only:
        peers = [median(results[name, kind, "peft"], "tokens_per_second") for kind in a.types if (name, kind, "peft") in results]
        if len(peers) == 2:
            ours = median(results[name, "bf16", "ours"], "tokens_per_second")
            yield f"{RUNS[name].title} in bf16 makes {ours / max(peers):.2f} times the tokens/s of PEFT's better of fp32 and bf16."
    for name, kind, side in results:
        if side == "peft" and RUNS[name].method["type"] != "adapter":  # whose prompts begin at random values
            ours, peer = results[name, kind, "ours"][0]["losses"][0], results[name, kind, "peft"][0]["losses"][0]
            yield f"{RUNS[name].title}, {kind}: the first loss differs by {abs(ours / peer - 1):.1e} of itself."


def print_table(a, shape, results, rates):
    rate = {kind: max(values) for kind, values in rates.items()}
    measured = ", ".join(f"{kind} {value:.0f}" for kind, value in rate.items())
    print(f"\nLLaMA with 134 M parameters, Alpaca in batches of {a.batch}, {a.steps} steps, {a.rounds} round(s), "
          f"{len(os.sched_getaffinity(0))} cores; matrix products in GFLOP/s: {measured}\n")
    print("| method | type | tokens/s | PEFT | ratio | peak GiB | PEFT | ratio | start s | PEFT | ratio | of the floor |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for name in a.only:
        for kind in a.types:
            floor = floor_tokens_per_second(shape, RUNS[name], results[name, kind, "ours"][0], rate[kind])
            print(row(name, kind, results, floor))
    print()
    for remark in remarks(a, results):
        print(f"- {remark}")


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", default=ROOT / "build/release/excitor", type=pathlib.Path)
    p.add_argument("--peer-dir", default=ROOT.parent / "shared/bench", type=pathlib.Path)
    p.add_argument("--data", default=ROOT.parent / "shared/data/alpaca_800.json", type=pathlib.Path)
    p.add_argument("--steps", type=int, default=12)
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--rounds", type=int, default=1)
    p.add_argument("--only", nargs="+", default=list(RUNS), choices=list(RUNS), help="which rows")
    p.add_argument("--types", nargs="+", default=list(DTYPES), choices=list(DTYPES), help="types of the model")
    a = p.parse_args()
    for needed in (a.program, a.peer_dir / "make_model.py", a.peer_dir / "peer_peft.py", a.data):
        if not needed.exists():
            sys.exit(f"bench: {needed} is not there; name it: --program, --peer-dir, --data")
    if a.steps <= WARM_STEPS:
        sys.exit(f"bench: --steps {a.steps}: the first {WARM_STEPS} are not counted; expected more")
    return a


def main():
    a = arguments()
    model = ROOT / ".cache/bench-134m"
    if not (model / "config.json").exists():
        run([sys.executable, a.peer_dir / "make_model.py", model])
    results, rates = measure(a, model)
    print_table(a, json.loads((model / "config.json").read_text()), results, rates)


if __name__ == "__main__":
    main()
