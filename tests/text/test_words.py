from __future__ import annotations

import io
import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import sentencepiece

from llamakit.text import words
from llamakit.text.vocabulary import SETTINGS, learn_vocabulary
from llamakit.text.words import (
    FILLED_LINE,
    MAX_SENTENCE_BYTES,
    WordCounts,
    drawn_lines,
    split_sentences,
)

ALPHABET = [
    *[
        "the",
        "river",
        "Alder",
        "runs",
        "x\r",
        "\r",
        "\x00",
        "▅",
        "é",
        "▁",
        "  ",
        " ",
        "1984",
        "京都",
    ],
    *["ab▁c", "\x1c", "\u00a0", "foo.bar", "Q", "a\tb", "京都"],
]


def some_texts(count: int, seed: int = 1) -> list[str]:
    draws = random.Random(seed)

    def line() -> str:
        return draws.choice(["", " "]).join(draws.choices(ALPHABET, k=draws.randrange(14)))

    return ["\n".join(line() for _ in range(5)) for _ in range(count)]


def counted(texts: list[str], repeats: list[int]) -> WordCounts:
    found = WordCounts()
    for begin in range(0, len(texts), 100):
        found.add(pl.Series(texts[begin : begin + 100]), pl.Series(repeats[begin : begin + 100]))
    return found


def plain_sentencepiece(sentences: list[str], size: int) -> bytes:
    """The vocabulary that SentencePiece learns from the sentences themselves."""
    target = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(sentences),
        model_writer=target,
        vocab_size=size,
        **SETTINGS,
    )
    return target.getvalue()


def test_the_vocabulary_is_plain_sentencepieces_byte_for_byte(tmp_path: Path) -> None:
    texts = some_texts(600)
    repeats = [1 + index % 3 for index in range(len(texts))]
    sentences = [
        sentence.replace("\t", "\0")
        for text, times in zip(texts, repeats, strict=True)
        for sentence in [*split_sentences(text)] * times
    ]
    learned = learn_vocabulary(counted(texts, repeats), tmp_path, 420)
    assert learned.model_path.read_bytes() == plain_sentencepiece(sentences, 420)
    assert not any("\t" in learned.piece(index) for index in range(420))


def test_words_and_sentences_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_LEAST_ROWS", 10)
    texts = ["a b  c\n\n a", "long " * 2000, "x" * 9000, " \t\n"]
    found = counted(texts * 50, [1, 2, 1, 5] * 50)
    reference: Counter[str] = Counter()
    for text, times in zip(texts, [1, 2, 1, 5], strict=True):
        for sentence in split_sentences(text):
            assert len(sentence.encode()) <= MAX_SENTENCE_BYTES
            for word in re.findall(" +[^ ]*", " " + sentence):
                reference[word[1:]] += times * 50
    lines = dict(line.rsplit("\t", 1) for line in found.lines())
    assert {word: int(n) for word, n in lines.items()} == reference
    assert found.sentences == 50 * sum(
        times * len([*split_sentences(text)])
        for text, times in zip(texts, [1, 2, 1, 5], strict=True)
    )


def test_filled_lines_are_the_sentences() -> None:
    texts = some_texts(300)
    filled = pl.Series(texts).str.count_matches(FILLED_LINE).to_list()
    assert filled == [len([*split_sentences(text)]) for text in texts]


def test_drawn_lines_follow_their_numbers_alone() -> None:
    whole = drawn_lines(0, 10_000, 0.3, seed=4)
    parts = [drawn_lines(begin, 1_000, 0.3, seed=4) for begin in range(0, 10_000, 1_000)]
    assert np.concatenate(parts).tolist() == whole.tolist()
    assert abs(whole.mean() - 0.3) < 0.02
    assert drawn_lines(0, 10_000, 0.3, seed=5).tolist() != whole.tolist()
    assert drawn_lines(0, 100, 1.0, seed=0).all()
