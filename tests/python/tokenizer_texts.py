"""Texts that tokenizers stumble over, and vocabularies to try them with."""
import base64
import json
import random
import unicodedata

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

import tiny_models
from program import run_excitor

LLAMA3_PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
                  r"\s*[\r\n]+|\s+(?!\S)|\s+")

_WORDS = ["the", "The", "fox", "it's", "IT'S", "we'Ll", "they've", "I'd", "I'M", "don't", "'s", "''", "o'clock", "ſ'ſ", "naïve", "Straße",
          "façade", "Ελλάδα", "привет", "мир", "שלום", "مرحبا", "नमस्ते", "ภาษาไทย", "日本語", "中文字符", "한국어", "テスト", "Việt", "İstanbul",
          "ﬁ", "Ⅷ", "½", "x²", "e\u0301", "a\u0308\u0323", "n\u0303o", "\u0301", "👍", "👩‍👩‍👧‍👦", "🇩🇪", "🏳️‍🌈", "🦙", "😀😀", "™", "…", "—", "„so“",
          "0", "7", "42", "123", "1234", "12345678", "3.14159", "1,000,000", "٣٤٥", "१२३", "０１２", "2026-11-21", "0x1F", "def", "f(x):",
          "return", "x+=1;", "//", "/*", "*/", "{\"a\":", "[1,2]}", "<s>", "</s>", "<unk>", "<0x0A>", "<|x|>", "[INST]", "http://a.b/c?d=e&f",
          "me@b.org", "#!/bin/sh", "$HOME", "\\n", "&amp;", "▁", "a▁b", "\u200b", "\ufeff", "\u180e", "\x00", "\x7f", "\x1b[0m", "Ġ", "Ċ"]
_BLANKS = [" ", " ", " ", " ", "", "  ", "   ", "\n", "\n\n", " \n", "\n ", "\r\n", "\t", "\t\t", " \t ", "        ", "\u00a0", "\u3000", "\u2003",
           "\u0085", "\v", "\f", "\u2028", "\n\n\n    ", "\u202f"]


def _any_character(chance):
    while True:
        character = chr(chance.choice([chance.randrange(0x20, 0x250), chance.randrange(0x250, 0x3000), chance.randrange(0x3000, 0x20000)]))
        if unicodedata.category(character) not in ("Cn", "Cs", "Co"):
            return character


def varied_texts(count, seed=0):
    """From single characters to some hundred; no surrogates, and no characters that are not assigned."""
    chance = random.Random(seed)
    texts = ["", " ", "  ", "\n", " a", "a ", " \n ", "a" * 500, " " * 500, "ab" * 300, "日本" * 200, "\n" * 70 + "x"]
    while len(texts) < count:
        kind = chance.random()
        if kind < 0.7:
            text = "".join(chance.choice(_WORDS) + chance.choice(_BLANKS) for _ in range(chance.randint(1, 12)))
        elif kind < 0.9:
            text = "".join(_any_character(chance) for _ in range(chance.randint(1, 30)))
        else:
            text = "".join(chance.choice(_BLANKS + ["a", "1", "'", ".", "é"]) for _ in range(chance.randint(1, 40)))
        texts.append(chance.choice(_BLANKS) + text)
    return texts


def texts_with(tokens, count, seed=0):
    """Texts with tokens strewn in, between blanks, letters, marks and everything else that may touch them."""
    chance = random.Random(seed)
    others = _BLANKS + ["a", "y", "x1", "_", "é", "e\u0301", "\u0301", "日", "٣", "½", "Ⅷ", ".", "-", "\u200d", "▁", "<", ">", "'s"]

    def part():
        kind = chance.random()
        return chance.choice(tokens) if kind < 0.45 else chance.choice(others) if kind < 0.9 else _any_character(chance)

    return ["".join(part() for _ in range(chance.randint(1, 9))) for _ in range(count)]


def training_texts():
    """What the vocabularies are trained on: sentences, and enough of everything else to make merges of it."""
    return tiny_models.sentences() + varied_texts(3000, seed=1)


def train_byte_level(folder, pattern=None, *, specials=("<|begin_of_text|>", "<|end_of_text|>"), ignore_merges=True, size=3000):
    """A tokenizer.json with LLaMA 3's pieces (`pattern`), or with GPT-2's; returns the judge, whose texts hold no specials."""
    judge = tokenizers.Tokenizer(models.BPE(ignore_merges=ignore_merges))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    split = [pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")] if pattern else []
    judge.pre_tokenizer = pre_tokenizers.Sequence([*split, byte_level]) if split else byte_level
    judge.decoder = decoders.ByteLevel()
    judge.train_from_iterator(training_texts(), trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    folder.mkdir(parents=True, exist_ok=True)
    judge.save(str(folder / "without_specials.json"))
    judge.add_special_tokens(list(specials))
    judge.post_processor = processors.TemplateProcessing(single=f"{specials[0]} $A", special_tokens=[(specials[0], judge.token_to_id(specials[0]))])
    judge.save(str(folder / "tokenizer.json"))
    names = {"bos_token": specials[0], "eos_token": {"content": specials[1], "lstrip": False}}
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    return tokenizers.Tokenizer.from_file(str(folder / "without_specials.json"))


def bytes_of_tokens(judge):
    """The vocabulary of a byte-level tokenizer as {bytes: id}."""
    characters = pre_tokenizers.ByteLevel.alphabet()
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    byte_of = {chr(byte): byte for byte in printable}
    byte_of |= {chr(0x100 + i): byte for i, byte in enumerate(b for b in range(256) if b not in printable)}
    assert set(byte_of) == set(characters)
    return {bytes(byte_of[c] for c in token): number for token, number in judge.get_vocab().items()}


def write_tiktoken(file, ranks):
    file.write_text("".join(f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in sorted(ranks.items(), key=lambda r: r[1])))


def write_llama_json(file, processor):
    """The tokenizer.json that Hugging Face makes of a SentencePiece model of LLaMA 1 and 2; returns the judge."""
    pieces = [processor.id_to_piece(number) for number in range(processor.get_piece_size())]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    special = [number for number in range(len(pieces)) if processor.is_control(number) or processor.is_unknown(number)]
    merges = []
    for number, piece in enumerate(pieces):
        if number in special or processor.is_byte(number):
            continue
        halves = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
        found = [(vocabulary[left], vocabulary[right], left, right) for left, right in halves if left in vocabulary and right in vocabulary]
        merges += [(-processor.get_score(number), *merge) for merge in found]
    merges = [(left, right) for _, _, _, left, right in sorted(merges)]
    judge = tokenizers.Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    judge.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    judge.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    without_specials = tokenizers.Tokenizer.from_str(judge.to_str())
    judge.add_special_tokens([tokenizers.AddedToken(pieces[number], normalized=False) for number in special])
    judge.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    file.parent.mkdir(parents=True, exist_ok=True)
    judge.save(str(file))
    names = {"bos_token": "<s>", "eos_token": "</s>"}
    (file.parent / "tokenizer_config.json").write_text(json.dumps(names))
    return without_specials


def tokens_of(tokenizer, texts, folder):
    """One object a text of `excitor inspect tokens`."""
    lines = folder / "lines.jsonl"
    lines.write_text("".join(json.dumps(text) + "\n" for text in texts))
    done = run_excitor("inspect", "tokens", tokenizer, "--file", lines, "--json")
    return [json.loads(line) for line in done.stdout.rstrip("\n").split("\n")]


def assert_same(tokenizer, bos, expected, folder, texts):
    """Ids behind BOS are those of `expected(text)`."""
    found = tokens_of(tokenizer, texts, folder)
    assert len(found) == len(texts)
    wrong = [(text, row["ids"], expected(text)) for text, row in zip(texts, found) if row["ids"] != [bos] + expected(text)]
    assert not wrong, f"{len(wrong)} of {len(texts)} differ; the first: {wrong[0]}"
