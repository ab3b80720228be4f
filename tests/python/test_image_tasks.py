"""Captions of many images, and the tasks with images: `excitor caption`, `eval --task captions=…`, `eval --task scienceqa=…`."""
import json
import os
import shutil
import signal
import subprocess

import pytest
from safetensors.torch import load_file, save_file

import evaluation_files
import picture_files
import plain_evaluation as plain_rules
from integration_support import refused
from program import find_program, generate, run_excitor
from test_image_answers import script, write_adapter

COUNT = 5
INSTRUCTION = "Say what is there"


@pytest.fixture(scope="module")
def model(model_factory):
    return model_factory(std=0.3, seed=5, max_position_embeddings=512)


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    import tiny_towers
    folder = tmp_path_factory.mktemp("towers") / "tower"
    tiny_towers.write_tower(folder, kind="CLIPVisionModelWithProjection")
    return folder


@pytest.fixture(scope="module", params=["excitor", "adapter", "adapter_v2"])
def adapter(request, tmp_path_factory, model, tower):
    return write_adapter(tmp_path_factory.mktemp(request.param) / "adapter", model, request.param, tower)


@pytest.fixture(scope="module")
def seeing(tmp_path_factory, model, tower):
    return write_adapter(tmp_path_factory.mktemp("seeing") / "adapter", model, "excitor", tower)


def name_of(number):
    return f"COCO_val2014_{number:012}.png"


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number in range(COUNT):
        picture_files.picture(60 + number, 70, seed=number).save(folder / name_of(number))
    return folder


def coco(count=COUNT):
    sentences = evaluation_files.SENTENCES
    return {"images": [{"id": number, "file_name": name_of(number)} for number in reversed(range(count))],
            "annotations": [{"id": 10 * number + k, "image_id": number, "caption": sentences[7 * number + k]}
                            for number in range(count) for k in range(2 + number % 2)]}


def write_coco(folder, **changes):
    (folder / "coco.json").write_text(json.dumps(coco() | changes))
    return folder / "coco.json"


def caption(folder, model, adapter, images, *arguments, name="results.json"):
    run_excitor("caption", model, "--adapter", adapter, "--images", images, "--output", folder / name, *arguments)
    return json.loads((folder / name).read_text())


def one_by_one(folder, model, adapter, images, numbers=range(COUNT)):
    """The captions of `excitor generate`, up to a line end."""
    rows = [{"prompt": INSTRUCTION, "image": str(images / name_of(number))} for number in numbers]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    answers = generate(model, "--prompts", folder / "rows.jsonl", "--max-new-tokens", 64, adapter=adapter)
    return {number: answer["text"].partition("\n")[0].strip() for number, answer in zip(numbers, answers)}


# --- excitor caption ------------------------------------------------------------------------------------------------------------

def test_captions_are_those_of_generate_in_cocos_format(tmp_path, model, adapter, images):
    results = caption(tmp_path, model, adapter, images)
    expected = one_by_one(tmp_path, model, adapter, images)
    assert results == [{"image_id": number, "caption": text} for number, text in expected.items()]
    assert len(set(expected.values())) > 1


def test_ids_come_from_references_or_names(tmp_path, model, seeing, images):
    expected = one_by_one(tmp_path, model, seeing, images)
    named = caption(tmp_path, model, seeing, images, "--references", write_coco(tmp_path), name="coco results.json")
    assert named == [{"image_id": number, "caption": expected[number]} for number in reversed(range(COUNT))]
    refused("caption", model, "--adapter", seeing, "--images", images, "--references", tmp_path / "coco.json", "--split", "val",
            "--output", tmp_path / "none.json", words=["coco.json", 'split "val"', "COCO's own"], code=2)
    karpathy = {"dataset": "coco", "images": [
        {"filepath": "val2014", "filename": name_of(number), "cocoid": 100 + number, "imgid": number, "split": split,
         "sentences": [{"raw": "a"}]} for number, split in enumerate(["test", "train", "test", "val", "restval"])]}
    (tmp_path / "karpathy.json").write_text(json.dumps(karpathy))
    results = caption(tmp_path, model, seeing, images, "--references", tmp_path / "karpathy.json", name="k.json")
    assert results == [{"image_id": 100 + number, "caption": expected[number]} for number in (0, 2)]
    (tmp_path / "own").mkdir()
    for number, name in enumerate(["cat.png", "42.PNG", "sub/dog_7.png", "notes.txt"]):
        (tmp_path / "own" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "own" / name).write_bytes((images / name_of(number)).read_bytes())
    results = caption(tmp_path, model, seeing, tmp_path / "own", name="own.json")
    assert [row["image_id"] for row in results] == [42, "cat", "dog_7"]


def test_an_interrupted_command_goes_on(tmp_path, model, seeing):
    (tmp_path / "many").mkdir()
    for number in range(36):
        picture_files.picture(20 + number, 24, seed=number).save(tmp_path / "many" / name_of(number))
    slow = ["--expert", f"slow={script(tmp_path, 'sleep 0.05')} {{image}}", "--max-new-tokens", 2]
    command = [str(find_program()[0]), "caption", *map(str, [model, "--adapter", seeing, "--images", tmp_path / "many",
                                                             "--output", tmp_path / "results.json", *slow])]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={"OMP_NUM_THREADS": "1"} | os.environ)
    for line in process.stderr:
        if "32 of 36" in line:
            process.send_signal(signal.SIGTERM)
            break
    process.stderr.read()
    assert process.wait() == 143 and not (tmp_path / "results.json").exists()
    partial = tmp_path / "results.json.partial"
    assert len(partial.read_text().splitlines()) == 33
    refused("caption", model, "--adapter", seeing, "--images", tmp_path / "many", "--output", tmp_path / "results.json",
            words=[partial, "begun with another"], code=2)
    refused("caption", model, "--adapter", seeing, "--images", tmp_path / "many", "--output", tmp_path / "results.json", *slow,
            "--dtype", "bfloat16", words=[partial, "begun with another"], code=2)
    changed = shutil.copytree(seeing, tmp_path / "changed")
    weights = changed / "adapter_model.safetensors"
    save_file({name: tensor + 1 for name, tensor in load_file(weights).items()}, weights)
    refused("caption", model, "--adapter", changed, "--images", tmp_path / "many", "--output", tmp_path / "results.json", *slow,
            words=[partial, "begun with another"], code=2)
    partial.write_text(partial.read_text()[:-5])  # as a crash might leave it
    done = run_excitor("caption", model, "--adapter", seeing, "--images", tmp_path / "many", "--output", tmp_path / "results.json", *slow)
    assert "31 captions are there already" in done.stderr and not partial.exists()
    whole = caption(tmp_path, model, seeing, tmp_path / "many", *slow[2:], name="whole.json")
    assert json.loads((tmp_path / "results.json").read_text()) == whole
    refused("caption", model, "--adapter", seeing, "--images", tmp_path / "many", "--output", tmp_path / "whole.json",
            words=["whole.json", "nothing is overwritten"], code=2)


def test_bad_images_fail_or_are_left_out_with_a_list(tmp_path, model, seeing, images):
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for number in (0, 1):
        (mixed / name_of(number)).write_bytes((images / name_of(number)).read_bytes())
    (mixed / "cut.png").write_bytes((images / name_of(2)).read_bytes()[:200])
    (mixed / "text.jpg").write_text("no picture")
    command = ["caption", model, "--adapter", seeing, "--images", mixed, "--output", tmp_path / "results.json"]
    refused(*command, words=["2 of 4 images", "cut.png", "text.jpg"], code=1, absent=tmp_path / "results.json")
    done = run_excitor(*command, "--on-bad-image", "skip", "--json")
    assert [name.rpartition("/")[2] for name in json.loads(done.stdout)["left_out"]] == ["cut.png", "text.jpg"]
    assert [row["image_id"] for row in json.loads((tmp_path / "results.json").read_text())] == [0, 1]


def test_folders_and_references_that_cannot_be_are_refused(tmp_path, model, seeing, images):
    command = ["caption", model, "--adapter", seeing, "--output", tmp_path / "results.json", "--images"]
    (tmp_path / "empty").mkdir()
    refused(*command, tmp_path / "empty", words=["empty", "no image"], code=2)
    refused(*command, tmp_path / "nowhere", words=["nowhere"], code=2)
    for place in ("a/7.png", "b/7.png"):
        (tmp_path / "twice" / place).parent.mkdir(parents=True)
        (tmp_path / "twice" / place).write_bytes((images / name_of(0)).read_bytes())
    refused(*command, tmp_path / "twice", words=["a/7.png", "b/7.png", "image_id 7"], code=1)
    outside = write_coco(tmp_path, images=[{"id": 0, "file_name": "../secret.png"}],
                         annotations=[{"image_id": 0, "caption": "a"}])
    refused(*command, images, "--references", outside, words=["../secret.png"], code=1)
    gone = write_coco(tmp_path, images=[{"id": 0, "file_name": "gone.png"}], annotations=[{"image_id": 0, "caption": "a"}])
    refused(*command, images, "--references", gone, words=["gone.png", "1 of 1"], code=1)
    (tmp_path / "k.json").write_text(json.dumps({"images": [{"filename": "x.png", "imgid": 1, "split": "val", "sentences": [{"raw": "a"}]}]}))
    refused(*command, images, "--references", tmp_path / "k.json", words=["k.json", "split \"test\""], code=1)


# --- the task captions --------------------------------------------------------------------------------------------------------

def evaluate(folder, model, adapter, *arguments):
    run_excitor("eval", model, "--adapter", adapter, *arguments, "--predictions", folder / "predictions.jsonl", "--output", folder / "out.json")
    return json.loads((folder / "out.json").read_text())["tasks"][0], plain_rules.read_rows(folder / "predictions.jsonl")


def scores_of(folder, references, captions):
    (folder / "said.json").write_text(json.dumps([{"image_id": number, "caption": text} for number, text in captions.items()]))
    done = run_excitor("eval-captions", "--references", references, "--results", folder / "said.json")
    return json.loads(done.stdout)["metrics"]


def test_the_task_scores_what_generate_says_with_and_without_the_bypass(tmp_path, model, adapter, images):
    references = write_coco(tmp_path)
    task, predictions = evaluate(tmp_path, model, adapter, "--task", f"captions={references}", "--images", images)
    assert task["samples"] == COUNT and task["layout"]["instruction"] == INSTRUCTION
    tuned = {row["sample"]: row["prediction"] for row in predictions}
    base = {row["sample"]: row["base_prediction"] for row in predictions}
    assert tuned == one_by_one(tmp_path, model, adapter, images)
    [answer] = generate(model, "--prompt", INSTRUCTION, "--max-new-tokens", 64)
    assert set(base.values()) == {answer["text"].partition("\n")[0].strip()}  # the base sees nothing
    assert task["metrics"] == pytest.approx(scores_of(tmp_path, references, tuned), abs=1e-12)
    assert task["base_metrics"] == pytest.approx(scores_of(tmp_path, references, base), abs=1e-12)
    assert task["intervals"].keys() == task["metrics"].keys() and "cider" in task["change_intervals"]


def test_the_instruction_of_the_task_may_be_another(tmp_path, model, seeing, images):
    references = write_coco(tmp_path)
    task, predictions = evaluate(tmp_path, model, seeing, "--task", f"captions={references}", "--images", images, "--prompt",
                                 "The fox finds", "--limit", 1)
    [answer] = generate(model, "--prompt", "The fox finds", "--image", images / name_of(COUNT - 1), "--max-new-tokens", 64, adapter=seeing)
    assert predictions[0]["prediction"] == answer["text"].partition("\n")[0].strip()


def test_tasks_with_images_that_cannot_be_are_refused(tmp_path, model, seeing, images):
    references = write_coco(tmp_path)
    command = ["eval", model, "--adapter", seeing, "--task", f"captions={references}"]
    refused(*command, words=["captions", "--images"], code=2)
    refused("eval", model, "--adapter", seeing, "--task", f"choices={references}", "--images", images, words=["--images"], code=2)
    import random_adapters
    blind = random_adapters.write_excitor(tmp_path / "blind", model)
    refused("eval", model, "--adapter", blind, "--task", f"captions={references}", "--images", images,
            words=["--images", blind, "no visual side"], code=2)
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / name_of(3)).write_bytes((images / name_of(3)).read_bytes())
    refused(*command, "--images", tmp_path / "some", words=["4 of 5 images", name_of(0)], code=1)
    task, _ = evaluate(tmp_path, model, seeing, "--task", f"captions={references}", "--images", tmp_path / "some", "--on-bad-image", "skip")
    assert task["samples"] == 1 and len(task["layout"]["images_left_out"]) == 4


# --- ScienceQA ------------------------------------------------------------------------------------------------------------------

def science(folder, images, layout):
    """Questions, their folder of images, and the image of each."""
    questions = evaluation_files.write_scienceqa(folder / "scienceqa", questions=6)
    problems = json.loads((questions / "problems.json").read_text())
    shown = {}
    for number, (key, problem) in enumerate(problems.items()):
        if problem["image"]:
            shown[key] = folder / "pictures" / layout.format(key) / problem["image"]
            shown[key].parent.mkdir(parents=True)
            shown[key].write_bytes((images / name_of(number % COUNT)).read_bytes())
    return questions, problems, shown


@pytest.mark.parametrize("layout", ["test/{}", "{}"])
def test_scienceqa_is_answered_with_the_image_in_view(tmp_path, model, seeing, images, layout):
    questions, problems, shown = science(tmp_path, images, layout)
    task, predictions = evaluate(tmp_path, model, seeing, "--task", f"scienceqa={questions}", "--images", tmp_path / "pictures")
    asked = [row["sample"] for row in predictions]
    assert task["layout"]["samples_with_image"] == len([key for key in asked if key in shown]) > 0
    rows = [{"prompt": plain_rules.science_prompt(problems[key])} | ({"image": str(shown[key])} if key in shown else {}) for key in asked]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    answers = generate(model, "--prompts", tmp_path / "rows.jsonl", "--max-new-tokens", 32, adapter=seeing)
    assert [row["text"] for row in predictions] == [answer["text"].partition("\n")[0] for answer in answers]


def test_a_missing_image_of_scienceqa_fails_or_leaves_the_question_without_it(tmp_path, model, seeing, images):
    questions, problems, shown = science(tmp_path, images, "test/{}")
    splits = json.loads((questions / "pid_splits.json").read_text())
    gone = next(key for key in splits["test"] if key in shown)
    shown[gone].unlink()
    arguments = ["--task", f"scienceqa={questions}", "--images", tmp_path / "pictures"]
    refused("eval", model, "--adapter", seeing, *arguments, words=[shown[gone]], code=1)
    task, _ = evaluate(tmp_path, model, seeing, *arguments, "--on-bad-image", "skip")
    assert task["layout"]["images_left_out"] == [str(shown[gone])] and task["samples"] == 6
