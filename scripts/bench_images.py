"""CPU time of decoding + CLIP's preprocessing against PIL + transformers on one core, both sides in turn.

    LD_LIBRARY_PATH=$PWD/.venv/cuda-stubs .venv/bin/python scripts/bench_images.py [--program build/release/excitor] [--images 60]

Our figure is that of `excitor inspect image` for all images less that for one, so it holds the writing of pixel_values and a
tower of one tiny layer besides; theirs is Image.open + the processor, image by image.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/python"))

import torch
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

import picture_files
import tiny_towers

KINDS = {
    "JPEG 640x480": dict(size=(640, 480), name="a.jpg", format="JPEG", quality=90),
    "JPEG 480x640 progressive": dict(size=(480, 640), name="a.jpg", format="JPEG", quality=90, progressive=True),
    "JPEG 2048x1536": dict(size=(2048, 1536), name="a.jpg", format="JPEG", quality=85),
    "PNG 640x480": dict(size=(640, 480), name="a.png", format="PNG"),
    "WebP 640x480": dict(size=(640, 480), name="a.webp", format="WEBP", quality=80),
}


def write_images(folder, count, *, size, name, **how):
    files = []
    for number in range(count):
        files.append(folder / f"{number}-{name}")
        if number < 4:
            picture_files.picture(*size, seed=number).save(files[-1], **how)
        else:
            files[-1].write_bytes(files[number % 4].read_bytes())
    return files


def cpu_seconds_of(action):
    """Of this process and the programs that it starts: other work on the machine hardly matters."""
    spent = lambda: sum(os.times()[:4])
    begin = spent()
    action()
    return spent() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="build/release/excitor")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    processor = CLIPImageProcessorPil()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as name:
        folder = pathlib.Path(name)
        tiny_towers.write_tower(folder / "tower", num_hidden_layers=1, hidden_size=8, intermediate_size=8, num_attention_heads=1,
                                patch_size=224)

        def ours(files):
            command = [options.program, "inspect", "image", folder / "tower", "--image", *files, "--output", folder / "out"]
            subprocess.run([str(part) for part in command], check=True)

        def theirs(files):
            for file in files:
                processor(Image.open(file).convert("RGB"), return_tensors="pt")

        print(f"{'milliseconds an image':<28}{'ours':>8}{'PIL':>8}{'ratio':>8}")
        for kind, how in KINDS.items():
            (folder / "images").mkdir(exist_ok=True)
            files = write_images(folder / "images", options.images, **how)
            theirs(files[:2])
            own, their = [], []
            for _ in range(options.rounds):
                own.append((cpu_seconds_of(lambda: ours(files)) - cpu_seconds_of(lambda: ours(files[:1]))) / (len(files) - 1))
                their.append(cpu_seconds_of(lambda: theirs(files)) / len(files))
            fastest, fastest_of_them = min(own) * 1e3, min(their) * 1e3
            print(f"{kind:<28}{fastest:>8.2f}{fastest_of_them:>8.2f}{fastest_of_them / fastest:>8.2f}")


if __name__ == "__main__":
    main()
