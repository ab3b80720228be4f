"""Method full writes a folder that transformers opens as its own, with the same logits."""
import json

import pytest
import safetensors.torch
import torch
import transformers

import integration_support as support
import program
import tiny_models
from program import assert_close, inspect_logits, relative_error

TOLERANCE = 1e-5
IDS = tiny_models.random_ids(70)

SHAPE = dict(vocab_size=tiny_models.VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=256)

SHAPES = {
    "untied": dict(),
    "tied": dict(tie_word_embeddings=True),
    "biases": dict(attention_bias=True, mlp_bias=True),
    "mqa, wide heads": dict(num_key_value_heads=1, head_dim=16),
    "rope_theta": dict(rope_theta=500000.0),
    "linear, in transformers 4's spelling": dict(rope_theta=20000.0, rope_scaling={"type": "linear", "factor": 2.0}),
    "llama3": dict(rope_parameters=dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0,
                                        high_freq_factor=4.0, original_max_position_embeddings=32)),
    "yarn": dict(rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=32)),
    "two ends": dict(eos_token_id=[2, 7], rms_norm_eps=1e-4),
}


def train_from_nothing(folder, tokenizer_file, *, shape={}, method={}, steps=5, seed=0):
    folder.mkdir(exist_ok=True)
    (folder / "world.txt").write_text("\n\n".join(tiny_models.sentences()[:200]))
    return program.train(folder, {
        "model": {"init": SHAPE | shape, "tokenizer": str(tokenizer_file)}, "method": {"type": "full"} | method,
        "data": {"train": [{"path": "world.txt"}], "max_seq_length": 64},
        "train": {"max_steps": steps, "learning_rate": 0.02, "micro_batch_size": 8, "seed": seed}})


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_transformers_opens_the_written_model(tmp_path, tokenizer_file, shape):
    run = train_from_nothing(tmp_path, tokenizer_file, shape=shape)
    losses = [row["loss"] for row in program.step_metrics(run)]
    assert losses[-1] < losses[0]
    judge, report = transformers.AutoModelForCausalLM.from_pretrained(run / "model", dtype=torch.float32, output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    for key, value in (SHAPE | shape).items():
        if not key.startswith("rope"):
            assert getattr(judge.config, key) == value
    assert judge.generation_config.eos_token_id == shape.get("eos_token_id", 2)
    expected = tiny_models.judge_logits(judge.eval(), IDS)
    assert_close(inspect_logits(run / "model", IDS, tmp_path / "logits.safetensors"), expected, TOLERANCE)


# What save_pretrained() of transformers 4 and 5 writes beside the shape.
NEUTRAL = dict(architectures=["LlamaForCausalLM"], model_type="llama", torch_dtype="bfloat16", dtype="float32", use_cache=True,
               attention_dropout=0.0, pretraining_tp=1, pad_token_id=None, transformers_version="4.40.0", _name_or_path="a/b",
               rope_scaling=None, head_dim=None)


def test_a_config_json_may_stand_under_init(tmp_path, tokenizer_file):
    shapes = {"plain": {}, "whole": NEUTRAL | dict(pad_token_id=0)}
    runs = {name: train_from_nothing(tmp_path / name, tokenizer_file, shape=shape, steps=1) for name, shape in shapes.items()}
    assert program.step_metrics(runs["whole"])[0]["loss"] == program.step_metrics(runs["plain"])[0]["loss"]
    config = json.loads((runs["whole"] / "model/config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"] and config["model_type"] == "llama" and config["dtype"] == "float32"


@pytest.mark.parametrize("key, value", [("model_type", "gpt2"), ("architectures", ["GPT2LMHeadModel"]), ("attention_dropout", 0.1),
                                        ("sliding_window", 4), ("vocab_size", 300)])
def test_what_is_not_done_is_refused_under_init(tmp_path, tokenizer_file, key, value):
    support.refused("train", support.write_run(tmp_path, support.configuration("", model={
        "path": "", "init": SHAPE | NEUTRAL | {key: value}, "tokenizer": str(tokenizer_file)}, method={"type": "full"})),
                    words=[f"model.init.{key}", *([] if key == "sliding_window" else [str(value).strip("[]'")])], code=2,
                    absent=tmp_path / "run")


@pytest.mark.parametrize("name", [name for name in SHAPES if "rope" in str(SHAPES[name])])
def test_both_spellings_of_rope_say_the_same(tmp_path, tokenizer_file, name):
    run = train_from_nothing(tmp_path, tokenizer_file, shape=SHAPES[name], steps=1)
    file = run / "model/config.json"
    both = json.loads(file.read_text())
    expected = inspect_logits(run / "model", IDS, tmp_path / "logits.safetensors")
    for spelling in (("rope_parameters",), ("rope_scaling", "rope_theta")):
        file.write_text(json.dumps({key: value for key, value in both.items() if not key.startswith("rope") or key in spelling}))
        assert_close(tiny_models.judge_logits(tiny_models.judge(run / "model"), IDS), expected, TOLERANCE)


@pytest.mark.parametrize("asked, stored", [("auto", torch.float32), ("float32", torch.float32), ("bf16", torch.bfloat16),
                                           ("bfloat16", torch.bfloat16), ("float16", torch.float16)])
def test_save_dtype(tmp_path, tokenizer_file, asked, stored):
    run = train_from_nothing(tmp_path, tokenizer_file, method={"save_dtype": asked}, steps=2)
    tensors = safetensors.torch.load_file(run / "model/model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {stored}
    assert transformers.AutoConfig.from_pretrained(run / "model").dtype == stored
    expected = tiny_models.judge_logits(tiny_models.judge(run / "model"), IDS)
    assert_close(inspect_logits(run / "model", IDS, tmp_path / "logits.safetensors"), expected, TOLERANCE)


@pytest.mark.parametrize("tied", [False, True])
def test_going_on_from_a_model_keeps_its_type_and_names(tmp_path, model_factory, tied):
    model = model_factory(dtype="bfloat16", tie_word_embeddings=tied, max_shard_size="20KB")
    before = {}
    for file in model.glob("*.safetensors"):
        before |= safetensors.torch.load_file(file)
    (tmp_path / "world.txt").write_text("\n\n".join(tiny_models.sentences()[:50]))
    run = program.train(tmp_path, {"model": {"path": str(model)}, "method": {"type": "full"},
                                   "data": {"train": [{"path": "world.txt"}]}, "train": {"max_steps": 3, "learning_rate": 0.01}})
    after = safetensors.torch.load_file(run / "model/model.safetensors")
    assert after.keys() == before.keys()
    for name in after:
        assert after[name].dtype == torch.bfloat16
        assert relative_error(after[name], before[name]) > 1e-3  # it moved
    expected = tiny_models.judge_logits(tiny_models.judge(run / "model"), IDS)
    assert_close(inspect_logits(run / "model", IDS, tmp_path / "logits.safetensors"), expected, TOLERANCE)


def test_a_text_is_bos_its_tokens_and_eos(tmp_path, model_factory):
    """The first loss of a run on text is transformers' over BOS + text + EOS, all but BOS labelled."""
    model, texts = model_factory(), tiny_models.sentences()[:3]
    (tmp_path / "world.txt").write_text("\n\n".join(texts))
    run = program.train(tmp_path, {"model": {"path": str(model)}, "method": {"type": "full"},
                                   "data": {"train": [{"path": "world.txt"}]}, "train": {"max_steps": 1, "micro_batch_size": 3}})
    examples = tiny_models.instruction_examples(model, [("", text) for text in texts])
    judge, total, count = tiny_models.judge(model), 0.0, 0
    for example in examples:
        logits = tiny_models.judge_logits(judge, example.ids)
        total += torch.nn.functional.cross_entropy(logits[:-1].double(), torch.tensor(example.ids[1:]), reduction="sum").item()
        count += len(example.ids) - 1
    [step] = program.step_metrics(run)
    assert step["label_tokens"] == count
    assert_close([step["loss"]], [total / count], TOLERANCE, "loss of text")


def test_the_start_from_nothing_is_transformers_distribution(tmp_path, tokenizer_file):
    """Matrices N(0, initializer_range), norms one, biases zero: seen in a run whose learning rate is next to nothing."""
    (tmp_path / "world.txt").write_text("The fox.")
    run = program.train(tmp_path, {
        "model": {"init": SHAPE | dict(attention_bias=True, initializer_range=0.05), "tokenizer": str(tokenizer_file)},
        "method": {"type": "full"}, "data": {"train": [{"path": "world.txt"}]},
        "train": {"max_steps": 1, "learning_rate": 1e-12, "weight_decay": 0}})
    for name, tensor in safetensors.torch.load_file(run / "model/model.safetensors").items():
        if tensor.dim() == 1:
            assert torch.allclose(tensor, torch.full_like(tensor, 1.0 if "norm" in name else 0.0), atol=1e-6), name
        else:
            deviations = 4 * 0.05 / tensor.numel() ** 0.5
            assert abs(tensor.mean().item()) < deviations, name
            assert abs(tensor.std().item() - 0.05) < deviations, name


def test_a_seed_gives_one_model(tmp_path, tokenizer_file):
    runs = [train_from_nothing(tmp_path / str(number), tokenizer_file, seed=seed, steps=2) for number, seed in enumerate((3, 3, 4))]
    first, again, other = [(run / "model/model.safetensors").read_bytes() for run in runs]
    assert first == again
    assert first != other
