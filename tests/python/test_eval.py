"""`excitor eval` against the same rules in plain Python over transformers (plain_evaluation.py): the same answers, losses within 1e-4."""
import json
import math
import os
import pathlib

import peft
import pytest
import sentencepiece

import evaluation_files
import plain_evaluation as plain_rules
import program
import random_adapters
import tiny_models
from program import run_excitor

TOLERANCE = 1e-4
TINY_EN = pathlib.Path(os.environ.get("EXCITOR_SHARED_DIR", program.REPOSITORY.parent / "shared")) / "models/tiny-en"


@pytest.fixture(scope="module", params=["random", "tiny-en"])
def model(request, model_factory):
    if request.param == "random":
        return model_factory(max_position_embeddings=512)
    if not TINY_EN.is_dir():
        pytest.skip("tiny-en is not in the shared folder")
    return TINY_EN


@pytest.fixture(scope="module")
def plain(model):
    return make_plain(model, tiny_models.judge(model))


def make_plain(model, judge):
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(model / "tokenizer.model"))
    return plain_rules.Plain(judge, tokenizer, json.loads((model / "config.json").read_text())["max_position_embeddings"])


@pytest.fixture(scope="module")
def random_model(model_factory):
    return model_factory(max_position_embeddings=512)


def evaluate(folder, model, *arguments, adapter=None):
    """The answer and the lines of --predictions."""
    chosen = ["--adapter", adapter] if adapter else []
    done = run_excitor("eval", model, *chosen, *arguments, "--predictions", folder / "predictions.jsonl", "--output", folder / "out.json")
    assert not done.stdout.lstrip().startswith("{")  # the table
    return json.loads((folder / "out.json").read_text()), plain_rules.read_rows(folder / "predictions.jsonl")


def accuracy(pairs):
    return sum(plain_rules.best(scores) == answer for scores, answer in pairs) / len(pairs)


def assert_scores(predictions, expected, key="scores"):
    assert len(predictions) == len(expected)
    for row, scores in zip(predictions, expected):
        assert row[key] == pytest.approx(scores, abs=TOLERANCE), row["sample"]


LONG = " ".join(evaluation_files.SENTENCES[:180])


@pytest.mark.parametrize("kind", ["text", "jsonl"])
def test_perplexity(tmp_path, model, plain, kind):
    documents = ["The fox finds\nthree apples at once!", LONG, "é — ü", "A small dog counts seven stones."]
    file = tmp_path / f"held_out.{kind}"
    if kind == "text":
        file.write_text("\n\n\n".join(documents) + "\n")
    else:
        file.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    answer, predictions = evaluate(tmp_path, model, "--task", f"perplexity={file}")
    [task] = answer["tasks"]
    loss, tokens = plain_rules.perplexity(plain, documents)
    assert (task["name"], task["type"], task["samples"], task["metrics"]["tokens"]) == ("held_out", "perplexity", 4, tokens)
    assert task["metrics"]["loss"] == pytest.approx(loss, abs=TOLERANCE)
    assert task["metrics"]["perplexity"] == pytest.approx(math.exp(task["metrics"]["loss"]))
    assert task["layout"]["windows"] > len(documents)
    for row, text in zip(predictions, documents, strict=True):
        assert row["loss"] == pytest.approx(plain_rules.perplexity(plain, [text])[0], abs=TOLERANCE)


@pytest.mark.parametrize("reuse", [True, False])
def test_mmlu(tmp_path, model, plain, reuse):
    folder = evaluation_files.write_mmlu(tmp_path / "mmlu")
    answer, predictions = evaluate(tmp_path, model, "--task", f"mmlu={folder}", *([] if reuse else ["--no-prefix-reuse"]))
    expected = plain_rules.mmlu(plain, folder)
    everything = sum(expected.values(), [])
    [task] = answer["tasks"]
    assert_scores(predictions, [scores for scores, _ in everything])
    assert [row["answer"] for row in predictions] == [answer for _, answer in everything]
    assert task["metrics"]["accuracy"] == pytest.approx(accuracy(everything))
    assert task["metrics"]["by_subject"] == {subject: pytest.approx(accuracy(pairs)) for subject, pairs in expected.items()}
    share = task["metrics"]["accuracy"]
    margin = 1.959964 * math.sqrt(share * (1 - share) / (len(everything) - 1))
    assert task["intervals"]["accuracy"] == pytest.approx([max(0, share - margin), min(1, share + margin)])


@pytest.mark.parametrize("shots", [0, 2])
def test_mmlu_with_other_shots(tmp_path, random_model, shots):
    folder = evaluation_files.write_mmlu(tmp_path / "mmlu", questions=4)
    answer, predictions = evaluate(tmp_path, random_model, "--task", f"mmlu={folder}", "--shots", shots)
    expected = plain_rules.mmlu(make_plain(random_model, tiny_models.judge(random_model)), folder, shots)
    assert_scores(predictions, [scores for scores, _ in sum(expected.values(), [])])


def test_mmlu_leaves_shots_out_that_do_not_fit(tmp_path, model_factory):
    model = model_factory(max_position_embeddings=420)
    folder = evaluation_files.write_mmlu(tmp_path / "mmlu")
    answer, predictions = evaluate(tmp_path, model, "--task", f"mmlu={folder}")
    expected = plain_rules.mmlu(make_plain(model, tiny_models.judge(model)), folder)
    assert answer["tasks"][0]["layout"]["samples_with_fewer_shots"] > 0
    assert_scores(predictions, [scores for scores, _ in sum(expected.values(), [])])


def test_hellaswag(tmp_path, model, plain):
    file = evaluation_files.write_hellaswag(tmp_path / "hellaswag.jsonl", rows=12)
    answer, predictions = evaluate(tmp_path, model, "--task", f"hellaswag={file}")
    expected = plain_rules.hellaswag(plain, plain_rules.read_rows(file))
    assert_scores(predictions, [scores for scores, _, _ in expected])
    metrics = answer["tasks"][0]["metrics"]
    assert metrics["accuracy"] == pytest.approx(accuracy([(scores, right) for scores, _, right in expected]))
    assert metrics["accuracy_norm"] == pytest.approx(accuracy([(norm, right) for _, norm, right in expected]))
    assert [row["prediction_norm"] for row in predictions] == [plain_rules.best(norm) for _, norm, _ in expected]


def test_choices(tmp_path, model, plain):
    file = evaluation_files.write_choices(tmp_path / "choices.jsonl")
    answer, predictions = evaluate(tmp_path, model, "--task", f"choices={file}")
    expected = plain_rules.choices(plain, plain_rules.read_rows(file))
    assert_scores(predictions, [scores for scores, _, _ in expected])
    metrics = answer["tasks"][0]["metrics"]
    assert metrics["accuracy"] == pytest.approx(accuracy([(scores, right) for scores, _, right in expected]))
    assert metrics["accuracy_norm"] == pytest.approx(accuracy([(norm, right) for _, norm, right in expected]))


def test_choices_with_spaces_letters_and_long_contexts(tmp_path, random_model):
    plain = make_plain(random_model, tiny_models.judge(random_model))
    rows = [{"context": "The fox finds ", "choices": [" three apples", "seven stones"], "answer": "B"},
            {"context": "The fox finds", "choices": ["three apples", "seven stones"], "answer": 1},
            {"context": LONG, "choices": ["near the mill.", "in the morning."], "answer": 0}]
    file = tmp_path / "choices.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    answer, predictions = evaluate(tmp_path, random_model, "--task", f"choices={file}")
    # The same tokens; where they stand in a pass may round their scores otherwise.
    assert predictions[0]["scores"] == pytest.approx(predictions[1]["scores"], rel=1e-6)
    assert predictions[0]["answer"] == 1
    assert answer["tasks"][0]["layout"]["samples_cut"] == 1
    expected = plain_rules.choices(plain, rows[1:2])
    assert_scores(predictions[1:2], [scores for scores, _, _ in expected])


@pytest.mark.parametrize("style,shots,limit", [("QCM-A", 0, 32), ("QCM-A", 2, 32), ("QCM-LEA", 1, 512)])
def test_scienceqa(tmp_path, model_factory, style, shots, limit):
    random_model = model_factory(max_position_embeddings=1536)
    plain = make_plain(random_model, tiny_models.judge(random_model))
    folder = evaluation_files.write_scienceqa(tmp_path / "scienceqa", questions=5)
    problems = json.loads((folder / "problems.json").read_text())
    splits = json.loads((folder / "pid_splits.json").read_text())
    _, predictions = evaluate(tmp_path, random_model, "--task", f"scienceqa={folder}", "--format", style, "--shots", shots)
    examples = "".join(plain_rules.science_prompt(problems[key], style) + "\n\n" for key in splits["train"][:shots])
    for row, key in zip(predictions, splits["test"], strict=True):
        prompt = examples + plain_rules.science_prompt(problems[key])
        assert row["sample"] == key
        assert row["text"] == plain.continue_line(prompt, limit)


def test_scienceqa_reads_answers_and_counts_what_it_cannot_read(tmp_path, model_factory):
    """A model that was trained to say one sentence says it of every question; the metrics follow."""
    folder = evaluation_files.write_scienceqa(tmp_path / "scienceqa", questions=12, choices=["one", "two", "three"])
    problems = json.loads((folder / "problems.json").read_text())
    splits = json.loads((folder / "pid_splits.json").read_text())
    for said, known in (("The answer is B.", 1), ("The answer is D.", None), ("I do not know.", None)):
        rows = [{"instruction": plain_rules.science_prompt(problems[key]), "output": said} for key in splits["test"]]
        (tmp_path / "data.json").write_text(json.dumps(rows))
        run = program.train(tmp_path / said[:16].replace(" ", "-"), {
            "model": {"path": str(model_factory(max_position_embeddings=512))}, "method": {"type": "lora", "r": 8},
            "data": {"train": [{"path": str(tmp_path / "data.json")}], "prompt_template": "plain"},
            "train": {"max_steps": 40, "learning_rate": 0.02, "micro_batch_size": 12}})
        answer, predictions = evaluate(tmp_path, model_factory(max_position_embeddings=512), "--task", f"scienceqa={folder}",
                                       adapter=run / "adapter")
        metrics = answer["tasks"][0]["metrics"]
        expected = [plain_rules.science_answer(row["text"], problems[row["sample"]]) for row in predictions]
        assert [row["prediction"] for row in predictions] == expected
        assert expected.count(known) >= 8, [row["text"] for row in predictions]
        assert metrics["unreadable"] == expected.count(None)
        correct = {key: expected[i] == problems[key]["answer"] for i, key in enumerate(splits["test"])}
        assert metrics["accuracy"] == pytest.approx(sum(correct.values()) / 12)
        younger = [correct[key] for key in correct if int(problems[key]["grade"][5:]) <= 6]
        assert metrics["by_grade"].get("G1-6") == (pytest.approx(sum(younger) / len(younger)) if younger else None)
        images = [correct[key] for key in correct if problems[key]["image"]]
        assert metrics["by_modality"].get("IMG") == (pytest.approx(sum(images) / len(images)) if images else None)


def test_scienceqa_takes_captions_for_images(tmp_path, random_model):
    plain = make_plain(random_model, tiny_models.judge(random_model))
    folder = evaluation_files.write_scienceqa(tmp_path / "scienceqa", questions=3)
    problems = json.loads((folder / "problems.json").read_text())
    (tmp_path / "captions.json").write_text(json.dumps({"captions": {"1": "A dog near the mill", "3": "Seven stones"}}))
    _, predictions = evaluate(tmp_path, random_model, "--task", f"scienceqa={folder}", "--captions", tmp_path / "captions.json")
    captions = {"1": "A dog near the mill", "2": "", "3": "Seven stones"}
    for row in predictions:
        prompt = plain_rules.science_prompt(problems[row["sample"]], caption=captions[row["sample"]])
        assert row["text"] == plain.continue_line(prompt, 32)


def test_base_and_adapter_stand_side_by_side(tmp_path, random_model):
    adapter = random_adapters.write_lora(tmp_path / "adapter", random_model)
    mmlu = evaluation_files.write_mmlu(tmp_path / "mmlu", questions=8)
    (tmp_path / "held_out.txt").write_text("\n\n".join(evaluation_files.SENTENCES[:20]))
    tasks = ["--task", f"mmlu={mmlu}", "--task", f"perplexity={tmp_path / 'held_out.txt'}"]
    both, predictions = evaluate(tmp_path, random_model, *tasks, adapter=adapter)
    base, _ = evaluate(tmp_path, random_model, *tasks)
    tuned = make_plain(random_model, peft.PeftModel.from_pretrained(tiny_models.judge(random_model), adapter).eval())
    pairs = sum(plain_rules.mmlu(tuned, mmlu).values(), [])
    assert_scores(predictions[:16], [scores for scores, _ in pairs])
    assert both["tasks"][0]["metrics"]["accuracy"] == pytest.approx(accuracy(pairs))
    loss, _ = plain_rules.perplexity(tuned, evaluation_files.SENTENCES[:20])
    assert both["tasks"][1]["metrics"]["loss"] == pytest.approx(loss, abs=TOLERANCE)
    for with_adapter, alone in zip(both["tasks"], base["tasks"]):
        assert with_adapter["base_metrics"] == alone["metrics"] == alone["base_metrics"]
        for name, change in with_adapter["change"].items():
            assert change == pytest.approx(with_adapter["metrics"][name] - with_adapter["base_metrics"][name])
    assert both["tasks"][1]["change"]["loss"] > 0


def test_the_table_says_what_was_gained_and_forgotten(tmp_path, random_model):
    adapter = random_adapters.write_lora(tmp_path / "adapter", random_model)
    (tmp_path / "held_out.txt").write_text("\n\n".join(evaluation_files.SENTENCES[:20]))
    done = run_excitor("eval", random_model, "--adapter", adapter, "--task", f"perplexity={tmp_path / 'held_out.txt'}")
    answer = json.loads(done.stdout)
    [loss] = [line for line in done.stderr.splitlines() if line.startswith("held_out") and " loss " in line]
    task = answer["tasks"][0]
    verdict = "forgotten" if task["change"]["loss"] > 0 else "learned"
    assert loss.split() == ["held_out", "loss", "20", f"{task['base_metrics']['loss']:.4f}", f"{task['metrics']['loss']:.4f}",
                            f"{task['change']['loss']:+.4f}", verdict]


def test_limit_takes_the_first_samples(tmp_path, random_model):
    mmlu = evaluation_files.write_mmlu(tmp_path / "mmlu", questions=3)
    hellaswag = evaluation_files.write_hellaswag(tmp_path / "hellaswag.jsonl")
    (tmp_path / "text.txt").write_text("\n\n".join(evaluation_files.SENTENCES[:9]))
    tasks = ["--task", f"mmlu={mmlu}", "--task", f"hellaswag={hellaswag}", "--task", f"perplexity={tmp_path / 'text.txt'}"]
    whole, all_rows = evaluate(tmp_path, random_model, *tasks)
    some, rows = evaluate(tmp_path, random_model, *tasks, "--limit", 4)
    assert [task["samples"] for task in whole["tasks"]] == [6, 9, 9]
    assert [task["samples"] for task in some["tasks"]] == [4, 4, 4]
    kept = all_rows[:4] + all_rows[6:10] + all_rows[15:19]
    assert [row["sample"] for row in rows] == [row["sample"] for row in kept]
    for row, same in zip(rows, kept):
        assert row.get("scores", row.get("loss")) == pytest.approx(same.get("scores", same.get("loss")), abs=1e-5)


@pytest.mark.parametrize("tokens", [1, 40, 100000])
def test_how_much_is_computed_together_changes_nothing(tmp_path, random_model, tokens):
    mmlu = evaluation_files.write_mmlu(tmp_path / "mmlu", questions=3)
    hellaswag = evaluation_files.write_hellaswag(tmp_path / "hellaswag.jsonl")
    tasks = ["--task", f"mmlu={mmlu}", "--task", f"hellaswag={hellaswag}"]
    _, expected = evaluate(tmp_path, random_model, *tasks)
    _, rows = evaluate(tmp_path, random_model, *tasks, "--tokens-per-pass", tokens)
    assert_scores(rows, [row["scores"] for row in expected])
