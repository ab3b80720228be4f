"""What `check` and the other commands warn of without refusing it: rows that are left out, answers that never end, examples that are
longer than the model's context."""
import json

import pytest

import integration_support as support
from integration_support import ROWS, SHAPE, configuration, write_run
from program import run_excitor


@pytest.fixture(scope="module")
def model(tmp_path_factory, tokenizer_file):
    return support.write_model(tmp_path_factory.mktemp("warnings") / "model", tokenizer_file)


def checked(folder, whole, rows=ROWS):
    return json.loads(run_excitor("check", write_run(folder, whole, rows), "--json").stdout)


def test_nothing_is_warned_of_where_nothing_is_amiss(tmp_path, model):
    report = checked(tmp_path, configuration(model))
    assert report["warnings"] == [] and report["data"]["left_out"] == []


def test_rows_that_are_left_out_are_counted_and_named(tmp_path, model):
    rows = ROWS + [ROWS[0] | {"output": ""}, ROWS[0] | {"instruction": "count " * 400}]
    file = write_run(tmp_path, configuration(model), rows)
    done = run_excitor("check", file)
    assert "rows.json[16]: \"output\" is empty" in done.stderr and "rows.json[17]: the prompt alone has" in done.stderr
    assert "1 as their text or answer is empty, 1 as their prompt alone fills max_seq_length" in done.stdout
    data = json.loads(run_excitor("check", file, "--json").stdout)["data"]
    assert (data["examples"], data["empty"], data["prompt_too_long"]) == (16, 1, 1)


def test_rows_left_out_are_named_out_of_the_cache_too(tmp_path, model):
    file = write_run(tmp_path, configuration(model, data={"cache_dir": "cache"}), [ROWS[0] | {"output": ""}, *ROWS])
    said = [run_excitor("prepare", file).stderr for _ in range(2)]
    assert all(f"{tmp_path / 'rows.json'}[0]: \"output\" is empty" in text for text in said), said


@pytest.mark.parametrize("answer_end", ["\n###", "{eos}\n"])
def test_answers_that_do_not_end_in_eos(tmp_path, model, answer_end):
    template = {"prompt_no_input": "{instruction}\n", "answer_end": answer_end}
    report = checked(tmp_path, configuration(model, data={"prompt_template": template}))
    assert report["data"]["ending_in_eos"] == 0
    [warning] = report["warnings"]
    assert "0 of 16" in warning and "answer_end" in warning


def test_examples_beyond_the_context(tmp_path, tokenizer_file):
    model = support.write_model(tmp_path / "model", tokenizer_file, shape=SHAPE | {"max_position_embeddings": 64})
    whole = configuration(model, data={"max_seq_length": 96, "prompt_template": "plain"})
    [warning] = checked(tmp_path, whole, [*ROWS, ROWS[0] | {"output": "apples " * 100}])["warnings"]
    assert "96 tokens" in warning and "max_position_embeddings is 64" in warning
    assert warning in run_excitor("train", tmp_path / "run.json").stderr
    assert "max_position_embeddings" not in run_excitor("generate", model, "--prompt", "a", "--max-new-tokens", 2, "--template", "plain").stderr
    said = run_excitor("generate", model, "--prompt", "apples " * 70, "--max-new-tokens", 2, "--template", "plain").stderr
    assert "max_position_embeddings is 64" in said
