"""Phrases that rule a document out: “lorem ipsum”, and the words of a list that a user gives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from llamakit.errors import InputError


def holds(texts: pl.Series, phrase: str) -> list[bool]:
    """Whether each text holds the phrase (ASCII), in any letter case."""
    return texts.str.contains_any([phrase], ascii_case_insensitive=True).to_list()


def read_words(path: Path) -> list[str]:
    """The words of a list, one a line; empty lines are passed over.

    Raises:
        InputError: the file is missing, no text, or without a word.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the list cannot be read ({error})", where=str(path)) from None
    words = [line.strip() for line in lines if line.strip()]
    if not words:
        raise InputError("the list holds no word", where=str(path))
    return words


class WordList:
    """Words and phrases, found whole and in any letter case; those of a script that is written
    without spaces (Chinese, Japanese, Thai …) are found anywhere."""

    def __init__(self, words: Sequence[str]) -> None:
        self._folded = sorted({word.casefold() for word in words})
        bounded: list[str] = []
        free: list[str] = []
        for word in self._folded:
            (free if _SPACELESS.search(word) else bounded).append(re.escape(word))
        patterns = [rf"(?<!\w)(?:{'|'.join(bounded)})(?!\w)"] if bounded else []
        self._pattern = re.compile("|".join(patterns + free))

    def count(self, texts: Sequence[str]) -> list[int]:
        """How often words of the list stand in each text."""
        folded = pl.Series(values=[text.casefold() for text in texts], dtype=pl.String)
        # The automaton reads a gigabyte a second and passes the few texts that need the pattern.
        suspects = folded.str.contains_any(self._folded).to_list()
        return [
            len(self._pattern.findall(text)) if suspect else 0
            for text, suspect in zip(folded.to_list(), suspects, strict=True)
        ]


_SPACELESS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
