"""Adapter folders with random values, as if training had gone far: names and settings as methods.md has them."""
import json

import safetensors.torch
import torch

LINEARS = {"q_proj": "self_attn", "k_proj": "self_attn", "v_proj": "self_attn", "o_proj": "self_attn",
           "gate_proj": "mlp", "up_proj": "mlp", "down_proj": "mlp"}


def _write(folder, settings, tensors):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(settings | {"task_type": "CAUSAL_LM", "prompt_template": "plain"}))
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    safetensors.torch.save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return folder


def _shape(model):
    config = json.loads((model / "config.json").read_text())
    head = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    return config, config["num_attention_heads"] * head, config["num_key_value_heads"] * head


def write_excitor(folder, model, *, adapter_len=5, adapter_layers=2, r=3, gate="per_head", prompt_attention="per_head",
                  add_before_rotation=False, seed=0):
    config, _, key_width = _shape(model)
    generator = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=generator)
    gates = config["num_key_value_heads"] if gate == "per_head" else 1
    tensors = {}
    for layer in range(config["num_hidden_layers"] - adapter_layers, config["num_hidden_layers"]):
        name = f"base_model.model.model.layers.{layer}.self_attn.excitor_"
        tensors[name + "prompt"] = normal(adapter_len, key_width)
        tensors[name + "down.weight"] = normal(r, config["hidden_size"]) / 4
        tensors[name + "up.weight"] = normal(key_width, r)
        tensors[name + "gate"] = 1 + 0.5 * normal(gates)
    return _write(folder, dict(peft_type="EXCITOR", adapter_len=adapter_len, adapter_layers=adapter_layers, r=r, gate=gate,
                               prompt_attention=prompt_attention, add_before_rotation=add_before_rotation), tensors)


def write_lora(folder, model, *, r=3, lora_alpha=5, use_rslora=False, target_modules=("q_proj", "v_proj"), size=0.25,
               seed=0):
    config, query_width, key_width = _shape(model)
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    sizes = {"q_proj": (query_width, hidden), "k_proj": (key_width, hidden), "v_proj": (key_width, hidden),
             "o_proj": (hidden, query_width), "gate_proj": (inner, hidden), "up_proj": (inner, hidden),
             "down_proj": (hidden, inner)}
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for layer in range(config["num_hidden_layers"]):
        for linear in LINEARS if target_modules == "all-linear" else target_modules:
            outward, inward = sizes[linear]
            name = f"base_model.model.model.layers.{layer}.{LINEARS[linear]}.{linear}.lora_"
            tensors[name + "A.weight"] = size * torch.randn(r, inward, generator=generator)
            tensors[name + "B.weight"] = size * torch.randn(outward, r, generator=generator)
    targets = target_modules if isinstance(target_modules, str) else list(target_modules)
    return _write(folder, dict(peft_type="LORA", r=r, lora_alpha=lora_alpha, use_rslora=use_rslora, target_modules=targets,
                               lora_dropout=0.0, bias="none"), tensors)
