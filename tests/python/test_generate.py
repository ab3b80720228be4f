"""`excitor generate` continues a prompt as transformers does, one token at a time as in one pass."""
import json
import shutil

import peft
import pytest
import safetensors.torch
import sentencepiece
import torch

import random_adapters
import tiny_models
from program import generate, inspect_logits, run_excitor

PROMPTS = ["The fox finds three apples", "", "A small dog\ncounts seven stones near the mill.", "日本 is — nowhere", "a"]
NEW_TOKENS = 24


@pytest.fixture(scope="module")
def model(model_factory):
    return model_factory(std=0.3, seed=5)


@pytest.fixture(scope="module")
def tokenizer(model):
    return sentencepiece.SentencePieceProcessor(model_file=str(model / "tokenizer.model"))


@pytest.fixture(scope="module")
def prompts_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("prompts") / "prompts.jsonl"
    file.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS))
    return file


def judge_continues(judge, prompt_ids, **settings):
    prompt = torch.tensor([prompt_ids])
    whole = judge.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=NEW_TOKENS,
                           pad_token_id=0, **settings)
    return whole[0, len(prompt_ids):].tolist()


@pytest.mark.parametrize("penalty", [1.0, 1.3, 0.8])
@pytest.mark.parametrize("with_lora", [False, True])
def test_greedy_tokens_equal_transformers(tmp_path, model, tokenizer, prompts_file, penalty, with_lora):
    judge, adapter = tiny_models.judge(model), None
    if with_lora:
        adapter = random_adapters.write_lora(tmp_path / "adapter", model, target_modules="all-linear")
        judge = peft.PeftModel.from_pretrained(judge, adapter).eval()
    answers = generate(model, "--prompts", prompts_file, "--max-new-tokens", NEW_TOKENS, "--repetition-penalty", penalty,
                       adapter=adapter)
    expected = [judge_continues(judge, [1] + tokenizer.encode(prompt), repetition_penalty=penalty) for prompt in PROMPTS]
    assert [answer["token_ids"] for answer in answers] == expected
    assert len(set(sum(expected, []))) > 20  # not one token over and over


ADAPTERS = {
    "base": None,
    "excitor": (random_adapters.write_excitor, dict()),
    "excitor, before rotation": (random_adapters.write_excitor, dict(add_before_rotation=True, prompt_attention="full_width")),
    "lora": (random_adapters.write_lora, dict(target_modules="all-linear")),
}


@pytest.mark.parametrize("rope", ["default", "yarn"])
@pytest.mark.parametrize("name", ADAPTERS)
def test_token_by_token_equals_one_pass(tmp_path, model_factory, tokenizer, name, rope):
    scaled = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=16)
    model = model_factory(std=0.3, seed=5, **({"rope_parameters": scaled} if rope == "yarn" else {}))
    adapter = None
    if ADAPTERS[name]:
        write, settings = ADAPTERS[name]
        adapter = write(tmp_path / "adapter", model, **settings)
    [answer] = generate(model, "--prompt", PROMPTS[0], "--max-new-tokens", 40, adapter=adapter)
    prompt = [1] + tokenizer.encode(PROMPTS[0])
    logits = inspect_logits(model, prompt + answer["token_ids"], tmp_path / "logits.safetensors", adapter)
    assert logits.argmax(-1)[len(prompt) - 1:-1].tolist() == answer["token_ids"]


def test_json_lines(model, tokenizer, prompts_file):
    answers = generate(model, "--prompts", prompts_file, "--max-new-tokens", 12)
    assert [answer["prompt"] for answer in answers] == PROMPTS
    for answer in answers:
        assert set(answer) == {"prompt", "text", "token_ids"}
        assert 1 <= len(answer["token_ids"]) <= 12
        assert answer["text"] == tokenizer.decode([token for token in answer["token_ids"] if token != 2])


def test_plain_output_is_the_text(model):
    [answer] = generate(model, "--prompt", PROMPTS[0], "--max-new-tokens", 12)
    assert run_excitor("generate", model, "--prompt", PROMPTS[0], "--max-new-tokens", 12).stdout == answer["text"] + "\n"


@pytest.mark.parametrize("count", [1, 5])
def test_max_new_tokens(model, count):
    [longer] = generate(model, "--prompt", PROMPTS[0], "--max-new-tokens", 10)
    [answer] = generate(model, "--prompt", PROMPTS[0], "--max-new-tokens", count)
    assert answer["token_ids"] == longer["token_ids"][:count]


def test_stop_text_ends_the_answer_before_it(model):
    [whole] = generate(model, "--prompt", PROMPTS[0], "--max-new-tokens", NEW_TOKENS)
    text = whole["text"]
    stop = text[len(text) // 2:len(text) // 2 + 4]
    [answer] = generate(model, "--prompt", PROMPTS[0], "--max-new-tokens", NEW_TOKENS, "--stop", "is not there", "--stop", stop)
    assert answer["text"] == text[:text.index(stop)]
    assert answer["token_ids"] == whole["token_ids"][:len(answer["token_ids"])]
    assert len(answer["token_ids"]) < len(whole["token_ids"])


def copy_with_ends(model, folder, file, ends):
    shutil.copytree(model, folder)
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(content | {"eos_token_id": ends}))
    return folder


@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize("file", ["config.json", "generation_config.json"])
def test_end_of_sequence_ends_the_answer(tmp_path, model, file, as_list):
    [whole] = generate(model, "--prompt", PROMPTS[0], "--max-new-tokens", NEW_TOKENS)
    end = whole["token_ids"][NEW_TOKENS // 2]
    ended = copy_with_ends(model, tmp_path / "model", file, [2, end] if as_list else end)
    [answer] = generate(ended, "--prompt", PROMPTS[0], "--max-new-tokens", NEW_TOKENS)
    assert answer["token_ids"] == whole["token_ids"][:whole["token_ids"].index(end) + 1]
    assert whole["text"].startswith(answer["text"])


def memoryless(model, folder):
    """The same hidden state after every token: all embeddings equal, and nothing that the layers add; the end never comes."""
    shutil.copytree(model, folder)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    for name, weight in weights.items():
        if "proj" in name:
            weight.zero_()
    weights["model.embed_tokens.weight"][:] = 1.0
    weights["model.norm.weight"][:] = 1.0
    weights["lm_head.weight"] *= 2
    weights["lm_head.weight"][2] = -10.0
    safetensors.torch.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 8192}))
    return folder


def sampled(model, *arguments):
    [answer] = generate(model, "--prompt", PROMPTS[0], "--max-new-tokens", 16, "--temperature", 0.9, *arguments)
    return answer["token_ids"]


def test_a_seed_gives_one_answer(model):
    first = sampled(model, "--seed", 7)
    assert first == sampled(model, "--seed", 7)
    assert first != sampled(model, "--seed", 8)


def test_prompts_of_a_file_are_sampled_apart(model, tmp_path):
    def answers(*prompts):
        file = tmp_path / "prompts.jsonl"
        file.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
        return [row["token_ids"] for row in generate(model, "--prompts", file, "--max-new-tokens", 16, "--temperature", 0.9, "--seed", 7)]
    same = answers(*[PROMPTS[0]] * 8)
    assert len({tuple(ids) for ids in same}) == 8
    assert same[0] == sampled(model, "--seed", 7)
    assert answers(*PROMPTS[1:3], PROMPTS[0])[2] == same[2]  # the place decides, not what stands before


def test_the_narrowest_sampling_is_greedy(model):
    [greedy] = generate(model, "--prompt", PROMPTS[0], "--max-new-tokens", 16)
    assert sampled(model, "--top-k", 1) == greedy["token_ids"]
    assert sampled(model, "--top-p", 1e-6) == greedy["token_ids"]


@pytest.mark.parametrize("arguments", [[], ["--top-k", 3], ["--top-p", 0.6]], ids=["all", "top-k", "top-p"])
def test_samples_have_the_models_probabilities(tmp_path, model_factory, arguments):
    """All draws come from one answer over a model without memory, whose every next token has the same probabilities."""
    model, draws, temperature = memoryless(model_factory(), tmp_path / "model"), 1500, 0.7
    logits = inspect_logits(model, [1, 5], tmp_path / "logits.safetensors")[-1].double()
    probability = (logits / temperature).softmax(-1)
    best = probability.argsort(descending=True)
    if arguments:
        kept = 3 if arguments[0] == "--top-k" else 1 + int((probability[best].cumsum(0) < 0.6).sum())
        probability[best[kept:]] = 0
    probability /= probability.sum()
    [answer] = generate(model, "--prompt", "a", "--max-new-tokens", draws, "--temperature", temperature, *arguments)
    assert len(answer["token_ids"]) == draws
    counts = torch.bincount(torch.tensor(answer["token_ids"]), minlength=len(probability)).double()
    assert counts[probability == 0].sum() == 0
    frequent = probability * draws >= 10
    deviation = (counts - probability * draws)[frequent] / (probability * draws).sqrt()[frequent]
    assert frequent.sum() >= 2
    assert deviation.abs().max() < 5


def test_the_template_surrounds_the_prompt(tmp_path, model, tokenizer):
    """Stanford Alpaca's, with and without an input; an adapter brings its own."""
    bare = ("Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
            "### Instruction:\nCount to three\n\n### Response:")
    with_input = ("Below is an instruction that describes a task, paired with an input that provides further context. Write a "
                  "response that appropriately completes the request.\n\n### Instruction:\nTranslate\n\n### Input:\nein Hund\n\n"
                  "### Response:")
    cases = [(["--prompt", "Count to three"], bare), (["--prompt", "Translate", "--input", "ein Hund"], with_input)]
    judge = tiny_models.judge(model)
    adapter = random_adapters.write_lora(tmp_path / "adapter", model, size=0.0)  # zeros: the base's answers
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"prompt_template": "alpaca"}))
    for arguments, rendered in cases:
        expected = judge_continues(judge, [1] + tokenizer.encode(rendered))
        assert generate(model, *arguments, "--max-new-tokens", NEW_TOKENS, "--template", "alpaca")[0]["token_ids"] == expected
        assert generate(model, *arguments, "--max-new-tokens", NEW_TOKENS, adapter=adapter)[0]["token_ids"] == expected
