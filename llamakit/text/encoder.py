"""Encode whole corpora: a word that was met before is looked up, not encoded again.

No piece of a vocabulary learned by `train_vocabulary`, or of Llama 2's, holds a space after
another character, nor a line break. Byte-pair encoding merges neighbours only into pieces, so it
never merges across such a place: a text may be cut there and its segments be encoded one by one,
with exactly the ids of the whole. Segments repeat, so most are found in a dictionary.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, filterfalse, pairwise

import numpy as np

from llamakit.text.tokens import token_dtype
from llamakit.text.vocabulary import SPACE, Vocabulary

# A run of spaces, or of line breaks, and what follows up to the next. All of a text is covered,
# since it begins with the dummy space.
_SEGMENT = re.compile(rf"[ {SPACE}]+[^ {SPACE}\n]*|\n+[^ {SPACE}\n]*")
_BEGIN = re.compile(rf"(?<![ {SPACE}])[ {SPACE}]|(?<!\n)\n")

BATCH_CHARACTERS = 1 << 20
"""Text is cut into segments so much at a time: bounds the memory, also for a long document."""
DICTIONARY_BYTES = 150_000_000
"""The dictionary starts anew when it holds about so much."""
_ENTRY_BYTES = 120


class Encoder:
    """Texts to ids, as bytes in the token store's dtype."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._dtype = token_dtype(vocabulary.size)
        self._bos, self._eos = (
            np.array([special], self._dtype).tobytes()
            for special in (vocabulary.bos, vocabulary.eos)
        )
        self._known: dict[str, bytes] = {}
        self._held = 0
        self._cut = can_be_cut(vocabulary)

    @property
    def bytes_per_token(self) -> int:
        """Bytes of one id."""
        return self._dtype.itemsize

    def encode(self, texts: Iterable[str]) -> Iterator[bytes]:
        """For each text BOS, the ids that `Vocabulary.encode` gives, EOS."""
        for batch in _batches(texts):
            if not self._cut:
                found = self._packed(batch, skip=0)
            elif len(batch[0]) > BATCH_CHARACTERS:
                windows = _windows(" " + batch[0])
                found = [b"".join(ids for window in windows for ids in self._joined([window]))]
            else:
                found = self._joined([" " + text if text else "" for text in batch])
            for ids in found:
                yield self._bos + ids + self._eos

    def _joined(self, texts: Sequence[str]) -> list[bytes]:
        """Ids of texts that begin with their dummy space, or where a segment does."""
        segmented = [_SEGMENT.findall(text) for text in texts]
        self._learn(segmented)
        return [b"".join(map(self._known.__getitem__, segments)) for segments in segmented]

    def _learn(self, segmented: list[list[str]]) -> None:
        if self._held > DICTIONARY_BYTES:
            self._known, self._held = {}, 0
        unknown = filterfalse(self._known.__contains__, chain.from_iterable(segmented))
        new = list(dict.fromkeys(unknown))
        # Before each a line break, which joins with nothing, and away with its ids: SentencePiece
        # would put a dummy space before the segment.
        before = len(self._vocabulary.encode("\n"))
        self._known.update(
            zip(new, self._packed(["\n" + each for each in new], before), strict=True)
        )
        self._held += sum(map(len, new)) + _ENTRY_BYTES * len(new)

    def _packed(self, texts: Sequence[str], skip: int) -> list[bytes]:
        """Ids of each text without the first `skip`."""
        encoded = self._vocabulary.encode_batch(texts)
        size = self._dtype.itemsize
        ends = [0, *np.cumsum([size * len(ids) for ids in encoded]).tolist()]
        flat = np.fromiter(chain.from_iterable(encoded), self._dtype).tobytes()
        return [flat[begin + size * skip : end] for begin, end in pairwise(ends)]


def can_be_cut(vocabulary: Vocabulary) -> bool:
    """Whether no piece reaches over a place where a segment begins, and no character is unknown."""
    learned = (vocabulary.piece(i) for i in range(vocabulary.size) if vocabulary.is_learned(i))
    return vocabulary.has_bytes and not any(
        "\n" in piece or SPACE in piece.lstrip(SPACE) for piece in learned
    )


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


def _windows(text: str) -> Iterator[str]:
    """A long text cut where segments begin; a segment that is longer still stays whole."""
    begin = 0
    while place := _BEGIN.search(text, begin + BATCH_CHARACTERS):
        yield text[begin : place.start()]
        begin = place.start()
    yield text[begin:]
