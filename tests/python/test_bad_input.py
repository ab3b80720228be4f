"""Wrong files, settings and circumstances: the program says what is wrong and where, and leaves nothing half done."""
import json
import os
import resource
import shutil
import struct
import subprocess

import pytest
import safetensors.torch
import torch

import integration_support as support
from integration_support import ROWS, SHAPE, cases, check_refusal, configuration, refused, write_run
from program import find_program, run_excitor

LFS_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"


@pytest.fixture(scope="module")
def good_model(tmp_path_factory, tokenizer_file):
    return support.write_model(tmp_path_factory.mktemp("good") / "model", tokenizer_file)


@pytest.fixture
def model(tmp_path, good_model):
    """A copy that a test may spoil."""
    return shutil.copytree(good_model, tmp_path / "model")


@pytest.fixture(scope="module")
def adapter(tmp_path_factory, good_model):
    folder = tmp_path_factory.mktemp("adapter")
    run_excitor("train", write_run(folder, configuration(good_model, train={"max_steps": 1})))
    return folder / "run" / "adapter"


def train_is_refused(tmp_path, model_folder, *words, code=(1, 2), timeout=60, **sections):
    return refused("train", write_run(tmp_path, configuration(model_folder, **sections)), words=words, code=code, timeout=timeout,
                   absent=tmp_path / "run")


# --- weights -----------------------------------------------------------------------------------------------------------------

def parts_of(file):
    content = file.read_bytes()
    size, = struct.unpack("<Q", content[:8])
    return json.loads(content[8:8 + size]), content[8 + size:]


def file_of(header, data, size=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


def with_header(change):
    def damage(file):
        header, data = parts_of(file)
        header = change(header) or header
        file.write_bytes(file_of(header, data))
    return damage


def with_bytes(change):
    return lambda file: file.write_bytes(change(file.read_bytes()))


UP = "model.layers.1.mlp.up_proj.weight"


def set_key(key, value):
    def change(header):
        header[UP][key] = value
    return with_header(change)


def overlap(header):
    begin, end = header[UP]["data_offsets"]
    header[UP]["data_offsets"] = [begin - 4, end - 4]


def leave_hole(header):
    del header[UP]


def twice(header):
    text = json.dumps(header)
    return (text[:-1] + "," + json.dumps(UP) + ":" + json.dumps(header[UP]) + "}").encode()


DAMAGE = {
    "empty": (with_bytes(lambda b: b""), []),
    "four bytes": (with_bytes(lambda b: b[:4]), []),
    "cut in the header": (with_bytes(lambda b: b[:200]), []),
    "cut in the data": (with_bytes(lambda b: b[:-100]), []),
    "too long": (with_bytes(lambda b: b + b"\0" * 8), []),
    "header longer than the file": (with_bytes(lambda b: struct.pack("<Q", len(b)) + b[8:]), []),
    "header of 2^64-1 bytes": (with_bytes(lambda b: b"\xff" * 8 + b[8:]), []),
    "header of no bytes": (with_bytes(lambda b: struct.pack("<Q", 0) + b[8:]), []),
    "git-lfs pointer": (with_bytes(lambda b: LFS_POINTER.encode()), ["git lfs pull"]),
    "a web page": (with_bytes(lambda b: b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n" * 20), []),
    "header no JSON": (with_header(lambda h: b"{'a': 1}"), []),
    "header a list": (with_header(lambda h: b"[]"), ["expected an object"]),
    "header not UTF-8": (with_header(lambda h: b'{"\xff\xfe": 1}'), []),
    "header nested": (with_header(lambda h: b'{"a":' * 50000), []),
    "overlap": (with_header(overlap), ["overlaps"]),
    "hole": (with_header(leave_hole), ["hole"]),
    "duplicate key": (with_header(twice), [UP, "twice"]),
    "unknown dtype": (set_key("dtype", "F99"), [UP, "F99"]),
    "dtype a number": (set_key("dtype", 5), [UP, "dtype"]),
    "overflowing shape": (set_key("shape", [2**62, 4, 4]), [UP, "overflow"]),
    "wrapping shape": (set_key("shape", [2**63 + 48, 32]), [UP]),
    "negative shape": (set_key("shape", [-48, -32]), [UP, "shape"]),
    "shape of fractions": (set_key("shape", [48.0, 32.0]), [UP, "shape"]),
    "no shape": (with_header(lambda h: h[UP].pop("shape") and None), [UP, "shape"]),
    "shape against bytes": (set_key("shape", [48, 33]), [UP]),
    "offsets backwards": (set_key("data_offsets", [100, 4]), [UP]),
    "offsets beyond the file": (set_key("data_offsets", [0, 10**15]), [UP]),
    "one offset": (set_key("data_offsets", [0]), [UP, "data_offsets"]),
    "entry a number": (with_header(lambda h: h.__setitem__(UP, 5)), [UP]),
}


@pytest.mark.parametrize("name", cases(
    DAMAGE, "cut in the data", "header longer than the file", "overlap", "duplicate key", "unknown dtype", "overflowing shape"))
def test_damaged_weights(tmp_path, model, name):
    damage, words = DAMAGE[name]
    damage(model / "model.safetensors")
    train_is_refused(tmp_path, model, model / "model.safetensors", *words, code=1)


def with_tensors(change):
    def damage(file):
        tensors = safetensors.torch.load_file(file)
        change(tensors)
        safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
    return damage


WRONG_TENSORS = {
    "missing": (lambda t: t.pop(UP), [UP]),
    "no output layer": (lambda t: t.pop("lm_head.weight"), ["lm_head.weight"]),
    "transposed": (lambda t: t.__setitem__(UP, t[UP].t()), [UP, "[32, 48]", "[48, 32]"]),
    "another vocabulary": (lambda t: t.__setitem__("model.embed_tokens.weight", t["model.embed_tokens.weight"][:400]),
                           ["model.embed_tokens.weight", "400", "448"]),
    "integers": (lambda t: t.__setitem__(UP, t[UP].to(torch.int32)), [UP, "I32"]),
    "a scalar": (lambda t: t.__setitem__("model.norm.weight", torch.tensor(1.0)), ["model.norm.weight"]),
    "none at all": (lambda t: t.clear(), []),
}


@pytest.mark.parametrize("name", cases(WRONG_TENSORS, "missing", "transposed", "integers"))
def test_wrong_tensors(tmp_path, model, name):
    change, words = WRONG_TENSORS[name]
    with_tensors(change)(model / "model.safetensors")
    train_is_refused(tmp_path, model, model, *words, code=1)


def test_weights_that_are_not_numbers(tmp_path, model):
    with_tensors(lambda t: t["model.norm.weight"].fill_(float("nan")))(model / "model.safetensors")
    done = run_excitor("train", write_run(tmp_path, configuration(model)), check=False)
    assert done.returncode == 1 and "not finite" in done.stderr, done.stderr
    assert not (tmp_path / "run/adapter").exists()


def test_answers_of_what_is_no_number(model):
    with_tensors(lambda t: t["model.norm.weight"].fill_(float("nan")))(model / "model.safetensors")
    refused("generate", model, *GENERATE, words=["not finite"], code=1)


def test_weights_are_not_there(tmp_path, model):
    (model / "model.safetensors").rename(model / "model.ckpt")
    train_is_refused(tmp_path, model, model, "model.safetensors", "model.ckpt", code=1)


def test_weights_are_of_another_kind_than_their_name_says(tmp_path, model):
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    train_is_refused(tmp_path, model, model / "pytorch_model.bin", "no file of torch.save", code=1)


def test_weights_are_a_folder(tmp_path, model):
    (model / "model.safetensors").unlink()
    (model / "model.safetensors").mkdir()
    train_is_refused(tmp_path, model, model / "model.safetensors", code=1)


def lose_shard(index):
    (index.parent / "model-00002-of-00002.safetensors").unlink()


def edit_index(change):
    def damage(index):
        content = json.loads(index.read_text())
        content = change(content) or content
        index.write_text(content if isinstance(content, str) else json.dumps(content))
    return damage


def name_shard(name):
    return edit_index(lambda c: c["weight_map"].__setitem__(UP, name))


def move_out(index):
    """A path that leaves the folder is refused although the file is there."""
    shard = index.parent / "model-00001-of-00002.safetensors"
    shutil.copy(shard, index.parent.parent / "outside.safetensors")
    name_shard("../outside.safetensors")(index)


SHARDS = {
    "missing shard": (lose_shard, ["model-00002-of-00002.safetensors"]),
    "parent": (move_out, ["../outside.safetensors"]),
    "absolute": (name_shard("/etc/passwd"), ["/etc/passwd"]),
    "dots": (name_shard(".."), [".."]),
    "empty name": (name_shard(""), []),
    "zero byte": (name_shard("model-00001-of-00002.safetensors\0x"), []),
    "a number": (name_shard(5), [UP, "5"]),
    "not a shard": (name_shard("config.json"), ["config.json"]),
    "in the other shard": (edit_index(lambda c: c["weight_map"].update({UP: "model-00001-of-00002.safetensors"
                           if c["weight_map"][UP].startswith("model-00002") else "model-00002-of-00002.safetensors"})), [UP]),
    "tensor left out": (edit_index(lambda c: c["weight_map"].pop(UP) and None), [UP]),
    "tensor unknown": (edit_index(lambda c: c["weight_map"].update(other="model-00001-of-00002.safetensors")), ["other"]),
    "no map": (edit_index(lambda c: {"metadata": {}}), ["weight_map"]),
    "map a list": (edit_index(lambda c: {"weight_map": []}), ["weight_map"]),
    "empty map": (edit_index(lambda c: {"weight_map": {}}), []),
    "a list": (edit_index(lambda c: "[]"), ["weight_map"]),
    "no JSON": (edit_index(lambda c: "{"), ["index.json:1"]),
    "empty": (edit_index(lambda c: "\n"), []),
}


@pytest.mark.parametrize("name", cases(SHARDS, "missing shard", "parent", "in the other shard", "no map"))
def test_shards(tmp_path, model, name):
    damage, words = SHARDS[name]
    damage(support.write_shards(model))
    train_is_refused(tmp_path, model, model, *words, code=1)


# --- the model's configuration and tokenizer -----------------------------------------------------------------------------------

CONFIGS = {
    "heads do not divide": ({"num_attention_heads": 5}, ["num_attention_heads", "5"]),
    "key heads do not divide": ({"num_key_value_heads": 3}, ["num_key_value_heads", "3"]),
    "odd heads": ({"head_dim": 7}, ["head_dim", "7"]),
    "negative": ({"hidden_size": -32}, ["hidden_size", "-32"]),
    "all negative": ({"hidden_size": -32, "num_attention_heads": -4, "num_key_value_heads": -2}, ["hidden_size", "num_attention_heads"]),
    "zero": ({"num_attention_heads": 0}, ["num_attention_heads", "0"]),
    "no layers": ({"num_hidden_layers": 0}, ["num_hidden_layers"]),
    "huge": ({"hidden_size": 2**62}, ["hidden_size"]),
    "beyond 64 bits": ({"hidden_size": 10**30}, ["hidden_size"]),
    "many layers": ({"num_hidden_layers": 2**24}, ["num_hidden_layers"]),
    "long context": ({"max_position_embeddings": 2**62}, ["max_position_embeddings"]),
    "another hidden size": ({"hidden_size": 64}, ["[448, 64]", "[448, 32]"]),
    "a string": ({"hidden_size": "32"}, ["hidden_size", '"32"']),
    "true": ({"num_hidden_layers": True}, ["num_hidden_layers", "true"]),
    "fraction": ({"hidden_size": 32.5}, ["hidden_size", "32.5"]),
    "a list": ({"num_attention_heads": [4]}, ["num_attention_heads"]),
    "another model": ({"model_type": "mistral"}, ["model_type", "mistral"]),
    "activation": ({"hidden_act": "gelu"}, ["hidden_act", "gelu"]),
    "epsilon": ({"rms_norm_eps": -1e-5}, ["rms_norm_eps"]),
    "eos beyond": ({"eos_token_id": 448}, ["eos_token_id", "448"]),
    "eos a word": ({"eos_token_id": "</s>"}, ["eos_token_id"]),
    "rope type": ({"rope_scaling": {"rope_type": "spiral", "factor": 2.0}}, ["rope", "spiral"]),
    "rope factor": ({"rope_scaling": {"rope_type": "linear", "factor": "2"}}, ["factor"]),
    "rope without factor": ({"rope_scaling": {"rope_type": "yarn"}}, ["factor"]),
    "rope a number": ({"rope_scaling": 5}, ["rope_scaling"]),
    "rope theta": ({"rope_theta": 0}, ["rope_theta"]),
}


@pytest.mark.parametrize("name", cases(
    CONFIGS, "heads do not divide", "negative", "huge", "another hidden size", "a string", 
    "many layers", "long context", "rope a number"))
def test_impossible_model_config(tmp_path, model, name):
    change, words = CONFIGS[name]
    (model / "config.json").write_text(json.dumps(SHAPE | change))
    train_is_refused(tmp_path, model, model, *words, timeout=4)


CONFIG_TEXTS = {
    "empty": ("", ["empty"]),
    "no JSON": ("hidden_size: 32\n", [":1:1"]),
    "cut": (json.dumps(SHAPE)[:-20], [":1:"]),
    "a list": (json.dumps([SHAPE]), ["expected an object"]),
    "nothing in it": ("{}", ["hidden_size", "num_hidden_layers", "vocab_size"]),
    "git-lfs pointer": (LFS_POINTER, []),
    "duplicate key": (json.dumps(SHAPE)[:-1] + ', "hidden_size": 64}', ["hidden_size"]),
    "NaN": (json.dumps(SHAPE | {"rms_norm_eps": float("nan")}), ["NaN"]),
    "not UTF-8": (json.dumps(SHAPE).encode()[:-1] + b', "a": "\xff"}', [":1:"]),
}


@pytest.mark.parametrize("name", cases(CONFIG_TEXTS, "empty", "no JSON", "a list", "not UTF-8"))
def test_broken_model_config(tmp_path, model, name):
    content, words = CONFIG_TEXTS[name]
    (model / "config.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    train_is_refused(tmp_path, model, model / "config.json", *words)


def test_model_without_config(tmp_path, model):
    (model / "config.json").unlink()
    train_is_refused(tmp_path, model, model, "config.json")


TOKENIZERS = {
    "empty": b"",
    "garbage": bytes(range(256)) * 40,
    "text": b"hello world\n" * 100,
    "git-lfs pointer": LFS_POINTER.encode(),
    "zeros": b"\0" * 4096,
}


@pytest.mark.parametrize("name", cases(TOKENIZERS, "empty", "garbage", "git-lfs pointer"))
def test_broken_tokenizer(tmp_path, model, name):
    (model / "tokenizer.model").write_bytes(TOKENIZERS[name])
    train_is_refused(tmp_path, model, model / "tokenizer.model", code=1)


def test_cut_tokenizer(tmp_path, model):
    file = model / "tokenizer.model"
    file.write_bytes(file.read_bytes()[:-1000])
    train_is_refused(tmp_path, model, file, code=1)


def test_model_without_tokenizer(tmp_path, model):
    (model / "tokenizer.model").unlink()
    train_is_refused(tmp_path, model, model, "tokenizer.model")


def test_vocabulary_larger_than_the_embedding(tmp_path, good_model):
    small = support.write_model(tmp_path / "small", good_model / "tokenizer.model", shape=SHAPE | {"vocab_size": 400})
    train_is_refused(tmp_path, small, "448", "400", "embedding", code=1)
    refused("generate", small, "--prompt", "a", words=["448", "400"], code=1)


# --- data ----------------------------------------------------------------------------------------------------------------------

def lines(*rows):
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows).encode()


GOOD = ROWS[0]
DATA = {
    "output a number": ("rows.json", json.dumps([GOOD, GOOD | {"output": 5}]).encode(), ["rows.json[1]", "output", "5"]),
    "instruction null": ("rows.json", json.dumps([GOOD | {"instruction": None}]).encode(), ["instruction", "null"]),
    "input a list": ("rows.json", json.dumps([GOOD | {"input": ["a"]}]).encode(), ["input"]),
    "no output": ("rows.json", json.dumps([{"instruction": "a", "answer": "b"}]).encode(), ["output", "answer"]),
    "rows are strings": ("rows.json", json.dumps(["a", "b"]).encode(), ["object"]),
    "rows are lists": ("rows.jsonl", lines(GOOD, "[1]"), ["rows.jsonl:2"]),
    "an object of rows": ("rows.json", json.dumps({"train": ROWS}, indent=1).encode(), ["array"]),
    "empty file": ("rows.json", b"", ["empty"]),
    "blank file": ("rows.jsonl", b"\n \n", ["empty"]),
    "no rows": ("rows.json", b"[]", ["no examples"]),
    "a number": ("rows.json", b"5", []),
    "cut array": ("rows.json", json.dumps(ROWS, indent=1).encode()[:200], ["rows.json:"]),
    "broken line": ("rows.jsonl", lines(*[GOOD] * 16, '{"instruction": "a", "output": '), ["rows.jsonl:17"]),
    "two broken lines": ("rows.jsonl", lines(GOOD, "{", GOOD, "{]"), ["rows.jsonl:2", "rows.jsonl:4"]),
    "not UTF-8": ("rows.jsonl", lines(GOOD) + b'{"instruction": "caf\xe9", "output": "b"}\n', ["rows.jsonl:2", "UTF-8"]),
    "UTF-16": ("rows.jsonl", lines(GOOD).decode().encode("utf-16"), ["rows.jsonl"]),
    "half a surrogate": ("rows.jsonl", lines(GOOD, '{"instruction": "\\ud800", "output": "b"}'), ["rows.jsonl:2"]),
    "ShareGPT": ("rows.json", b'[{"conversations": [{"from": "human", "value": "a"}]}]', ["ShareGPT"]),
    "empty answers alone": ("rows.jsonl", lines(GOOD | {"output": ""}), ["no examples", ":1:", "output"]),
    "duplicate key": ("rows.jsonl", lines(GOOD, '{"instruction": "a", "output": "b", "output": "c"}'), ["rows.jsonl:2", "output"]),
    "git-lfs pointer": ("rows.json", LFS_POINTER.encode(), ["git lfs pull"]),
    "text not UTF-8": ("rows.txt", b"The fox.\n\nThe caf\xe9 near the mill.\n", ["rows.txt:3", "UTF-8"]),
    "empty text": ("rows.txt", b"\n\n", ["rows.txt"]),
    "unknown ending": ("rows.csv", b"a,b\n", ["rows.csv", "format"]),
}


@pytest.mark.parametrize("name", cases(
    DATA, "output a number", "rows are strings", "empty file", "broken line", "not UTF-8", "duplicate key", "text not UTF-8",
    "git-lfs pointer"))
def test_wrong_data(tmp_path, good_model, name):
    file, content, words = DATA[name]
    config = write_run(tmp_path, configuration(good_model, data={"train": [{"path": file}]}))
    (tmp_path / file).write_bytes(content)
    refused("train", config, words=[tmp_path / file, *words], absent=tmp_path / "run")


def test_a_sample_without_a_label(tmp_path, good_model):
    rows = [GOOD, GOOD | {"instruction": "count " * 200}]
    config = write_run(tmp_path, configuration(good_model), rows[1:])
    refused("train", config, words=["rows.json", "no example is left", "max_seq_length", "384"], code=1, absent=tmp_path / "run")
    said = run_excitor("train", write_run(tmp_path, configuration(good_model), rows)).stderr
    assert "rows.json[1]: the prompt alone has" in said and "no label" in said


def test_many_faults_stay_readable(tmp_path, good_model):
    config = write_run(tmp_path, configuration(good_model), [GOOD | {"output": number} for number in range(5000)])
    refused("train", config, words=["5000"], code=1, absent=tmp_path / "run")


def test_val_size_takes_everything(tmp_path, good_model):
    train_is_refused(tmp_path, good_model, "val_size", str(len(ROWS)), code=2, data={"val_size": len(ROWS)})


# --- the run's configuration ---------------------------------------------------------------------------------------------------

def test_all_problems_at_once(tmp_path, good_model):
    whole = configuration(good_model, train={
        "per_device_train_batch_size": 4, "learning_rte": 0.1, "max_steps": 2.5, "micro_batch_size": True, "warmup_ratio": 1.5,
        "weight_decay": -1, "lr_scheduler_type": "cosin", "precision": None, "seed": "0"})
    whole["data"] |= {"cutoff_len": 100, "packing": 1, "max_seq_length": 1, "prompt_template": "alpacca"}
    whole["method"] |= {"lora_rank": 4, "r": 0}
    whole |= {"num_train_epochs": 3, "trian": {}, "eval": []}
    words = ["train.per_device_train_batch_size", "train.micro_batch_size", "train.learning_rte", "did you mean train.learning_rate",
             "train.max_steps", "2.5", "train.warmup_ratio", "1.5", "train.weight_decay", "-1", 'did you mean "cosine"', "train.precision",
             "train.seed", "data.cutoff_len", "data.max_seq_length", "data.packing", "data.prompt_template", 'did you mean "alpaca"',
             "method.lora_rank", "use method.r", "method.r:", "num_train_epochs", "train.epochs", "trian", "did you mean train?",
             "eval:", "expected an object"]
    refused("train", write_run(tmp_path, whole), words=[tmp_path / "run.json", *words], code=2, absent=tmp_path / "run")


def test_all_that_is_missing_at_once(tmp_path):
    words = ["model.path", "data.train", "output_dir"]
    refused("train", write_run(tmp_path, {}), words=[tmp_path / "run.json", *words], code=2)


WRONG_SETTINGS = {
    "unknown method": ({"method": {"type": "excitr"}}, ["method.type", 'did you mean "excitor"']),
    "another method's key": ({"method": {"lora_alpha": 3}}, ["method.lora_alpha"]),
    "more layers than the model": ({"method": {"adapter_layers": 3}}, ["run.json", "method.adapter_layers", "3", "2"]),
    "minimum above maximum": ({"train": {"min_learning_rate": 1}}, ["train.min_learning_rate"]),
    "batch does not divide": ({"train": {"global_batch_size": 6}}, ["train.global_batch_size", "6", "4"]),
    "learning rate infinite": ({"train": {"learning_rate": 0}}, ["train.learning_rate"]),
    "huge batch": ({"train": {"micro_batch_size": 2**62, "gradient_accumulation_steps": 2**62}}, ["train."]),
    "endless epochs": ({"train": {"max_steps": None, "epochs": 1e300}}, ["train.epochs"]),
    "huge length": ({"data": {"max_seq_length": 2**62}}, ["data.max_seq_length"]),
    "beyond 64 bits": ({"train": {"seed": 2**64}}, ["train.seed"]),
    "no such model": ({"model": {"path": "nowhere"}}, ["model.path", "nowhere"]),
    "a model's name": ({"model": {"path": "meta-llama/Llama-2-7b-hf"}}, ["model.path", "meta-llama/Llama-2-7b-hf"]),
    "no such data": ({"data": {"train": [{"path": "nowhere.json"}]}}, ["data.train[0].path", "nowhere.json"]),
    "data a string": ({"data": {"train": "rows.json"}}, ["data.train", "a list", "1 problem"]),
    "data a folder": ({"data": {"train": [{"path": "."}]}}, ["data.train[0].path", "folder"]),
    "no data": ({"data": {"train": []}}, ["data.train"]),
    "unknown data key": ({"data": {"train": [{"path": "rows.json", "fromat": "alpaca"}]}}, ["data.train[0].fromat", "format"]),
    "random weights for an adapter": ({"model": {"init": {}, "tokenizer": "rows.json", "path": ""}}, ["model.init"]),
    "processes": ({"distributed": {"devices": 2}}, ["distributed.devices", "2"]),
    "no output_dir": ({"output_dir": ""}, ["output_dir"]),
    "output_dir a number": ({"output_dir": 5}, ["output_dir", "5"]),
    "held-out text": ({"eval": {"forgetting": {"path": "nowhere.txt"}}}, ["eval.forgetting.path", "nowhere.txt"]),
}


@pytest.mark.parametrize("name", cases(WRONG_SETTINGS, "unknown method", "no such data", "a model's name", 
    "more layers than the model", "huge batch", "endless epochs", "huge length", "data a folder",
    "data a string"))
def test_wrong_settings(tmp_path, good_model, name):
    sections, words = WRONG_SETTINGS[name]
    train_is_refused(tmp_path, good_model, *words, code=2, **sections)


BROKEN_TEXT = {
    "duplicate key": ('{"train": {"seed": 1,\n "seed": 2}}', ["run.json:2", "seed"]),
    "NaN": ('{"train": {"learning_rate": NaN}}', ["run.json:1", "NaN"]),
    "Infinity": ('{"train": {"learning_rate": -Infinity}}', ["run.json:1", "-Infinity"]),
    "too large": ('{"train": {"learning_rate": 1e999}}', ["run.json:1", "1e999"]),
    "single quotes": ("{'train': {}}", ["run.json:1", "double quotes"]),
    "trailing comma": ('{"train": {},\n}', ["run.json:2"]),
    "cut": ('{"train": {', ["run.json:1"]),
    "open comment": ("{} /* and so on", ["run.json:1"]),
    "two values": ("{} {}", ["run.json:1"]),
    "a list": ("[]", ["run.json", "expected an object"]),
    "empty": ("", ["run.json", "empty"]),
    "YAML": ("model:\n  path: x\n", ["run.json:1"]),
    "deep": ("[" * 100000, ["run.json:1"]),
}


@pytest.mark.parametrize("name", cases(BROKEN_TEXT, "duplicate key", "NaN", "too large", "cut", "empty", "deep"))
def test_broken_configuration(tmp_path, name):
    text, words = BROKEN_TEXT[name]
    refused("train", write_run(tmp_path, text), words=words, code=2)


def test_configuration_not_utf8(tmp_path):
    file = tmp_path / "run.json"
    file.write_bytes(b'{"output_dir": "caf\xe9"}')
    refused("train", file, words=["run.json:1"], code=2)


def test_comments_are_allowed(tmp_path, good_model):
    text = json.dumps(configuration(good_model), indent=1).replace('"train"', '// how long\n/* and\nhow */ "train"')
    run_excitor("train", write_run(tmp_path, "\ufeff" + text + "\n// the end"))


OVERRIDES = {
    "no =": (["train.epochs"], ["train.epochs", "'='"]),
    "through a number": (["train.max_steps.x=1"], ["train.max_steps.x=1", "max_steps"]),
    "through a string": (["output_dir.x=1"], ["output_dir.x=1"]),
    "no key": (["=1"], ["=1"]),
    "gap": (["train..epochs=1"], ["train..epochs=1"]),
    "no such element": (["data.train[5].path=x"], ["data.train[5]", "5"]),
    "no number": (["data.train.path=x"], ["data.train.path=x"]),
    "unknown": (["train.learning_rte=1"], ["train.learning_rate"]),
    "wrong type": (["train.max_steps=many"], ["train.max_steps", "many"]),
    "NaN": (["train.learning_rate=NaN"], ["train.learning_rate", "NaN"]),
    "two at once": (["train.epochs=0", "train.seed=-1"], ["train.epochs", "train.seed"]),
}


@pytest.mark.parametrize("name", cases(OVERRIDES, "no =", "through a number", "two at once"))
def test_wrong_overrides(tmp_path, good_model, name):
    overrides, words = OVERRIDES[name]
    refused("train", write_run(tmp_path, configuration(good_model)), *overrides, words=words, code=2, absent=tmp_path / "run")


def test_configuration_that_is_none(tmp_path):
    refused("train", tmp_path / "nowhere.json", words=[tmp_path / "nowhere.json"], code=2)


def test_configuration_that_is_a_folder(tmp_path):
    refused("train", tmp_path, words=[tmp_path, "folder"], code=2)


# --- the run folder and the disk -------------------------------------------------------------------------------------------------

def test_a_file_is_in_the_way(tmp_path, good_model):
    (tmp_path / "file").write_text("mine")
    words = ["output_dir", tmp_path / "file"]
    refused("train", write_run(tmp_path, configuration(good_model, output_dir="file")), words=words)
    refused("train", write_run(tmp_path, configuration(good_model, output_dir="file/run")), words=words)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path, good_model):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    refused("train", write_run(tmp_path, configuration(good_model, output_dir="closed/run")), words=["output_dir", closed])


def test_a_folder_where_nobody_may_write(tmp_path, good_model):
    refused("train", write_run(tmp_path, configuration(good_model, output_dir="/proc/excitor/run")), words=["output_dir", "/proc"])


def everything_in(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_used_output_dir_stays_as_it_is(tmp_path, good_model):
    config = write_run(tmp_path, configuration(good_model))
    run_excitor("train", config)
    before = everything_in(tmp_path / "run")
    refused("train", config, words=["output_dir", tmp_path / "run", "finished"], code=2)
    refused("train", config, "train.learning_rate=0.02", words=["output_dir", "train.learning_rate", "another configuration"], code=2)
    refused("train", config, "checkpoint.resume=never", words=["output_dir", "never"], code=2)
    assert everything_in(tmp_path / "run") == before


def test_files_of_others_in_output_dir(tmp_path, good_model):
    """A folder with somebody's files is no run: they stay."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    run_excitor("train", write_run(tmp_path, configuration(good_model)))
    assert (tmp_path / "run" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("file", ["config.json", "metrics.jsonl"])
def test_damaged_record_of_a_run(tmp_path, good_model, file):
    config = write_run(tmp_path, configuration(good_model))
    run_excitor("train", config)
    (tmp_path / "run" / file).write_text("{")
    if file == "config.json":
        refused("train", config, words=[tmp_path / "run" / file])
    else:  # the result lies there: it is not trained over
        before = support.adapter_bytes(tmp_path / "run")
        run_excitor("train", config, check=False)
        assert support.adapter_bytes(tmp_path / "run") == before


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    library = support.build_faults(tmp_path_factory.mktemp("faults"))
    if not library:
        pytest.skip("no C compiler")
    return library


def test_a_full_disk(tmp_path, good_model, faults):
    """Wherever the space ends, the program says so and leaves no broken adapter; with space again the same command ends well."""
    whole = configuration(good_model, train={"max_steps": 2}, checkpoint={"save_steps": 1})
    reference = tmp_path / "reference"
    code, words = support.run_with_faults(faults, reference / "run", "train", write_run(reference, whole), count=tmp_path / "count")
    assert code == 0, words
    page = (reference / "run" / "report.html").stat().st_size  # written last; without it a run is whole all the same
    size = int((tmp_path / "count").read_text().split()[1]) - page
    for number, share in enumerate((0, 0.5, 0.99)):
        folder = tmp_path / str(number)
        config = write_run(folder, whole)
        code, words = support.run_with_faults(faults, folder / "run", "train", config, disk_bytes=int(share * size))
        assert code == 1, f"{share}: {code}: {words}"
        assert "No space left on device" in words and str(folder / "run") in words and "internal error" not in words, words
        assert not [path for path in folder.rglob(".*")], "temporary files are left"
        if (folder / "run" / "adapter").exists():
            assert support.adapter_bytes(folder / "run") == support.adapter_bytes(reference / "run")
        run_excitor("train", config)
        assert support.adapter_bytes(folder / "run") == support.adapter_bytes(reference / "run")
        assert support.repeatable_steps(folder / "run") == support.repeatable_steps(reference / "run")


def run_limited(*arguments, bytes_of_a_file, **settings):
    path, _ = find_program()
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_of_a_file, bytes_of_a_file))
    return subprocess.run([str(path), *map(str, arguments)], preexec_fn=limit, capture_output=True, text=True, timeout=60,
                          env=os.environ | {"OMP_NUM_THREADS": "1"}, **settings)


def test_a_limit_on_file_sizes(tmp_path, good_model):
    done = run_limited("train", write_run(tmp_path, configuration(good_model)), bytes_of_a_file=1000)
    check_refusal(done, [tmp_path / "run", "File too large"], code=1)
    assert not (tmp_path / "run" / "adapter").exists()
    logits = tmp_path / "logits.safetensors"
    check_refusal(run_limited("inspect", "logits", good_model, "--ids", "1,2,3", "--output", logits, bytes_of_a_file=4096),
                  [logits, "File too large"], code=1)
    assert list(tmp_path.glob("*logits*")) == []


@pytest.mark.parametrize("arguments", [
    ["generate", "MODEL", "--prompt", "a", "--max-new-tokens", "2"],
    *(["inspect", "model", "MODEL"], ["schema"], ["--help"])], ids=lambda arguments: " ".join(arguments))
def test_standard_output_is_full(good_model, arguments):
    path, _ = find_program()
    arguments = [str(good_model) if argument == "MODEL" else argument for argument in arguments]
    with open("/dev/full", "w") as full:
        done = subprocess.run([str(path), *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    assert "standard output" in done.stderr and "internal error" not in done.stderr


@pytest.mark.parametrize("path, reason", [("x" * 300, "File name too long"), ("loop", "Too many levels of symbolic links")], ids=["long", "loop"])
@pytest.mark.parametrize("arguments", [["train", "PATH"], ["generate", "PATH", "--prompt", "a"], ["train", "run.json", "model.path=PATH"]], ids=" ".join)
def test_a_path_that_can_be_none_is_named_with_the_reason(tmp_path, good_model, path, reason, arguments):
    write_run(tmp_path, configuration(good_model))
    (tmp_path / "loop").symlink_to("loop")
    places = {"run.json": str(tmp_path / "run.json"), "PATH": str(tmp_path / path), "model.path=PATH": f"model.path={tmp_path / path}"}
    refused(*(places.get(argument, argument) for argument in arguments), words=[tmp_path / path, reason], code=2)


def test_nobody_reads_standard_output(good_model):
    """As in `excitor generate … | head -0`."""
    process = support.start("generate", good_model, "--prompt", "a", "--max-new-tokens", 20, stdout=subprocess.PIPE)
    process.stdout.close()
    words = process.stderr.read()
    assert process.wait(timeout=60) in (1, 141), words
    assert "internal error" not in words


# --- adapters and commands -------------------------------------------------------------------------------------------------------

GENERATE = ["--prompt", "Count", "--max-new-tokens", "2"]


def test_adapter_of_another_base(tmp_path, good_model, adapter):
    other = support.write_model(tmp_path / "other", good_model / "tokenizer.model", seed=1)
    refused("generate", other, "--adapter", adapter, *GENERATE, words=[adapter, "base", "--force"], code=1)
    assert run_excitor("generate", other, "--adapter", adapter, *GENERATE, "--force").stdout
    wider = support.write_model(tmp_path / "wider", good_model / "tokenizer.model", shape=SHAPE | {"hidden_size": 64})
    refused("generate", wider, "--adapter", adapter, *GENERATE, "--force", words=["excitor_prompt"], code=1)


LAYER = "base_model.model.model.layers.0.self_attn.excitor_"


def spoil_config(change):
    def spoil(folder):
        file = folder / "adapter_config.json"
        content = change(json.loads(file.read_text()))
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    return spoil


def spoil_tensors(change):
    return lambda folder: with_tensors(change)(folder / "adapter_model.safetensors")


ADAPTERS = {
    "missing tensor": (spoil_tensors(lambda t: t.pop(LAYER + "gate")), [LAYER + "gate", "missing"]),
    "left-over tensor": (spoil_tensors(lambda t: t.update(other=torch.zeros(2))), ["other", "left over"]),
    "misshaped tensor": (spoil_tensors(lambda t: t.__setitem__(LAYER + "prompt", torch.zeros(4, 4))), [LAYER + "prompt", "[4, 4]", "[3, 16]"]),
    "integers": (spoil_tensors(lambda t: t.__setitem__(LAYER + "gate", torch.zeros(2, dtype=torch.int64))), [LAYER + "gate", "int64"]),
    "no weights": (lambda f: (f / "adapter_model.safetensors").unlink(), ["adapter_model.safetensors"]),
    "cut weights": (lambda f: with_bytes(lambda b: b[:-9])(f / "adapter_model.safetensors"), ["adapter_model.safetensors"]),
    "no configuration": (lambda f: (f / "adapter_config.json").unlink(), ["adapter_config.json"]),
    "configuration a list": (spoil_config(lambda c: []), ["adapter_config.json"]),
    "configuration empty": (spoil_config(lambda c: ""), ["adapter_config.json", "empty"]),
    "no peft_type": (spoil_config(lambda c: {k: v for k, v in c.items() if k != "peft_type"}), ["peft_type"]),
    "unknown peft_type": (spoil_config(lambda c: c | {"peft_type": "IA3"}), ["adapter_config.json", "peft_type", "IA3"]),
    "peft_type a number": (spoil_config(lambda c: c | {"peft_type": 3}), ["peft_type"]),
    "rank a string": (spoil_config(lambda c: c | {"r": "2"}), ["adapter_config.json", "r"]),
    "rank zero": (spoil_config(lambda c: c | {"r": 0}), ["adapter_config.json", "r"]),
    "another rank": (spoil_config(lambda c: c | {"r": 4}), ["adapter_model.safetensors", "excitor_down"]),
    "rank huge": (spoil_config(lambda c: c | {"r": 2**62}), ["r"]),
    "more layers": (spoil_config(lambda c: c | {"adapter_layers": 5}), ["adapter_layers"]),
    "fewer layers": (spoil_config(lambda c: c | {"adapter_layers": 1}), [LAYER + "gate", "left over"]),
    "unknown gate": (spoil_config(lambda c: c | {"gate": "per_token"}), ["gate", "per_token"]),
    "unknown template": (spoil_config(lambda c: c | {"prompt_template": "alpacca"}), ["adapter_config.json", "alpacca"]),
}


@pytest.mark.parametrize("name", cases(
    ADAPTERS, "missing tensor", "left-over tensor", "misshaped tensor", "cut weights", "configuration empty", "rank a string",
    "more layers", "integers", "unknown peft_type", "unknown template"))
def test_broken_adapter(tmp_path, good_model, adapter, name):
    spoil, words = ADAPTERS[name]
    copy = shutil.copytree(adapter, tmp_path / "adapter")
    spoil(copy)
    refused("generate", good_model, "--adapter", copy, *GENERATE, words=words)


COMMANDS = {
    "no model": (["generate", "nowhere", "--prompt", "a"], ["nowhere", "model folder"], (1, 2)),
    "model a file": (["generate", __file__, "--prompt", "a"], [__file__, "folder"], (1, 2)),
    "no adapter": (["generate", "MODEL", "--adapter", "nowhere", "--prompt", "a"], ["nowhere", "adapter"], (1, 2)),
    "no prompt": (["generate", "MODEL"], ["--prompt"], 2),
    "both prompts": (["generate", "MODEL", "--prompt", "a", "--prompts", "b"], ["--prompt"], 2),
    "temperature negative": (["generate", "MODEL", "--prompt", "a", "--temperature", "-1"], ["--temperature"], 2),
    "temperature a word": (["generate", "MODEL", "--prompt", "a", "--temperature", "hot"], ["--temperature", "hot"], 2),
    "temperature nan": (["generate", "MODEL", "--prompt", "a", "--temperature", "nan"], ["--temperature"], 2),
    "temperature infinite": (["generate", "MODEL", "--prompt", "a", "--temperature", "inf"], ["--temperature"], 2),
    "top-p above 1": (["generate", "MODEL", "--prompt", "a", "--top-p", "1.5"], ["--top-p"], 2),
    "top-p nan": (["generate", "MODEL", "--prompt", "a", "--temperature", "1", "--top-p", "nan"], ["--top-p"], 2),
    "top-k a fraction": (["generate", "MODEL", "--prompt", "a", "--top-k", "1.5"], ["--top-k"], 2),
    "penalty zero": (["generate", "MODEL", "--prompt", "a", "--repetition-penalty", "0"], ["--repetition-penalty"], 2),
    "penalty nan": (["generate", "MODEL", "--prompt", "a", "--repetition-penalty", "nan"], ["--repetition-penalty"], 2),
    "no tokens": (["generate", "MODEL", "--prompt", "a", "--max-new-tokens", "0"], ["--max-new-tokens"], 2),
    "seed negative": (["generate", "MODEL", "--prompt", "a", "--seed", "-1"], ["--seed"], 2),
    "unknown template": (["generate", "MODEL", "--prompt", "a", "--template", "alpacca"], ["alpacca", "alpaca"], 2),
    "unknown dtype": (["generate", "MODEL", "--prompt", "a", "--dtype", "float33"], ["--dtype", "float33", "float32"], 2),
    "offered dtype": (["generate", "MODEL", "--prompt", "a", "--dtype", "float64"], ["--dtype", "float64", "float32"], 2),
    "prompt not UTF-8": (["generate", "MODEL", "--prompt", b"caf\xe9"], ["--prompt", "UTF-8"], (1, 2)),
    "text not UTF-8": (["inspect", "tokens", "MODEL", "--text", b"caf\xe9"], ["--text", "UTF-8"], (1, 2)),
    "id beyond": (["inspect", "logits", "MODEL", "--ids", "1,448", "--output", "OUT"], ["--ids", "447", "448"], 2),
    "id negative": (["inspect", "logits", "MODEL", "--ids", "1,-2", "--output", "OUT"], ["--ids", "-2"], 2),
    "ids a word": (["inspect", "logits", "MODEL", "--ids", "one", "--output", "OUT"], ["--ids", "one"], 2),
    "ids with a gap": (["inspect", "logits", "MODEL", "--ids", "1,,2", "--output", "OUT"], ["--ids"], 2),
    "no ids": (["inspect", "logits", "MODEL", "--ids", "", "--output", "OUT"], ["--ids"], 2),
    "precision": (["inspect", "logits", "MODEL", "--ids", "1", "--output", "OUT", "--precision", "int8"], ["--precision", "int8", "float32"], 2),
    "no folder to write to": (["inspect", "logits", "MODEL", "--ids", "1", "--output", "/nowhere/x.safetensors"], ["/nowhere"], 1),
    "inspect nothing": (["inspect", "model", "nowhere"], ["nowhere"], (1, 2)),
    "inspect no adapter": (["inspect", "adapter", "MODEL"], ["adapter_config.json"], (1, 2)),
    "inspect no tokenizer": (["inspect", "tokens", "nowhere", "--text", "a"], ["nowhere"], (1, 2)),
}


@pytest.mark.parametrize("name", cases(COMMANDS, "no prompt", "unknown template", "id beyond", "no folder to write to", 
    "no model", "model a file", "temperature negative", "temperature a word", "penalty zero", "no tokens",
    "temperature nan", "temperature infinite", "top-p nan", "penalty nan", "seed negative", "unknown dtype",
    "offered dtype", "precision", "prompt not UTF-8", "text not UTF-8"))
def test_wrong_commands(tmp_path, good_model, name):
    arguments, words, code = COMMANDS[name]
    places = {"MODEL": str(good_model), "OUT": str(tmp_path / "out.safetensors")}
    path, _ = find_program()
    done = subprocess.run([str(path), *(places.get(argument, argument) for argument in arguments)], capture_output=True, timeout=60,
                          text=True, errors="replace", env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode >= 0, f"killed by signal {-done.returncode}"
    check_refusal(done, words, code)
    assert not (tmp_path / "out.safetensors").exists()


def test_damaged_model_for_inspect(tmp_path, model):
    with_tensors(lambda t: t.__setitem__(UP, t[UP].t()))(model / "model.safetensors")
    refused("inspect", "model", model, words=[UP], code=1)


PROMPTS = {
    "broken line": (b'{"prompt": "a"}\n{"prompt": \n', ["prompts.jsonl:2:12:"]),
    "no prompt": (b'{"prompt": "a"}\n{"text": "a"}\n', ["prompts.jsonl:2", '"prompt"']),
    "a number": (b'{"prompt": 5}\n', ["prompts.jsonl:1", "5"]),
    "empty": (b"", ["prompts.jsonl", "empty"]),
    "not UTF-8": (b'{"prompt": "caf\xe9"}\n', ["prompts.jsonl:1"]),
}


@pytest.mark.parametrize("name", cases(PROMPTS, "empty", "no prompt", "broken line"))
def test_broken_prompts(tmp_path, good_model, name):
    content, words = PROMPTS[name]
    (tmp_path / "prompts.jsonl").write_bytes(content)
    refused("generate", good_model, "--prompts", tmp_path / "prompts.jsonl", words=words)
