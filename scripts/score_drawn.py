#!/usr/bin/env python3
"""Scores captions of the drawn things: the shares of pictures whose colour and whose shape a caption names.

    score_drawn.py CAPTIONS_JSONL RESULTS_JSON [--blank BLANK_RESULTS_JSON]

CAPTIONS_JSONL is what compose_drawn.py wrote, RESULTS_JSON what `excitor caption` made of its pictures. With --blank the one
caption of the empty picture is scored against all of them as well: what is right without seeing anything.
"""
import argparse
import json
import re
from pathlib import Path

COLOURS = {"red", "green", "blue", "yellow"}
SHAPES = {"drum", "book", "bell", "kite"}  # disc, square, triangle, square on its corner


def named(caption, words):
    """The one of `words` that a caption names; None when it names none or several."""
    found = words & set(re.findall("[a-z]+", caption.lower()))
    return found.pop() if len(found) == 1 else None


def shares(truths, caption_of):
    """(share of colours, share of shapes) that are named."""
    right = [sum(named(caption_of(name), words) == named(truth, words) for name, truth in truths.items())
             for words in (COLOURS, SHAPES)]
    return [count / len(truths) for count in right]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captions", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--blank", type=Path)
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.captions.read_text().splitlines()]
    truths = {Path(row["image"]).stem: row["caption"] for row in rows}
    results = {str(row["image_id"]): row["caption"] for row in json.loads(options.results.read_text())}
    answer = {"images": len(truths)} | dict(zip(("colour", "shape"), shares(truths, results.__getitem__)))
    if options.blank:
        [blank] = json.loads(options.blank.read_text())
        answer["blank"] = dict(zip(("colour", "shape"), shares(truths, lambda _: blank["caption"])))
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
