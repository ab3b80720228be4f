"""Small random LLaMAs, written by transformers, and a tokenizer by LLaMA's conventions. Every value is far from its
default: norms are not one, biases not zero, logits not small, so that whatever is left out shows."""
import io
import json
import pathlib
import shutil

import sentencepiece
import torch
import transformers

import reference_training

VOCABULARY = 448

_SUBJECTS = ["The fox", "A small dog", "The old baker", "My sister", "Every teacher", "The river", "A green boat", "The king"]
_VERBS = ["finds", "carries", "paints", "remembers", "answers", "follows", "describes", "counts"]
_OBJECTS = ["three apples", "the long letter", "a question about numbers", "seven stones", "the name of a town", "its colour"]
_PLACES = ["near the mill.", "in the morning.", "beside the harbour.", "when it rains.", "for nothing.", "at once!"]


def sentences():
    return [f"{s} {v} {o} {p}" for s in _SUBJECTS for v in _VERBS for o in _OBJECTS for p in _PLACES]


def train_tokenizer(folder):
    file = folder / "tokenizer.model"
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences()), model_writer=model, model_type="bpe", vocab_size=VOCABULARY, byte_fallback=True,
        normalization_rule_name="identity", add_dummy_prefix=True, remove_extra_whitespaces=False, character_coverage=1.0,
        unk_id=0, bos_id=1, eos_id=2, pad_id=-1, split_digits=True, num_threads=1, minloglevel=2)
    file.write_bytes(model.getvalue())
    return file


def write_model(folder, *, tokenizer_file=None, seed=0, std=0.15, dtype="float32", max_shard_size="5GB", **settings):
    """settings: keys of LlamaConfig over a default of two layers."""
    shape = dict(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4,
                 num_key_value_heads=2, max_position_embeddings=512, rms_norm_eps=1e-5, initializer_range=std,
                 bos_token_id=1, eos_token_id=2) | settings
    torch.manual_seed(seed)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**shape))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.uniform_(0.5, 1.5)
            if name.endswith("bias"):
                weight.normal_(0, 0.3)
    model.to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size=max_shard_size)
    if tokenizer_file:
        shutil.copy(tokenizer_file, pathlib.Path(folder) / "tokenizer.model")


def spell_rope_as_transformers_4(folder):
    """rope_parameters becomes rope_theta and rope_scaling, as transformers before 5 wrote them."""
    file = pathlib.Path(folder) / "config.json"
    config = json.loads(file.read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    kind = rope.pop("rope_type")
    older = {"linear": "type", "dynamic": "type"}.get(kind, "rope_type")
    config["rope_scaling"] = None if kind == "default" else {older: kind} | rope
    config["torch_dtype"] = config.pop("dtype")
    file.write_text(json.dumps(config))


def judge(folder):
    """The model as transformers computes it, in fp32 from the start (a later cast would keep half-precision angles)."""
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@torch.no_grad()
def judge_logits(model, ids):
    return model(torch.tensor([ids])).logits[0]


def random_ids(length, vocabulary=VOCABULARY, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [1] + torch.randint(3, vocabulary, (length - 1,), generator=generator).tolist()


def instruction_examples(folder, pairs):
    """(prompt, answer) -> tokens as the program lays them: BOS + prompt, answer + EOS, encoded apart; the answer is labelled."""
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(pathlib.Path(folder) / "tokenizer.model"))
    examples = []
    for prompt, answer in pairs:
        asked, answered = [1] + tokenizer.encode(prompt), tokenizer.encode(answer) + [2]
        examples.append(reference_training.Example(asked + answered, [False] * len(asked) + [True] * len(answered)))
    return examples
