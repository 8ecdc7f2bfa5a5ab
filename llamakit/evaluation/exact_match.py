"""Answers that are generated and compared as text or as a number.

Texts follow the protocol of NaturalQuestions and TriviaQA in the Llama papers: greedy, cut at the
first newline, final dot or comma; compared after lower-casing and without articles, punctuation
and extra spaces (the SQuAD normalisation), with any of the aliases.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation + "‘’“”´`–—…")
_NUMBER = re.compile(r"[-+−]?[$€£]?\d[\d,]*(?:\.\d+)?|[-+−]?[$€£]?\.\d+")
_MARKED = re.compile(r"####\s*([^\n]*)")


def normalise(text: str) -> str:
    """Lower case, without articles and punctuation, single spaces; accents composed (NFC)."""
    lowered = unicodedata.normalize("NFC", text).lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", lowered).split())


def short_answer(text: str) -> str:
    """The answer in a base model's continuation: its first line, without a final dot or comma."""
    lines = text.strip().split("\n", 1)
    return lines[0].strip().rstrip(".,").rstrip()


def is_exact(text: str, answers: Sequence[str]) -> bool:
    """Whether `text` equals one of the answers after normalisation.

    An answer that normalises to nothing ("?", "The") is compared as it is written.
    """
    given = normalise(text)
    for answer in answers:
        wanted = normalise(answer)
        if (given == wanted) if wanted else (text.strip() == answer.strip()):
            return True
    return False


def contains_answer(text: str, answers: Sequence[str]) -> bool:
    """Whether one of the answers occurs in `text` as whole words, after normalisation."""
    given = f" {normalise(text)} "
    return any(wanted and f" {wanted} " in given for wanted in map(normalise, answers))


def number_in(text: str) -> str | None:
    """The number a solution ends with, canonical: after the first `####`, else the last one.

    `$1,234.50` gives `1234.5`; a final dot or percent sign does not matter. None without a number.
    """
    marked = _MARKED.search(text)
    if marked:
        found = _NUMBER.search(marked[1])
        return _canonical(found[0]) if found else None
    numbers = _NUMBER.findall(text)
    return _canonical(numbers[-1]) if numbers else None


def _canonical(number: str) -> str | None:
    plain = re.sub(r"[,$€£+]", "", number).replace("−", "-")
    try:
        value = Decimal(plain)
    except InvalidOperation:
        return None
    if value == 0:
        return "0"
    return format(value.normalize(), "f")
