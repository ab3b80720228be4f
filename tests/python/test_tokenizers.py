"""Token ids of more than ten thousand texts against sentencepiece, tokenizers and tiktoken."""
import json
import os
import pathlib

import pytest
import sentencepiece
import tiktoken
import tokenizers

from program import REPOSITORY
from tokenizer_texts import (LLAMA3_PATTERN, assert_same, bytes_of_tokens, tokens_of, train_byte_level, varied_texts, write_llama_json,
                             write_tiktoken)

TEXTS = varied_texts(10500)


def shared_file(name):
    file = pathlib.Path(os.environ.get("EXCITOR_SHARED_DIR", REPOSITORY.parent / "shared")) / name
    if not file.exists():
        pytest.skip(f"{name} is not in the shared folder")
    return file


def test_llamas_sentencepiece_model(tmp_path):
    file = shared_file("data/llama_tokenizer.model")
    judge = sentencepiece.SentencePieceProcessor(model_file=str(file))
    assert_same(file, 1, judge.encode, tmp_path, TEXTS)


def test_llamas_tokenizer_json(tmp_path):
    """The same vocabulary as tokenizer.json: tokenizers is the judge, and ids are SentencePiece's too."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(shared_file("data/llama_tokenizer.model")))
    file = tmp_path / "llama" / "tokenizer.json"
    judge = write_llama_json(file, processor)
    assert_same(file.parent, 1, lambda text: judge.encode(text).ids, tmp_path, TEXTS)
    texts = [text for text in TEXTS if text != ""]
    assert_same(file.parent, 1, processor.encode, tmp_path, texts)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("scheme", ["always", "first", "never"])
def test_metaspace_in_the_place_of_a_normalizer(tokenizer_file, tmp_path, scheme, split):
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer_file))
    judge = write_llama_json(tmp_path / "tokenizer.json", processor)
    part = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}
    whole = json.loads((tmp_path / "tokenizer.json").read_text()) | {"normalizer": None, "pre_tokenizer": part, "decoder": part}
    (tmp_path / "tokenizer.json").write_text(json.dumps(whole))
    judge = tokenizers.Tokenizer.from_str(json.dumps(whole | {"added_tokens": []}))
    assert_same(tmp_path, 1, lambda text: judge.encode(text, add_special_tokens=False).ids, tmp_path, TEXTS[:3000])


@pytest.fixture(scope="module")
def llama3(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama3")
    return folder, train_byte_level(folder, LLAMA3_PATTERN)


def test_llama_3s_tokenizer_json(llama3, tmp_path):
    folder, judge = llama3
    assert_same(folder, judge.get_vocab_size(), lambda text: judge.encode(text).ids, tmp_path, TEXTS)


def test_gpt_2s_tokenizer_json(tmp_path):
    judge = train_byte_level(tmp_path / "gpt2", ignore_merges=False)
    assert_same(tmp_path / "gpt2", judge.get_vocab_size(), lambda text: judge.encode(text).ids, tmp_path, TEXTS)


def test_merges_as_strings_are_those_as_pairs(llama3, tmp_path):
    folder, judge = llama3
    whole = json.loads((folder / "tokenizer.json").read_text())
    whole["model"]["merges"] = [" ".join(merge) for merge in whole["model"]["merges"]]
    whole["model"]["ignore_merges"] = False
    (tmp_path / "tokenizer.json").write_text(json.dumps(whole))
    (tmp_path / "tokenizer_config.json").write_text((folder / "tokenizer_config.json").read_text())
    judge.model.ignore_merges = False
    try:
        assert_same(tmp_path, judge.get_vocab_size(), lambda text: judge.encode(text).ids, tmp_path, TEXTS[:3000])
    finally:
        judge.model.ignore_merges = True


def test_tiktoken(llama3, tmp_path):
    """LLaMA 3's own format, with tiktoken as the judge."""
    ranks = bytes_of_tokens(llama3[1])
    singles = sorted(token for token in ranks if len(token) == 1)
    ranks = {token: rank for rank, token in enumerate(singles + sorted((t for t in ranks if len(t) > 1), key=ranks.get))}
    write_tiktoken(tmp_path / "tokenizer.model", ranks)
    judge = tiktoken.Encoding("test", pat_str=LLAMA3_PATTERN, mergeable_ranks=ranks, special_tokens={})
    assert_same(tmp_path, len(ranks), judge.encode_ordinary, tmp_path, TEXTS)
    row = tokens_of(tmp_path, [""], tmp_path)[0]
    assert row == {"ids": [len(ranks)], "pieces": ["<|begin_of_text|>"], "supervised": [0]}


def test_tokens_that_are_added_and_not_special_are_found_in_texts(llama3, tmp_path):
    folder, judge = llama3
    added = judge.from_str(judge.to_str())
    added.add_tokens(["<tool>", "<tool>s", "fox"])
    added.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<tool>s", "eos_token": "fox"}))
    whole = json.loads((tmp_path / "tokenizer.json").read_text())
    extra = [{"id": added.get_vocab_size() + i, "content": name, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": True} for i, name in enumerate(["<b>", "<e>"])]
    whole["added_tokens"] += extra
    (tmp_path / "tokenizer.json").write_text(json.dumps(whole))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<b>", "eos_token": "<e>"}))
    texts = ["a <tool> b", "<tool>s<tool>", "foxfox the fox", "<too", "<b><e>"] + TEXTS[:300]
    assert_same(tmp_path, extra[0]["id"], lambda text: added.encode(text).ids, tmp_path, texts)


def test_what_a_user_writes_is_no_control_token(llama3, tmp_path):
    folder, judge = llama3
    text = "<|begin_of_text|>a<|end_of_text|>"
    assert tokens_of(folder, [text], tmp_path)[0]["ids"] == [judge.get_vocab_size()] + judge.encode(text).ids
