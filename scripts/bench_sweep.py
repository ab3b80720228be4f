"""How long a sweep of eight points takes beside eight separate runs, one and several points at a time, and whether the results are
the same bits.

    .venv/bin/python scripts/bench_sweep.py MODEL DATA [--steps N] [--rounds N] [--at-a-time N …]

MODEL is the frozen base, DATA a file in the Alpaca format. Every way takes its turn in each round; the medians are printed.
Separate runs have every core, as has a point of a sweep that trains one at a time; points at a time share the cores.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
POINTS = {"method.type": ["excitor", "lora"], "train.learning_rate": [1e-3, 3e-3], "train.seed": [0, 1]}


def program():
    return os.environ.get("EXCITOR_BIN", str(REPOSITORY / "build/release/excitor"))


def write_configuration(folder, options):
    configuration = {
        "model": {"path": str(pathlib.Path(options.model).resolve())},
        "method": {"type": "excitor", "adapter_len": 30, "adapter_layers": 6, "r": 16},
        "data": {"train": [{"path": str(pathlib.Path(options.data).resolve()), "format": "alpaca"}], "val_size": 40, "max_seq_length": 512},
        "train": {"max_steps": options.steps, "micro_batch_size": 8},
        "eval": {"health": False},
        "sweep": POINTS,
        "output_dir": "sweep",
    }
    file = folder / "sweep.json"
    file.write_text(json.dumps(configuration))
    return file


def timed(*arguments, threads=None):
    environment = dict(os.environ, **({"OMP_NUM_THREADS": str(threads)} if threads else {}))
    start = time.perf_counter()
    subprocess.run([program(), *map(str, arguments)], check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def points_of(file):
    """The folder name of each point, and its settings as overrides."""
    listed = subprocess.run([program(), "sweep", file, "--dry-run"], check=True, capture_output=True, text=True).stdout
    for line in listed.splitlines():
        name, settings = line.split(" ", 1)
        yield name, [f"{key}={json.dumps(value)}" for key, value in json.loads(settings).items()]


def run_apart(file, folder, threads):
    return sum(timed("train", file, "sweep=null", f"output_dir={folder / name}", *settings, threads=threads) for name, settings in points_of(file))


def run_sweep(file, folder, at_a_time, threads):
    return timed("sweep", file, f"output_dir={folder}", f"sweep.parallel={at_a_time}", threads=threads)


def weights(folder):
    return {run.name: (run / "adapter/adapter_model.safetensors").read_bytes() for run in folder.iterdir() if (run / "adapter").is_dir()}


def ways_of(options):
    """Name, points at a time (0: separate runs), threads of each process (None: what the program takes)."""
    yield "separate runs", 0, None
    yield "sweep", 1, None
    cores = len(os.sched_getaffinity(0))
    for count in options.at_a_time:
        yield f"sweep, {count} at a time, cores shared", count, None
        yield f"sweep, {count} at a time, {cores} threads each", count, cores


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--at-a-time", type=int, nargs="*", default=[2])
    options = parser.parse_args()
    ways, seconds, made = list(ways_of(options)), {}, {}
    for _ in range(options.rounds):
        for name, at_a_time, threads in ways:
            with tempfile.TemporaryDirectory() as folder:
                folder = pathlib.Path(folder)
                file = write_configuration(folder, options)
                out = folder / "out"
                taken = run_sweep(file, out, at_a_time, threads) if at_a_time else run_apart(file, out, threads)
                seconds.setdefault(name, []).append(taken)
                made[name] = weights(out / "runs" if at_a_time else out)
                shutil.rmtree(out)
    apart = statistics.median(seconds["separate runs"])
    print(f"{len(made['sweep'])} points of {options.steps} steps, {options.rounds} rounds, load {os.getloadavg()[0]:.1f}")
    for name, _, _ in ways:
        median = statistics.median(seconds[name])
        bits = "the same bits" if made[name] == made["separate runs"] else "other bits"
        print(f"{name:45} {median:7.1f} s  {median / apart:.2f} of separate runs  {bits}")


if __name__ == "__main__":
    main()
