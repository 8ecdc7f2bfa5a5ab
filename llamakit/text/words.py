"""The words of a text, counted: all that learning a vocabulary needs to know of it.

SentencePiece's byte-pair training takes sentences apart at spaces and then looks at words and their
counts only. Counting them beforehand, a batch of documents at a time, gives it the same words while
no more than the distinct ones are ever in memory.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llamakit.artifacts.frames import group

MAX_SENTENCE_BYTES = 4192
"""SentencePiece leaves longer sentences out of training."""

_BLANK = " ▁\t\r"
FILLED_LINE = rf"[^{_BLANK}\n][^\n]*"
"""Matches once in each line that is not blank."""
_UNKNOWN = "\u2585"
"""SentencePiece's own sign for characters that it leaves out; it skips sentences that hold it."""

# As SentencePiece splits where pieces of spaces alone are allowed: a run of spaces begins a word.
_WORD = "[ ▁]+[^ ▁]*"

# Distinct words are brought together when the batches hold so many times more rows than these.
_SLACK = 2
_LEAST_ROWS = 1_000_000


class WordCounts:
    """Words of all texts added, each with the space it begins with, and how often they occur."""

    def __init__(self) -> None:
        self.sentences = 0
        """Sentences that the words are from, each as often as its text is read."""
        self._frames: list[pl.DataFrame] = []
        self._together = 0

    def add(
        self, texts: pl.Series, repeats: pl.Series, drawn: NDArray[np.bool_] | None = None
    ) -> None:
        """Count the words of texts, each as often as it is read.

        Args:
            drawn: of all lines of the texts, in order, those to learn from; by default all.
        """
        lines = pl.DataFrame({"line": texts, "n": repeats.cast(pl.Int64)})
        lines = lines.with_columns(pl.col("line").str.split("\n")).explode("line")
        if drawn is not None:
            lines = lines.filter(drawn)
        lines = _sentences(lines)
        self.sentences += int(lines["n"].sum())
        # A tab parts columns in what SentencePiece is given below. To it both that and a null
        # character are borders that no piece holds.
        line = pl.lit(" ") + pl.col("line").str.replace_all("\t", "\0", literal=True)
        words = lines.select(line.str.extract_all(_WORD).alias("word"), "n").explode("word")
        self._frames.append(group(words, "word", [pl.col("n").sum()]))
        rows = sum(map(len, self._frames))
        if rows > max(_LEAST_ROWS, _SLACK * self._together):
            self._together = len(self._merged())

    def __bool__(self) -> bool:
        return self.sentences > 0

    def lines(self) -> Iterator[str]:
        """Word, tab, count: without the first space, which SentencePiece puts before each."""
        for word, n in self._merged().iter_rows():
            yield f"{word[1:]}\t{n}"

    def _merged(self) -> pl.DataFrame:
        if len(self._frames) > 1:
            self._frames = [group(pl.concat(self._frames), "word", [pl.col("n").sum()])]
        return self._frames[0]


def drawn_lines(first: int, count: int, share: float, seed: int) -> NDArray[np.bool_]:
    """Which lines are learned from, by their numbers in the corpus: the same however the corpus is
    cut into parts. Each is drawn with probability `share` (SplitMix64 of seed and number)."""
    state = np.arange(first, first + count, dtype=np.uint64) + np.uint64(seed * 2**40 % 2**64)
    state = (state + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (state ^ (state >> np.uint64(31))) < np.uint64(min(share, 1.0) * (2**64 - 2**11))


def split_sentences(text: str) -> Iterator[str]:
    """The lines of a text, those longer than `MAX_SENTENCE_BYTES` cut at spaces.

    The pieces of a line keep the space they begin with. A run without any space that is too long is
    cut anywhere.
    """
    for line in text.split("\n"):
        rest = line
        while len(rest.encode("utf-8")) > MAX_SENTENCE_BYTES:
            # A quarter of the characters is the most that surely fits.
            head = rest[: MAX_SENTENCE_BYTES // 4]
            cut = head.rfind(" ")
            cut = cut if cut > 0 else len(head)
            yield rest[:cut]
            rest = rest[cut:]
        if rest.strip(_BLANK):
            yield rest


def _sentences(lines: pl.DataFrame) -> pl.DataFrame:
    """Lines as `split_sentences` gives them; order is not kept."""
    long = lines["line"].str.len_bytes() > MAX_SENTENCE_BYTES
    cut = [
        (sentence, n)
        for line, n in lines.filter(long).iter_rows()
        for sentence in split_sentences(line)
    ]
    short = lines.filter(~long).filter(pl.col("line").str.strip_chars(_BLANK) != "")
    whole = pl.concat([short, pl.DataFrame(cut, schema=lines.schema, orient="row")])
    whole = whole.filter(~pl.col("line").str.contains(_UNKNOWN, literal=True))
    return whole.with_columns(pl.col("line").str.strip_chars_end("\r"))
