"""The rules of the tasks of `excitor eval`, written down once more in plain Python over transformers: one text at a time, nothing
shared, nothing batched."""
import csv
import io
import json
import re

import torch


class Plain:
    """A model of transformers with the tokenizer beside it."""

    def __init__(self, model, tokenizer, context_length):
        self.model, self.tokenizer, self.context_length = model, tokenizer, context_length

    def encode(self, text):
        return [1] + self.tokenizer.encode(text)

    @torch.no_grad()
    def log_probabilities(self, ids):
        """log P of every token behind the first."""
        logits = self.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        return logits[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0].tolist()

    def score(self, context, continuation):
        """Σ log P of what the text has beyond the context's tokens (lm-evaluation-harness); the beginning of a long one is cut."""
        context, continuation = context.rstrip(), context[len(context.rstrip()):] + continuation
        begin = len(self.encode(context))
        ids = self.encode(context + continuation)
        added = len(ids) - begin
        ids = ids[:1] + ids[1:][-self.context_length:] if len(ids) > self.context_length + 1 else ids
        return sum(self.log_probabilities(ids)[-added:])

    @torch.no_grad()
    def continue_line(self, prompt, limit):
        ids, new = self.encode(prompt), []
        for _ in range(limit):
            new.append(int(self.model(torch.tensor([ids + new])).logits[0, -1].argmax()))
            text = self.tokenizer.decode(new) if new[-1] != 2 else self.tokenizer.decode(new[:-1])
            if new[-1] == 2 or "\n" in text:
                break
        return text.split("\n")[0]


def best(scores):
    return max(range(len(scores)), key=lambda i: scores[i])  # the first of the best


def perplexity(plain, documents):
    """Sum and number of the tokens' losses."""
    room, losses = plain.context_length - 1, []
    for text in documents:
        ids = plain.tokenizer.encode(text)
        for begin in range(0, len(ids), room):
            losses += [-p for p in plain.log_probabilities([1] + ids[begin:begin + room])]
    return sum(losses) / len(losses), len(losses)


def mmlu_prompt(subject, dev, row, shots):
    def question(fields):
        return fields[0] + "".join(f"\n{letter}. {text}" for letter, text in zip("ABCD", fields[1:5])) + "\nAnswer:"
    words = "".join(" " + word for word in subject.split("_"))
    prompt = f"The following are multiple choice questions (with answers) about {words}.\n\n"
    return prompt + "".join(f"{question(fields)} {fields[5]}\n\n" for fields in dev[:shots]) + question(row)


def read_csv(file):
    return list(csv.reader(io.StringIO(file.read_text(), newline="")))


def mmlu(plain, folder, shots=5):
    """{subject: [(scores, answer)]}"""
    results = {}
    for file in sorted((folder / "test").glob("*_test.csv")):
        subject = file.name.removesuffix("_test.csv")
        dev = read_csv(folder / "dev" / f"{subject}_dev.csv")
        results[subject] = []
        for row in read_csv(file):
            letters = [plain.tokenizer.encode(letter) for letter in "ABCD"]
            count = shots
            prompt = plain.encode(mmlu_prompt(subject, dev, row, count))
            while len(prompt) + max(map(len, letters)) - 1 > plain.context_length and count > 0:
                count -= 1
                prompt = plain.encode(mmlu_prompt(subject, dev, row, count))
            scores = [sum(plain.log_probabilities(prompt + letter)[-len(letter):]) for letter in letters]
            results[subject].append((scores, "ABCD".index(row[5])))
    return results


def clean(text):
    """lm_eval/tasks/hellaswag/utils.py, preprocess()."""
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


def hellaswag(plain, rows):
    """[(scores, scores by characters, answer)]"""
    results = []
    for row in rows:
        context = clean(row["activity_label"] + ": " + row["ctx_a"] + " " + row["ctx_b"].capitalize())
        endings = [clean(ending) for ending in row["endings"]]
        scores = [plain.score(context, " " + ending) for ending in endings]
        results.append((scores, [s / len(e) for s, e in zip(scores, endings)], int(row["label"])))
    return results


def choices(plain, rows):
    results = []
    for row in rows:
        scores = [plain.score(row["context"], " " + choice) for choice in row["choices"]]
        results.append((scores, [s / len(c) for s, c in zip(scores, row["choices"])], row["answer"]))
    return results


def science_prompt(problem, style=None, caption=""):
    """ScienceQA's base_prompt.create_one_example; without a style what is asked."""
    context = (problem["hint"] + " " + caption).strip() or "N/A"
    options = " ".join(f"({'ABCDE'[i]}) {choice}" for i, choice in enumerate(problem["choices"]))
    text = f"Question: {problem['question']}\nContext: {context}\nOptions: {options}\n"
    lecture, solution = (problem[key].replace("\n", "\\n") for key in ("lecture", "solution"))
    letter = "ABCDE"[problem["answer"]]
    text += {None: "Answer:", "QCM-A": f"Answer: The answer is {letter}.",
             "QCM-LEA": f"Answer: {lecture} {solution} The answer is {letter}."}[style]
    return text.replace("  ", " ").strip()


def science_answer(text, problem):
    found = re.findall(r"The answer is ([A-Z]).", text)
    letters = "ABCDE"[:len(problem["choices"])]
    return letters.index(found[0]) if len(found) == 1 and found[0] in letters else None


def read_rows(file):
    return [json.loads(line) for line in file.read_text().splitlines()]
