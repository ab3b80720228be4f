"""How much faster `excitor eval` and `eval-captions` are than the same without shared prefixes, and than pycocoevalcap.

    .venv/bin/python scripts/bench_eval.py MODEL [--text FILE] [--questions N] [--pycocoevalcap PYTHON] [--images N]

MODEL is scored on 5-shot MMLU files made of sentences of FILE, with the shots' keys and values reused and without. PYTHON is
an interpreter that has pycocoevalcap, with Java beside it: its tokeniser and its CIDEr are timed.
"""
import argparse
import csv
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests/python"))
import adversarial_captions  # noqa: E402

CIDER = """
import json, sys, time
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer
references, results = (json.load(open(name)) for name in sys.argv[1:])
truth, said = {i["id"]: [] for i in references["images"]}, {r["image_id"]: [r] for r in results}
for a in references["annotations"]:
    truth[a["image_id"]].append(a)
start = time.perf_counter()
truth, said = PTBTokenizer().tokenize(truth), PTBTokenizer().tokenize(said)
middle = time.perf_counter()
value, _ = Cider().compute_score(truth, said)
print(json.dumps([middle - start, time.perf_counter() - middle, float(value)]))
"""


def program():
    return os.environ.get("EXCITOR_BIN", str(REPOSITORY / "build/release/excitor"))


def write_mmlu(folder, sentences, questions, subjects=4):
    draw = random.Random(0)
    for subject in range(subjects):
        for split, count in (("dev", 5), ("test", questions)):
            file = folder / split / f"subject_{subject}_{split}.csv"
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("w", newline="") as stream:
                for _ in range(count):
                    csv.writer(stream).writerow([draw.choice(sentences), *(draw.choice(sentences)[:40] for _ in range(4)),
                                                 draw.choice("ABCD")])


def bench_mmlu(model, text, questions):
    sentences = [s.strip() for s in re.split(r"(?<=[.!?])\s", pathlib.Path(text).read_text()) if 60 < len(s) < 160]
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        write_mmlu(pathlib.Path(folder), sentences, questions)
        for name, arguments in (("shared", []), ("apart", ["--no-prefix-reuse"])):
            done = subprocess.run([program(), "eval", model, "--task", f"mmlu={folder}", *arguments], capture_output=True, check=True)
            task = json.loads(done.stdout)["tasks"][0]
            seconds[name] = task["seconds"]
            print(f"5-shot MMLU, {task['samples']} questions, {name}: {task['seconds']:.2f} s, accuracy {task['metrics']['accuracy']}")
    print(f"shared prefixes: {seconds['apart'] / seconds['shared']:.2f}x as fast")


def bench_cider(python, images):
    references, results = adversarial_captions.make(images, hard=0.05)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "references.json").write_text(json.dumps(references))
        (folder / "results.json").write_text(json.dumps(results))
        start = time.perf_counter()
        done = subprocess.run([program(), "eval-captions", "--references", folder / "references.json", "--results",
                               folder / "results.json", "--write-inputs", folder / "inputs"], capture_output=True, check=True)
        whole = time.perf_counter() - start
        answer = json.loads(done.stdout)
        ours, value = answer["seconds"]["metrics"], answer["metrics"]["cider"]
        print(f"{images} images: eval-captions {whole:.2f} s from start to end, {answer['seconds']['words']:.2f} s of it words, "
              f"{ours:.2f} s all metrics with 1,000 resamplings; CIDEr {value:.6f}")
        if python:
            done = subprocess.run([python, "-c", CIDER, folder / "references.json", folder / "results.json"], capture_output=True, check=True)
            words, theirs, judged = json.loads(done.stdout)
            print(f"pycocoevalcap: {words:.2f} s words (Java), {theirs:.2f} s CIDEr alone, CIDEr {judged:.6f}; "
                  f"ratio of our metrics to its CIDEr {ours / theirs:.3f}, of the whole {whole / (words + theirs):.3f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--text", default=str(REPOSITORY / "data/tiny-world/world.txt"))
    parser.add_argument("--questions", type=int, default=50)
    parser.add_argument("--pycocoevalcap")
    parser.add_argument("--images", type=int, default=5000)
    options = parser.parse_args()
    bench_mmlu(options.model, options.text, options.questions)
    bench_cider(options.pycocoevalcap, options.images)


if __name__ == "__main__":
    main()
