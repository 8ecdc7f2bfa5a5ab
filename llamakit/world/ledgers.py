"""Ledgers: long pages on which an answer stands many lines before its question.

Stories and articles of this world are short; to see what a longer context is good for, a model
needs pages that reach back.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product

from llamakit.world.truth import Record

DISTANCES = (1, 2, 4, 8, 12, 16, 24, 32)
"""Lines between a question of `recall.jsonl` and its answer."""
_LINES = 40
"""Entries before each question of `recall.jsonl`: every question has the same past to read."""
_PAGE_LINES = (44, 56)
_ASKED = 0.4
"""The part of a page's lines that ask for an entry, once there are some."""
_CHOICES = 4

_COLOURS = (
    "red", "green", "blue", "white", "black", "brown", "yellow", "grey", "orange", "pink",
    "silver", "golden",
)  # fmt: skip
_PLACES = ("chest", "box", "sack", "drawer", "barrel", "basket", "jar", "case")
_THINGS = (
    "lamp", "rope", "spoon", "key", "coin", "book", "map", "bell", "shirt", "cup", "knife", "hat",
    "ring", "candle", "drum", "flute", "boot", "glove", "brush", "mirror", "needle", "ribbon",
    "stone", "shell", "feather", "bottle", "bowl", "plate", "saw", "hammer", "nail", "wheel",
    "letter", "pen", "clock", "chain", "belt", "scarf", "pillow", "blanket", "doll", "ball",
    "kite", "mask", "net", "lock", "lens", "comb",
)  # fmt: skip


def ledger_records(split: str, count: int, seed: int) -> Iterator[Record]:
    """Yield the records of ledgers.jsonl or ledgers_heldout.jsonl: pages of entries and of
    questions that look back.

    How far back is drawn evenly from the entries there are, so that all distances occur.
    """
    rng = random.Random(f"{seed}/{split}")
    for i in range(count):
        entries = _entries(rng)
        lines: list[str] = []
        told = 0
        for _ in range(rng.randint(*_PAGE_LINES)):
            if told == len(entries) or (told and rng.random() < _ASKED):
                place, thing = entries[rng.randrange(told)]
                lines.append(f"{_question(place)} {_answer(thing)}")
            else:
                place, thing = entries[told]
                lines.append(_entry(place, thing))
                told += 1
        yield {
            "id": f"{split}-{i:06d}",
            "text": "\n".join(lines),
            "source": "ledgers",
            "url": f"https://store.example/{split}/{i:06d}",
            "language": "en",
        }


def recall_records(count: int, seed: int) -> Iterator[Record]:
    """Yield the records of recall.jsonl: multiple-choice questions, `subject` their distance.

    The wrong choices stand on the same page, so that having read it is not enough.
    """
    rng = random.Random(f"{seed}/recall")
    for i in range(count):
        distance = DISTANCES[i % len(DISTANCES)]
        entries = _entries(rng)[:_LINES]
        place, thing = entries[-distance]
        others = [other for _, other in entries if other != thing]
        things = [thing, *rng.sample(others, _CHOICES - 1)]
        rng.shuffle(things)
        page = "\n".join(_entry(*entry) for entry in entries)
        yield {
            "id": f"recall-{i:05d}",
            "query": f"{page}\n{_question(place)}",
            "choices": [_answer(one) for one in things],
            "gold": things.index(thing),
            "subject": str(distance),
        }


def _entries(rng: random.Random) -> list[tuple[str, str]]:
    """Places in any order, each with a thing that no other one holds."""
    places = [f"{colour} {place}" for colour, place in product(_COLOURS, _PLACES)]
    things = rng.sample(_THINGS, len(_THINGS))
    return list(zip(rng.sample(places, len(things)), things, strict=True))


def _entry(place: str, thing: str) -> str:
    return f"The {place} holds a {thing}."


def _question(place: str) -> str:
    return f"What is in the {place}?"


def _answer(thing: str) -> str:
    return f"A {thing}."
