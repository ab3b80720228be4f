"""excitor chat with piped input: each answer is the one that transformers gives to the whole conversation."""
import os
import pty
import subprocess

import pytest
import sentencepiece
import torch

import random_adapters
import tiny_models
from program import find_program, generate

NEW_TOKENS = 6
QUESTIONS = ["Who finds three apples?", "And in the morning?", "Where is the boat?"]


@pytest.fixture(scope="module")
def model(model_factory):
    return model_factory(std=0.3, seed=5)


@pytest.fixture(scope="module")
def judge(model):
    return Judge(model)


class Judge:
    """Greedy answers in the template plain."""

    def __init__(self, model):
        self.model = tiny_models.judge(model)
        self.tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(model / "tokenizer.model"))

    @torch.no_grad()
    def answer(self, ids):
        whole = self.model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), do_sample=False,
                                    max_new_tokens=NEW_TOKENS, pad_token_id=0)
        return self.tokenizer.decode([number for number in whole[0, len(ids):].tolist() if number != 2])

    def ids(self, turns):
        """turns: question, answer, question, …"""
        ids = [1]
        for place, text in enumerate(turns):
            later_question = place % 2 == 0 and place > 0
            ids += self.tokenizer.encode("\n" + text if later_question else text) + ([2] if place % 2 else [])
        return ids

    def converse(self, questions, context=10**9):
        """The answers, and how many turns were dropped."""
        turns, answers, dropped = [], [], 0
        for question in questions:
            turns.append(question)
            while len(turns) > 1 and len(self.ids(turns)) + NEW_TOKENS > context:
                turns, dropped = turns[2:], dropped + 1
            answers.append(self.answer(self.ids(turns)))
            turns.append(answers[-1])
        return answers, dropped


def chat(model, lines, *arguments, adapter=None):
    """(standard output, standard error) of a conversation, one line of input for each of `lines`."""
    chosen = ["--adapter", adapter] if adapter else []
    command = [find_program()[0], "chat", model, *chosen, "--max-new-tokens", NEW_TOKENS, *arguments]
    done = subprocess.run([str(part) for part in command], input="".join(line + "\n" for line in lines).encode(),
                          capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode(), done.stderr.decode()


def test_answers_see_the_whole_conversation(model, judge):
    answers, _ = judge.converse(QUESTIONS)
    assert len(set(answers)) == 3
    written, said = chat(model, QUESTIONS)
    assert written == "".join(answer + "\n" for answer in answers)
    assert said == ""


def test_reset_forgets_and_quit_ends(model, judge):
    answers, _ = judge.converse(QUESTIONS[:1])
    later, _ = judge.converse(QUESTIONS[1:2])
    written, said = chat(model, [QUESTIONS[0], "", "/reset", QUESTIONS[1], "/quit", QUESTIONS[2]])
    assert written == answers[0] + "\n" + later[0] + "\n"
    assert "forgotten" in said


def test_base_shows_both_answers_and_leaves_the_conversation_as_it_was(model, judge, tmp_path):
    adapter = random_adapters.write_lora(tmp_path / "adapter", model, target_modules="all-linear")
    first, = generate(model, "--prompt", QUESTIONS[0], "--max-new-tokens", NEW_TOKENS, adapter=adapter)
    base = judge.answer(judge.ids(QUESTIONS[:1]))
    written, _ = chat(model, [QUESTIONS[0], "/base", QUESTIONS[1]], adapter=adapter)
    start = f"{first['text']}\nbase:    {base}\nadapter: {first['text']}\n"
    assert base != first["text"]
    assert written.startswith(start)
    without, _ = chat(model, QUESTIONS[:2], adapter=adapter)
    assert written[len(start):] == without[len(first["text"]) + 1:]


def test_each_answer_draws_random_numbers_of_its_own(model_factory):
    """The context holds one question alone, so that the second answer follows the same prompt as the first."""
    model = model_factory(std=0.3, seed=5, max_position_embeddings=40)
    question = " ".join(QUESTIONS)
    sampling = ["--temperature", 2, "--seed", 3]
    written, said = chat(model, [question, question], *sampling)
    first, = generate(model, "--prompt", question, "--max-new-tokens", NEW_TOKENS, *sampling)
    assert "dropped" in said
    assert written.startswith(first["text"] + "\n")
    assert written != (first["text"] + "\n") * 2


def test_commands_that_cannot_be_followed_are_said(model):
    written, said = chat(model, ["/base", "/help", "/x"])
    assert written == ""
    assert "there is no adapter" in said and "there is no /x" in said and "/reset" in said


@pytest.mark.parametrize("context", [40, 56])
def test_a_conversation_that_outgrows_the_context_loses_its_oldest_turns(model_factory, context):
    model = model_factory(std=0.3, seed=5, max_position_embeddings=context)
    questions = QUESTIONS * 2
    answers, dropped = Judge(model).converse(questions, context)
    assert dropped > 0
    written, said = chat(model, questions)
    assert written == "".join(answer + "\n" for answer in answers)
    assert "dropped" in said


def test_a_question_longer_than_the_context_is_refused_and_forgotten(model_factory):
    model = model_factory(std=0.3, seed=5, max_position_embeddings=40)
    answers, _ = Judge(model).converse(QUESTIONS[:1], 40)
    written, said = chat(model, ["word " * 100, QUESTIONS[0]])
    assert written == answers[0] + "\n"
    assert "ask a shorter one" in said


def test_a_question_that_is_not_utf8_is_refused(model):
    command = [str(find_program()[0]), "chat", str(model)]
    done = subprocess.run(command, input=b"a\xff\n", capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"not UTF-8" in done.stderr


def test_on_a_terminal_it_asks(model, judge):
    answers, _ = judge.converse(QUESTIONS[:1])
    ours, its = pty.openpty()
    process = subprocess.Popen([str(find_program()[0]), "chat", str(model), "--max-new-tokens", str(NEW_TOKENS)], stdin=its,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.write(ours, (QUESTIONS[0] + "\n/quit\n").encode())
    written, said = process.communicate(timeout=60)
    os.close(ours), os.close(its)
    assert process.returncode == 0
    assert written.decode() == answers[0] + "\n"
    assert said.decode().count("> ") == 2 and "/base" in said.decode()


def test_a_system_message_stands_in_front(model):
    alone, _ = chat(model, QUESTIONS[:1], "--template", "vicuna")
    told, _ = chat(model, QUESTIONS[:1], "--template", "vicuna", "--system", "Answer like a miller.")
    spelled, = generate(model, "--prompt", f"Answer like a miller. USER: {QUESTIONS[0]} ASSISTANT:", "--max-new-tokens", NEW_TOKENS)
    assert told == spelled["text"] + "\n" != alone
