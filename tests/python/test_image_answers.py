"""Images where the model answers: generate --image, chat's /image, experts, and images that can't be."""
import json
import shutil
import subprocess

import pytest
import safetensors.torch

import picture_files
import random_adapters
import tiny_towers
from integration_support import refused
from program import find_program, generate, run_excitor

NEW_TOKENS = 8
PROMPT = "The fox finds"


@pytest.fixture(scope="module")
def model(model_factory):
    return model_factory(std=0.3, seed=5)


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    folder = tmp_path_factory.mktemp("towers") / "tower"
    tiny_towers.write_tower(folder, kind="CLIPVisionModelWithProjection")
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number in range(2):
        picture_files.picture(250, 230 + number, seed=number).save(folder / f"{number}.png")
    return folder


METHODS = {"excitor": (random_adapters.write_excitor, dict(rows=50, width=64)),
           "adapter": (random_adapters.write_adapter, dict(rows=3, width=64)),
           "adapter_v2": (random_adapters.write_adapter_v2, dict(rows=50, width=24))}


def write_adapter(folder, model, method, tower):
    write, shape = METHODS[method]
    adapter = random_adapters.add_visual_side(write(folder, model), model, **shape)
    file = adapter / "adapter_config.json"
    settings = json.loads(file.read_text())
    vision = dict(path=str(tower), image_channels="rgb", caption_instruction="Say what is there")
    file.write_text(json.dumps(settings | {"vision": vision}))
    return adapter


@pytest.fixture(scope="module", params=METHODS)
def adapter(request, tmp_path_factory, model, tower):
    return write_adapter(tmp_path_factory.mktemp(request.param) / "adapter", model, request.param, tower)


@pytest.fixture(scope="module")
def seeing(tmp_path_factory, model, tower):
    """One adapter that sees, for what does not depend on the method."""
    return write_adapter(tmp_path_factory.mktemp("seeing") / "adapter", model, "excitor", tower)


def answers(model, adapter, *arguments):
    return generate(model, *arguments, "--max-new-tokens", NEW_TOKENS, adapter=adapter)


def prompt_ids(model, text):
    done = run_excitor("inspect", "tokens", model, "--text", text, "--json")
    return json.loads(done.stdout)["ids"]


def test_each_token_is_the_most_probable_of_one_pass_over_all_with_the_image(model, adapter, images, tmp_path):
    image = images / "0.png"
    [answer] = answers(model, adapter, "--prompt", PROMPT, "--image", image)
    before, new = prompt_ids(model, PROMPT), answer["token_ids"]
    assert new and answer["image"] == str(image)
    run_excitor("inspect", "logits", model, "--adapter", adapter, "--image", image, "--output", tmp_path / "logits",
                "--ids", ",".join(map(str, before + new[:-1])))
    best = safetensors.torch.load_file(tmp_path / "logits")["logits"].argmax(1).tolist()
    assert best[len(before) - 1:] == new


def test_images_change_answers_and_texts_stay_texts(model, adapter, images):
    texts = [answers(model, adapter, "--prompt", PROMPT, *image)[0]["text"]
             for image in ([], ["--image", images / "0.png"], ["--image", images / "1.png"])]
    assert len(set(texts)) >= 2 and texts[0] != texts[1]


def test_rows_of_a_file_name_their_images(model, seeing, images, tmp_path):
    shutil.copy(images / "0.png", tmp_path)
    rows = [{"prompt": PROMPT, "image": "0.png"}, {"prompt": PROMPT}, {"prompt": PROMPT, "image": str(images / "1.png")}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = answers(model, seeing, "--prompts", tmp_path / "rows.jsonl")
    expected = [answers(model, seeing, "--prompt", PROMPT, *arguments)[0]
                for arguments in (["--image", images / "0.png"], [], ["--image", images / "1.png"])]
    assert [row["token_ids"] for row in found] == [row["token_ids"] for row in expected]


def test_an_image_alone_is_asked_what_the_adapter_was_trained_to_be_asked(model, seeing, images):
    [answer] = answers(model, seeing, "--image", images / "0.png")
    assert answer["prompt"] == "Say what is there"
    assert answer["token_ids"] == answers(model, seeing, "--prompt", "Say what is there", "--image", images / "0.png")[0]["token_ids"]


# --- what can't be ---------------------------------------------------------------------------------------------------------------

def cut(data):
    return data[:len(data) // 2]


def with_bad_checksum(data):
    place = data.index(b"IDAT") + 8
    return data[:place] + bytes([data[place] ^ 255]) + data[place + 1:]


BAD = {"cut.png": (cut, ["cut.png"]), "empty.png": (lambda data: b"", ["empty.png", "empty"]),
       "text.jpg": (lambda data: b"this is no picture\n" * 9, ["text.jpg"]), "checksum.png": (with_bad_checksum, ["checksum.png"]),
       "bomb.png": (lambda data: data[:16] + b"\0\1\0\0\0\1\0\0" + data[24:], ["bomb.png"])}


@pytest.mark.parametrize("name", BAD)
def test_bad_images_are_named(model, seeing, images, tmp_path, name):
    spoil, words = BAD[name]
    (tmp_path / name).write_bytes(spoil((images / "0.png").read_bytes()))
    refused("generate", model, "--adapter", seeing, "--prompt", PROMPT, "--image", tmp_path / name, words=words, code=1)


def test_a_missing_image_is_named(model, seeing, tmp_path):
    refused("generate", model, "--adapter", seeing, "--prompt", PROMPT, "--image", tmp_path / "none.png", words=["none.png"])
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "image": "gone.png"}')
    refused("generate", model, "--adapter", seeing, "--prompts", tmp_path / "rows.jsonl", words=["gone.png"])
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "image": 7}')
    refused("generate", model, "--adapter", seeing, "--prompts", tmp_path / "rows.jsonl", words=["rows.jsonl:1", "image"])


def test_models_that_see_nothing_say_so(model, tmp_path, images):
    blind = random_adapters.write_excitor(tmp_path / "blind", model)
    refused("generate", model, "--adapter", blind, "--prompt", PROMPT, "--image", images / "0.png", code=2,
            words=["--image", blind, "no visual side"])
    refused("generate", model, "--prompt", PROMPT, "--image", images / "0.png", code=2, words=["--image", "--adapter"])
    refused("generate", model, "--prompt", PROMPT, "--expert", "a=echo {image}", code=2, words=["--expert", "no image"])


def test_towers_that_do_not_fit_are_refused(model, seeing, images, tmp_path):
    ask = ["generate", model, "--adapter", seeing, "--prompt", PROMPT, "--image", images / "0.png"]
    refused(*ask, "--vision", tmp_path / "nowhere", words=["nowhere"])
    tiny_towers.write_tower(tmp_path / "wide", hidden_size=32)
    refused(*ask, "--vision", tmp_path / "wide", words=[tmp_path / "wide", "width 32", "64"], code=2)
    away = shutil.copytree(seeing, tmp_path / "away")
    settings = json.loads((away / "adapter_config.json").read_text())
    settings["vision"]["path"] = str(tmp_path / "moved")
    (away / "adapter_config.json").write_text(json.dumps(settings))
    refused("generate", model, "--adapter", away, "--prompt", PROMPT, "--image", images / "0.png", words=["moved", "--vision"], code=2)


# --- chat -----------------------------------------------------------------------------------------------------------------------

def chat(model, adapter, lines, *arguments):
    command = [str(find_program()[0]), "chat", str(model), "--adapter", str(adapter), "--max-new-tokens", str(NEW_TOKENS),
               *map(str, arguments)]
    done = subprocess.run(command, input="".join(line + "\n" for line in lines), capture_output=True, encoding="utf-8", timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


def one_line(answer):
    return answer["text"].replace("\n", " ")


def test_an_image_holds_until_another_or_a_reset(model, seeing, images):
    ask = lambda *arguments: answers(model, seeing, "--prompt", PROMPT, *arguments)[0]["text"]
    first, second, none = ask("--image", images / "0.png"), ask("--image", images / "1.png"), ask()
    output, _ = chat(model, seeing, [f"/image {images}/0.png", PROMPT, "/reset", PROMPT, f"/image  {images}/1.png", "/reset",
                                     f"/image {images}/1.png", PROMPT, "/reset"])
    assert output == [text for answer in (first, none, second) for text in answer.splitlines()]


def test_an_image_that_cannot_be_shown_leaves_the_conversation_as_it_was(model, seeing, images, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"")
    output, words = chat(model, seeing, [f"/image {images}/0.png", f"/image {tmp_path}/bad.png", "/image", PROMPT])
    assert output == answers(model, seeing, "--prompt", PROMPT, "--image", images / "0.png")[0]["text"].splitlines()
    assert "bad.png" in words and "no file is named" in words
    blind = random_adapters.write_excitor(tmp_path / "blind", model)
    assert "no visual side" in chat(model, blind, [f"/image {images}/0.png"])[1]


# --- experts --------------------------------------------------------------------------------------------------------------------

def script(folder, body, name="expert.sh"):
    file = folder / name
    file.write_text("#!/bin/sh\n" + body + "\n")
    file.chmod(0o755)
    return file


def test_words_of_experts_stand_in_front_of_the_input(model, seeing, images, tmp_path):
    expert = script(tmp_path, 'echo "a picture called $(basename "$1")"')
    ask = ["--prompt", PROMPT, "--image", images / "0.png"]
    [answer] = answers(model, seeing, *ask, "--input", "It rains.", "--expert", f"caption={expert} {{image}}", "--expert",
                       "size=wc -c {image}")
    size = (images / "0.png").stat().st_size
    context = f"caption: a picture called 0.png\nsize: {size} {images / '0.png'}"
    assert answer["context"] == context
    assert answer["token_ids"] == answers(model, seeing, *ask, "--input", context + "\nIt rains.")[0]["token_ids"]


def test_experts_speak_for_models_that_see_nothing(model, images, tmp_path):
    expert = f"caption={script(tmp_path, 'echo a fox')} {{image}}"
    [answer] = generate(model, "--prompt", PROMPT, "--image", images / "0.png", "--expert", expert, "--max-new-tokens", NEW_TOKENS)
    [same] = generate(model, "--prompt", PROMPT, "--input", "caption: a fox", "--max-new-tokens", NEW_TOKENS)
    assert answer["token_ids"] == same["token_ids"]


def test_words_of_experts_stand_with_the_first_question_of_a_conversation(model, seeing, images, tmp_path):
    expert = f"caption={script(tmp_path, 'echo a fox')} {{image}}"
    output, words = chat(model, seeing, [f"/image {images}/0.png", PROMPT], "--expert", expert)
    [expected] = answers(model, seeing, "--prompt", PROMPT, "--input", "caption: a fox", "--image", images / "0.png")
    assert output == expected["text"].splitlines() and "caption: a fox" in words


FAILING = {"fails": ("echo 'no weights' >&2; exit 3", [], ["exit code 3", "no weights"]),
           "is slow": ("sleep 60", ["--expert-seconds", "0.2"], ["0.2 seconds", "--expert-seconds"]),
           "says too much": ("yes", [], ["65536 bytes"]),
           "is no UTF-8": ("printf '\\377'", [], ["UTF-8"])}


@pytest.mark.parametrize("name", FAILING)
def test_experts_that_fail_are_named_with_the_image(model, seeing, images, tmp_path, name):
    body, arguments, words = FAILING[name]
    expert = script(tmp_path, body)
    refused("generate", model, "--adapter", seeing, "--prompt", PROMPT, "--image", images / "0.png", "--expert",
            f"caption={expert} {{image}}", *arguments, words=[expert, images / "0.png", *words], code=1)


def test_experts_that_are_not_there_are_told_before_anything_is_loaded(tmp_path, images):
    refused("generate", tmp_path / "no model", "--prompt", "a", "--image", images / "0.png", "--expert", "x=no-such-program {image}",
            words=["no-such-program"], code=2)


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
def test_tesseract_reads_what_is_written(model, seeing, tmp_path):
    from PIL import Image, ImageDraw, ImageFont
    sign = Image.new("RGB", (500, 160), "white")
    ImageDraw.Draw(sign).text((40, 40), "STOP HERE", fill="black", font=ImageFont.load_default(size=70))
    sign.save(tmp_path / "sign.png")
    [answer] = answers(model, seeing, "--prompt", "What does it say?", "--image", tmp_path / "sign.png", "--expert", "ocr")
    assert "STOP HERE" in answer["context"]
