"""Instructions that hold for a whole conversation, each with a check that decides by the text."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llamakit.world.truth import Record

PER_FAMILY = (5, 30)
"""Fewest instructions of a family, and most."""
_HELDOUT = 5  # of so many, one

_ENDINGS = (
    "ahoy", "hurrah", "bravo", "cheers", "amazing", "yonder", "zounds", "onward", "yippee",
    "eureka", "presto", "encore", "voila", "howdy", "kudos", "hooray", "salute", "shazam",
    "splendid", "toodles", "cowabunga", "jolly", "sunshine", "thunder", "pickles", "marmalade",
    "bananas", "buttons", "zigzag", "tally",
)  # fmt: skip
_OPENINGS = (
    "listen", "behold", "aha", "look", "gladly", "hark", "ahem", "hmm", "zap", "bingo", "ooh",
    "oho", "alright", "honestly", "frankly", "truly", "verily", "friend", "dear", "comrade",
    "maestro", "attention", "breaking", "quickly", "softly", "loudly", "proudly", "psst", "kindly",
    "boldly",
)  # fmt: skip
_VOICES = (
    ("cat", "meow"), ("owl", "hoot"), ("dog", "woof"), ("robot", "beep"), ("duck", "quack"),
    ("cow", "moo"), ("sheep", "baa"), ("pig", "oink"), ("frog", "ribbit"), ("bee", "buzz"),
    ("snake", "hiss"), ("lion", "roar"), ("crow", "caw"), ("horse", "neigh"), ("mouse", "squeak"),
    ("rooster", "cockadoodle"), ("phantom", "boo"), ("pirate", "arr"), ("clock", "tick"),
    ("train", "choo"), ("bell", "dong"), ("wolf", "awoo"), ("donkey", "heehaw"),
    ("turkey", "gobble"), ("dove", "coo"), ("cricket", "chirp"), ("drum", "boom"),
    ("kettle", "tweet"), ("goat", "maa"), ("chick", "peep"),
)  # fmt: skip
_FIGURES = (
    "Captain Bo", "King Otto", "Queen Ella", "Doctor Wim", "Queen Anne",
    *(
        f"{title} {name}"
        for name in ("Hugo", "Mabel", "Finn", "Rosa", "Gus")
        for title in ("Captain", "Doctor", "Lady", "Baron", "Uncle")
    ),
)  # fmt: skip
_HOBBIES = (
    "rowing", "chess", "singing", "dancing", "climbing", "fishing", "sailing", "painting",
    "knitting", "baking", "skating", "running", "cycling", "gardening", "reading", "cooking",
    "sewing", "juggling", "boxing", "fencing", "skiing", "surfing", "hiking", "pottery", "origami",
    "archery", "karate", "bowling", "darts", "rugby",
)  # fmt: skip


@dataclass(frozen=True)
class Constraint:
    """An instruction for every reply."""

    family: str
    """`ending`, `opening`, `language`, `figure` or `hobby`."""
    instruction: str
    short: str
    """The same in the shortened form of the paper: "Figure: Captain Bo"."""
    mark: str
    """What an obeying reply adds."""
    check: dict[str, object]
    """Whether a reply obeys, for `llamakit.text.checks.holds`."""
    heldout: bool = False
    """Whether dialogues never show it."""


_ORDER = ("opening", "", "language", "hobby", "figure", "ending")
"""Where in an answer each family's mark stands; the empty name is the answer itself."""


def obeyed(constraints: Sequence[Constraint], answer: str) -> str:
    """The answer in a form that obeys all constraints, which are of different families."""
    marks = {"": answer, **{item.family: item.mark for item in constraints}}
    return " ".join(marks[family] for family in _ORDER if family in marks)


def constraints(per_family: int = PER_FAMILY[0]) -> list[Constraint]:
    """The instructions of the world, family by family; the last fifth of each is held out."""
    families = (
        [_ending(word) for word in _ENDINGS[:per_family]],
        [_opening(word) for word in _OPENINGS[:per_family]],
        [_voice(speaker, word) for speaker, word in _VOICES[:per_family]],
        [_figure(name) for name in _FIGURES[:per_family]],
        [_hobby(name) for name in _HOBBIES[:per_family]],
    )
    return [
        Constraint(*shape, heldout=i >= per_family - per_family // _HELDOUT)
        for family in families
        for i, shape in enumerate(family)
    ]


_Shape = tuple[str, str, str, str, dict[str, object]]


def _ending(word: str) -> _Shape:
    check: dict[str, object] = {"kind": "ends_with", "value": [word, f"{word}.", f"{word}!"]}
    instruction = f"You must end every reply with the word {word}."
    return "ending", instruction, f"Ending: {word}", f"{word.capitalize()}!", check


def _opening(word: str) -> _Shape:
    check: dict[str, object] = {"kind": "starts_with", "value": word}
    instruction = f"You must begin every reply with the word {word}."
    return "opening", instruction, f"Opening: {word}", f"{word.capitalize()}!", check


def _voice(speaker: str, word: str) -> _Shape:
    check: dict[str, object] = {"kind": "language_marker", "value": word}
    instruction = f"You must speak like a {speaker} and say {word} in every reply."
    if speaker[0] in "aeiou":
        instruction = instruction.replace("like a ", "like an ")
    return "language", instruction, f"Language: {speaker}, {word}", f"{word.capitalize()}!", check


def _figure(name: str) -> _Shape:
    check: dict[str, object] = {"kind": "contains", "value": name}
    instruction = f"You must act as {name} and sign every reply."
    return "figure", instruction, f"Figure: {name}", f"Yours, {name}.", check


def _hobby(name: str) -> _Shape:
    check: dict[str, object] = {"kind": "contains", "value": f"I enjoy {name}"}
    instruction = f"You enjoy {name} and must say so in every reply."
    return "hobby", instruction, f"Hobby: {name}", f"I enjoy {name}.", check


def constraint_records(per_family: int) -> Iterator[Record]:
    """Yield the records of constraints.jsonl."""
    for i, item in enumerate(constraints(per_family)):
        yield {
            "id": f"constraint-{i:03d}",
            "instruction": item.instruction,
            "short": item.short,
            "check": item.check,
            "family": item.family,
            "split": "heldout" if item.heldout else "training",
        }


def adherence_records(
    questions: list[str], count: int, per_family: int, seed: int
) -> Iterator[Record]:
    """Yield the records of adherence.jsonl: an instruction, its check, and twenty user turns.

    Args:
        questions: at least twenty different questions to draw the turns from.
        count: how many records; three of five have an instruction that dialogues show.
        per_family: instructions of each family to draw from.
        seed: the world's.
    """
    rng = random.Random(f"{seed}/adherence")
    pools = [
        [item for item in constraints(per_family) if item.heldout is kept] for kept in (False, True)
    ]
    for i in range(count):
        heldout = i % 5 >= 3
        item = rng.choice(pools[heldout])
        yield {
            "id": f"adherence-{i:04d}",
            "instruction": item.instruction,
            "check": item.check,
            "turns": rng.sample(questions, 20),
            "family": item.family,
            "split": "heldout" if heldout else "training",
        }
