"""Ledgers: long pages on which a name is needed many lines after it was given.

Stories and articles of this world are short; to see what a longer context is good for, a model
needs pages that reach back. What must be remembered is one name among lines without any: a small
model learns that soon, where looking up one of many entries would take it far longer.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from llamakit.world.names import MEN, WOMEN
from llamakit.world.truth import Record

PEOPLE = (*WOMEN[:8], *MEN[:8])

DISTANCES = (1, 2, 4, 8, 12, 16, 24, 32)
"""Lines between the name on a page of `recall.jsonl` and where it is asked for."""
_LINES = 33
"""Lines of every page of `recall.jsonl`: the past to read is as long at each distance."""
_PAGE_LINES = (44, 56)
_SIGNED = 0.3
"""The part of a page's lines that are signatures."""
_CHOICES = 4
_ASKED = "Signed by"

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
    """Yield the records of ledgers.jsonl or ledgers_heldout.jsonl: pages that say at the top whose
    they are, and at a few places below that this person signed.
    """
    rng = random.Random(f"{seed}/{split}")
    for i in range(count):
        name = rng.choice(PEOPLE)
        lines = [_head(name)]
        for entry in _entries(rng, rng.randint(*_PAGE_LINES)):
            lines.append(f"{_ASKED} {name}." if rng.random() < _SIGNED else entry)
        yield {
            "id": f"{split}-{i:06d}",
            "text": "\n".join(lines),
            "source": "ledgers",
            "url": f"https://store.example/{split}/{i:06d}",
            "language": "en",
        }


def recall_records(count: int, seed: int) -> Iterator[Record]:
    """Yield the records of recall.jsonl: who signed, of four names; `subject` is how many lines
    before the name stands, for the only time. Entries without a name go before it.
    """
    rng = random.Random(f"{seed}/recall")
    for i in range(count):
        distance = DISTANCES[i % len(DISTANCES)]
        names = rng.sample(PEOPLE, _CHOICES)
        name = rng.choice(names)
        lines = _entries(rng, _LINES)
        lines[-distance] = _head(name)
        yield {
            "id": f"recall-{i:05d}",
            "query": "\n".join([*lines, _ASKED]),
            "choices": [f"{one}." for one in names],
            "gold": names.index(name),
            "subject": str(distance),
        }


def _entries(rng: random.Random, count: int) -> list[str]:
    return [
        f"The {rng.choice(_COLOURS)} {rng.choice(_PLACES)} holds a {rng.choice(_THINGS)}."
        for _ in range(count)
    ]


def _head(name: str) -> str:
    return f"This is the ledger of {name}."
