#!/usr/bin/env python3
"""Draws coloured things, captions them, and makes a small vision tower: the demonstration of images on a CPU.

    compose_drawn.py --output DIR [--seed 7]

Written to DIR:

    images/*.png    64 pictures: four colours, four things, four of each pair, in two sizes and at places that vary
    captions.jsonl  rows {"image", "caption"}: "a red kite". Words of the bundled tiny LLaMA, which never saw what they mean
    blank.png       an empty picture: what is said of it shows what comes from the language alone
    tower/          a CLIP vision tower (Hugging Face's layout) with random weights, frozen as any other

A drum is drawn as a disc, a book as a square, a bell as a triangle, a kite as a square on its corner.

Plain Python: no library is needed, nothing is copied from anywhere, and the same seed gives the same bytes.
"""
import argparse
import array
import json
import random
import struct
import zlib
from pathlib import Path

COLOURS = {"red": (214, 39, 40), "green": (44, 160, 44), "blue": (31, 89, 200), "yellow": (240, 200, 20)}
THINGS = ("drum", "book", "bell", "kite")
SIDE = 64  # pixels
BACKGROUND = (255, 255, 255)

# The tower: 16 patches and the class token.
IMAGE, PATCH, WIDTH, LAYERS, HEADS, INNER = 32, 8, 64, 3, 4, 128


def inside(thing, x, y):
    """Whether a point of [-1, 1]² belongs to the thing's shape."""
    if thing == "drum":
        return x * x + y * y <= 1
    if thing == "book":
        return max(abs(x), abs(y)) <= 0.85
    if thing == "bell":
        return y <= 0.9 and abs(x) <= (y + 1) / 1.9
    return abs(x) + abs(y) <= 1.1


def draw(thing, colour, centre, radius):
    """Rows of RGB bytes."""
    rows = []
    for y in range(SIDE):
        row = bytearray()
        for x in range(SIDE):
            hit = inside(thing, (x - centre[0]) / radius, (y - centre[1]) / radius)
            row += bytes(colour if hit else BACKGROUND)
        rows.append(bytes(row))
    return rows


def write_png(path, rows):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", len(rows[0]) // 3, len(rows), 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


def write_pictures(folder, rng):
    """The pictures; returns the rows of captions.jsonl."""
    rows = []
    (folder / "images").mkdir(exist_ok=True)
    for colour, rgb in COLOURS.items():
        for thing in THINGS:
            for number in range(4):
                radius = (20, 25)[number % 2]
                centre = [SIDE / 2 + rng.uniform(-4, 4) for _ in range(2)]
                name = f"{colour}-{thing}-{number}.png"
                write_png(folder / "images" / name, draw(thing, rgb, centre, radius))
                rows.append({"image": name, "caption": f"a {colour} {thing}"})
    write_png(folder / "blank.png", [bytes(BACKGROUND) * SIDE] * SIDE)
    return rows


def tower_tensors(rng):
    """Names, shapes and values of a CLIPVisionModelWithProjection."""
    def values(shape, scale, mean=0.0):
        count = 1
        for length in shape:
            count *= length
        return array.array("f", (rng.gauss(mean, scale) for _ in range(count)))

    tensors = {}

    def add(name, shape, scale, mean=0.0):
        tensors[name] = (shape, values(shape, scale, mean))

    def add_norm(name):
        add(name + ".weight", [WIDTH], 0.1, 1.0)
        add(name + ".bias", [WIDTH], 0.1)

    def add_linear(name, out, inner):
        add(name + ".weight", [out, inner], inner ** -0.5)
        add(name + ".bias", [out], 0.1)

    root = "vision_model."
    add(root + "embeddings.class_embedding", [WIDTH], 1.0)
    add(root + "embeddings.patch_embedding.weight", [WIDTH, 3, PATCH, PATCH], (3 * PATCH * PATCH) ** -0.5)
    add(root + "embeddings.position_embedding.weight", [(IMAGE // PATCH) ** 2 + 1, WIDTH], 0.5)
    add_norm(root + "pre_layrnorm")
    for layer in range(LAYERS):
        prefix = f"{root}encoder.layers.{layer}."
        add_norm(prefix + "layer_norm1")
        for site in "q", "k", "v", "out":
            add_linear(f"{prefix}self_attn.{site}_proj", WIDTH, WIDTH)
        add_norm(prefix + "layer_norm2")
        add_linear(prefix + "mlp.fc1", INNER, WIDTH)
        add_linear(prefix + "mlp.fc2", WIDTH, INNER)
    add_norm(root + "post_layernorm")
    add("visual_projection.weight", [WIDTH, WIDTH], WIDTH ** -0.5)
    return tensors


def write_safetensors(path, tensors):
    header, begin = {}, 0
    for name, (shape, content) in tensors.items():
        end = begin + 4 * len(content)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(c.tobytes() for _, c in tensors.values()))


def write_tower(folder, rng):
    folder.mkdir(exist_ok=True)
    config = {
        "architectures": ["CLIPVisionModelWithProjection"], "model_type": "clip_vision_model", "hidden_size": WIDTH,
        "intermediate_size": INNER, "projection_dim": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "num_channels": 3, "image_size": IMAGE, "patch_size": PATCH, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    size = {"size": {"shortest_edge": IMAGE}, "crop_size": {"height": IMAGE, "width": IMAGE}}
    (folder / "preprocessor_config.json").write_text(json.dumps(size, indent=2) + "\n")
    write_safetensors(folder / "model.safetensors", tower_tensors(rng))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    rows = write_pictures(options.output, random.Random(f"{options.seed} pictures"))
    (options.output / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_tower(options.output / "tower", random.Random(f"{options.seed} tower"))
    print(f"{len(rows)} pictures, their captions and a tower lie in {options.output}")


if __name__ == "__main__":
    main()
