#!/usr/bin/env python3
"""Measures training on a GPU, ours beside Hugging Face PEFT, on random weights in the shape of Llama-3.1-8B.

    bench_gpu.py --work FOLDER [--program build/release/excitor] [--peer peer_peft.py] [--data alpaca.json] [--tokenizer tokenizer.model]
                 [--rows joined|single] [--length 2048] [--batch 2] [--steps 12] [--runs ours-lora ours-excitor peft-lora]

The folder holds the 16 GB of weights (made once, by torch on the GPU) and the runs. Sequences are rows of Alpaca: joined until they are
`length` tokens long, so that nothing is padded on either side, or single ones as they are, which PEFT pads to the longest of a batch.
Activations are bf16, the first steps are not counted, tokens are real ones. Prints a table, and where the time of our LoRA goes.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHAPES = {
    "8b": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
           "vocab_size": 128256, "rope_theta": 500000.0},
    "1b": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8,
           "vocab_size": 128256, "rope_theta": 500000.0},
}
WARM_STEPS = 4
METHODS = {
    "lora": {"type": "lora", "r": 16, "lora_alpha": 32, "target_modules": "all-linear"},
    "excitor": {"type": "excitor", "adapter_len": 30, "adapter_layers": 30, "r": 16},
    "adapter": {"type": "adapter", "adapter_len": 10, "adapter_layers": 30},
}


def make_model(folder, shape):
    """Hugging Face files of random weights, a shard for each few layers."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    width, ffn = shape["hidden_size"], shape["intermediate_size"]
    keys = width // shape["num_attention_heads"] * shape["num_key_value_heads"]
    sizes = {"self_attn.q_proj": (width, width), "self_attn.k_proj": (keys, width), "self_attn.v_proj": (keys, width),
             "self_attn.o_proj": (width, width), "mlp.gate_proj": (ffn, width), "mlp.up_proj": (ffn, width), "mlp.down_proj": (width, ffn)}
    shards = [{"model.embed_tokens.weight": (shape["vocab_size"], width), "model.norm.weight": (width,)},
              {"lm_head.weight": (shape["vocab_size"], width)}]
    for layer in range(shape["num_hidden_layers"]):
        if layer % 8 == 0:
            shards.append({})
        for name in ("input_layernorm", "post_attention_layernorm"):
            shards[-1][f"model.layers.{layer}.{name}.weight"] = (width,)
        for name, size in sizes.items():
            shards[-1][f"model.layers.{layer}.{name}.weight"] = size
    torch.manual_seed(0)
    where = {}
    for i, shard in enumerate(shards, 1):
        file = f"model-{i:05d}-of-{len(shards):05d}.safetensors"
        tensors = {}
        for name, size in shard.items():
            norm = len(size) == 1
            tensors[name] = (torch.ones(size, dtype=torch.bfloat16) if norm
                             else torch.randn(size, dtype=torch.bfloat16, device="cuda").mul_(0.02).cpu())
            where[name] = file
        save_file(tensors, folder / file, {"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": 0}, "weight_map": where}))
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "bfloat16", "rms_norm_eps": 1e-5, "hidden_act": "silu",
              "max_position_embeddings": 8192, "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": False,
              "rope_parameters": {"rope_type": "default", "rope_theta": shape["rope_theta"]}, **shape}
    (folder / "config.json").write_text(json.dumps(config))


def make_data(source, target, characters):
    """Rows whose answers are the following rows' instructions and answers, longer than any `length`."""
    rows = json.loads(source.read_text())
    long_rows, texts = [], []
    for row in rows:
        texts.append(f"{row['instruction']}\n{row['output']}")
        if sum(map(len, texts)) > characters:
            long_rows.append({"instruction": "Go on.", "input": "", "output": "\n\n".join(texts)})
            texts = []
    while len(long_rows) < 200:
        long_rows += long_rows
    target.write_text(json.dumps(long_rows[:200]))


def run_ours(a, model, data, method, profile):
    name = f"ours-{method}-{a.batch}x{a.length}"
    folder = a.work / name
    config = {
        "model": {"path": str(model), "dtype": "bfloat16"},
        "method": METHODS[method],
        "data": {"train": [{"path": str(data), "format": "alpaca"}], "shuffle": False, "max_seq_length": a.length},
        "train": {"max_steps": a.steps, "learning_rate": 1e-3, "lr_scheduler_type": "constant", "warmup_ratio": 0,
                  "micro_batch_size": a.batch, "max_grad_norm": 0, "weight_decay": 0.01},
        "eval": {"health": False, "eval_steps": a.steps},
        "distributed": {"device": "cuda", "devices": 1},
        "output_dir": str(folder),
    }
    if profile:
        config["logging"] = {"profile": {"first_step": a.steps - 1, "last_step": a.steps}}
    file = a.work / f"{name}.json"
    file.write_text(json.dumps(config))
    subprocess.run(["rm", "-rf", folder])
    begin = time.time()
    done = subprocess.run([a.program, "train", file], capture_output=True, text=True)
    if done.returncode:
        print(f"{name} failed: {done.stderr[-1500:]}", flush=True)
        return None
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [e for e in events if e["event"] == "step"]
    timed = steps[WARM_STEPS:-2] if profile else steps[WARM_STEPS:]
    start = next(e for e in events if e["event"] == "start")
    if profile:
        subprocess.run([sys.executable, ROOT / "scripts/gpu_profile.py", folder / "trace.json"])
    return {"tokens_per_second": sum(e["tokens"] for e in timed) / sum(e["seconds"] for e in timed),
            "peak_bytes": next(e for e in events if e["event"] == "end")["peak_memory_bytes"],
            "startup_seconds": start["startup_seconds"], "first_step_seconds": steps[0]["seconds"], "losses": [e["loss"] for e in steps],
            "whole": time.time() - begin}


def run_peer(a, model, data, method):
    done = subprocess.run([sys.executable, a.peer, model, data, "--method", method, "--steps", str(a.steps), "--batch", str(a.batch), "--max-length",
                           str(a.length), "--device", "cuda", "--dtype", "bfloat16", "--warm", str(WARM_STEPS)], capture_output=True, text=True)
    if done.returncode:
        print(f"peft-{method} failed: {done.stderr[-1500:]}", flush=True)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--work", type=pathlib.Path, required=True)
    p.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/excitor")
    p.add_argument("--peer", type=pathlib.Path, default=ROOT.parent / "shared/bench/peer_peft.py")
    p.add_argument("--data", type=pathlib.Path, default=ROOT.parent / "shared/data/alpaca_800.json")
    p.add_argument("--tokenizer", type=pathlib.Path, default=ROOT.parent / "shared/data/llama_tokenizer.model")
    p.add_argument("--shape", choices=SHAPES, default="8b")
    p.add_argument("--rows", choices=("joined", "single"), default="joined")
    p.add_argument("--length", type=int, default=2048)
    p.add_argument("--batch", type=int, default=2)
    p.add_argument("--steps", type=int, default=12)
    p.add_argument("--runs", nargs="+", default=["ours-lora", "ours-excitor", "peft-lora"])
    a = p.parse_args()
    model, data = a.work / f"model-{a.shape}", a.work / f"rows-{a.rows}-{a.length}.json"
    if not (model / "config.json").exists():
        begin = time.time()
        make_model(model, SHAPES[a.shape])
        print(f"made {model} in {time.time() - begin:.0f} s", flush=True)
    (model / "tokenizer.model").write_bytes(a.tokenizer.read_bytes())
    if a.rows == "joined":
        make_data(a.data, data, characters=6 * a.length)
    else:
        data.write_bytes(a.data.read_bytes())
    print("| run | tokens/s | peak GiB | start s | first step s | first and last loss |\n|---|---|---|---|---|---|", flush=True)
    for name in a.runs:
        side, method = name.split("-", 1)
        result = run_peer(a, model, data, method) if side == "peft" else run_ours(a, model, data, method, profile=method == "lora")
        if result is None:
            continue
        print(f"| {name} {a.batch}x{a.length} | {result['tokens_per_second']:.0f} | {result['peak_bytes'] / 2**30:.1f} | "
              f"{result['startup_seconds']:.1f} | {result.get('first_step_seconds', 0):.2f} | "
              f"{result['losses'][0]:.4f} {result['losses'][-1]:.4f} |", flush=True)


if __name__ == "__main__":
    main()
