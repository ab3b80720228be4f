#!/usr/bin/env python3
"""Turns ScienceQA (problems.json, pid_splits.json) into rows to train on, with the prompts that `excitor eval --task scienceqa` asks.

    scripts/scienceqa_rows.py data/scienceqa --output data/scienceqa/train.json [--split train] [--format QCM-A]

The rows are those of data.format "llava" ({id, image, conversations}), to be trained with data.prompt_template "plain" and data.images
being the folder that holds the splits' images (train/1/image.png); questions without an image are texts.
"""
import argparse
import json
from pathlib import Path

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def tidy(text):
    """Double blanks become single ones, once, as in the data set's own code."""
    return text.replace("  ", " ").strip()


def one_line(text):
    return text.replace("\n", "\\n")


def question(problem):
    """What is asked, up to "Answer:"."""
    options = " ".join(f"({letter}) {choice}" for letter, choice in zip(LETTERS, problem["choices"]))
    return f"Question: {problem['question']}\nContext: {problem['hint'].strip() or 'N/A'}\nOptions: {options}\nAnswer:"


def answer(problem, style):
    said = f"The answer is {LETTERS[problem['answer']]}."
    return said if style == "QCM-A" else f"{one_line(problem['lecture'])} {one_line(problem['solution'])} {said}"


def row(key, problem, split, style):
    asked = tidy(question(problem))
    whole = tidy(f"{question(problem)} {answer(problem, style)}")
    image = {"image": f"{split}/{key}/{problem['image']}"} if problem["image"] else {}
    conversation = [{"from": "human", "value": asked}, {"from": "gpt", "value": whole[len(asked):].strip()}]
    return {"id": key, **image, "conversations": conversation}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of problems.json and pid_splits.json")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--split", default="train", choices=["train", "val", "test"])
    parser.add_argument("--format", default="QCM-A", choices=["QCM-A", "QCM-LEA"])
    options = parser.parse_args()
    problems = json.loads((options.folder / "problems.json").read_text(encoding="utf-8"))
    keys = json.loads((options.folder / "pid_splits.json").read_text(encoding="utf-8"))[options.split]
    rows = [row(key, problems[key], options.split, options.format) for key in keys]
    options.output.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
