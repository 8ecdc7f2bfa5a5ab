"""Lists of terms: pronouns by gender set and person, identity terms by axis, a user's own."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from llamakit.corpus.profiling.words import as_patterns
from llamakit.errors import InputError

Terms = dict[str, tuple[str, ...]]

GENDER_SETS: Mapping[str, tuple[str, ...]] = {
    "she": ("she", "her", "hers", "herself"),
    "he": ("he", "him", "his", "himself"),
    "they": ("they", "them", "their", "theirs", "theirself", "themself", "themselves"),
}
"""The pronoun sets of table 9a of the paper, word by word."""

PERSONS: Mapping[str, tuple[str, ...]] = {
    "first": ("i", "me", "my", "mine", "myself", "we", "us", "our", "ours", "ourselves"),
    "second": ("you", "your", "yours", "yourself", "yourselves"),
    "third": ("it", "its", "itself", *(word for words in GENDER_SETS.values() for word in words)),
}
"""Grammatical persons; the paper prints the beginnings of these lists."""


@cache
def identity_terms() -> Terms:
    """The list that comes with the package, by axis."""
    return read_terms(Path(__file__).with_name("identity_terms.toml"))


def read_terms(path: Path) -> Terms:
    """Terms by axis from a TOML or JSON file of `axis = ["term", …]`.

    An axis may also group its terms (`{group: [term, …]}`), and a term be an object with a
    `descriptor`, so that the file of HolisticBias is read as it is.

    Raises:
        InputError: the file is neither, holds something else, or has no terms.
    """
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise InputError(f"the terms cannot be read ({error})", where=str(path)) from None
    if not isinstance(found, dict):
        raise _unfit(path, "the file is no table of axes")
    terms = {str(axis): tuple(_flat(path, axis, value)) for axis, value in found.items()}
    if not any(terms.values()):
        raise _unfit(path, "the file holds no term")
    return terms


def _flat(path: Path, axis: str, value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if not as_patterns([value]):
            raise _unfit(path, f"{axis}: {value!r} holds no word")
        yield value
    elif isinstance(value, dict) and isinstance(value.get("descriptor"), str):
        yield from _flat(path, axis, value["descriptor"])
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _flat(path, axis, inner)
    else:
        raise _unfit(path, f"{axis}: {value!r} is no term")


def _unfit(path: Path, problem: str) -> InputError:
    return InputError(
        problem, where=str(path), fix='Terms are written as axis = ["term", "another term"].'
    )
