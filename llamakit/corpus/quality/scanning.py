"""One compiled pass over the characters of texts: words, lines, paragraphs and what is counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llamakit.corpus.quality.characters import (
    BREAK,
    BULLET,
    CLOSING,
    KNOWN,
    LETTER,
    LOWER,
    SPACE,
    STRIPPED,
    TERMINAL,
    classes,
    folded,
)
from llamakit.engine.native import kernel

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
SHORT_LINE = 30
"""Characters up to which FineWeb calls a line short."""

COUNTED = (
    "words",
    "word_length",
    "hashes",
    "ellipses",
    "alphabetic",
    "stop_words",
    "bullets",
    "trailing",
    "punctuated",
    "short_lines",
    "newlines",
    "sentences",
    "curly_brackets",
)
"""What a pass counts, a column each; see `measures.COLUMNS`."""

_CODES = np.array([int.from_bytes(word.encode(), "big") for word in STOP_WORDS], np.int64)
_BASIS = np.uint64(0xCBF29CE484222325)
_PRIME = np.uint64(0x100000001B3)
_DOT, _HASH, _CURLY, _ELLIPSIS, _NEWLINE = 0x2E, 0x23, 0x7B, 0x2026, 0x0A
# Sentences of scripts from here on (。) end without a space after them.
_WIDE = 0x2E80
# An upper-case word this short before a point is an abbreviation: Mr., St., J.
_ABBREVIATION = 3


@dataclass(frozen=True)
class Units:
    """The words, lines or paragraphs of several texts: hashes, lengths in characters, and the end
    of each text's stretch in them."""

    hashes: U64
    lengths: I64
    ends: I64


@dataclass(frozen=True)
class Scan:
    """The units of a batch of texts, and (texts, COUNTED) what was counted."""

    words: Units
    lines: Units
    paragraphs: Units
    counted: NDArray[np.float64]


def scan(texts: list[bytes]) -> Scan:
    """Scan texts in UTF-8. Memory is some 25 bytes a byte of text."""
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    size = (int(ends[-1]) if len(ends) else 0) // 2 + len(texts) + 1
    units = [
        Units(np.empty(size, np.uint64), np.empty(size, np.int64), np.empty(len(texts), np.int64))
        for _ in range(3)
    ]
    words, lines, paragraphs = units
    counted = np.zeros((len(texts), len(COUNTED)))
    _scan(
        np.frombuffer(b"".join(texts), np.uint8),
        ends,
        classes(),
        folded(),
        _CODES,
        words.hashes,
        words.lengths,
        words.ends,
        lines.hashes,
        lines.lengths,
        lines.ends,
        paragraphs.hashes,
        paragraphs.lengths,
        paragraphs.ends,
        counted,
    )
    return Scan(words, lines, paragraphs, counted)


@kernel("u8[] i64[] u8[] i32[] i64[] u64[] i64[] i64[] u64[] i64[] i64[] u64[] i64[] i64[] f64[,]")
def _scan(  # noqa: PLR0912, PLR0915 - one pass, whose state would be an argument of every part
    data: NDArray[np.uint8],
    ends: I64,
    kinds: NDArray[np.uint8],
    folds: NDArray[np.int32],
    stop_codes: I64,
    words: U64,
    word_lengths: I64,
    word_ends: I64,
    lines: U64,
    line_lengths: I64,
    line_ends: I64,
    paragraphs: U64,
    paragraph_lengths: I64,
    paragraph_ends: I64,
    counted: NDArray[np.float64],
) -> None:
    n_words = n_lines = n_paragraphs = 0
    place = 0
    for text in range(len(ends)):
        end = ends[text]
        first_word, first_line = n_words, n_lines
        characters = hashes = ellipses = alphabetic = stop_words = 0
        bullets = trailing = punctuated = short = newlines = sentences = curly = 0
        # Of the word, line and paragraph being read; those of the line and paragraph with a 1 go
        # on over spaces, those without are as of the last character that is none.
        word = line = line1 = paragraph = paragraph1 = _BASIS
        word_length = line_length = line1_length = paragraph_length = paragraph1_length = 0
        in_word = in_line = in_paragraph = False
        core_length = 0
        core_whole: Any = True
        bullet = capital = lettered = False
        letter: Any = False
        core: Any = 0
        code: Any = 0
        kind: Any = 0
        dots = 0
        last = 0
        ended = begun = gap_breaks = False
        gap_newlines = 0
        while True:
            # The end of the text is read as an empty line, which ends word, line and paragraph.
            over = place >= end
            if over:
                code = _NEWLINE
                kind = SPACE | BREAK
            else:
                code = np.int64(data[place])
                if code < 0x80:
                    place += 1
                elif code < 0xE0:
                    code = (code & 0x1F) << 6 | (data[place + 1] & 0x3F)
                    place += 2
                elif code < 0xF0:
                    code = (code & 0x0F) << 12 | np.int64(data[place + 1] & 0x3F) << 6
                    code |= data[place + 2] & 0x3F
                    place += 3
                else:
                    code = (code & 0x07) << 18 | np.int64(data[place + 1] & 0x3F) << 12
                    code |= np.int64(data[place + 2] & 0x3F) << 6 | (data[place + 3] & 0x3F)
                    place += 4
                kind = np.int64(kinds[code]) if code < KNOWN else 0
            spaced = kind & SPACE != 0
            if in_word and spaced:
                words[n_words] = word
                word_lengths[n_words] = word_length
                n_words += 1
                characters += word_length
                alphabetic += letter
                if core_whole and core_length >= 2:
                    for which in range(len(stop_codes)):
                        if stop_codes[which] == core:
                            stop_words |= 1 << which
                in_word = False
            if spaced:
                gap_breaks |= kind & BREAK != 0
                if code == _NEWLINE and not over:
                    newlines += 1
                    gap_newlines += 1
            elif (
                not in_word
                and ended
                and begun
                and not gap_breaks
                and not kind & LOWER
                and not (capital and word_length <= _ABBREVIATION)
            ):
                sentences += 1
                begun = False
            if in_line and ((gap_breaks and not spaced) or over):
                lines[n_lines] = line
                line_lengths[n_lines] = line_length
                n_lines += 1
                bullets += bullet
                trailing += dots >= 3 or last == _ELLIPSIS
                punctuated += last < KNOWN and kinds[last] & TERMINAL != 0
                short += line_length <= SHORT_LINE
                sentences += begun
                begun = in_line = False
            if in_paragraph and ((gap_newlines >= 2 and not spaced) or over):
                paragraphs[n_paragraphs] = paragraph
                paragraph_lengths[n_paragraphs] = paragraph_length
                n_paragraphs += 1
                in_paragraph = False
            if over:
                break
            if not spaced:
                if not in_line:
                    in_line = True
                    line1, line1_length = _BASIS, 0
                    bullet = kind & BULLET != 0
                if not in_paragraph:
                    in_paragraph = True
                    paragraph1, paragraph1_length = _BASIS, 0
                if not in_word:
                    in_word = core_whole = True
                    word, word_length = _BASIS, 0
                    core = core_length = 0
                    letter = lettered = False
                    capital = kind & LETTER != 0 and kind & LOWER == 0
                    ellipses += dots // 3
                    dots = 0
                    gap_breaks = ended = False
                    gap_newlines = 0
            line1 = (line1 ^ np.uint64(code)) * _PRIME
            paragraph1 = (paragraph1 ^ np.uint64(code)) * _PRIME
            line1_length += 1
            paragraph1_length += 1
            if spaced:
                continue
            line, line_length = line1, line1_length
            paragraph, paragraph_length = paragraph1, paragraph1_length
            fold = np.int64(folds[code]) if code < KNOWN else code
            word = (word ^ np.uint64(fold)) * _PRIME
            word_length += 1
            letter |= kind & LETTER != 0
            last = code
            if kind & STRIPPED:
                lettered = core_length > 0
            else:
                core_whole &= not lettered and core_length < 4 and fold < 0x80
                core = core << 8 | (fold & 0x7F) if core_length < 4 else 0
                core_length += 1
            if code == _DOT:
                dots += 1
            else:
                ellipses += dots // 3
                dots = 0
                ellipses += code == _ELLIPSIS
                hashes += code == _HASH
                curly += code == _CURLY
            if kind & TERMINAL or code == _ELLIPSIS:
                ended = True
                if code >= _WIDE:
                    sentences += begun
                    begun = ended = False
            elif not (kind & CLOSING):
                ended = False
                begun = True
        ellipses += dots // 3
        word_ends[text], line_ends[text], paragraph_ends[text] = n_words, n_lines, n_paragraphs
        n_of_words, n_of_lines = n_words - first_word, n_lines - first_line
        row = counted[text]
        row[4] = row[8] = 1.0
        row[0] = n_of_words
        row[11] = sentences
        row[12] = curly
        while stop_words:
            row[5] += stop_words & 1
            stop_words >>= 1
        if n_of_words:
            row[1] = characters / n_of_words
            row[2] = hashes / n_of_words
            row[3] = ellipses / n_of_words
            row[4] = alphabetic / n_of_words
            row[6] = bullets / n_of_lines
            row[7] = trailing / n_of_lines
            row[8] = punctuated / n_of_lines
            row[9] = short / n_of_lines
            row[10] = newlines / n_of_words
