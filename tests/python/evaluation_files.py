"""Small files of the benchmarks in their original formats, with what makes them hard: quotes, commas, line ends, brackets."""
import csv
import json
import random

import tiny_models

SENTENCES = tiny_models.sentences()


def write_mmlu(folder, subjects=("abstract_algebra", "high_school_us_history"), questions=6, shots=5, seed=0):
    draw = random.Random(seed)
    hard = ['Which is "right", A, B or C?', "Two lines,\nand a comma", 'He said: "It is, so to say, ""new"""', " spaces  stay ", "é — ü"]
    for subject in subjects:
        for split, count in (("dev", shots), ("test", questions)):
            file = folder / split / f"{subject}_{split}.csv"
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("w", newline="") as stream:
                writer = csv.writer(stream, lineterminator="\n")
                for i in range(count):
                    question = hard[i % len(hard)] if i % 2 == 0 else draw.choice(SENTENCES)
                    writer.writerow([question, *draw.sample(SENTENCES, 4), draw.choice("ABCD")])
    return folder


def write_hellaswag(file, rows=9, seed=0):
    draw, lines = random.Random(seed), []
    contexts = [("A man is [step] near [title] the mill.", "the FOX then"), ("[header] How to count [title] Take stones.", ""),
                ("He paints.  [substeps] Then", "she ANSWERS for"), ("Everything ends in [nothing]", ""), ("éa", "Éa sees")]
    for i in range(rows):
        a, b = contexts[i % len(contexts)]
        endings = [draw.choice(SENTENCES).lower() + (" [x] and  more" if i % 3 == 0 else "") for _ in range(4)]
        endings[draw.randrange(4)] = draw.choice(["at once!", "no.", "[step] it rains. [title]He goes."])
        lines.append({"ind": i, "activity_label": draw.choice(["Baking cookies", "Running a marathon"]), "ctx_a": a, "ctx_b": b,
                      "ctx": a + " " + b, "split": "val", "split_type": "indomain", "label": draw.randrange(4), "endings": endings,
                      "source_id": f"activitynet~v_{i}"})
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def write_choices(file, rows=7, seed=0):
    draw = random.Random(seed)
    with file.open("w") as stream:
        for i in range(rows):
            count = draw.randrange(2, 6)
            row = {"context": " ".join(draw.sample(SENTENCES, 2)), "choices": draw.sample(SENTENCES, count),
                   "answer": draw.randrange(count)}
            stream.write(json.dumps(row) + "\n")
    return file


def write_scienceqa(folder, questions=8, seed=0, choices=None):
    """Split test and train; `choices`: the choice texts of every question."""
    draw, problems = random.Random(seed), {}
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(questions + 3):
        options = choices or draw.sample(SENTENCES, draw.randrange(2, 6))
        problems[str(i + 1)] = {
            "question": draw.choice(SENTENCES), "choices": options, "answer": draw.randrange(len(options)),
            "hint": draw.choice(["", "A hint  with spaces.", "Two\nlines"]), "image": draw.choice([None, "image.png"]),
            "task": "closed choice", "grade": f"grade{draw.randrange(1, 13)}",
            "subject": draw.choice(["natural science", "social science", "language science"]), "topic": "t", "category": "c",
            "skill": "s", "lecture": draw.choice(["", "A lecture.\nIn two lines."]), "solution": draw.choice(["", "Since  so."]),
            "split": "test" if i < questions else "train"}
    (folder / "problems.json").write_text(json.dumps(problems))
    ids = list(problems)
    (folder / "pid_splits.json").write_text(json.dumps({"test": ids[:questions], "train": ids[questions:]}))
    return folder
