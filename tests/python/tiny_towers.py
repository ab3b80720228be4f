"""Small random CLIP towers, written by transformers. Norms are not one, biases not zero, so that what is left out shows."""
import json
import pathlib

import torch
import transformers


def shake(model):
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name or "layrnorm" in name:
                weight.uniform_(0.5, 1.5) if name.endswith("weight") else weight.normal_(0, 0.2)
            elif name.endswith("bias"):
                weight.normal_(0, 0.2)
            elif "embedding" in name:
                weight.normal_(0, 0.5 if weight.dim() < 4 else 0.05)
            else:
                weight.normal_(0, 1.5 / weight.shape[-1] ** 0.5 if weight.dim() else 1)


def vision_config(**settings):
    shape = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, image_size=224, patch_size=32,
                 projection_dim=24) | settings
    return transformers.CLIPVisionConfig(**shape)


def write_tower(folder, *, seed=0, dtype="float32", kind="CLIPVisionModel", max_shard_size="5GB", **settings):
    """Returns the model as it was written."""
    torch.manual_seed(seed)
    config = vision_config(**settings)
    if kind == "CLIPModel":
        text = dict(vocab_size=99, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2)
        config = transformers.CLIPConfig(text_config=text, vision_config=config.to_dict(), projection_dim=config.projection_dim)
    model = getattr(transformers, kind)(config).eval()
    shake(model)
    model.to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size=max_shard_size)
    return model


def as_torch_file(folder, prefix=""):
    """Turns model.safetensors into pytorch_model.bin as transformers before 4.30 wrote it: `prefix` before each name, and the
    position ids that it saved then."""
    import safetensors.torch
    folder = pathlib.Path(folder)
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    tensors = {prefix + name: tensor for name, tensor in tensors.items()}
    patches = next(tensor for name, tensor in tensors.items() if name.endswith("position_embedding.weight")).shape[0]
    tensors[prefix + "embeddings.position_ids"] = torch.arange(patches)[None]
    torch.save(tensors, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def write_preprocessor(folder, **settings):
    (pathlib.Path(folder) / "preprocessor_config.json").write_text(json.dumps(settings))


@torch.no_grad()
def judge_states(model, pixels):
    """What `excitor inspect image` writes, computed by transformers in fp32."""
    model = model.float()
    vision = getattr(model, "vision_model", model)
    output = vision(pixels, output_hidden_states=True)
    states = {"last_hidden_state": output.last_hidden_state, "pooler_output": output.pooler_output}
    states |= {f"hidden_states.{number}": state for number, state in enumerate(output.hidden_states)}
    if hasattr(model, "visual_projection"):
        states["image_embeds"] = model.visual_projection(output.pooler_output)
    return states
