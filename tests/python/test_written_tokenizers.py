"""A merged or fully trained model's folder: AutoTokenizer gives the ids that the program trained with, and files that the base has are
left as they are."""
import json
import os
import pathlib
import shutil

import pytest
import sentencepiece
import transformers

import integration_support
import program
import random_adapters
import tokenizer_texts

LLAMAS = pathlib.Path(os.environ.get("EXCITOR_SHARED_DIR", program.REPOSITORY.parent / "shared")) / "data/llama_tokenizer.model"
SPECIALS = ("<s>", "</s>", "<unk>")  # these become control tokens in transformers, and stay text in the program
TEXTS = [text for text in tokenizer_texts.varied_texts(1000) if not any(special in text for special in SPECIALS)]


@pytest.fixture
def merged(tmp_path, model_factory):
    model = tmp_path / "base"
    shutil.copytree(model_factory(), model)

    def export():
        adapter = random_adapters.write_lora(tmp_path / "adapter", model)
        program.run_excitor("export", model, "--adapter", adapter, "--format", "hf", "--output", tmp_path / "merged")
        return tmp_path / "merged"

    return model, export


def assert_same_ids(folder, file):
    judge = sentencepiece.SentencePieceProcessor(model_file=str(file))
    found = transformers.AutoTokenizer.from_pretrained(folder)
    assert len(found) == judge.get_piece_size()
    assert (found.bos_token, found.eos_token, found.unk_token) == SPECIALS[:2] + ("<unk>",)
    for text in TEXTS:
        assert found.encode(text) == [1] + judge.encode(text), repr(text)
        assert found.decode(found.encode(text), skip_special_tokens=True) == judge.decode(judge.encode(text)), repr(text)


def test_a_merged_model_has_the_programs_ids(merged):
    model, export = merged
    assert_same_ids(export(), model / "tokenizer.model")


def test_a_fully_trained_model_has_them_too(tmp_path, tokenizer_file):
    shape = {key: value for key, value in integration_support.SHAPE.items() if key != "model_type"}
    run = integration_support.write_run(tmp_path, {
        "model": {"init": shape, "tokenizer": str(tokenizer_file)}, "method": {"type": "full"},
        "data": {"train": [{"path": "rows.json"}]}, "train": {"max_steps": 1}, "output_dir": "run"})
    program.run_excitor("train", run)
    assert_same_ids(tmp_path / "run/model", tokenizer_file)


@pytest.mark.skipif(not LLAMAS.exists(), reason=f"{LLAMAS} is not there")
def test_llamas_own_tokenizer_keeps_its_order_of_merges(tmp_path, tokenizer_file):
    """In the file, the pieces of several spaces stand before those that are merged first."""
    model = integration_support.write_model(tmp_path / "base", tokenizer_file, shape=integration_support.SHAPE | {"vocab_size": 32000})
    shutil.copy(LLAMAS, model / "tokenizer.model")
    adapter = random_adapters.write_lora(tmp_path / "adapter", model)
    program.run_excitor("export", model, "--adapter", adapter, "--format", "hf", "--output", tmp_path / "merged")
    assert_same_ids(tmp_path / "merged", LLAMAS)


@pytest.mark.parametrize("name", ["tokenizer_config.json", "tokenizer.json"])
def test_what_the_base_has_is_copied_and_nothing_put_beside_it(merged, name):
    model, export = merged
    written = json.dumps({"tokenizer_class": "LlamaTokenizer", "model_max_length": 77})
    (model / name).write_text(written)
    folder = export()
    assert (folder / name).read_text() == written
    assert sorted(path.name for path in folder.glob("tokenizer*")) == sorted(["tokenizer.model", name])
