"""Training with images as a user drives it: drawn shapes, a tower that the demonstration's script makes, a small random LLaMA.
What is claimed: losses do not depend on the cache, runs go on to the same bits, bad images and settings are named."""
import json
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib

import pytest
import safetensors.torch

import tiny_towers
from integration_support import refused, repeatable_steps, adapter_bytes
from program import REPOSITORY, find_program, run_excitor, step_metrics

TEXTS = [{"instruction": "Count the apples", "output": f"{number} apples."} for number in range(16)]
SMALL_V2 = {"type": "adapter_v2", "visual_layers": [0, 1], "visual_hidden_size": 8, "visual_heads": 2, "visual_blocks": 1}


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    compose = [sys.executable, REPOSITORY / "scripts/compose_drawn.py", "--output", folder]
    subprocess.run(compose, check=True, capture_output=True)
    return folder


@pytest.fixture
def world(tmp_path, drawn, model_factory):
    """A folder of its own with the pictures, their captions (16 of them), texts and a configuration."""
    for name in "images", "tower":
        shutil.copytree(drawn / name, tmp_path / name)
    rows = (drawn / "captions.jsonl").read_text().splitlines()[::4]
    (tmp_path / "captions.jsonl").write_text("\n".join(rows) + "\n")
    (tmp_path / "texts.json").write_text(json.dumps(TEXTS))
    return World(tmp_path, model_factory())


class World:
    def __init__(self, folder, model):
        self.folder, self.model = folder, model

    def config(self, *, entries=None, method=None, **sections):
        whole = {"model": {"path": str(self.model)}, "vision": {"path": "tower"},
                 "method": {"type": "excitor", "adapter_len": 3, "r": 2} if method is None else method,
                 "data": {"train": entries or [self.captions()], "cache_dir": "cache", "max_seq_length": 256},
                 "train": {"max_steps": 4, "micro_batch_size": 4, "learning_rate": 0.01}, "output_dir": "run"}
        for name, section in sections.items():
            whole[name] = whole.get(name, {}) | section if isinstance(section, dict) else section
            if section is None:
                del whole[name]
        file = self.folder / "run.json"
        file.write_text(json.dumps(whole))
        return file

    def captions(self, **keys):
        return {"path": "captions.jsonl", "format": "caption", "images": "images"} | keys

    def train(self, *overrides, run="run", **settings):
        run_excitor("train", self.config(**settings), f"output_dir={self.folder / run}", *overrides)
        return self.folder / run


def losses(run):
    return [row["loss"] for row in step_metrics(run)]


@pytest.mark.parametrize("method", [{"type": "excitor", "adapter_len": 3, "r": 2}, {"type": "adapter"}, SMALL_V2],
                         ids=lambda method: method["type"])
def test_losses_are_the_same_bits_with_the_cache_and_without(world, method):
    first = world.train(run="first", method=method)
    assert list((world.folder / "cache" / "features").rglob("features-*.safetensors"))
    again = world.train(run="again", method=method)
    without = world.train("vision.cache=false", run="without", method=method)
    assert losses(first) == losses(again) == losses(without)
    assert adapter_bytes(first) == adapter_bytes(again) == adapter_bytes(without)


def test_the_adapter_records_the_tower_and_the_instruction(world):
    run = world.train("data.caption_instruction=What is it?", "vision.image_channels=bgr")
    vision = json.loads((run / "adapter" / "adapter_config.json").read_text())["vision"]
    assert vision["path"] == str(world.folder / "tower") and len(vision["fingerprint"]) == 64
    assert vision["caption_instruction"] == "What is it?" and vision["image_channels"] == "bgr"
    assert vision["features"] == "tokens" and vision["preprocessing"]["crop_size"] == {"height": 32, "width": 32}
    resolved = json.loads((run / "config.json").read_text())
    assert resolved["method"]["visual_rows"] == 17 and resolved["method"]["visual_width"] == 64


def test_joint_training_takes_turns_and_goes_on_to_the_same_bits(world):
    entries = [world.captions(), {"path": "texts.json", "format": "alpaca", "weight": 0.5}]
    config = world.config(entries=entries, method=SMALL_V2, train={"max_steps": 9})
    whole = world.folder / "whole"
    run_excitor("train", config, f"output_dir={whole}")
    stopped = world.folder / "stopped"
    path, _ = find_program()
    process = subprocess.Popen([str(path), "train", str(config), f"output_dir={stopped}"], stderr=subprocess.PIPE)
    while process.poll() is None and not (stopped / "metrics.jsonl").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    if process.returncode != 0:
        run_excitor("train", config, f"output_dir={stopped}")
    assert repeatable_steps(stopped) == repeatable_steps(whole)
    assert adapter_bytes(stopped) == adapter_bytes(whole)
    tensors = safetensors.torch.load_file(whole / "adapter" / "adapter_model.safetensors")
    assert tensors["base_model.model.clip_proj.weight"].shape == (8, 64)


def test_two_processes_train_as_one(world):
    entries = [world.captions(), {"path": "texts.json", "format": "alpaca"}]
    one = world.train("train.micro_batch_size=8", run="one", entries=entries, method=SMALL_V2)
    two = world.train("distributed.devices=2", run="two", entries=entries, method=SMALL_V2)
    assert losses(two) == pytest.approx(losses(one), rel=1e-6)


def test_prepare_encodes_and_check_counts(world):
    config = world.config(entries=[world.captions(), {"path": "texts.json", "format": "alpaca"}])
    report = json.loads(run_excitor("check", config, "--json").stdout)
    assert report["ready"] and report["images"] == 16 and report["data"]["with_image"] == 16
    prepared = json.loads(run_excitor("prepare", config, "--json").stdout)
    assert prepared["images"]["count"] == 16
    assert [file["with_image"] for file in prepared["files"]] == [16, 0]
    shutil.move(world.folder / "tower" / "model.safetensors", world.folder / "weights")
    refused("train", config, words=["model.safetensors"], absent=world.folder / "run")


def test_validation_and_health_see_the_images(world):
    run = world.train("eval.eval_steps=2", "data.val_size=4")
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in events if row["event"] == "eval"] == [0, 2, 4]


def test_a_sweep_over_the_methods_encodes_for_each(world):
    config = world.config(sweep={"method.type": ["excitor", "adapter"]}, train={"max_steps": 1, "micro_batch_size": 4},
                          method={"adapter_len": 3})
    run_excitor("sweep", config)
    assert len(list((world.folder / "cache" / "features").iterdir())) == 2


def damage(folder):
    """Bad images of every kind beside the good ones; name -> words that tell of it."""
    good = (folder / "images" / "red-drum-0.png").read_bytes()

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)) + chunk(b"IEND", b"")
    contents = {"cut.png": good[:len(good) // 2], "zero.png": b"", "text.jpg": b"not a picture at all", "bomb.png": bomb,
                "sum.png": good[:45] + bytes([good[45] ^ 0xFF]) + good[46:]}
    for name, content in contents.items():
        (folder / "images" / name).write_bytes(content)
    return [*contents, "missing.png"]


@pytest.mark.parametrize("cache", ["true", "false"])
def test_bad_images_are_listed_and_fail_or_are_skipped(world, cache):
    names = damage(world.folder)
    with (world.folder / "captions.jsonl").open("a") as rows:
        rows.writelines(json.dumps({"image": name, "caption": "a bad one"}) + "\n" for name in names)
    config = world.config()
    words = ["6 of 22 images", "on_bad_image skip", *(f"images/{name}" for name in names)]
    refused("train", config, f"vision.cache={cache}", words=words, absent=world.folder / "run")
    done = run_excitor("train", config, f"vision.cache={cache}", "data.on_bad_image=skip")
    for word in [*names, "6 left out for their image"]:
        assert word in done.stderr
    events = [json.loads(line) for line in (world.folder / "run" / "metrics.jsonl").read_text().splitlines()]
    assert events[0]["train_examples"] == 16


REFUSED = {
    "no tower": (dict(vision=None), ["vision: is missing"]),
    "tower that is not there": (dict(vision={"path": "nowhere"}), ["vision.path: no such folder"]),
    "method that sees nothing": (dict(method={"type": "lora"}), ["vision: is given, but method lora sees no images"]),
    "no image folder": (dict(entries=[{"path": "captions.jsonl", "format": "caption"}]), ["data.train[0].images: is missing"]),
    "image folder of texts": (dict(entries=[{"path": "texts.json", "format": "alpaca", "images": "images"}]),
                              ["data.train[0].images: is given"]),
    "image folder that is not there": (dict(entries=[{"path": "captions.jsonl", "format": "caption", "images": "none"}]),
                                       ["data.train[0].images: no such folder"]),
    "split of a file without": (dict(entries=[{"path": "captions.jsonl", "format": "caption", "images": "images", "split": "val"}]),
                                ["data.train[0].split"]),
    "empty crop": (dict(vision={"random_resized_crop": {"smallest_area": 1, "largest_area": 0.5}}),
                   ["vision.random_resized_crop.smallest_area"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_settings_that_can_not_be_are_refused(world, name):
    settings, words = REFUSED[name]
    refused("train", world.config(**settings), words=words, code=2, absent=world.folder / "run")


def test_rows_that_can_not_be_are_refused(world):
    (world.folder / "captions.jsonl").write_text('{"image": "../tower/config.json", "caption": "one"}\n{"image": "a.png"}\n')
    refused("train", world.config(), words=["captions.jsonl:1: ../tower/config.json: the image lies outside",
                                            'captions.jsonl:2: "caption" is missing'], absent=world.folder / "run")


def test_an_adapter_keeps_its_tower(world):
    first = world.train(run="first")
    start = {"adapter_path": str(first / "adapter")}
    world.train(run="second", method=start)
    tiny_towers.write_tower(world.folder / "wide", hidden_size=32, image_size=32, patch_size=8)
    refused("train", world.config(method=start, vision={"path": "wide"}), words=["wide", "width 32", "17 of 64"])
    tiny_towers.write_tower(world.folder / "other", hidden_size=64, image_size=32, patch_size=8)
    refused("train", world.config(method=start, vision={"path": "other"}), words=["other", "another vision tower"])
    texts = world.train(run="texts", method=start, vision=None, entries=[{"path": "texts.json", "format": "alpaca"}])
    record = json.loads((texts / "adapter" / "adapter_config.json").read_text())["vision"]
    assert record["path"] == str(world.folder / "tower")


# --- images in evaluations ------------------------------------------------------------------------------------------------------

def write_references(world, count=6):
    """COCO's file of the first pictures, with two captions each."""
    rows = [json.loads(line) for line in (world.folder / "captions.jsonl").read_text().splitlines()][:count]
    coco = {"images": [{"id": number, "file_name": row["image"]} for number, row in enumerate(rows)],
            "annotations": [{"id": 2 * number + k, "image_id": number, "caption": ["", "a picture of "][k] + caption_of(row)}
                            for number, row in enumerate(rows) for k in range(2)]}
    (world.folder / "coco.json").write_text(json.dumps(coco))
    return "coco.json"


def caption_of(row):
    return row["caption"] if isinstance(row["caption"], str) else row["caption"][0]


def evaluations(run):
    return [row for row in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if row["event"] == "eval"]


@pytest.mark.parametrize("cache", [True, False])
def test_captions_are_scored_while_training_as_eval_scores_them(world, cache):
    task = {"type": "captions", "path": write_references(world), "images": "images", "limit": 5}
    picture = world.folder / "images" / json.loads((world.folder / "captions.jsonl").read_text().splitlines()[0])["image"]
    run = world.train(f"vision.cache={json.dumps(cache)}", data={"caption_instruction": "What is it?"},
                      eval={"tasks": [task], "eval_steps": 2, "sample_images": [str(picture)], "sample_max_new_tokens": 6})
    last = evaluations(run)[-1]
    done = run_excitor("eval", world.model, "--adapter", run / "adapter", "--task", f"captions={world.folder / 'coco.json'}",
                       "--images", world.folder / "images", "--limit", 5)
    [scores] = json.loads(done.stdout)["tasks"]
    assert last["tasks"][0]["metrics"] == scores["metrics"] and last["tasks"][0]["base_metrics"] == scores["base_metrics"]
    assert last["tasks"][0]["samples"] == 5 and "cider" in last["tasks"][0]["metrics"]
    [answer] = run_excitor("generate", world.model, "--adapter", run / "adapter", "--image", picture, "--prompt", "What is it?",
                           "--max-new-tokens", 6, "--json").stdout.splitlines()
    assert last["samples"] == [{"image": str(picture), "prompt": "What is it?", "text": json.loads(answer)["text"]}]


def test_prepare_encodes_the_images_of_evaluations(world):
    lonely = world.folder / "elsewhere"
    shutil.copytree(world.folder / "images", lonely)
    for number, file in enumerate(sorted(lonely.iterdir())):
        file.write_bytes(file.read_bytes() + bytes([number]))  # other files, behind IEND
    config = world.config(eval={"tasks": [{"type": "captions", "path": write_references(world), "images": "elsewhere"}]})
    run_excitor("prepare", config)
    chunks = {file: file.stat().st_mtime_ns for file in (world.folder / "cache").rglob("features-*.safetensors")}
    run_excitor("train", config)
    assert {file: file.stat().st_mtime_ns for file in (world.folder / "cache").rglob("features-*.safetensors")} == chunks


MISTAKEN_EVALUATIONS = {
    "captions without images": ({"tasks": ["captions=coco.json"]}, ["eval.tasks[0].images", "folder"]),
    "images of a task without": ({"tasks": [{"type": "perplexity", "path": "coco.json", "images": "images"}]}, ["eval.tasks[0].images"]),
    "no such folder": ({"tasks": [{"type": "captions", "path": "coco.json", "images": "absent"}]}, ["eval.tasks[0].images", "absent"]),
    "a split of a task without": ({"tasks": [{"type": "perplexity", "path": "coco.json", "split": "val"}]}, ["eval.tasks[0].split"]),
    "no such sample": ({"sample_images": ["absent.png"]}, ["eval.sample_images[0]", "absent.png"]),
    "a sample that is text": ({"sample_images": ["coco.json"]}, ["coco.json", "text"]),
}


@pytest.mark.parametrize("mistake", MISTAKEN_EVALUATIONS)
def test_mistaken_evaluations_with_images_are_named(world, mistake):
    section, words = MISTAKEN_EVALUATIONS[mistake]
    write_references(world)
    refused("train", world.config(eval=section), words=words)
    assert not (world.folder / "run/metrics.jsonl").exists()


def test_evaluations_with_images_need_a_tower(world):
    task = {"type": "captions", "path": write_references(world), "images": "images"}
    refused("train", world.config(entries=[{"path": "texts.json"}], vision=None, eval={"tasks": [task], "sample_images": ["coco.json"]}),
            words=["eval.tasks[0].images", "eval.sample_images", "section vision"])


def test_check_looks_at_sample_images(world):
    write_references(world)
    done = run_excitor("check", world.config(eval={"sample_images": ["coco.json"]}), check=False)
    assert done.returncode == 1 and "coco.json" in done.stdout and "eval.sample_images" in done.stdout and "NOT ready" in done.stdout
