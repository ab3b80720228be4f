"""LLaMA with its bypasses and its training, in float64 and without any cleverness: one sequence at a time, every attention
score written out, gradients by autograd. What the program computes in fp32 with caches, packs and fused kernels has to be
this, up to rounding.

T tokens, D hidden width, H query heads, G key heads, d head width, K prompts, r rank, V vocabulary.
"""
import dataclasses
import json
import math
import pathlib

import safetensors.torch
import torch

PREFIX = "base_model.model."


def read_tensors(folder):
    tensors = {}
    for file in sorted(pathlib.Path(folder).glob("*.safetensors")):
        tensors |= {name: tensor.double() for name, tensor in safetensors.torch.load_file(file).items()}
    return tensors


@dataclasses.dataclass
class Example:
    ids: list
    labelled: list  # for each token, whether its prediction counts


class Model:
    """A folder of transformers, and beside it an adapter's folder."""

    def __init__(self, folder, adapter=None):
        self.config = json.loads((pathlib.Path(folder) / "config.json").read_text())
        self.weights = read_tensors(folder)
        self.settings, self.adapter = {}, {}
        if adapter:
            self.settings = json.loads((pathlib.Path(adapter) / "adapter_config.json").read_text())
            self.adapter = read_tensors(adapter)
        self.heads = self.config["num_attention_heads"]
        self.groups = self.config.get("num_key_value_heads") or self.heads
        self.width = self.config.get("head_dim") or self.config["hidden_size"] // self.heads

    def trainable(self):
        """The adapter's tensors, or every weight where there is no adapter; from here on they collect gradients."""
        chosen = self.adapter or self.weights
        for tensor in chosen.values():
            tensor.requires_grad_()
        return chosen

    def logits(self, ids):  # [T,V]
        x = self.weights["model.embed_tokens.weight"][torch.tensor(ids)]  # [T,D]
        turns = self.turns(len(ids))
        for layer in range(self.config["num_hidden_layers"]):
            site = f"model.layers.{layer}."
            x = x + self.attention(site + "self_attn.", self.norm(site + "input_layernorm", x), turns)
            h = self.norm(site + "post_attention_layernorm", x)
            gate, up = self.linear(site + "mlp.gate_proj", h), self.linear(site + "mlp.up_proj", h)
            x = x + self.linear(site + "mlp.down_proj", gate * gate.sigmoid() * up)
        head = "model.embed_tokens.weight" if self.config.get("tie_word_embeddings") else "lm_head.weight"
        return self.norm("model.norm", x) @ self.weights[head].T

    def loss(self, examples):
        """Mean over the labelled tokens of all examples together, each example a sequence of its own."""
        total, count = torch.zeros((), dtype=torch.float64), 0
        for example in examples:
            log_probabilities = self.logits(example.ids[:-1]).log_softmax(-1)  # [T-1,V]
            for position, (target, labelled) in enumerate(zip(example.ids[1:], example.labelled[1:])):
                if labelled:
                    total, count = total - log_probabilities[position, target], count + 1
        return total / count

    def norm(self, name, x):
        weight = self.adapter.get(PREFIX + name + ".weight", self.weights[name + ".weight"])
        return weight * x / (x.square().mean(-1, keepdim=True) + self.config["rms_norm_eps"]).sqrt()

    def linear(self, name, x, tuned=True):
        """tuned: with what the adapter puts around it. The scale stands on one side, the bias inside of it."""
        if not tuned:
            return self.frozen_linear(name, x)
        scale, bias = (self.adapter.get(f"{PREFIX}{name}.adapter_{what}", one) for what, one in (("scale", 1), ("bias", 0)))
        if self.settings.get("scale_position") == "input":
            return self.frozen_linear(name, x * scale) + self.lora(name, x * scale) + bias
        return scale * (self.frozen_linear(name, x) + self.lora(name, x) + bias)

    def frozen_linear(self, name, x):
        y = torch.einsum("ti,oi->to", x, self.weights[name + ".weight"])
        return y + self.weights[name + ".bias"] if name + ".bias" in self.weights else y

    def lora(self, name, x):
        down = self.adapter.get(PREFIX + name + ".lora_A.weight")  # [r,in]
        if down is None:
            return 0
        up, rank = self.adapter[PREFIX + name + ".lora_B.weight"], down.shape[0]  # [out,r]
        alpha = self.settings.get("alpha_pattern", {}).get(name.split(".")[-1], self.settings["lora_alpha"])
        scale = alpha / (rank**0.5 if self.settings.get("use_rslora") else rank)
        return scale * torch.einsum("or,ri,ti->to", up, down, x)

    def turns(self, length):
        """One unit complex number for each position and pair of a head's channels: RoPE turns a pair by it."""
        rope = self.config["rope_parameters"]
        assert rope["rope_type"] in ("default", "linear")
        pair = torch.arange(self.width // 2, dtype=torch.float64)
        speed = rope["rope_theta"] ** (-2 * pair / self.width) / rope.get("factor", 1)
        angle = torch.outer(torch.arange(length, dtype=torch.float64), speed)
        return torch.polar(torch.ones_like(angle), angle)[:, None]  # [T,1,d/2]

    def rotate(self, x, turns):  # [T,h,d]
        half = self.width // 2
        turned = torch.complex(x[..., :half], x[..., half:]) * turns
        return torch.cat([turned.real, turned.imag], -1)

    def attention(self, site, x, turns):
        length = len(x)
        by_head = lambda y: y.view(length, -1, self.width)
        q = self.rotate(by_head(self.linear(site + "q_proj", x)), turns)  # [T,H,d]
        k = self.keys(site, x, by_head(self.linear(site + "k_proj", x)), turns)  # [T,G,d]
        v = by_head(self.linear(site + "v_proj", x))  # [T,G,d]
        future = torch.ones(length, length, dtype=torch.bool).triu(1)
        mixed = []
        for head in range(self.heads):
            group = head * self.groups // self.heads
            score = (q[:, head] @ k[:, group].T / math.sqrt(self.width)).masked_fill(future, -math.inf)  # [T,T]
            mixed.append(score.softmax(-1) @ v[:, group] + self.prompted(site, head, q[:, head]))
        return self.linear(site + "o_proj", torch.cat(mixed, -1))

    def prompted(self, site, head, q):
        """What a query head sees of the prompts, a softmax of its own, behind its gate. q [T,d]"""
        prompt = self.adapter.get(PREFIX + site + "adaption_prompt")  # [1,K,D]
        if prompt is None:
            return 0
        group, tuned = head * self.groups // self.heads, self.settings.get("prompt_projection") != "frozen"
        keys, values = (self.linear(site + name, prompt[0], tuned).view(-1, self.groups, self.width)[:, group]
                        for name in ("k_proj", "v_proj"))  # [K,d]
        gate = self.adapter[PREFIX + site + "adaption_gate"]
        gate = gate[head] if len(gate) > 1 else gate
        kind = "none" if self.settings["peft_type"] == "ADAPTION_PROMPT" else "tanh"
        if self.settings.get("gate_activation", kind) == "tanh":
            gate = gate.tanh()
        gate = gate * self.adapter.get(PREFIX + site + "adaption_new_gate", 1)
        return gate * (q @ keys.T / math.sqrt(self.width)).softmax(-1) @ values

    def keys(self, site, x, k, turns):
        """Keys as the queries see them: turned, and with Excitor's extra key."""
        prompt = self.adapter.get(PREFIX + site + "excitor_prompt")  # [K,G·d]
        if prompt is None:
            return self.rotate(k, turns)
        down, up = (self.adapter[f"{PREFIX}{site}excitor_{name}.weight"] for name in ("down", "up"))
        hint = torch.einsum("or,ri,ti->to", up, down, x)  # [T,G·d]
        step = {"per_head": self.width, "full_width": self.groups * self.width}[self.settings["prompt_attention"]]
        extra = [(h @ p.T / math.sqrt(step)).softmax(-1) @ p for h, p in zip(hint.split(step, -1), prompt.split(step, -1))]
        change = torch.cat(extra, -1).view_as(k) * self.adapter[PREFIX + site + "excitor_gate"].view(1, -1, 1)
        if self.settings["add_before_rotation"]:
            return self.rotate(k + change, turns)
        return self.rotate(k, turns) + change


class Training:
    """AdamW as torch has it, a constant learning rate, weight decay on matrices only, clipping by the joint norm."""

    def __init__(self, model, *, learning_rate, weight_decay, max_grad_norm, betas=(0.9, 0.999), epsilon=1e-8):
        self.model, self.max_grad_norm = model, max_grad_norm
        self.tensors = model.trainable()
        decayed = [t for t in self.tensors.values() if t.dim() >= 2]
        others = [t for t in self.tensors.values() if t.dim() < 2]
        groups = [dict(params=decayed, weight_decay=weight_decay), dict(params=others, weight_decay=0.0)]
        self.optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=learning_rate, betas=betas, eps=epsilon)

    def step(self, examples):
        """Loss before the update, and the gradients' norm before clipping."""
        self.optimizer.zero_grad()
        loss = self.model.loss(examples)
        loss.backward()
        limit = self.max_grad_norm if self.max_grad_norm > 0 else math.inf
        norm = torch.nn.utils.clip_grad_norm_(list(self.tensors.values()), limit)
        self.optimizer.step()
        return loss.item(), norm.item()
