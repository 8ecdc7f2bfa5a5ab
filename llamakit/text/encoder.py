"""Encode whole corpora: a word that was met before is looked up, not encoded again.

Byte-pair encoding merges neighbours only into pieces of the vocabulary. Where two characters stand
side by side that do so in no piece, nothing is ever merged across: a text may be cut there and its
segments be encoded one by one, with exactly the ids of the whole. That is before every space, on
both sides of a digit, after most signs, between most characters of scripts without spaces.
Segments repeat, so most are found in a table; SentencePiece encodes the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from llamakit.text import segment_kernel as kernel
from llamakit.text.tokens import token_dtype
from llamakit.text.vocabulary import SPACE, Vocabulary

U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
I64 = NDArray[np.int64]

BATCH_CHARACTERS = 1 << 20
"""Texts are worked on so much at a time; a longer one alone."""
WINDOW = 1 << 18
"""Segments found at a time, whatever a text's length: bounds the memory."""
WORDS = 1 << 20
"""Words of the table; when it is full it starts anew."""
KEY_BYTES = 1 << 24
"""Bytes of all words of the table."""
_TEXT_BYTES = 4096
"""New words are given to SentencePiece in texts of about so much."""
_LINE_BREAK = 3 + 0x0A
"""Its id where no piece holds one: that of the byte."""


class Encoder:
    """Texts to ids, as bytes in the token store's dtype."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._dtype = token_dtype(vocabulary.size)
        together = characters_together(vocabulary)
        self._table = None if together is None else Table(vocabulary, together)

    @property
    def bytes_per_token(self) -> int:
        """Bytes of one id."""
        return self._dtype.itemsize

    def encode(self, texts: Iterable[str]) -> Iterator[bytes]:
        """For each text BOS, the ids that `Vocabulary.encode` gives, EOS."""
        bos, eos = self._vocabulary.bos, self._vocabulary.eos
        for batch in _batches(texts):
            if self._table is not None:
                yield from self._table.encode(batch)
                continue
            for ids in self._vocabulary.encode_batch(batch):
                yield np.array([bos, *ids, eos], self._dtype).tobytes()


class Table:
    """Words that were met, and their ids: the arrays of `segment_kernel`."""

    def __init__(self, vocabulary: Vocabulary, together: U8) -> None:
        self._vocabulary = vocabulary
        self._together = together
        dtype = token_dtype(vocabulary.size)
        self._join = kernel.join_u16 if dtype.itemsize == 2 else kernel.join_u32
        self._keys = np.empty(KEY_BYTES, np.uint8)
        self._key_begins = np.empty(WORDS + 1, np.int64)
        self._ids = np.empty(2 * WORDS, dtype)
        self._id_begins = np.empty(WORDS + 1, np.int64)
        self._found = np.empty(WINDOW, np.int32)
        self._fresh = np.empty((WINDOW, 2), np.int64)
        self._state = np.zeros(kernel.STATE, np.int64)
        self._forget()

    def _forget(self) -> None:
        """Begin anew, with the two words that stand for a document's ends."""
        self._slots: U32 = np.zeros(2 * WORDS, np.uint32)
        self._key_begins[:3] = 0
        self._ids[:2] = self._vocabulary.bos, self._vocabulary.eos
        self._id_begins[:3] = 0, 1, 2
        self._state[[kernel.WORDS, kernel.USED]] = 2, 0

    def encode(self, texts: Sequence[str]) -> Iterator[bytes]:
        """For each text BOS, its ids, EOS."""
        encoded = [b" " + text.encode() if text else b"" for text in texts]
        data = b"".join(encoded)
        ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
        self._state[[kernel.PLACE, kernel.DOCUMENT]] = 0
        begun = b""
        while self._state[kernel.DOCUMENT] < len(ends):
            *whole, rest = self._window(data, ends)
            for document in whole:
                yield begun + document
                begun = b""
            begun += rest

    def _window(self, data: bytes, ends: I64) -> list[bytes]:
        """Ids of the segments that come next, cut where documents end."""
        kernel.look_up(
            np.frombuffer(data, np.uint8), ends, self._together, self._state, self._slots,
            self._keys, self._key_begins, self._found, self._fresh,
        )  # fmt: skip
        n_found, n_fresh = self._state[[kernel.FOUND, kernel.FRESH]].tolist()
        if not n_found:
            self._forget()
            return [b""]
        if n_fresh:
            self._learn([data[begin:end] for begin, end in self._fresh[:n_fresh].tolist()])
        found = self._found[:n_found]
        stops = np.cumsum(self._id_begins[found + 1] - self._id_begins[found])
        out = np.empty(int(stops[-1]), self._ids.dtype)
        self._join(found, self._id_begins, self._ids, out)
        packed = out.tobytes()
        cuts = (out.itemsize * stops[found == kernel.END]).tolist()
        return [packed[begin:end] for begin, end in pairwise([0, *cuts, len(packed)])]

    def _learn(self, segments: Sequence[bytes]) -> None:
        """Keep the ids of the newest words."""
        encoded, lengths = _encoded(segments, self._vocabulary)
        words = int(self._state[kernel.WORDS])
        first = words - len(segments)
        begin = int(self._id_begins[first])
        end = begin + len(encoded)
        if end > len(self._ids):
            self._ids = np.concatenate([self._ids, np.empty(end, self._ids.dtype)])
        self._ids[begin:end] = encoded
        self._id_begins[first + 1 : words + 1] = begin + np.cumsum(lengths)


def _encoded(segments: Sequence[bytes], vocabulary: Vocabulary) -> tuple[I64, I64]:
    """Ids of segments one after another, and how many each has.

    SentencePiece gets texts of many, a line break before and after each: it joins with nothing and
    is found by its id. (A line break in no piece is a segment of its own.)
    """
    sizes = np.cumsum([len(segment) for segment in segments])
    firsts = np.flatnonzero(np.diff(sizes // _TEXT_BYTES, prepend=-1)).tolist()
    bounds = [*firsts, len(segments)]
    texts = [
        b"\n".join([b"", *segments[first:end], b""]).decode() for first, end in pairwise(bounds)
    ]
    ids = np.fromiter(chain.from_iterable(vocabulary.encode_batch(texts)), np.int64)
    breaks = np.flatnonzero(ids == _LINE_BREAK)
    # A text has a line break for each of its segments and one more, and those that are segments.
    own = np.array([segment == b"\n" for segment in segments])
    after = np.cumsum(own + 1) + np.repeat(np.arange(len(texts)), np.diff(bounds))
    begins, ends = breaks[after - own - 1] + 1, breaks[after]
    within = np.zeros(len(ids), np.int8)
    within[begins], within[ends] = 1, -1
    return ids[np.cumsum(within, dtype=np.int8) > 0], ends - begins


def characters_together(vocabulary: Vocabulary) -> U8 | None:
    """1 at the `segment_kernel.pair` of characters that stand side by side in some piece.

    None where texts are not to be cut: a character may be unknown, or a piece holds a line break.
    """
    learned = [vocabulary.piece(i) for i in range(vocabulary.size) if vocabulary.is_learned(i)]
    if not vocabulary.has_bytes or any("\n" in piece for piece in learned):
        return None
    joined = "\n".join(learned).replace(SPACE, " ")
    characters = np.frombuffer(joined.encode("utf-32-le"), np.uint32).astype(np.uint64)
    first, second = characters[:-1], characters[1:]
    within = (first != ord("\n")) & (second != ord("\n"))
    together = np.zeros(kernel.PAIRS, np.uint8)
    together[kernel.pair(first[within], second[within])] = 1
    return together


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts in groups of at most `BATCH_CHARACTERS`; a longer one alone."""
    batch: list[str] = []
    characters = 0
    for text in texts:
        if batch and characters + len(text) > BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
        batch.append(text)
        characters += len(text)
    if batch:
        yield batch
