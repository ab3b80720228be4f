"""What the released LLaMA-Adapter models compute, in float64 and in Meta's layout (neighbouring channels rotate together),
restated from the description of their files: V1, V2 chat, V2 multimodal. And files as they were released, with random values.
T tokens, D hidden width, H query heads, G key heads, d head width, K prompts, r rank, F feed-forward width; of the visual side
S tokens of an image, P width of CLIP's projection, W width of the visual blocks."""
import json
import math
import shutil

import safetensors.torch
import torch

LINEARS = {"attention.wq": "self_attn.q_proj", "attention.wk": "self_attn.k_proj", "attention.wv": "self_attn.v_proj",
           "attention.wo": "self_attn.o_proj", "feed_forward.w1": "mlp.gate_proj", "feed_forward.w3": "mlp.up_proj",
           "feed_forward.w2": "mlp.down_proj"}


def meta_order(rows, heads):
    """Row h·d + t·d/2 + j -> row h·d + 2j + t."""
    width = len(rows) // heads
    order = [h * width + t * width // 2 + j for h in range(heads) for j in range(width // 2) for t in (0, 1)]
    return rows[order]


class Shape:
    def __init__(self, folder):
        config = json.loads((folder / "config.json").read_text())
        self.config = config
        self.layers, self.hidden, self.inner = config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"]
        self.heads, self.groups = config["num_attention_heads"], config["num_key_value_heads"]
        self.width = self.hidden // self.heads
        keys = self.groups * self.width
        self.sizes = {"attention.wq": (self.hidden, self.hidden), "attention.wk": (keys, self.hidden), "attention.wv": (keys, self.hidden),
                      "attention.wo": (self.hidden, self.hidden), "feed_forward.w1": (self.inner, self.hidden),
                      "feed_forward.w3": (self.inner, self.hidden), "feed_forward.w2": (self.hidden, self.inner)}


class Original:
    """The base of a Hugging Face folder with the tensors of a released file beside it."""

    def __init__(self, folder, state, gate=torch.tanh):
        self.shape, self.gate = Shape(folder), gate
        self.kind = "v1"
        if "model" in state:
            self.kind = "multimodal" if "config" in state else "chat"
            state = state["model"]
        self.state = {name.removeprefix("llama."): tensor.double() for name, tensor in state.items()}
        self.added = 0  # what the prompts get from an image, [K,D]
        self.base = {name: tensor.double() for name, tensor in safetensors.torch.load_file(folder / "model.safetensors").items()}

    @torch.no_grad()
    def see(self, tower, pixels, heads=16):
        """From here on prompts hold an image: tower, a CLIPVisionModelWithProjection of transformers; pixels [1,3,h,w]."""
        tower = tower.double().eval()
        states = tower.vision_model(pixels.double()).last_hidden_state  # [1,S,·], before the last norm
        tokens = tower.visual_projection(tower.vision_model.post_layernorm(states))[0]  # [S,P]
        x = self.layer_norm("clip_proj_norm", self.affine("clip_proj", tokens))  # [S,W]
        x = torch.cat([self.state["visual_query.weight"], x])
        blocks = {int(name.split(".")[1]) for name in self.state if name.startswith("visual_blocks.")}
        for block in sorted(blocks):
            x = self.visual_block(f"visual_blocks.{block}", x, heads)
        seen = x[:len(self.state["visual_query.weight"])]
        self.added = self.layer_norm("visual_proj_norm", self.affine("visual_proj", seen))  # [K,D]
        return self

    def affine(self, name, x):
        return x @ self.state[name + ".weight"].T + self.state[name + ".bias"]

    def layer_norm(self, name, x):
        centred = x - x.mean(-1, keepdim=True)
        return self.state[name + ".weight"] * centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() + self.state[name + ".bias"]

    def visual_block(self, name, x, heads):  # [Q+S,W], timm 0.3.2's Block
        width = x.shape[1] // heads
        qkv = self.affine(name + ".attn.qkv", self.layer_norm(name + ".norm1", x))
        q, k, v = qkv.reshape(len(x), 3, heads, width).unbind(1)
        weight = (torch.einsum("thd,shd->hts", q, k) / math.sqrt(width)).softmax(-1)
        x = x + self.affine(name + ".attn.proj", torch.einsum("hts,shd->thd", weight, v).flatten(1))
        inner = self.affine(name + ".mlp.fc1", self.layer_norm(name + ".norm2", x))
        return x + self.affine(name + ".mlp.fc2", inner * (1 + torch.erf(inner / math.sqrt(2))) / 2)

    def logits(self, ids):  # [T,V]
        shape = self.shape
        x = self.base["model.embed_tokens.weight"][torch.tensor(ids)]
        for layer in range(shape.layers):
            x = x + self.attention(layer, self.norm(layer, "attention_norm", "input_layernorm", x))
            h = self.norm(layer, "ffn_norm", "post_attention_layernorm", x)
            gate = self.linear(layer, "feed_forward.w1", h)
            x = x + self.linear(layer, "feed_forward.w2", gate * gate.sigmoid() * self.linear(layer, "feed_forward.w3", h))
        last = self.state.get("norm.weight", self.base["model.norm.weight"])
        return self.rms(x, last) @ self.base["lm_head.weight"].T

    def rms(self, x, weight):
        return weight * x / (x.square().mean(-1, keepdim=True) + self.shape.config["rms_norm_eps"]).sqrt()

    def norm(self, layer, name, base_name, x):
        weight = self.state.get(f"layers.{layer}.{name}.weight", self.base[f"model.layers.{layer}.{base_name}.weight"])
        return self.rms(x, weight)

    def matrix(self, layer, name):
        weight = self.base[f"model.layers.{layer}.{LINEARS[name]}.weight"]
        heads = {"attention.wq": self.shape.heads, "attention.wk": self.shape.groups}
        return meta_order(weight, heads[name]) if name in heads else weight

    def linear(self, layer, name, x):
        site = f"layers.{layer}.{name}"
        if self.kind == "chat":
            return (x * self.state[site + "_scale"]) @ self.matrix(layer, name).T + self.state[site + "_bias"]
        y = x @ self.matrix(layer, name).T + self.state.get(site + ".bias", 0)
        lora = f"layers.{layer}.{name.replace('.', '.lora_')}"
        if lora + "_l1.weight" in self.state:
            y = y + x @ self.state[lora + "_l1.weight"].T @ self.state[lora + "_l2.weight"].T
        return y

    def rotated(self, x):  # [T,h,d]
        pair = torch.arange(self.shape.width // 2, dtype=torch.float64)
        speed = self.shape.config["rope_parameters"]["rope_theta"] ** (-2 * pair / self.shape.width)
        angle = torch.outer(torch.arange(len(x), dtype=torch.float64), speed)
        turned = torch.view_as_complex(x.reshape(*x.shape[:2], -1, 2)) * torch.polar(torch.ones_like(angle), angle)[:, None]
        return torch.view_as_real(turned).flatten(-2)

    def attention(self, layer, x):
        shape = self.shape
        by_head = lambda y: y.reshape(len(y), -1, shape.width)
        q = self.rotated(by_head(self.linear(layer, "attention.wq", x)))  # [T,H,d]
        k = self.rotated(by_head(self.linear(layer, "attention.wk", x)))  # [T,G,d]
        v = by_head(self.linear(layer, "attention.wv", x))
        future = torch.ones(len(x), len(x), dtype=torch.bool).triu(1)
        out = self.attend(q, k, v, future)
        prompt = self.prompt(layer)
        if prompt is not None:  # [K,D]
            keys, values = (by_head(prompt @ self.matrix(layer, name).T) for name in ("attention.wk", "attention.wv"))
            gate = self.gate(self.state[f"layers.{layer}.attention.gate"]).reshape(1, shape.heads, 1)
            gate = gate * self.state.get(f"layers.{layer}.attention.new_gate", torch.ones(1)).reshape(1, 1, 1)
            out = out + gate * self.attend(q, keys, values)
        return self.linear(layer, "attention.wo", out.flatten(-2))

    def attend(self, q, k, v, masked=None):  # [T,H,d]
        k, v = (y.repeat_interleave(self.shape.heads // self.shape.groups, 1) for y in (k, v))
        score = torch.einsum("thd,shd->hts", q, k) / math.sqrt(self.shape.width)
        if masked is not None:
            score = score.masked_fill(masked, -math.inf)
        return torch.einsum("hts,shd->thd", score.softmax(-1), v)

    def prompt(self, layer):
        rows = self.state.get("adapter_query.weight")
        if rows is None:
            return None
        gated = [i for i in range(self.shape.layers) if self.state[f"layers.{i}.attention.gate"].any()]
        adapted = self.shape.layers - gated[0]
        length = len(rows) // adapted
        return rows.split(length)[layer - gated[0]] + self.added if layer >= gated[0] else None


def write_meta_folder(folder, model):
    """params.json, consolidated.00.pth and the tokenizer of a Hugging Face folder."""
    shape = Shape(model)
    base = safetensors.torch.load_file(model / "model.safetensors")
    state = {"tok_embeddings.weight": base["model.embed_tokens.weight"], "norm.weight": base["model.norm.weight"],
             "output.weight": base["lm_head.weight"]}
    for layer in range(shape.layers):
        for name, ours in LINEARS.items():
            weight = base[f"model.layers.{layer}.{ours}.weight"]
            heads = {"attention.wq": shape.heads, "attention.wk": shape.groups}.get(name)
            state[f"layers.{layer}.{name}.weight"] = meta_order(weight, heads) if heads else weight
        for name, ours in (("attention_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm")):
            state[f"layers.{layer}.{name}.weight"] = base[f"model.layers.{layer}.{ours}.weight"]
    folder.mkdir()
    torch.save(state, folder / "consolidated.00.pth")
    params = dict(dim=shape.hidden, n_layers=shape.layers, n_heads=shape.heads, n_kv_heads=shape.groups, multiple_of=1,
                  ffn_dim_multiplier=(shape.inner + 0.5) / (8 * shape.hidden // 3),
                  norm_eps=shape.config["rms_norm_eps"], vocab_size=shape.config["vocab_size"])
    (folder / "params.json").write_text(json.dumps(params))
    shutil.copy(model / "tokenizer.model", folder)
    return folder


def _normal(seed):
    generator = torch.Generator().manual_seed(seed)
    return lambda *size: torch.randn(*size, generator=generator)


def _prompts_and_gates(shape, normal, adapter_len, adapter_layers, prefix=""):
    state = {"adapter_query.weight": normal(adapter_len * adapter_layers, shape.hidden)}
    for layer in range(shape.layers):
        adapted = layer >= shape.layers - adapter_layers
        gate = 0.5 + normal(1, shape.heads, 1, 1) if adapted else torch.zeros(1, shape.heads, 1, 1, dtype=torch.float16)
        state[f"{prefix}layers.{layer}.attention.gate"] = gate
    return state


def v1_state(folder, *, adapter_len=10, adapter_layers=1, seed=0):
    return _prompts_and_gates(Shape(folder), _normal(seed), adapter_len, adapter_layers)


def chat_state(folder, *, final_norm=True, seed=0):
    shape, normal, state = Shape(folder), _normal(seed), {}
    for layer in range(shape.layers):
        for name, (outward, inward) in shape.sizes.items():
            state[f"layers.{layer}.{name}_scale"] = 1 + 0.2 * normal(inward)
            state[f"layers.{layer}.{name}_bias"] = 0.2 * normal(outward)
        for norm in ("attention_norm", "ffn_norm"):
            state[f"layers.{layer}.{norm}.weight"] = 1 + 0.2 * normal(shape.hidden)
    if final_norm:
        state["norm.weight"] = 1 + 0.2 * normal(shape.hidden)
    return {"model": state}


def visual_state(hidden, normal, *, queries=10, clip_width=24, width=32, blocks=8):
    """A visual side for the projection of tests/python/tiny_towers.py. Its norms are not one and its biases not zero."""
    affine = lambda name, out, inward: {name + ".weight": normal(out, inward) / inward ** 0.5, name + ".bias": 0.2 * normal(out)}
    norm = lambda name, size: {name + ".weight": 1 + 0.2 * normal(size), name + ".bias": 0.2 * normal(size)}
    state = affine("clip_proj", width, clip_width) | norm("clip_proj_norm", width) | {"visual_query.weight": normal(queries, width)}
    for block in range(blocks):
        name = f"visual_blocks.{block}."
        state |= norm(name + "norm1", width) | affine(name + "attn.qkv", 3 * width, width) | affine(name + "attn.proj", width, width)
        state |= norm(name + "norm2", width) | affine(name + "mlp.fc1", 4 * width, width) | affine(name + "mlp.fc2", width, 4 * width)
    return state | affine("visual_proj", hidden, width) | norm("visual_proj_norm", hidden)


def multimodal_state(folder, *, adapter_len=10, adapter_layers=1, rank=0, visual=None, seed=0):
    """visual: the sizes of a visual side (visual_state), or None without one."""
    shape, normal = Shape(folder), _normal(seed)
    state = _prompts_and_gates(shape, normal, adapter_len, adapter_layers, "llama.")
    for layer in range(shape.layers):
        for name, (outward, inward) in shape.sizes.items():
            if name not in ("attention.wk", "attention.wv"):
                state[f"llama.layers.{layer}.{name}.bias"] = 0.2 * normal(outward)
            if rank:
                lora = f"llama.layers.{layer}.{name.replace('.', '.lora_')}"
                state[lora + "_l1.weight"], state[lora + "_l2.weight"] = 0.2 * normal(rank, inward), 0.2 * normal(outward, rank)
        if rank:
            adapted = layer >= shape.layers - adapter_layers
            state[f"llama.layers.{layer}.attention.new_gate"] = 1 + 0.3 * adapted * normal(1, 1, 1, 1)
        for norm in ("attention_norm", "ffn_norm"):
            state[f"llama.layers.{layer}.{norm}.weight"] = 1 + 0.2 * normal(shape.hidden)
    state["llama.norm.weight"] = 1 + 0.2 * normal(shape.hidden)
    if visual is not None:
        state |= visual_state(shape.hidden, normal, **{"queries": adapter_len} | visual)
    return {"model": state, "config": {"w_bias": True, "w_lora": rank > 0, "lora_rank": rank or 16}}
