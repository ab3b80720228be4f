"""What a model folder adds to its vocabulary, and vocabularies that are not as large as the embedding; transformers and
tokenizers are the judges."""
import json
import shutil

import pytest
import sentencepiece
import tokenizers
import transformers

import evaluation_files
import tiny_models
from program import generate, run_excitor
from tokenizer_texts import LLAMA3_PATTERN, assert_same, texts_with, train_byte_level, varied_texts, write_llama_json

SIZE = tiny_models.VOCABULARY
LLAMA = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def added_token(content, **flags):
    return {"content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False} | flags


@pytest.fixture
def write_folder(tmp_path, tokenizer_file):
    """Writes a folder with a tokenizer.model and the given files beside it."""
    def write(files):
        folder = tmp_path / "model"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        shutil.copy(tokenizer_file, folder)
        for name, content in ({"config.json": {"model_type": "llama", "vocab_size": SIZE + 9}} | files).items():
            (folder / name).write_text(json.dumps(content))
        return folder
    return write


END = {"<|im_end|>": SIZE}
END_DECODER = {str(SIZE): added_token("<|im_end|>", special=True)}
FINE_TUNES = {
    "named, with its id in a file of its own": {"tokenizer_config.json": LLAMA | {"eos_token": "<|im_end|>"}, "added_tokens.json": END},
    "named by an object, listed": {"tokenizer_config.json": LLAMA | {
        "eos_token": added_token("<|im_end|>", __type="AddedToken"), "added_tokens_decoder": END_DECODER}},
    "named by the older map": {"tokenizer_config.json": LLAMA, "added_tokens.json": END, "special_tokens_map.json": {"eos_token": "<|im_end|>"}},
    "listed, but not the end": {"tokenizer_config.json": LLAMA | {"added_tokens_decoder": END_DECODER}},
    "all is LLaMA's": {"tokenizer_config.json": LLAMA},
}


@pytest.mark.parametrize("files", FINE_TUNES.values(), ids=FINE_TUNES.keys())
def test_answers_end_with_the_folders_eos(tmp_path, write_folder, files):
    folder = write_folder(files)
    judge = transformers.AutoTokenizer.from_pretrained(folder)
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]}) + "\n")
    row = json.loads(run_excitor("inspect", "tokens", folder, "--file", rows, "--template", "alpaca", "--json").stdout)
    assert (row["ids"][0], row["ids"][-1], row["supervised"][-1]) == (judge.bos_token_id, judge.eos_token_id, 1)


@pytest.mark.parametrize("space", [{}, {"legacy": True}, {"legacy": False}, {"add_prefix_space": False}], ids=str)
def test_added_tokens_beside_a_sentencepiece_model(tmp_path, write_folder, space):
    tokens = [added_token("<foo>", normalized=True), added_token("<foo>x", lstrip=True), added_token(" of", rstrip=True),
              added_token("foo", single_word=True), added_token("▁k<", normalized=True), added_token("日", lstrip=True, rstrip=True)]
    folder = write_folder({"tokenizer_config.json": LLAMA | space | {
        "added_tokens_decoder": {str(SIZE + i): token for i, token in enumerate(tokens)}}})
    judge = transformers.AutoTokenizer.from_pretrained(folder)
    texts = texts_with([token["content"] for token in tokens], 700) + varied_texts(300)
    # What a text itself begins with is SentencePiece's affair: transformers 5 has one ▁ less in front of a space.
    texts = [text for text in texts if not text.startswith((" ", "▁")) and not any(name in text for name in ("<s>", "</s>", "<unk>"))]
    assert_same(folder, 1, lambda text: judge.encode(text, add_special_tokens=False), tmp_path, texts)


def test_added_tokens_in_a_file_of_their_own(tmp_path, write_folder):
    files = {"tokenizer_config.json": LLAMA | {"legacy": True, "pad_token": "<pad>"}, "added_tokens.json": {"<foo>": SIZE, "<pad>": SIZE + 1}}
    folder = write_folder(files)
    judge = transformers.AutoTokenizer.from_pretrained(folder)
    assert_same(folder, 1, lambda text: judge.encode(text, add_special_tokens=False), tmp_path, ["hello <foo> x<foo>y", "<foo>", "a<foo><foo> b"])
    row = json.loads(run_excitor("inspect", "tokens", folder, "--text", "a<pad>", "--json").stdout)
    assert SIZE + 1 not in row["ids"]  # control tokens come from templates alone


def metaspace(scheme):
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": False}


def in_turn(*parts):
    return {"type": "Sequence", "pretokenizers": list(parts)}


def split_at(text):
    return {"type": "Split", "pattern": {"String": text}, "behavior": "Isolated", "invert": False}


PREPEND = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
                                               {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
STEPS = {
    "a normalizer": (PREPEND, None),
    "a normalizer that only replaces": ({"type": "Replace", "pattern": {"String": " "}, "content": "▁"}, None),
    "Metaspace first": (None, metaspace("first")),
    "Metaspace always": (None, metaspace("always")),
    "Metaspace first behind single digits": (None, in_turn({"type": "Digits", "individual_digits": True}, metaspace("first"))),
    "digits side by side": (PREPEND, {"type": "Digits", "individual_digits": False}),
    "a string to split at": (PREPEND, in_turn(split_at("(a"), split_at("."))),
}


@pytest.mark.parametrize("normalizer,pre_tokenizer", STEPS.values(), ids=STEPS.keys())
def test_added_tokens_of_a_tokenizer_json(tokenizer_file, tmp_path, normalizer, pre_tokenizer):
    write_llama_json(tmp_path / "tokenizer.json", sentencepiece.SentencePieceProcessor(model_file=str(tokenizer_file)))
    whole = json.loads((tmp_path / "tokenizer.json").read_text()) | {"normalizer": normalizer, "pre_tokenizer": pre_tokenizer}
    tokens = [added_token("<foo>"), added_token("<bar>", normalized=True), added_token("<foo>x", normalized=True, rstrip=True),
              added_token("foo", single_word=True), added_token(" of", normalized=True, single_word=True, lstrip=True),
              added_token("日", lstrip=True), added_token("\n\n", lstrip=True, rstrip=True)]
    tokens = [token | {"id": SIZE + i} for i, token in enumerate(tokens)]
    tokens.append(added_token("a", single_word=True) | {"id": whole["model"]["vocab"]["a"]})
    judge = tokenizers.Tokenizer.from_str(json.dumps(whole | {"added_tokens": tokens}))
    (tmp_path / "tokenizer.json").write_text(json.dumps(whole | {"added_tokens": whole["added_tokens"] + tokens}))
    texts = texts_with([token["content"] for token in tokens] + ["1", "(a", "."], 700) + varied_texts(300)
    assert_same(tmp_path, 1, lambda text: judge.encode(text, add_special_tokens=False).ids, tmp_path, texts)


def test_added_tokens_of_a_byte_level_tokenizer_json(tmp_path):
    train_byte_level(tmp_path, LLAMA3_PATTERN, size=600)
    whole = json.loads((tmp_path / "tokenizer.json").read_text())
    first = max(token["id"] for token in whole["added_tokens"]) + 1
    flags = [{"single_word": True}, {"lstrip": True}, {"rstrip": True}, {"normalized": True, "single_word": True}]
    tokens = [added_token(name, **flag) | {"id": first + i} for i, (name, flag) in enumerate(zip(["foo", "<foo>", " bar", "日"], flags))]
    judge = tokenizers.Tokenizer.from_str(json.dumps(whole | {"added_tokens": tokens_without_names(whole) + tokens}))
    (tmp_path / "tokenizer.json").write_text(json.dumps(whole | {"added_tokens": whole["added_tokens"] + tokens}))
    texts = texts_with([token["content"] for token in tokens], 700) + varied_texts(300)
    assert_same(tmp_path, whole["added_tokens"][0]["id"], lambda text: judge.encode(text, add_special_tokens=False).ids, tmp_path, texts)


def tokens_without_names(whole):
    """The special tokens as ones that no text holds, so that the judge looks for none."""
    return [token | {"content": f"\uffff{token['id']}"} for token in whole["added_tokens"]]


def test_ids_of_a_padded_embedding_have_no_text(tmp_path, tokenizer_file):
    model = tmp_path / "padded"
    tiny_models.write_model(model, tokenizer_file=tokenizer_file, std=0.6, vocab_size=4 * SIZE)
    answer = generate(model, "--prompt", "The fox", "--max-new-tokens", 40, "--temperature", 2)[0]
    known = [number for number in answer["token_ids"] if number < SIZE]
    assert 0 < len(known) < len(answer["token_ids"])
    assert answer["text"] == sentencepiece.SentencePieceProcessor(model_file=str(tokenizer_file)).decode(known)
    run_excitor("eval", model, "--task", f"scienceqa={evaluation_files.write_scienceqa(tmp_path / 'science', questions=3)}")

    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps([{"instruction": "Name a fruit.", "input": "", "output": "apple"}] * 3))
    run = {"model": {"path": str(model)}, "method": {"type": "lora"}, "data": {"train": [{"path": str(rows)}], "val_size": 1},
           "train": {"max_steps": 1, "micro_batch_size": 1}, "eval": {"eval_steps": 1, "sample_prompts": ["The fox"]},
           "output_dir": str(tmp_path / "run")}
    (tmp_path / "run.json").write_text(json.dumps(run))
    run_excitor("train", tmp_path / "run.json")


def test_a_vocabulary_beyond_the_embedding_is_refused_everywhere(tmp_path, tokenizer_file):
    model = tmp_path / "short"
    tiny_models.write_model(model, tokenizer_file=tokenizer_file, vocab_size=SIZE - 8)
    (tmp_path / "text.txt").write_text("The fox counts three apples.")
    for command in (["generate", model, "--prompt", "The fox"], ["eval", model, "--task", f"perplexity={tmp_path / 'text.txt'}"]):
        done = run_excitor(*command, check=False)
        assert done.returncode == 1
        assert f"the tokenizer has {SIZE} tokens, but the embedding of {model} has {SIZE - 8} rows" in done.stderr
