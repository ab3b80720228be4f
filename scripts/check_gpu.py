#!/usr/bin/env python3
"""Shows that a GPU computes what a CPU computes: drives the program on both, on the tiny model that the project ships.

    check_gpu.py [--program build/release/excitor] [--model models/tiny-world] [--only train resume …]

Every line is a claim with the figure that it was judged by; the exit status is 1 if one does not hold. Needs Python alone, and a
machine with a GPU.
"""
import argparse
import hashlib
import json
import math
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
METHODS = {
    "excitor": {"type": "excitor", "adapter_len": 10, "r": 8},
    "adapter": {"type": "adapter", "adapter_len": 10},
    "adapter_v2": {"type": "adapter_v2", "adapter_len": 10},
    "lora": {"type": "lora", "r": 8, "target_modules": "all-linear"},
    "full": {"type": "full"},
}


class Checks:
    def __init__(self, options):
        self.options = options
        self.failed = 0
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="excitor-gpu-"))

    def say(self, holds, claim, figure=""):
        self.failed += not holds
        print(f"{'ok  ' if holds else 'FAIL'} {claim}{': ' if figure else ''}{figure}", flush=True)

    def run(self, *arguments, expect=0):
        done = subprocess.run([str(self.options.program), *map(str, arguments)], capture_output=True, text=True)
        if expect is not None and done.returncode != expect:
            print(f"{' '.join(map(str, arguments))}\nended with {done.returncode}:\n{done.stderr[-1500:]}", flush=True)
            raise RuntimeError("a command failed")
        return done

    # --- training ------------------------------------------------------------------------------------------------------------

    def config(self, name, device, method, **sections):
        config = {
            "model": {"path": str(self.options.model), "dtype": "float32"},
            "method": method,
            "data": {"train": [{"path": str(ROOT / "data/tiny-world/instructions.json"), "format": "alpaca"}], "max_seq_length": 128},
            "train": {"max_steps": 20, "learning_rate": 1e-3, "micro_batch_size": 8, "seed": 3},
            "eval": {"health": False},
            "distributed": {"device": device, "devices": 1},
            "output_dir": str(self.folder / name),
        }
        for section, values in sections.items():
            config[section] = {**config[section], **values} if section in config else values
        file = self.folder / f"{name}.json"
        file.write_text(json.dumps(config))
        return file

    def train(self, name, device, method, **sections):
        self.run("train", self.config(name, device, method, **sections))
        return self.losses(name)

    def losses(self, name):
        lines = (self.folder / name / "metrics.jsonl").read_text().splitlines()
        return [e["loss"] for e in map(json.loads, lines) if e["event"] == "step"]

    def digest(self, name):
        return hashlib.sha256((self.folder / name / "adapter/adapter_model.safetensors").read_bytes()).hexdigest()

    def check_train(self):
        """Same losses in fp32 for every method; bf16 near them."""
        for name, method in METHODS.items():
            cpu = self.train(f"cpu-{name}", "cpu", method)
            gpu = self.train(f"gpu-{name}", "cuda", method)
            worst = max(abs(a / b - 1) for a, b in zip(gpu, cpu, strict=True))
            self.say(worst < 2e-4, f"{name}: 20 losses in fp32 equal the CPU's", f"largest relative difference {worst:.1e}")
            half = self.train(f"gpu-bf16-{name}", "cuda", method, model={"dtype": "bfloat16"})
            worst = max(abs(a / b - 1) for a, b in zip(half, cpu, strict=True))
            self.say(worst < 5e-2, f"{name}: 20 losses in bf16 are near them", f"{worst:.1e}")

    def check_layout(self):
        """The mathematics of a step does not depend on how it is laid out."""
        lora = METHODS["lora"]
        packed = self.train("packed", "cuda", lora)
        variants = {
            "unpacked": {"data": {"packing": False}},
            "micro-batches of 2": {"train": {"micro_batch_size": 2, "gradient_accumulation_steps": 4}},
            "layers computed again": {"train": {"gradient_checkpointing": True}},
        }
        for title, sections in variants.items():
            other = self.train(title.replace(" ", "-"), "cuda", lora, **sections)
            worst = max(abs(a / b - 1) for a, b in zip(other, packed, strict=True))
            self.say(worst < 2e-4, f"{title}: same losses as packed", f"{worst:.1e}")
        half = {"train": {"precision": "fp16"}}
        losses = self.train("fp16", "cuda", lora, **half)
        worst = max(abs(a / b - 1) for a, b in zip(losses, packed, strict=True))
        self.say(worst < 2e-2, "fp16 with loss scaling: losses near fp32's", f"{worst:.1e}")

    def check_attention(self):
        """Long sequences of one length go another way than others: same losses."""
        rows = json.loads((ROOT / "data/tiny-world/instructions.json").read_text())
        text = " ".join(f"{row['instruction']} {row['output']}" for row in rows[:100])
        data = self.folder / "long.json"
        data.write_text(json.dumps([{"instruction": "Go on.", "input": "", "output": text}] * 40))
        long = {"data": {"train": [{"path": str(data), "format": "alpaca"}], "max_seq_length": 1025}, "train": {"micro_batch_size": 4},
                "model": {"dtype": "bfloat16"}}
        for name in ("lora", "excitor"):
            batched = self.train(f"batched-{name}", "cuda", METHODS[name], **long)
            fixed = {**long, "train": {**long["train"], "deterministic": True}}
            varied = self.train(f"varied-{name}", "cuda", METHODS[name], **fixed)
            worst = max(abs(a / b - 1) for a, b in zip(batched, varied, strict=True))
            self.say(worst < 1e-2, f"{name}: 4 sequences of 1,024 tokens, bf16: losses as with train.deterministic", f"{worst:.1e}")

    def check_resume(self):
        """With train.deterministic the same bits each time, stopped in between or not."""
        for name in ("lora", "excitor"):
            fixed = {"train": {"deterministic": True, "max_steps": 60}, "model": {"dtype": "bfloat16"}}
            self.train(f"whole-{name}", "cuda", METHODS[name], **fixed)
            file = self.config(f"stopped-{name}", "cuda", METHODS[name], **fixed, checkpoint={"save_steps": 5})
            process = subprocess.Popen([str(self.options.program), "train", str(file)], stderr=subprocess.DEVNULL)
            metrics = self.folder / f"stopped-{name}" / "metrics.jsonl"
            while process.poll() is None and (not metrics.exists() or metrics.read_text().count('"step"') < 25):
                time.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            process.wait()
            stopped = process.returncode == 143
            self.run("train", file)
            same = self.digest(f"whole-{name}") == self.digest(f"stopped-{name}")
            self.say(stopped and same, f"{name}: SIGTERM in the middle and again gives the bits of the undisturbed run",
                     f"stopped with {process.returncode}")

    def check_memory(self):
        """Out of memory: micro-batches are split, and the run goes on with the same losses."""
        lora = METHODS["lora"]
        large = {"data": {"max_seq_length": 512}, "train": {"micro_batch_size": 256, "max_steps": 3, "memory_probe": False}}
        free = self.train("free-memory", "cuda", lora, **large)
        total = json.loads(self.run("doctor", "--json").stdout)["cuda"]["gpus"][0]["total_bytes"]
        events = [json.loads(line) for line in (self.folder / "free-memory/metrics.jsonl").read_text().splitlines()]
        peak = next(e["peak_memory_bytes"] for e in events if e["event"] == "end")
        little = {**large, "distributed": {"gpu_memory_fraction": 0.6 * peak / total}}
        file = self.config("little-memory", "cuda", lora, **little)
        done = self.run("train", file, expect=None)
        split = "memory ran out; from here on" in done.stderr
        losses = self.losses("little-memory") if done.returncode == 0 else [math.inf] * len(free)
        worst = max(abs(a / b - 1) for a, b in zip(losses, free, strict=True))
        self.say(split and worst < 2e-4, "with 0.6 of the memory that it takes, a run splits its micro-batches and has the same losses",
                 f"{worst:.1e}" if done.returncode == 0 else done.stderr[-300:])

    # --- everything else -------------------------------------------------------------------------------------------------------

    def check_doctor(self):
        diagnosis = json.loads(self.run("doctor", "--json").stdout)
        print(json.dumps(diagnosis["cuda"]), flush=True)
        gpus = diagnosis["cuda"]["gpus"]
        self.say(bool(gpus) and all(g["correct"] for g in gpus), "doctor: known products come out right")
        self.say(bool(diagnosis["cuda"]["nccl"]), "doctor: NCCL is there", str(diagnosis["cuda"]["nccl"]))

    def logits(self, *options):
        file = self.folder / "logits.safetensors"
        self.run("inspect", "logits", self.options.model, "--ids", ",".join(map(str, range(1, 200))), "--output", file, *options)
        content = file.read_bytes()
        header = 8 + struct.unpack("<Q", content[:8])[0]
        return struct.unpack(f"<{(len(content) - header) // 4}f", content[header:])

    def check_logits(self):
        cpu = self.logits("--device", "cpu")
        norm = math.sqrt(sum(x * x for x in cpu))
        for options, bound in ((("--device", "cuda"), 2e-5), (("--device", "cuda", "--precision", "bf16"), 3e-2)):
            gpu = self.logits(*options)
            difference = math.sqrt(sum((a - b) ** 2 for a, b in zip(gpu, cpu, strict=True))) / norm
            self.say(difference < bound, f"inspect logits {' '.join(options)}", f"relative difference {difference:.1e}")

    def check_use(self):
        """Generation and evaluation."""
        adapter = self.folder / "cpu-excitor/adapter"
        if not adapter.exists():
            self.train("cpu-excitor", "cpu", METHODS["excitor"])
        prompts = ROOT / "data/tiny-world/instructions_held_out.json"
        answers = {}
        for device in ("cpu", "cuda"):
            out = self.run("generate", self.options.model, "--adapter", adapter, "--prompts", prompts, "--json", "--temperature", "0",
                           "--max-new-tokens", "24", "--device", device, "--dtype", "float32").stdout
            answers[device] = [json.loads(line)["token_ids"] for line in out.splitlines()]
        same = sum(a == b for a, b in zip(answers["cpu"], answers["cuda"], strict=True))
        self.say(same >= 0.98 * len(answers["cpu"]), "greedy answers equal the CPU's", f"{same} of {len(answers['cpu'])}")
        text = self.folder / "text.txt"
        rows = json.loads((ROOT / "data/tiny-world/instructions_held_out.json").read_text())
        text.write_text("\n\n".join(row["instruction"] + " " + row["output"] for row in rows))
        losses = {}
        for device in ("cpu", "cuda"):
            out = self.run("eval", self.options.model, "--adapter", adapter, "--task", f"perplexity={text}", "--json", "--device", device,
                           "--dtype", "float32").stdout
            task = json.loads(out)["tasks"][0]
            losses[device] = (task["metrics"]["loss"], task["base_metrics"]["loss"])
        worst = max(abs(a / b - 1) for a, b in zip(losses["cuda"], losses["cpu"]))
        self.say(worst < 2e-5, "eval: losses of base and adapter equal the CPU's", f"{worst:.1e}")

    def check_profile(self):
        self.train("profiled", "cuda", METHODS["lora"], logging={"profile": {"first_step": 5, "last_step": 6}})
        trace = self.folder / "profiled/trace.json"
        kernels = sum(e.get("cat") == "kernel" for e in json.loads(trace.read_text())["traceEvents"])
        self.say(kernels > 100, "logging.profile: the trace holds the GPU's kernels", str(kernels))


def main():
    names = [name.removeprefix("check_") for name in dir(Checks) if name.startswith("check_")]
    order = [n for n in ("doctor", "logits", "train", "layout", "attention", "resume", "memory", "use", "profile") if n in names]
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/excitor")
    p.add_argument("--model", type=pathlib.Path, default=ROOT / "models/tiny-world")
    p.add_argument("--only", nargs="+", choices=order, default=order)
    checks = Checks(p.parse_args())
    for name in checks.options.only:
        try:
            getattr(checks, f"check_{name}")()
        except Exception as error:  # the other checks are wanted all the same
            checks.say(False, name, f"{type(error).__name__}: {error}")
    sys.exit(1 if checks.failed else 0)


if __name__ == "__main__":
    main()
