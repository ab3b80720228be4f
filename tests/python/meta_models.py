"""A Hugging Face LLaMA written as Meta lays it out (consolidated.NN.pth, params.json), and as PyTorch's .bin files: straight
from the description of the formats, so that the program is compared with something other than itself."""
import json
import pathlib
import shutil

import safetensors.torch
import torch

LAYER = {
    "self_attn.q_proj": ("attention.wq", 0), "self_attn.k_proj": ("attention.wk", 0), "self_attn.v_proj": ("attention.wv", 0),
    "self_attn.o_proj": ("attention.wo", 1), "mlp.gate_proj": ("feed_forward.w1", 0), "mlp.down_proj": ("feed_forward.w2", 1),
    "mlp.up_proj": ("feed_forward.w3", 0), "input_layernorm": ("attention_norm", None),
    "post_attention_layernorm": ("ffn_norm", None),
}


def read_weights(folder):
    weights = {}
    for file in sorted(pathlib.Path(folder).glob("*.safetensors")):
        weights |= safetensors.torch.load_file(file)
    return weights


def pair_neighbours(rows, head_dim):
    """Rows h·d + t·d/2 + j of Hugging Face become rows h·d + 2j + t of Meta."""
    order = [h * head_dim + t * (head_dim // 2) + j for h in range(len(rows) // head_dim) for j in range(head_dim // 2)
             for t in range(2)]
    return rows[order].contiguous()


def to_meta(weights, head_dim, embedding_dim):
    """Meta name -> (tensor, the dimension that shards split; None: every shard has the whole)."""
    meta = {"tok_embeddings.weight": (weights["model.embed_tokens.weight"], embedding_dim),
            "norm.weight": (weights["model.norm.weight"], None)}
    if "lm_head.weight" in weights:
        meta["output.weight"] = (weights["lm_head.weight"], 0)
    for name, tensor in weights.items():
        if not name.startswith("model.layers."):
            continue
        number, rest = name.removeprefix("model.layers.").split(".", 1)
        module, kind = rest.rsplit(".", 1)
        target, dim = LAYER[module]
        if target in ("attention.wq", "attention.wk"):
            tensor = pair_neighbours(tensor, head_dim)
        if kind == "bias" and dim == 1:
            dim = None
        meta[f"layers.{number}.{target}.{kind}"] = (tensor, dim)
    return meta


def feed_forward(dim, multiple_of, multiplier=None):
    hidden = int(2 * 4 * dim / 3)
    hidden = int(multiplier * hidden) if multiplier else hidden
    return multiple_of * ((hidden + multiple_of - 1) // multiple_of)


def params_of(config, multiple_of, **more):
    """params.json for a config.json whose feed-forward width follows Meta's formula."""
    params = dict(dim=config["hidden_size"], n_layers=config["num_hidden_layers"], n_heads=config["num_attention_heads"],
                  multiple_of=multiple_of, norm_eps=config["rms_norm_eps"], vocab_size=-1)
    if config["num_key_value_heads"] != config["num_attention_heads"]:
        params["n_kv_heads"] = config["num_key_value_heads"]
    assert feed_forward(params["dim"], multiple_of, more.get("ffn_dim_multiplier")) == config["intermediate_size"]
    return params | more


def write_meta(source, folder, *, shards=1, embedding_dim=1, multiple_of=8, **params):
    """The model of the Hugging Face folder `source` as a Meta folder; returns the folder."""
    folder.mkdir(parents=True)
    config = json.loads((source / "config.json").read_text())
    head_dim = config["hidden_size"] // config["num_attention_heads"]
    meta = to_meta(read_weights(source), head_dim, embedding_dim)
    for shard in range(shards):
        pieces = {name: tensor if dim is None else tensor.chunk(shards, dim)[shard].clone()
                  for name, (tensor, dim) in meta.items()}
        pieces["rope.freqs"] = torch.ones(head_dim // 2)
        torch.save(pieces, folder / f"consolidated.{shard:02}.pth")
    (folder / "params.json").write_text(json.dumps(params_of(config, multiple_of, **params)))
    if (source / "tokenizer.model").exists():
        shutil.copy(source / "tokenizer.model", folder)
    return folder


def write_torch_bin(source, folder, shards=1):
    """The same model as pytorch_model.bin, or shards of it with their index; returns the folder."""
    folder.mkdir(parents=True)
    weights = read_weights(source)
    for file in ("config.json", "generation_config.json", "tokenizer.model"):
        if (source / file).exists():
            shutil.copy(source / file, folder)
    if shards == 1:
        torch.save(weights, folder / "pytorch_model.bin")
        return folder
    names = sorted(weights)
    weight_map = {}
    for shard in range(shards):
        file = f"pytorch_model-{shard + 1:05}-of-{shards:05}.bin"
        torch.save({name: weights[name] for name in names[shard::shards]}, folder / file)
        weight_map |= {name: file for name in names[shard::shards]}
    index = {"metadata": {"total_size": sum(w.nbytes for w in weights.values())}, "weight_map": weight_map}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return folder
