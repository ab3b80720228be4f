"""Adapter folders with random values, as if training had gone far: names and settings as methods.md has them."""
import json

import safetensors.torch
import torch

import original_llama_adapter

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


def _linear_sizes(model):
    """Linear -> (out, in)."""
    config, query_width, key_width = _shape(model)
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    return {"q_proj": (query_width, hidden), "k_proj": (key_width, hidden), "v_proj": (key_width, hidden),
            "o_proj": (hidden, query_width), "gate_proj": (inner, hidden), "up_proj": (inner, hidden),
            "down_proj": (hidden, inner)}


def _prompts(config, normal, adapter_len, adapter_layers, gates):
    tensors = {}
    for layer in range(config["num_hidden_layers"] - adapter_layers, config["num_hidden_layers"]):
        name = f"base_model.model.model.layers.{layer}.self_attn.adaption_"
        tensors[name + "prompt"] = normal(1, adapter_len, config["hidden_size"])
        tensors[name + "gate"] = 0.5 + normal(gates)
    return tensors


def write_adapter(folder, model, *, adapter_len=5, adapter_layers=2, gate="per_head", gate_activation="tanh", peft=False, seed=0):
    """peft: as PEFT writes its adaption_prompt, without our keys."""
    config, _, _ = _shape(model)
    generator = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=generator)
    gates = config["num_attention_heads"] if gate == "per_head" else 1
    settings = dict(adapter_len=adapter_len, adapter_layers=adapter_layers)
    if peft:
        settings |= dict(peft_type="ADAPTION_PROMPT", target_modules="self_attn")
    else:
        settings |= dict(peft_type="LLAMA_ADAPTER", gate=gate, gate_activation=gate_activation)
    return _write(folder, settings, _prompts(config, normal, adapter_len, adapter_layers, gates))


def write_adapter_v2(folder, model, *, adapter_len=5, adapter_layers=2, gate="per_head", gate_activation="tanh",
                     scale_position="output", scales=tuple(LINEARS), biases=tuple(LINEARS), train_norms=True, lora_r=0,
                     lora_alpha=None, prompt_projection="tuned", new_gate=False, seed=0):
    config, _, _ = _shape(model)
    generator = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=generator)
    gates = config["num_attention_heads"] if gate == "per_head" else 1
    tensors = _prompts(config, normal, adapter_len, adapter_layers, gates) if adapter_len else {}
    if new_gate:
        tensors |= {name.replace("gate", "new_gate"): 1 + 0.3 * normal(1) for name in tensors if name.endswith("gate")}
    for layer in range(config["num_hidden_layers"]):
        for linear, (outward, inward) in _linear_sizes(model).items():
            name = f"base_model.model.model.layers.{layer}.{LINEARS[linear]}.{linear}."
            if linear in scales:
                tensors[name + "adapter_scale"] = 1 + 0.2 * normal(outward if scale_position == "output" else inward)
            if linear in biases:
                tensors[name + "adapter_bias"] = 0.2 * normal(outward)
            if lora_r:
                tensors[name + "lora_A.weight"] = 0.1 * normal(lora_r, inward)
                tensors[name + "lora_B.weight"] = 0.1 * normal(outward, lora_r)
        if train_norms:
            for norm in ("input_layernorm", "post_attention_layernorm"):
                tensors[f"base_model.model.model.layers.{layer}.{norm}.weight"] = 1 + 0.2 * normal(config["hidden_size"])
    if train_norms:
        tensors["base_model.model.model.norm.weight"] = 1 + 0.2 * normal(config["hidden_size"])
    settings = dict(peft_type="LLAMA_ADAPTER_V2", adapter_len=adapter_len, adapter_layers=adapter_layers, gate=gate,
                    gate_activation=gate_activation, scale_position=scale_position, scale_target_modules=list(scales),
                    bias_target_modules=list(biases), train_norms=train_norms, lora_r=lora_r,
                    prompt_projection=prompt_projection, new_gate=new_gate)
    return _write(folder, settings | ({"lora_alpha": lora_alpha or lora_r} if lora_r else {}), tensors)


def write_lora(folder, model, *, r=3, lora_alpha=5, use_rslora=False, target_modules=("q_proj", "v_proj"), rank_pattern={},
               alpha_pattern={}, size=0.25, seed=0):
    """rank_pattern, alpha_pattern: the name of a linear -> its own rank or alpha."""
    config, sizes = _shape(model)[0], _linear_sizes(model)
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for layer in range(config["num_hidden_layers"]):
        for linear in LINEARS if target_modules == "all-linear" else target_modules:
            outward, inward = sizes[linear]
            name = f"base_model.model.model.layers.{layer}.{LINEARS[linear]}.{linear}.lora_"
            rank = rank_pattern.get(linear, r)
            tensors[name + "A.weight"] = size * torch.randn(rank, inward, generator=generator)
            tensors[name + "B.weight"] = size * torch.randn(outward, rank, generator=generator)
    targets = target_modules if isinstance(target_modules, str) else list(target_modules)
    return _write(folder, dict(peft_type="LORA", r=r, lora_alpha=lora_alpha, use_rslora=use_rslora, target_modules=targets,
                               rank_pattern=rank_pattern, alpha_pattern=alpha_pattern, lora_dropout=0.0, bias="none"), tensors)


def add_visual_side(folder, model, *, rows, width, size=0.3, seed=0):
    """Gives an adapter random weights for images of `rows` features of `width`; of adapter the class tokens of the first layers, of
    adapter_v2 with blocks of 8."""
    config, _, key_width = _shape(model)
    settings = json.loads((folder / "adapter_config.json").read_text())
    generator = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=generator)
    tensors = safetensors.torch.load_file(folder / "adapter_model.safetensors")
    affine = lambda name, out, inward: {name + ".weight": size * normal(out, inward), name + ".bias": size * normal(out)}
    settings |= dict(visual_rows=rows, visual_width=width)
    prefix = "base_model.model."
    if settings["peft_type"] == "EXCITOR":
        tensors |= affine(prefix + "excitor_visual", key_width, width)
    elif settings["peft_type"] == "LLAMA_ADAPTER":
        settings["clip_layers"] = list(range(rows))
        tensors |= affine(prefix + "adapter_visual", config["hidden_size"], rows * width)
    else:
        prompts = [name for name in tensors if name.endswith("adaption_prompt")]
        queries = tensors[prompts[0]].shape[1]
        settings |= dict(visual_hidden_size=8, visual_heads=2, visual_blocks=1,
                         visual_layers=sorted(int(name.split(".")[4]) for name in prompts))
        visual = original_llama_adapter.visual_state(config["hidden_size"], normal, queries=queries, clip_width=width, width=8, blocks=1)
        tensors |= {prefix + name: tensor for name, tensor in visual.items()}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    safetensors.torch.save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return folder
