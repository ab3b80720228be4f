"""`excitor eval-captions` against coco-caption: what it said of 500 images is recorded in coco_captions.json (by coco_caption_judge.py);
where pycocoevalcap and Java are installed, it is asked anew."""
import json
import pathlib
import shutil

import pytest

import adversarial_captions
import coco_caption_judge
from program import run_excitor

RECORDED = pathlib.Path(__file__).with_name("coco_captions.json")
TOLERANCE = 1e-4

# The golden example of coco-caption's own formats.
GOLDEN = {1: ["a man riding a horse on a beach", "a person rides a brown horse near the ocean", "man on horse at the beach"],
          2: ["two dogs play with a red ball in the grass", "dogs playing in a field", "two brown dogs chase a ball"],
          3: ["a plate of food with rice and broccoli", "a white plate topped with rice and vegetables"]}
GOLDEN_RESULTS = {1: "a man rides a horse on the beach", 2: "two dogs playing with a ball in the grass", 3: "a plate of rice"}


def write(folder, references, results):
    (folder / "references.json").write_text(json.dumps(references))
    (folder / "results.json").write_text(json.dumps(results))
    return ["--references", folder / "references.json", "--results", folder / "results.json"]


def golden():
    references = {"images": [{"id": image} for image in GOLDEN],
                  "annotations": [{"image_id": image, "caption": text} for image, texts in GOLDEN.items() for text in texts]}
    return references, [{"image_id": image, "caption": text} for image, text in GOLDEN_RESULTS.items()]


def eval_captions(folder, references, results, *arguments):
    done = run_excitor("eval-captions", *write(folder, references, results), *arguments)
    return json.loads(done.stdout)


def compare(folder, references, results, judged):
    """Words exactly, metrics within the tolerance. Returns the number of captions."""
    answer = eval_captions(folder, references, results, "--write-inputs", folder / "inputs")
    different, count = [], 0
    for row in json.loads((folder / "inputs/spice.json").read_text()):
        expected = judged["tokenized"][str(row["image_id"])]
        for ours, theirs in zip([row["test"], *row["refs"]], [expected["caption"], *expected["references"]], strict=True):
            count += 1
            different += [(ours, theirs)] if ours != theirs else []
    assert not different, f"{len(different)} of {count}: {different[:5]}"
    for name, value in judged["metrics"].items():
        assert abs(answer["metrics"][name] - value) <= TOLERANCE, name
        low, high = answer["intervals"][name]
        assert low <= answer["metrics"][name] <= high
    return count


def test_words_and_metrics_are_those_recorded_of_coco_caption(tmp_path):
    recorded = json.loads(RECORDED.read_text())
    count = compare(tmp_path, recorded["references"], recorded["results"], recorded)
    assert count >= 1000


@pytest.mark.parametrize("hard", [0.0, 1.0])
def test_words_and_metrics_are_those_of_coco_caption(tmp_path, hard):
    pytest.importorskip("pycocoevalcap")
    if not shutil.which("java"):
        pytest.skip("coco-caption's tokeniser needs Java")
    references, results = adversarial_captions.make(300, seed=17, hard=hard)
    compare(tmp_path, references, results, coco_caption_judge.judge(references, results))


def test_the_golden_example(tmp_path):
    metrics = eval_captions(tmp_path, *golden())["metrics"]
    expected = {"cider": 2.266867281524745, "rouge_l": .7376846711898258, "bleu_1": .7881276276702512, "bleu_2": .6950632347288395,
                "bleu_3": .4665211163240162, "bleu_4": .28576386166529755}
    assert {name: pytest.approx(value, abs=1e-9) for name, value in expected.items()} == metrics


def test_one_image_alone_has_no_cider(tmp_path):
    references, results = golden()
    references["images"] = references["images"][:1]
    references["annotations"] = references["annotations"][:3]
    answer = eval_captions(tmp_path, references, results[:1])
    assert answer["samples"] == 1
    assert answer["metrics"]["cider"] == 0 and answer["metrics"]["rouge_l"] == pytest.approx(.75)


def test_metrics_may_be_chosen(tmp_path):
    answer = eval_captions(tmp_path, *golden(), "--metric", "bleu", "--output", tmp_path / "out.json")
    assert list(answer["metrics"]) == ["bleu_1", "bleu_2", "bleu_3", "bleu_4"]
    assert json.loads((tmp_path / "out.json").read_text()) == answer


def test_other_programs_get_their_files(tmp_path):
    eval_captions(tmp_path, *golden(), "--write-inputs", tmp_path / "inputs")
    assert json.loads((tmp_path / "inputs/results.json").read_text()) == golden()[1]
    lines = (tmp_path / "inputs/meteor.txt").read_text().splitlines()
    assert lines[2] == "SCORE ||| a plate of food with rice and broccoli ||| a white plate topped with rice and vegetables ||| a plate of rice"


def broken(change):
    references, results = golden()
    change(references, results)
    return references, results


BAD = {
    "unknown image": (lambda r, s: s.append({"image_id": 9, "caption": "a"}), ["results.json[3]", "image 9"]),
    "two for one": (lambda r, s: s.append({"image_id": 2, "caption": "a"}), ["results.json[3]", "image 2", "[1]"]),
    "an image without a result": (lambda r, s: s.pop(), ["results.json", "1 of 3", "--subset"]),
    "no caption": (lambda r, s: s[1].pop("caption"), ["results.json[1]", "caption"]),
    "caption is no text": (lambda r, s: s[1].update(caption=5), ["results.json[1]", "the integer 5"]),
    "no references of an image": (lambda r, s: r["images"].append({"id": 4}), ["references.json", "image 4", "no caption"]),
    "annotation of an unknown image": (lambda r, s: r["annotations"][2].update(image_id=8), ["annotations[2]", "image 8"]),
    "an image twice": (lambda r, s: r["images"].append({"id": 1}), ["images[3]", "twice"]),
    "empty results": (lambda r, s: s.clear(), ["results.json", "empty"]),
    "text is not 1": (lambda r, s: s[0].update(image_id="1"), ["results.json[0]", '"1"']),
}


@pytest.mark.parametrize("change,words", BAD.values(), ids=BAD)
def test_bad_input_is_named(tmp_path, change, words):
    done = run_excitor("eval-captions", *write(tmp_path, *broken(change)), check=False)
    assert done.returncode == 1
    assert not done.stdout
    for word in words:
        assert word in done.stderr


def test_broken_json_and_missing_files_are_named(tmp_path):
    arguments = write(tmp_path, *golden())
    (tmp_path / "results.json").write_text('[{"image_id": 1,\n "caption": }]')
    done = run_excitor("eval-captions", *arguments, check=False)
    assert done.returncode == 1 and "results.json:2:" in done.stderr
    (tmp_path / "results.json").unlink()
    done = run_excitor("eval-captions", *arguments, check=False)
    assert done.returncode == 2 and "results.json" in done.stderr


def test_a_subset_is_scored_when_asked(tmp_path):
    references, results = golden()
    answer = eval_captions(tmp_path, references, results[:2], "--subset")
    assert answer["samples"] == 2


@pytest.mark.parametrize("metric", ["meteor", "spice"])
def test_metrics_of_others_are_refused_with_the_reason(tmp_path, metric):
    done = run_excitor("eval-captions", *write(tmp_path, *golden()), "--metric", metric, check=False)
    assert done.returncode == 2
    assert "Java" in done.stderr and "--write-inputs" in done.stderr
