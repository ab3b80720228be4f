"""Prompt templates: ids against transformers' apply_chat_template, and what is trained on."""
import json

import pytest
import sentencepiece
import tokenizers
import transformers
from transformers.models.llama import tokenization_llama

from integration_support import ROWS, configuration, refused, write_run
from program import generate, run_excitor
from tokenizer_texts import LLAMA3_PATTERN, train_byte_level, write_llama_json

# The formats as their projects describe them: meta-llama/llama3 (ChatFormat), OpenAI's ChatML behind BOS, meta-llama/llama
# (chat_completion), FastChat (vicuna_v1.1).
CHAT_TEMPLATES = {
    "llama3": "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>"
              "{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
    "chatml": "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
              "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    "llama2": "{% set ns = namespace(system='') %}{% for m in messages %}{% if m.role == 'system' %}{% set ns.system = '"
              + tokenization_llama.B_SYS.replace("\n", "\\n") + "' + m.content + '" + tokenization_llama.E_SYS.replace("\n", "\\n")
              + "' %}{% elif m.role == 'user' %}{{ bos_token }}" + tokenization_llama.B_INST + " {{ (ns.system + m.content).strip() }} "
              + tokenization_llama.E_INST + "{% set ns.system = '' %}{% else %} {{ m.content.strip() }} {{ eos_token }}{% endif %}{% endfor %}",
    "vicuna": "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content }} {% elif m.role == 'user' %}"
              "USER: {{ m.content }} ASSISTANT:{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}",
}
CONTROL_TOKENS = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
                  "<|im_start|>", "<|im_end|>")
SYSTEM = {"role": "system", "content": "Answer like a miller."}
TURNS = [{"role": "user", "content": " Who's near the mill?\n"}, {"role": "assistant", "content": "The fox, 12 apples 🦊. "},
         {"role": "user", "content": "And when it rains?"}, {"role": "assistant", "content": "Nobody."}]
CONVERSATIONS = [TURNS[:1], TURNS[:2], TURNS[:3], TURNS, [SYSTEM, *TURNS[:1]], [SYSTEM, *TURNS]]


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory):
    folder = tmp_path_factory.mktemp("byte_level")
    train_byte_level(folder, LLAMA3_PATTERN, specials=CONTROL_TOKENS)
    return folder


@pytest.fixture(scope="module")
def llama(tmp_path_factory, tokenizer_file):
    folder = tmp_path_factory.mktemp("llama")
    write_llama_json(folder / "tokenizer.json", sentencepiece.SentencePieceProcessor(model_file=str(tokenizer_file)))
    (folder / "tokenizer.model").write_bytes(tokenizer_file.read_bytes())
    return folder


def judge_of(folder, name, bos, eos):
    judge = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")),
                                                 bos_token=bos, eos_token=eos)
    judge.chat_template = CHAT_TEMPLATES[name]
    return judge


def rows_of(folder, name, conversations, tmp_path):
    lines = tmp_path / "conversations.jsonl"
    lines.write_text("".join(json.dumps({"messages": messages}) + "\n" for messages in conversations))
    done = run_excitor("inspect", "tokens", folder, "--file", lines, "--template", name, "--json")
    return [json.loads(line) for line in done.stdout.rstrip("\n").split("\n")]


def expected_ids(judge, messages):
    asks = messages[-1]["role"] == "user"
    text = judge.apply_chat_template(messages, tokenize=False, add_generation_prompt=asks)
    return judge(text, add_special_tokens=False).input_ids


@pytest.mark.parametrize("name", ["llama3", "chatml", "llama2", "vicuna"])
def test_ids_are_those_of_apply_chat_template_with_a_byte_level_vocabulary(byte_level, tmp_path, name):
    judge = judge_of(byte_level, name, "<|begin_of_text|>", "<|end_of_text|>")
    conversations = [c for c in CONVERSATIONS if name != "vicuna" or c[0] is SYSTEM]  # else FastChat's own system message
    for messages, row in zip(conversations, rows_of(byte_level, name, conversations, tmp_path), strict=True):
        expected = expected_ids(judge, messages)
        if name == "chatml" and messages[-1]["role"] == "assistant":
            assert judge.decode(expected[-1:]) == "\n"
            expected = expected[:-1]  # the line end behind <|im_end|> is not predicted
        assert row["ids"] == expected, judge.decode(row["ids"])


@pytest.mark.parametrize("file", ["tokenizer.model", "tokenizer.json"])
@pytest.mark.parametrize("name", ["llama2", "vicuna"])
def test_ids_are_those_of_apply_chat_template_with_llamas_vocabulary(llama, tmp_path, name, file):
    """An answer that is encoded apart has the ids that it has in the whole."""
    judge = judge_of(llama, name, "<s>", "</s>")
    conversations = [c for c in CONVERSATIONS if name != "vicuna" or c[0] is SYSTEM]
    for messages, row in zip(conversations, rows_of(llama / file, name, conversations, tmp_path), strict=True):
        assert row["ids"] == expected_ids(judge, messages), row["pieces"]


@pytest.mark.parametrize("name", ["llama3", "chatml", "llama2", "vicuna", "alpaca", "plain"])
def test_answers_and_their_ends_are_supervised(byte_level, tmp_path, name):
    row, = rows_of(byte_level, name, [[SYSTEM, *TURNS]], tmp_path)
    judge = tokenizers.Tokenizer.from_file(str(byte_level / "tokenizer.json"))
    trained = judge.decode([number for number, label in zip(row["ids"], row["supervised"]) if label], skip_special_tokens=False)
    end = {"llama3": "<|eot_id|>", "chatml": "<|im_end|>"}.get(name, "<|end_of_text|>")
    answers = [turn["content"] for turn in TURNS if turn["role"] == "assistant"]
    spaced = {"llama2": " {} ", "vicuna": " {}"}.get(name, "{}")
    strip = name in ("llama2", "llama3")
    assert trained == "".join(spaced.format(answer.strip() if strip else answer) + end for answer in answers)


def test_a_template_that_the_vocabulary_cannot_spell_is_refused(model_factory, tmp_path):
    model = model_factory()
    refused("generate", model, "--prompt", "x", "--template", "chatml", words=["chatml", "<|im_start|>", "<|im_end|>"])
    config = write_run(tmp_path, configuration(model, data={"prompt_template": "llama3"}))
    refused("train", config, words=["llama3", "<|eot_id|>"], absent=tmp_path / "run")


OWN = {"description": "short", "prompt_no_input": "Q: {instruction}\nA:", "prompt_input": "Q: {instruction}\nI: {input}\nA:",
       "response_split": "A:"}


def test_a_template_of_ones_own_is_trained_recorded_and_used(model_factory, tmp_path):
    model = model_factory()
    config = write_run(tmp_path, configuration(model, data={"prompt_template": OWN}))
    run_excitor("train", config)
    adapter = tmp_path / "run" / "adapter"
    assert json.loads((tmp_path / "run" / "config.json").read_text())["data"]["prompt_template"] == OWN
    assert json.loads((adapter / "adapter_config.json").read_text())["prompt_template"] == OWN
    file = tmp_path / "own.json"
    file.write_text(json.dumps(OWN))
    arguments = ["--prompt", ROWS[1]["instruction"], "--input", ROWS[1]["input"], "--max-new-tokens", "8"]
    recorded, = generate(model, *arguments, adapter=adapter)
    from_file, = generate(model, *arguments, "--template", file, adapter=adapter)
    spelled, = generate(model, "--prompt", f"Q: {ROWS[1]['instruction']}\nI: {ROWS[1]['input']}\nA:", "--template", "plain",
                        "--max-new-tokens", "8", adapter=adapter)
    assert recorded["token_ids"] == from_file["token_ids"] == spelled["token_ids"]


@pytest.mark.parametrize("change, words", [
    ({"prompt_no_input": "Q:"}, ["prompt_no_input", "{instruction}"]),
    ({"prompt_inptu": ""}, ["prompt_inptu", "did you mean prompt_input"]),
    ({"strip": 1}, ["strip", "true or false"]),
])
def test_a_wrong_template_is_told_at_once(model_factory, tmp_path, change, words):
    config = write_run(tmp_path, configuration(model_factory(), data={"prompt_template": OWN | change}))
    refused("train", config, words=["data.prompt_template", *words], code=2, absent=tmp_path / "run")
    file = tmp_path / "own.json"
    file.write_text(json.dumps(OWN | change))
    refused("generate", model_factory(), "--prompt", "x", "--template", file, words=["own.json", *words], code=2)
