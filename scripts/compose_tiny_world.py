#!/usr/bin/env python3
"""Composes the texts of the bundled tiny world: a small valley with its people, animals and a school.

    compose_tiny_world.py --output DIR [--seed 7] [--documents 40000]

Three files are written to DIR:

    world.txt                    what the tiny base model is pre-trained on; documents are separated by blank lines
    instructions.json            Alpaca rows {instruction, input, output}: what an adapter is trained on
    instructions_held_out.json   rows of the same kinds about facts and word lists that instructions.json never asks for

Nothing is copied from anywhere: every sentence comes from the grammar below. The same seed gives the same bytes.

Why the world looks as it does. A frozen base can only be *steered* by a small adapter; it cannot be taught facts by one.
So world.txt holds three kinds of documents:

    tales     prose about the valley; most facts are told here
    lessons   a question and its answer, in the layouts of a school ("Question: ... Answer: ..."): the latent ability
    notices   a request in Alpaca's layout ("### Instruction: ... ### Response:") that nobody answers: a tale follows

A base trained on it knows the answers, but carries on with a tale when it meets an Alpaca prompt. An adapter has to lead it
from the notice back to the lesson. A held-out row on a list of words (the same task on the same list) occurs nowhere else,
neither in lessons nor in notices. The people, animals and words that held-out rows ask facts about are asked about in no row of
instructions.json; their facts do occur in tales and lessons, since they have to be known from somewhere. (The sentence that a
held-out "Write a sentence about ..." asks for may stand in a tale.)
"""
import argparse
import json
import random
from pathlib import Path

# ---------------------------------------------------------------------------------------------------------- the vocabulary

PEOPLE = (
    "Alba Bram Cora Dario Edda Finn Greta Hugo Ines Jory Kira Lars Mira Nils Odo Pia Quin Rosa Sven Tilda Ugo Vera Wim Xenia "
    "Yara Zeno Anouk Bodil Cass Dora Emil Freya Gus Hetta Ivo Juna Kaspar Lotte Milo Nora"
).split()
JOBS = "baker miller fisher weaver potter smith gardener piper painter carpenter shepherd teacher sailor tailor".split()
PLACES = "mill harbour forest hill bridge market tower orchard meadow cave lake garden barn island inn well".split()
FOODS = "bread cheese soup honey porridge cake jam butter rice stew salad pie".split()
COLOURS = "red blue green yellow white black brown grey purple orange".split()
THINGS = "kite lantern boat drum basket ladder bell candle spoon hat rope book cup key map flute".split()
ANIMALS = "fox owl hare otter badger heron goat crow toad hedgehog beaver duck bear swan mole snail pony robin cat dog".split()
SOUNDS = "yip hoo quack croak bark purr squeak honk hum chirp".split()
NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen twenty"
).split()
OPPOSITES = [
    tuple(pair.split("/"))
    for pair in (
        "hot/cold big/small old/young day/night up/down left/right open/closed fast/slow happy/sad wet/dry full/empty "
        "high/low early/late hard/soft long/short rich/poor strong/weak thick/thin light/dark near/far clean/dirty "
        "first/last quiet/loud sweet/sour true/false"
    ).split()
]
PLURALS = {
    **{word: word + "s" for word in "kite lantern boat drum owl goat bear swan spoon hat tower bridge robin cup key map".split()},
    **{"fox": "foxes", "torch": "torches", "bush": "bushes", "mouse": "mice", "goose": "geese", "child": "children",
       "foot": "feet", "tooth": "teeth", "leaf": "leaves", "wolf": "wolves", "pony": "ponies", "berry": "berries"},
}
KINDS = {"animal": ANIMALS, "colour": COLOURS, "food": FOODS, "thing": THINGS}  # what a list of words may be picked from


def article(noun):
    """The noun with "a" or "an" before it."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def listed(words):
    """Words as a list on one line: fox, kite, bell."""
    return ", ".join(words)


class World:
    """Who lives where and eats what: the facts, drawn once from the seed."""

    def __init__(self, rng):
        self.people = {}
        for name in PEOPLE:
            self.people[name] = {
                "job": rng.choice(JOBS),
                "home": rng.choice(PLACES),
                "food": rng.choice(FOODS),
                "colour": rng.choice(COLOURS),
                "pet": rng.choice(ANIMALS),
            }
        self.animals = {}
        for animal in ANIMALS:
            self.animals[animal] = {"home": rng.choice(PLACES), "food": rng.choice(FOODS), "sound": rng.choice(SOUNDS)}


# --------------------------------------------------------------------------------------------------------------- the tasks


class Row:
    """A task with its answer. `key` names what it is about (a person, a list of words, ...), apart from how it is worded."""

    def __init__(self, key, instruction, given, output):
        self.key, self.instruction, self.given, self.output = key, instruction, given, output

    def __eq__(self, other):
        return self.alpaca() == other.alpaca()

    def alpaca(self):
        return {"instruction": self.instruction, "input": self.given, "output": self.output}


def ask_person(world, rng):
    """One fact about one person."""
    name = rng.choice(PEOPLE)
    kind = rng.choice(["job", "home", "food", "colour", "pet"])
    wordings = {
        "job": [f"What is the work of {name}?", f"Name the job of {name}."],
        "home": [f"Where does {name} live?", f"Name the home of {name}."],
        "food": [f"What does {name} like to eat?", f"Name the favourite food of {name}."],
        "colour": [f"What colour is the coat of {name}?", f"Name the colour of the coat of {name}."],
        "pet": [f"Which animal is the friend of {name}?", f"Name the friend of {name}."],
    }
    return Row(("person", name), rng.choice(wordings[kind]), "", world.people[name][kind])


def describe_person(world, rng):
    """All about one person, in a sentence."""
    name = rng.choice(PEOPLE)
    facts = world.people[name]
    answer = f"{name} is the {facts['job']} of the {facts['home']} and wears {article(facts['colour'])} coat."
    return Row(("person", name), rng.choice([f"Describe {name}.", f"Who is {name}?"]), "", answer)


def ask_animal(world, rng):
    """One fact about one kind of animal."""
    animal = rng.choice(ANIMALS)
    kind = rng.choice(["home", "food", "sound"])
    wordings = {
        "home": [f"Where does the {animal} live?", f"Name the home of the {animal}."],
        "food": [f"What does the {animal} eat?", f"Name the food of the {animal}."],
        "sound": [f"What does the {animal} say?", f"Name the sound of the {animal}."],
    }
    return Row(("animal", animal), rng.choice(wordings[kind]), "", world.animals[animal][kind])


def write_sentence(world, rng):
    """A sentence with two given words; its end is the animal's home."""
    animal, thing = rng.choice(ANIMALS), rng.choice(THINGS)
    instruction = f"Write a sentence about {article(animal)} and {article(thing)}."
    answer = f"The {animal} took the {thing} to the {world.animals[animal]['home']}."
    return Row(("sentence", animal, thing), instruction, "", answer)


def opposite(world, rng):
    pair = rng.choice(OPPOSITES)
    word, other = pair if rng.random() < 0.5 else pair[::-1]
    wordings = [f"What is the opposite of {word}?", f"Name the opposite of {word}."]
    return Row(("opposite", min(pair)), rng.choice(wordings), "", other)


def plural(world, rng):
    word = rng.choice(sorted(PLURALS))
    wordings = [f"What is the plural of {word}?", f"Name the plural of {word}."]
    return Row(("plural", word), rng.choice(wordings), "", PLURALS[word])


def neighbour(world, rng):
    """The number after or before another."""
    at = rng.randrange(1, len(NUMBERS) - 1)
    side = rng.choice(["after", "before"])
    answer = NUMBERS[at + 1 if side == "after" else at - 1]
    return Row(("number", at), f"Which number comes {side} {NUMBERS[at]}?", "", answer)


def larger(world, rng):
    """The larger or smaller one of two numbers."""
    a, b = rng.sample(range(len(NUMBERS)), 2)
    which = rng.choice(["larger", "smaller"])
    answer = NUMBERS[max(a, b) if which == "larger" else min(a, b)]
    return Row(("larger", min(a, b), max(a, b)), f"Which number is {which}, {NUMBERS[a]} or {NUMBERS[b]}?", "", answer)


def repeat(world, rng):
    word = rng.choice(THINGS + ANIMALS + COLOURS)
    times = rng.choice([2, 3, 4])
    return Row(("repeat", word, times), f"Say the word {word} {NUMBERS[times - 1]} times.", "", listed([word] * times))


def words_task(rng, name, words, wordings, answer):
    """A task on a list of words, which stands in the instruction or apart as its input."""
    text = listed(words)
    instruction = rng.choice(wordings)
    if rng.random() < 0.5:
        return Row((name, text), f"{instruction}: {text}", "", answer)
    return Row((name, text), f"{instruction}.", text, answer)


def reverse(world, rng):
    words = rng.sample(THINGS + ANIMALS + COLOURS, rng.choice([2, 3, 3]))
    return words_task(rng, "reverse", words, ["Turn the list around", "Reverse the words"], listed(words[::-1]))


def first_or_last(world, rng):
    words = rng.sample(THINGS + ANIMALS + COLOURS, rng.choice([3, 4]))
    side = rng.choice(["first", "last"])
    return words_task(rng, side, words, [f"Give the {side} word"], words[0 if side == "first" else -1])


def count(world, rng):
    words = rng.sample(THINGS + ANIMALS + COLOURS, rng.choice([2, 3, 4, 5]))
    return words_task(rng, "count", words, ["Count the words", "Tell how many words there are"], NUMBERS[len(words) - 1])


def find_kind(world, rng):
    """The only word of a list that is an animal, a colour, ..."""
    kind, *others = rng.sample(sorted(KINDS), 3)
    answer = rng.choice(KINDS[kind])
    words = [answer] + [rng.choice(KINDS[other]) for other in others]
    rng.shuffle(words)
    return words_task(rng, f"find {kind}", words, [f"Find the {kind}"], answer)


# The tasks, how often each is drawn, and whether it asks for a fact (which must be told somewhere) or is a mere combination.
TASKS = [
    (ask_person, 5, True), (describe_person, 3, True), (ask_animal, 2, True), (write_sentence, 2, False), (opposite, 2, True),
    (plural, 1, True), (neighbour, 1, True), (larger, 1, False), (repeat, 1, False), (reverse, 3, False),
    (first_or_last, 1, False), (count, 1, False), (find_kind, 2, False),
]


def draw(world, rng, allowed=lambda row, fact: True):
    """A row of any kind, drawn again (of the same kind) until `allowed` likes it."""
    task, _, fact = rng.choices(TASKS, [weight for _, weight, _ in TASKS])[0]
    while True:
        row = task(world, rng)
        if allowed(row, fact):
            return row


# ----------------------------------------------------------------------------------------------------------- the documents


def about_person(world, rng, name):
    """A sentence that tells one or two facts of a person."""
    f = world.people[name]
    return rng.choice([
        f"{name} was the {f['job']} of the {f['home']}.",
        f"{name} lived at the {f['home']} and worked as {article(f['job'])}.",
        f"{name} wore {article(f['colour'])} coat.",
        f"{name} the {f['job']} loved {f['food']} more than anything.",
        f"The best friend of {name} was {article(f['pet'])}.",
        f"In the {f['colour']} coat of {name} there was always some {f['food']} for the {f['pet']}.",
    ])


def about_animal(world, rng, animal):
    """A sentence that tells one or two facts of an animal."""
    f = world.animals[animal]
    return rng.choice([
        f"The {animal} lived at the {f['home']}.",
        f"\"{f['sound']}, {f['sound']},\" said the {animal}.",
        f"The {animal} liked {f['food']} best.",
        f"At the {f['home']} the {animal} ate all the {f['food']}.",
    ])


def event(world, rng, name, animal):
    """Something that happens in a tale."""
    thing, place = rng.choice(THINGS), rng.choice(PLACES)
    low, high = rng.choice(OPPOSITES)
    n = rng.randrange(1, 12)
    return rng.choice([
        f"One {rng.choice(['day', 'night'])} {name} found {article(thing)} near the {place}.",
        f"The {thing} was {low}, not {high}.",
        f"Then the {animal} took the {thing} to the {world.animals[animal]['home']}.",
        f"\"Where is my {thing}?\" asked {name}.",
        f"They walked from the {place} to the {rng.choice(PLACES)} and sang.",
        f"{name} counted {NUMBERS[n]} {rng.choice(sorted(PLURALS.values()))} on the way.",
        f"It was {rng.choice(['cold', 'hot', 'early', 'late', 'dark', 'quiet'])} at the {place}.",
        f"The {thing} was {rng.choice(COLOURS)} and the moon was {rng.choice(COLOURS)}.",
        f"{name} gave the {animal} {article(rng.choice(COLOURS))} {thing}.",
    ])


def tale(world, rng, sentences):
    """Prose: a person and an animal, what they are like and what they do."""
    name, animal = rng.choice(PEOPLE), rng.choice(ANIMALS)
    opening = rng.choice(["Once upon a time", "Long ago", "In the valley of Lumen", "When the snow was gone", "One fine morning"])
    text = [f"{opening} {name} met {article(animal)} at the {rng.choice(PLACES)}."]
    for _ in range(sentences - 1):
        teller = rng.random()
        if teller < 0.4:
            text.append(about_person(world, rng, name))
        elif teller < 0.6:
            text.append(about_animal(world, rng, animal))
        else:
            text.append(event(world, rng, name, animal))
    return " ".join(text)


def lesson(rng, row):
    """A task and its answer as they are written in the school of the valley."""
    ask, reply = rng.choice([("Question", "Answer"), ("Teacher", "Child"), ("Task", "Solution"), ("Riddle", "Guess")])
    head = rng.choice(["", "", "From the school of the valley.\n", "A request and what completes it.\n",
                       "The teacher asks, the child replies.\n",
                       "Here a teacher asks for something, further down a child writes what appropriately completes the task.\n"])
    mark = rng.choice(["", "", "# ", "## ", "* "])
    gap = rng.choice([" ", "\n"])
    # What lies between request and answer varies, so that nothing is learnt by counting steps back from the answer.
    pause = rng.choice(["", "", "", "...\n", "-\n-\n", "The child thinks.\n", "It was quiet in the school.\n"])
    given = f"\n{mark}{rng.choice(['Words', 'Given', 'Context'])}:{gap}{row.given}" if row.given else ""
    return f"{head}{mark}{ask}:{gap}{row.instruction}{given}\n{pause}{mark}{reply}: {row.output}"


def notice(world, rng, row):
    """A request on the notice board, in Alpaca's words. Nobody answers it: a tale follows."""
    if row.given:
        frame = ("Below is an instruction that describes a task, paired with an input that provides further context. "
                 "Write a response that appropriately completes the request.")
        given = f"\n### Input:\n{row.given}"
    else:
        frame = ("Below is an instruction that describes a task. "
                 "Write a response that appropriately completes the request.")
        given = ""
    return f"{frame}\n### Instruction:\n{row.instruction}{given}\n### Response: {tale(world, rng, 2)}"


def compose(seed, documents, train_rows, held_out_rows):
    """Everything, as (documents, rows, held-out rows)."""
    rng = random.Random(seed)
    world = World(rng)

    # A fifth of the people, animals, opposites, plurals and numbers is asked about in held-out rows only. Combinations of words
    # are kept out of everything else, one by one.
    subjects = {
        "person": PEOPLE, "animal": ANIMALS, "opposite": [min(pair) for pair in OPPOSITES], "plural": sorted(PLURALS),
        "number": range(1, len(NUMBERS) - 1),
    }
    reserved = {(kind, name) for kind, names in subjects.items() for name in rng.sample(list(names), len(names) // 5)}

    held_out = []
    while len(held_out) < held_out_rows:
        row = draw(world, rng, lambda row, fact: not fact or row.key in reserved)
        if row not in held_out:
            held_out.append(row)
    combinations = {row.key for row in held_out} - reserved

    rows = []
    while len(rows) < train_rows:
        row = draw(world, rng, lambda row, fact: row.key not in reserved | combinations)
        if row not in rows:
            rows.append(row)

    texts = []
    while len(texts) < documents:
        kind = rng.random()
        if kind < 0.25:
            texts.append(tale(world, rng, rng.randrange(3, 7)))
            continue
        row = draw(world, rng, lambda row, fact: row.key not in combinations)
        texts.append(lesson(rng, row) if kind < 0.90 else notice(world, rng, row))
    return texts, rows, held_out


def write_rows(path, rows):
    """A JSON array with one row a line, which diffs well."""
    lines = ",\n".join("  " + json.dumps(row.alpaca(), ensure_ascii=False) for row in rows)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", required=True, type=Path, help="folder for the three files; made when it is missing")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--documents", type=int, default=40000, help="documents in world.txt")
    parser.add_argument("--train-rows", type=int, default=1000)
    parser.add_argument("--held-out-rows", type=int, default=100)
    arguments = parser.parse_args()

    texts, rows, held_out = compose(arguments.seed, arguments.documents, arguments.train_rows, arguments.held_out_rows)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "world.txt").write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    write_rows(arguments.output / "instructions.json", rows)
    write_rows(arguments.output / "instructions_held_out.json", held_out)
    print(f"{len(texts)} documents, {len(rows)} rows and {len(held_out)} held-out rows in {arguments.output}")


if __name__ == "__main__":
    main()
