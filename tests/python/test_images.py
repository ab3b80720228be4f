"""Picture files and their preprocessing, compared with PIL and transformers' processor; damaged files."""
import struct

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

import picture_files
import tiny_towers
from integration_support import refused
from program import LARGEST, REPOSITORY, run_excitor

ONE_LEVEL = torch.tensor([1 / 255 / std for std in transformers.image_utils.OPENAI_CLIP_STD]).view(1, 3, 1, 1)


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tower")
    tiny_towers.write_tower(folder, num_hidden_layers=1, hidden_size=16, intermediate_size=16, num_attention_heads=1)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return picture_files.write_all(tmp_path_factory.mktemp("pictures"))


def pixels_of(tower, files, folder):
    output = folder / "states.safetensors"
    run_excitor("inspect", "image", tower, "--image", *files, "--output", output)
    return safetensors.torch.load_file(output)["pixel_values"]


def judged(files, processor):
    """By PIL's processor, from the pixels that PIL gives for RGB: alpha is dropped, as CLIP itself did. (The array forgets that
    a colour was transparent, which transformers 5 would put on white.)"""
    pictures = [Image.fromarray(np.array(Image.open(file).convert("RGB"))) for file in files]
    return processor(pictures, return_tensors="pt")["pixel_values"]


def compare(actual, expected, files, level=ONE_LEVEL):
    assert actual.shape == expected.shape and actual.dtype == torch.float32
    levels = (actual - expected).abs() / level
    for number, file in enumerate(files):
        largest, mean = levels[number].max().item(), levels[number].mean().item()
        LARGEST["test_images.py", "levels"] = max(largest, LARGEST.get(("test_images.py", "levels"), 0))
        assert largest <= 1.001 and mean <= 0.1, f"{file}: up to {largest:.3f} levels from PIL's, {mean:.4f} in the mean"


def test_every_kind_of_file_becomes_the_pixels_of_pil(tower, pictures, tmp_path):
    assert len(pictures) > 80
    compare(pixels_of(tower, pictures, tmp_path), judged(pictures, CLIPImageProcessorPil()), pictures)


def test_pictures_of_many_shapes_become_the_pixels_of_pil(tower, tmp_path):
    """High and narrow ones are another way through PIL; the border lies near 1 : 2."""
    sizes = np.random.default_rng(3).integers(20, 700, (60, 2)).tolist() + [[200, 399], [200, 400], [200, 401], [200, 402], [90, 1000]]
    files = [tmp_path / f"{width}x{height}.png" for width, height in sizes]
    for file, (width, height) in zip(files, sizes):
        picture_files.picture(width, height, seed=width).save(file, compress_level=1)
    compare(pixels_of(tower, files, tmp_path), judged(files, CLIPImageProcessorPil()), files)


def test_real_photographs_become_the_pixels_of_pil(tower, tmp_path):
    photographs = sorted((REPOSITORY.parent / "shared/data/images").glob("*.jpg"))
    if not photographs:
        pytest.skip("the photographs are not there")
    compare(pixels_of(tower, photographs, tmp_path), judged(photographs, CLIPImageProcessorPil()), photographs)


SETTINGS = {
    "plain numbers": {"size": 224, "crop_size": 224},
    "another size and crop": {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}},
    "both sides": {"size": {"height": 224, "width": 224}, "do_center_crop": False},
    "a crop larger than the picture": {"size": {"shortest_edge": 100}, "crop_size": 224},
    "an odd border": {"size": {"height": 191, "width": 230}, "crop_size": 224},
    "no resizing": {"do_resize": False, "crop_size": 224},
    "own mean": {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.25, 0.3]},
    "no mean": {"do_normalize": False},
    "no rescaling": {"do_rescale": False},
    "own factor": {"rescale_factor": 1 / 127.5},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_preprocessor_config_of_a_folder_is_honoured(name, tower, pictures, tmp_path):
    settings = SETTINGS[name]
    chosen = [file for file in pictures if file.stem in ("photo", "portrait", "7x3", "2000x40", "31x1999", "rgb")]
    folder = tmp_path / "tower"
    folder.mkdir()
    for file in ("config.json", "model.safetensors"):
        (folder / file).symlink_to(tower / file)
    tiny_towers.write_preprocessor(folder, **settings)
    processor = CLIPImageProcessorPil(**settings)
    expected = judged(chosen, processor)
    scale = processor.rescale_factor if processor.do_rescale else 1
    level = torch.tensor([scale / std for std in processor.image_std]).view(1, 3, 1, 1) if processor.do_normalize else scale
    compare(pixels_of(folder, chosen, tmp_path), expected, chosen, level)


def test_transformers_5_keeps_the_preprocessor_in_another_file(tower, pictures, tmp_path):
    folder = tmp_path / "tower"
    folder.mkdir()
    for file in ("config.json", "model.safetensors"):
        (folder / file).symlink_to(tower / file)
    (folder / "processor_config.json").write_text(
        '{"image_processor": {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "size": {"shortest_edge": 230}}}')
    chosen = pictures[:3]
    processor = CLIPImageProcessorPil(image_mean=[0.5] * 3, image_std=[0.5] * 3, size={"shortest_edge": 230})
    compare(pixels_of(folder, chosen, tmp_path), judged(chosen, processor), chosen, level=2 / 255)


# --- files that are no pictures -------------------------------------------------------------------------------------------

def jpeg(folder, **how):
    picture_files.picture(320, 240).save(folder / "made.jpg", "JPEG", **how)
    return (folder / "made.jpg").read_bytes()


def webp(folder, size=(320, 240), **how):
    picture_files.picture(*size).save(folder / "made.webp", "WEBP", **how)
    return (folder / "made.webp").read_bytes()


def plain_png(**how):
    return picture_files.png(picture_files.samples(64, 48, 3, 8), "rgb", 8, **how)


def spoil_checksum(content, kind):
    at = content.index(kind)
    length, = struct.unpack(">I", content[at - 4:at])
    end = at + 4 + length
    return content[:end] + bytes([content[end] ^ 1]) + content[end + 1:]


def spoil_byte(content, at):
    return content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1:]


def png_bomb(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + picture_files.chunk(b"IHDR", header) + picture_files.chunk(b"IDAT", b"") + picture_files.chunk(b"IEND", b"")


def jpeg_bomb(folder, side, **how):
    content = jpeg(folder, **how)
    at = next(content.index(marker) for marker in (b"\xff\xc0", b"\xff\xc2") if marker in content)
    return content[:at + 5] + struct.pack(">HH", side, side) + content[at + 9:]


BAD = {
    "zero-byte": (lambda f: b"", ["empty"]),
    "text": (lambda f: b"this is no picture\n" * 20, ["is text", "JPEG, PNG and WebP"]),
    "a web page": (lambda f: b"<!DOCTYPE html><html><body>404</body></html>", ["is text"]),
    "git-lfs": (lambda f: b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", ["git lfs pull"]),
    "gif": (lambda f: b"GIF89a" + bytes(100), ["a GIF", "convert"]),
    "bmp": (lambda f: b"BM" + bytes(100), ["a BMP"]),
    "zeros": (lambda f: bytes(5000), ["something else"]),
    "jpeg half": (lambda f: jpeg(f)[:9000], ["truncated"]),
    "jpeg progressive half": (lambda f: jpeg(f, progressive=True)[:9000], ["truncated"]),
    "jpeg header alone": (lambda f: jpeg(f)[:100], ["truncated"]),
    "jpeg two bytes": (lambda f: b"\xff\xd8", ["truncated"]),
    "jpeg of zeros": (lambda f: b"\xff\xd8\xff" + bytes(1000), ["JPEG"]),
    "jpeg bomb": (lambda f: jpeg_bomb(f, 65500), ["65500×65500", "allowed"]),
    "jpeg progressive bomb": (lambda f: jpeg_bomb(f, 65000, progressive=True), ["65000×65000", "allowed"]),
    "png half": (lambda f: plain_png()[:4000], ["truncated"]),
    "png without its end": (lambda f: plain_png()[:-12], ["truncated"]),
    "png signature alone": (lambda f: plain_png()[:8], ["truncated"]),
    "png bad checksum of the pixels": (lambda f: spoil_checksum(plain_png(), b"IDAT"), ["damaged", "CRC"]),
    "png bad checksum of the header": (lambda f: spoil_checksum(plain_png(), b"IHDR"), ["damaged", "CRC"]),
    "png spoilt pixels": (lambda f: spoil_byte(plain_png(), 1000), ["damaged"]),
    "png without pixels": (lambda f: plain_png()[:33] + picture_files.chunk(b"IEND", b""), ["damaged"]),
    "png bomb": (lambda f: png_bomb(50000, 50000), ["50000×50000", "allowed"]),
    "png bomb of one row": (lambda f: png_bomb(2**31 - 1, 1), ["2147483647×1", "allowed"]),
    "png of no width": (lambda f: png_bomb(0, 5), ["damaged"]),
    "webp half": (lambda f: webp(f)[:4000], ["truncated"]),
    "webp lossless half": (lambda f: webp(f, lossless=True)[:9000], ["truncated"]),
    "webp header alone": (lambda f: webp(f)[:20], ["truncated"]),
    "webp spoilt": (lambda f: webp(f)[:30] + bytes(3000), ["WebP"]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_by_name(name, tower, tmp_path):
    make, words = BAD[name]
    file = tmp_path / "bad picture.jpg"
    file.write_bytes(make(tmp_path))
    refused("inspect", "image", tower, "--image", file, "--output", tmp_path / "states", words=[file, *words], code=1,
            absent=tmp_path / "states")


def test_missing_files_and_folders_are_refused_by_name(tower, tmp_path):
    for file in (tmp_path / "no such.jpg", tmp_path):
        refused("inspect", "image", tower, "--image", file, "--output", tmp_path / "states", words=[file], code=1,
                absent=tmp_path / "states")


def test_a_jpeg_with_damage_in_the_middle_is_read_as_pil_reads_it(tower, tmp_path):
    content = jpeg(tmp_path, restart_marker_rows=1)
    file = tmp_path / "spoilt.jpg"
    file.write_bytes(spoil_byte(content, len(content) // 2))
    difference = (pixels_of(tower, [file], tmp_path) - judged([file], CLIPImageProcessorPil())).abs() / ONE_LEVEL
    assert difference.max() <= 1.001


@pytest.mark.parametrize("settings, words", [
    ({"resample": 2}, ["resample", "bicubic"]),
    ({"size": {"shortest_edge": 0}}, ["size.shortest_edge"]),
    ({"size": {"longest_edge": 224}}, ["size"]),
    ({"size": {"height": 224}}, ["size"]),
    ({"size": "large"}, ["size"]),
    ({"crop_size": {"shortest_edge": 224}}, ["crop_size"]),
    ({"crop_size": 336}, ["336×336", "224×224"]),
    ({"do_center_crop": False}, ["do_center_crop"]),
    ({"do_resize": 1}, ["do_resize"]),
    ({"image_mean": [0.5, 0.5]}, ["image_mean", "three"]),
    ({"image_std": [0.5, 0.5, 0]}, ["image_std", "positive"]),
    ({"rescale_factor": -1}, ["rescale_factor"]),
])
def test_a_preprocessor_config_that_cannot_be_followed_is_refused(settings, words, tower, pictures, tmp_path):
    folder = tmp_path / "tower"
    folder.mkdir()
    for file in ("config.json", "model.safetensors"):
        (folder / file).symlink_to(tower / file)
    tiny_towers.write_preprocessor(folder, **settings)
    refused("inspect", "image", folder, "--image", pictures[0], "--output", tmp_path / "states",
            words=["preprocessor_config.json", *words], absent=tmp_path / "states")
