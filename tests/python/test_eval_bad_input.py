"""What `excitor eval` says of files that are wrong: where, what was found, what was expected."""
import json

import pytest

import evaluation_files
from program import run_excitor


@pytest.fixture(scope="module")
def model(model_factory):
    return model_factory(max_position_embeddings=512)


def fail(model, *arguments, code=1):
    done = run_excitor("eval", model, *arguments, check=False)
    assert done.returncode == code, done.stderr
    assert not done.stdout
    return done.stderr


def mmlu_with(tmp_path, row, split="test"):
    folder = evaluation_files.write_mmlu(tmp_path / "mmlu", subjects=["anatomy"], questions=3)
    file = folder / split / f"anatomy_{split}.csv"
    file.write_text('"Two\nlines","a","b","c","d",A\n' + row + "\n")
    return folder


MMLU_ROWS = {
    "missing column": ("Question,a,b,c,A", ["anatomy_test.csv:3", "5 columns"]),
    "too many columns": ("Question, with a comma,a,b,c,d,A", ["anatomy_test.csv:3", "7 columns", "quotes"]),
    "a letter outside the choices": ("Question,a,b,c,d,E", ["anatomy_test.csv:3", '"E"', "A, B, C or D"]),
    "no letter": ("Question,a,b,c,d,", ["anatomy_test.csv:3", '""']),
    "an open quote": ('"Question,a,b,c,d,A', ["anatomy_test.csv:3", "never closed"]),
}


@pytest.mark.parametrize("row,words", MMLU_ROWS.values(), ids=MMLU_ROWS)
def test_rows_of_mmlu(tmp_path, model, row, words):
    message = fail(model, "--task", f"mmlu={mmlu_with(tmp_path, row)}")
    for word in words:
        assert word in message


def test_an_empty_split_of_mmlu(tmp_path, model):
    folder = evaluation_files.write_mmlu(tmp_path / "mmlu", subjects=["anatomy"])
    (folder / "test/anatomy_test.csv").write_text("\n\n")
    assert "anatomy_test.csv" in (message := fail(model, "--task", f"mmlu={folder}")) and "empty" in message
    (folder / "test/anatomy_test.csv").unlink()
    assert "empty" in fail(model, "--task", f"mmlu={folder}")


def test_text_of_mmlu_that_is_not_utf8(tmp_path, model):
    folder = evaluation_files.write_mmlu(tmp_path / "mmlu", subjects=["anatomy"])
    (folder / "test/anatomy_test.csv").write_bytes(b"a,b,c,d,e,A\nq,\xff,c,d,e,A\n")
    assert "anatomy_test.csv:2: byte 0xFF" in fail(model, "--task", f"mmlu={folder}")


def test_missing_files(tmp_path, model):
    folder = evaluation_files.write_mmlu(tmp_path / "mmlu", subjects=["anatomy"])
    (folder / "dev/anatomy_dev.csv").unlink()
    assert "anatomy_dev.csv" in fail(model, "--task", f"mmlu={folder}", code=2)
    run_excitor("eval", model, "--task", f"mmlu={folder}", "--shots", 0)
    for task in ("mmlu=none", "hellaswag=none.jsonl", "choices=none.jsonl", "perplexity=none.txt", "scienceqa=none"):
        message = fail(model, "--task", task, code=2)
        assert task.split("=")[1] in message and "no such" in message


def test_unknown_tasks_get_a_suggestion(model):
    assert 'did you mean "hellaswag"?' in fail(model, "--task", "helaswag=x", code=2)
    assert "known: perplexity, mmlu" in fail(model, "--task", "piqa=x", code=2)
    assert "no path" in fail(model, "--task", "mmlu", code=2)
    assert "no path" in fail(model, "--task", "mmlu=", code=2)


def test_options_that_no_task_heeds(tmp_path, model):
    file = evaluation_files.write_hellaswag(tmp_path / "h.jsonl")
    assert "--shots" in fail(model, "--task", f"hellaswag={file}", "--shots", 3, code=2)
    assert "--captions" in fail(model, "--task", f"hellaswag={file}", "--captions", file, code=2)


HELLASWAG_ROWS = {
    "label outside": ({"label": 4}, ["4 choices", "0 to 3", "the integer 4"]),
    "label is no index": ({"label": "B"}, ["4 choices", '"B"']),
    "test split": ({"label": ""}, ["validation split"]),
    "endings": ({"endings": "one"}, ["endings", '"one"']),
    "an ending": ({"endings": ["a", 2, "c", "d"]}, ["endings", "the integer 2"]),
    "context": ({"ctx_a": None}, ["ctx_a", "null"]),
}


@pytest.mark.parametrize("change,words", HELLASWAG_ROWS.values(), ids=HELLASWAG_ROWS)
def test_rows_of_hellaswag(tmp_path, model, change, words):
    file = evaluation_files.write_hellaswag(tmp_path / "h.jsonl", rows=3)
    lines = file.read_text().splitlines()
    lines[1] = json.dumps(json.loads(lines[1]) | change)
    file.write_text("\n".join(lines))
    message = fail(model, "--task", f"hellaswag={file}")
    for word in ["h.jsonl:2:", *words]:
        assert word in message


CHOICE_LINES = {
    '{"context": "a", "choices": ["b", "c"], "answer": 2}': ["0 to 1", "the integer 2"],
    '{"context": "a", "choices": ["b", "c"], "answer": "C"}': ["A to B", '"C"'],
    '{"context": "a", "choices": ["b", "c"], "answer": -1}': ["the integer -1"],
    '{"context": "a", "choices": ["b", "c"]}': ["answer", "none"],
    '{"context": "a", "choices": ["b"], "answer": 0}': ["at least 2"],
    '{"context": "a", "choices": ["b", ""], "answer": 0}': ["empty text"],
    '{"question": "a", "choices": ["b", "c"], "answer": 0}': ["context", "question, choices, answer"],
    '{"context": "a", "choices": ["b", "c"], "answer": 0': ["c.jsonl:2:"],
    '["a"]': ["expected an object, found a list"],
}


@pytest.mark.parametrize("line,words", CHOICE_LINES.items())
def test_rows_of_choices(tmp_path, model, line, words):
    file = tmp_path / "c.jsonl"
    file.write_text('{"context": "a", "choices": ["b", "c"], "answer": 0}\n' + line + "\n")
    message = fail(model, "--task", f"choices={file}")
    for word in ["c.jsonl:2", *words]:
        assert word in message


def test_empty_files(tmp_path, model):
    (tmp_path / "e.jsonl").write_text("\n\n")
    for task in ("hellaswag", "choices"):
        assert "e.jsonl: holds no rows" in fail(model, "--task", f"{task}={tmp_path / 'e.jsonl'}")
    (tmp_path / "e.txt").write_text("\n \n")
    assert "e.txt" in fail(model, "--task", f"perplexity={tmp_path / 'e.txt'}")


SCIENCE = {
    "an answer outside the choices": (lambda p, s: p["2"].update(answer=9), ['question "2"', "the integer 9"]),
    "an unknown subject": (lambda p, s: p["1"].update(subject="maths"), ['question "1"', '"maths"']),
    "a grade": (lambda p, s: p["1"].update(grade="13"), ['question "1"', '"13"']),
    "no question": (lambda p, s: p["1"].pop("question"), ['question "1"', "question"]),
    "choices that are no list": (lambda p, s: p["1"].update(choices="a"), ['question "1"', "choices"]),
    "an unknown question": (lambda p, s: s["test"].append("99"), ["problems.json", '"99"']),
    "an empty split": (lambda p, s: s.update(test=[]), ["pid_splits.json", '"test" is empty']),
    "no split": (lambda p, s: s.pop("test"), ["pid_splits.json", '"test"']),
}


@pytest.mark.parametrize("change,words", SCIENCE.values(), ids=SCIENCE)
def test_scienceqa(tmp_path, model, change, words):
    folder = evaluation_files.write_scienceqa(tmp_path / "s", questions=3)
    problems, splits = (json.loads((folder / name).read_text()) for name in ("problems.json", "pid_splits.json"))
    change(problems, splits)
    (folder / "problems.json").write_text(json.dumps(problems))
    (folder / "pid_splits.json").write_text(json.dumps(splits))
    message = fail(model, "--task", f"scienceqa={folder}")
    for word in words:
        assert word in message


def test_broken_json_of_scienceqa(tmp_path, model):
    folder = evaluation_files.write_scienceqa(tmp_path / "s", questions=3)
    (folder / "problems.json").write_text('{"1":\n {"question": }}')
    assert "problems.json:2:" in fail(model, "--task", f"scienceqa={folder}")


def test_nothing_is_written_when_something_fails(tmp_path, model):
    file = evaluation_files.write_hellaswag(tmp_path / "h.jsonl", rows=3)
    fail(model, "--task", f"hellaswag={file}", "--task", "choices=none.jsonl", "--output", tmp_path / "o.json",
         "--predictions", tmp_path / "p.jsonl", code=2)
    assert not (tmp_path / "o.json").exists() and not (tmp_path / "p.jsonl").exists()


def test_images_are_said_to_be_missing(tmp_path, model):
    assert "images" in fail(model, "--task", "captions=x.json", code=2)
