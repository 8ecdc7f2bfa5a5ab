"""Which evaluation items stand in training text, by matched n-grams of tokens (paper §A.6).

The evaluation side is indexed, the training side read once. A match begins with `length` equal
tokens and goes on as long as tokens are equal or fewer than `skips` have differed; it ends with an
equal one. A token of an item is contaminated when a match covers it, an item as far as its tokens
are. What many items share (instructions, repeated stems) says nothing of any one of them: such
n-grams begin no match, and the tokens in them are left out of the item's share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llamakit.engine.native import helper, kernel

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
Marks = NDArray[np.bool_]
Encode = Callable[[Sequence[str]], Sequence[U64]]

LENGTH = 10
SKIPS = 4
"""Tokens a match begins with, and how many in it may differ (§A.6)."""

_ARRAYS = ("tokens", "ends", "shared", "keys", "firsts", "places")

TEMPLATE_ITEMS = 10
"""An n-gram that stands in so many items belongs to none of them."""


@dataclass(frozen=True)
class Match:
    """Tokens `start` to `start + length` of an item stand in a document."""

    document: int
    item: int
    start: int
    length: int


@dataclass(frozen=True)
class Protected:
    """An index of evaluation items: T tokens in all, N distinct n-grams that may begin a match."""

    tokens: U64
    """(T,): the items' tokens one after another."""
    ends: I64
    """Where each item ends in them."""
    shared: Marks
    """(T,): tokens that only n-grams of templates cover, or that no n-gram covers."""
    keys: U64
    """(N,): hashes of the n-grams, ascending."""
    firsts: I64
    """(N + 1,): where the places of each n-gram begin in `places`."""
    places: I64
    """Where the n-grams begin in `tokens`."""
    length: int
    skips: int

    def matches(self, documents: Sequence[U64]) -> Iterator[Match]:
        """Every match in the documents' tokens; those that overlap come each for itself."""
        if not len(self.keys):
            return
        ends = np.cumsum([len(tokens) for tokens in documents], dtype=np.int64)
        data = np.concatenate([*documents, np.zeros(0, np.uint64)])
        bits, sieve = _sieve(self.keys)
        index = (self.tokens, self.ends, self.keys, self.firsts, self.places)
        found = np.empty((_MATCHES, 4), np.int64)
        state = np.zeros(2, np.int64)
        while state[0] < len(ends):
            _find(data, ends, *index, sieve, bits, self.length, self.skips, found, state)
            for row in found[: state[1]].tolist():
                yield Match(*row)
            if state[1] == 0 and state[0] < len(ends):
                found = np.empty((2 * len(found), 4), np.int64)

    def marks(self, matches: Sequence[Match]) -> dict[int, Marks]:
        """Which tokens of each item that is matched at all are contaminated."""
        found: dict[int, Marks] = {}
        for match in matches:
            begin, end = self._span(match.item)
            marks = found.setdefault(match.item, np.zeros(end - begin, np.bool_))
            marks[match.start : match.start + match.length] = True
        return found

    def share(self, item: int, marks: Marks) -> float:
        """The share of an item's own tokens, without templates, that are contaminated (0-1)."""
        begin, end = self._span(item)
        own = ~self.shared[begin:end]
        return float((marks & own).sum() / max(int(own.sum()), 1))

    def findable(self) -> int:
        """How many items are long enough, and enough their own, to be found at all."""
        return sum(
            bool((~self.shared[begin:end]).any())
            for begin, end in map(self._span, range(len(self)))
        )

    def __len__(self) -> int:
        return len(self.ends)

    def _span(self, item: int) -> tuple[int, int]:
        return int(self.ends[item - 1]) if item else 0, int(self.ends[item])

    def save(self, path: Path) -> None:
        """Write the index as one `.npz` file, for workers to open."""
        numbers = np.array([self.length, self.skips])
        with path.open("wb") as file:
            np.savez(file, numbers=numbers, **{name: getattr(self, name) for name in _ARRAYS})

    @classmethod
    def load(cls, path: Path) -> Protected:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as data:
            length, skips = data["numbers"].tolist()
            return cls(**{name: data[name] for name in _ARRAYS}, length=length, skips=skips)


def protect(items: Sequence[U64], *, length: int = LENGTH, skips: int = SKIPS) -> Protected:
    """Index items' tokens. An item of fewer than `length` tokens is never found."""
    tokens = np.concatenate([*items, np.zeros(0, np.uint64)])
    ends = np.cumsum([len(item) for item in items], dtype=np.int64)
    sizes = np.diff(ends, prepend=0)
    starts = [
        np.arange(end - size, end - length + 1, dtype=np.int64)
        for size, end in zip(sizes.tolist(), ends.tolist(), strict=True)
    ]
    places = np.concatenate([*starts, np.zeros(0, np.int64)])
    owners = np.repeat(np.arange(len(items)), np.maximum(sizes - length + 1, 0))
    hashes = _hashes(tokens, places, length)
    order = np.lexsort((places, hashes))
    hashes, places, owners = hashes[order], places[order], owners[order]
    group = np.cumsum(_changes(hashes)) - 1
    # Places are ascending within a group, so owners are: a change of owner is another item.
    in_items = np.bincount(group, weights=_changes(owners) | _changes(hashes))
    own = (in_items < TEMPLATE_ITEMS)[group]
    edges = np.zeros(len(tokens) + 1, np.int64)
    np.add.at(edges, places[own], 1)
    np.add.at(edges, places[own] + length, -1)
    shared = np.cumsum(edges)[:-1] == 0
    kept = hashes[own]
    begins = np.flatnonzero(_changes(kept))
    return Protected(
        tokens,
        ends,
        shared,
        kept[begins],
        np.append(begins, len(kept)).astype(np.int64),
        places[own],
        length,
        skips,
    )


def _changes(values: NDArray[Any]) -> Marks:
    """Which values differ from the one before; the first does."""
    return np.append(True, values[1:] != values[:-1])[: len(values)]


def word_tokens(texts: Sequence[str]) -> list[U64]:
    """The words of texts as 64-bit hashes: letters and digits in any script and case, and each
    character by itself where words are written without spaces (Chinese, Japanese)."""
    encoded = [text.lower().encode("utf-8", "surrogatepass") for text in texts]
    ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
    data = np.frombuffer(b"".join(encoded), np.uint8)
    tokens = np.empty(len(data), np.uint64)
    stops = np.empty(len(texts), np.int64)
    _words(data, ends, tokens, stops)
    return np.split(tokens[: stops[-1]], stops[:-1]) if len(texts) else []


_SIEVE_BITS_PER_KEY = 16
_MATCHES = 4096  # told at a time, or as many more as one document has
_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xD6E8FEB86659FD93)


def _hashes(tokens: U64, places: I64, length: int) -> U64:
    hashes = np.zeros(len(places), np.uint64)
    for offset in range(length):
        hashes = hashes * _BASE + tokens[places + offset]
    return hashes


def _sieve(keys: U64) -> tuple[int, NDArray[np.uint8]]:
    """A bit for every mixed hash, by which most n-grams of documents are passed over at once."""
    bits = max(10, int(np.ceil(np.log2(max(len(keys), 1) * _SIEVE_BITS_PER_KEY))))
    sieve = np.zeros(1 << (bits - 3), np.uint8)
    slots = (keys * _MIX) >> np.uint64(64 - bits)
    np.bitwise_or.at(
        sieve, (slots >> np.uint64(3)).astype(np.int64), np.uint8(1) << (slots & 7).astype(np.uint8)
    )
    return bits, sieve


@kernel("u64[] i64[] u64[] i64[] u64[] i64[] i64[] u8[] i64 i64 i64 i64[,] i64[]")
def _find(
    data: U64,
    document_ends: I64,
    tokens: U64,
    item_ends: I64,
    keys: U64,
    firsts: I64,
    places: I64,
    sieve: NDArray[np.uint8],
    bits: int,
    length: int,
    skips: int,
    found: I64,
    state: I64,
) -> None:
    """Fill `found`, (room, 4), with document, item, where in the item, length.

    `state`: the document to begin with, then that to go on with, and how many matches were found.
    A document whose matches do not all fit is left for the next call.
    """
    n_found = 0
    power = np.uint64(1)
    for _ in range(length):
        power *= _BASE
    start = document_ends[state[0] - 1] if state[0] else 0
    for document in range(state[0], len(document_ends)):
        end = document_ends[document]
        state[0], state[1] = document, n_found
        key = np.uint64(0)
        for place in range(start, end):
            key = key * _BASE + data[place]
            if place - start >= length:
                key -= data[place - length] * power
            if place - start < length - 1:
                continue
            slot = (key * _MIX) >> np.uint64(64 - bits)
            if not (sieve[slot >> np.uint64(3)] >> np.uint8(slot & np.uint64(7))) & 1:
                continue
            which = _first_from(keys, key)
            if which == len(keys) or keys[which] != key:
                continue
            begin = place - length + 1
            for number in range(firsts[which], firsts[which + 1]):
                candidate = places[number]
                item = _first_from(item_ends, candidate + 1)
                most = min(end - begin, item_ends[item] - candidate)
                size = _matched(data, begin, tokens, candidate, most, length, skips)
                if size < length:
                    continue
                if n_found == len(found):
                    return
                found[n_found, 0] = document
                found[n_found, 1] = item
                found[n_found, 2] = candidate - (item_ends[item - 1] if item else 0)
                found[n_found, 3] = size
                n_found += 1
        start = end
    state[0], state[1] = len(document_ends), n_found


@helper
def _first_from(values: Any, value: Any) -> Any:
    """The place of the first of the ascending values that is not below the value."""
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        if values[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@helper
def _matched(
    ours: U64, begin: Any, theirs: U64, candidate: Any, most: Any, length: int, skips: int
) -> int:
    """Tokens from both places to the last equal one, of `most`, before too many have differed."""
    last = skipped = 0
    for place in range(most):
        if ours[begin + place] == theirs[candidate + place]:
            last = place + 1
        else:
            skipped += 1
            if place < length or skipped > skips:
                break
    return last


@kernel("u8[] i64[] u64[] i64[]")
def _words(data: NDArray[np.uint8], ends: I64, tokens: U64, stops: I64) -> None:
    n_tokens = 0
    place = 0
    for text in range(len(ends)):
        word = np.uint64(0)
        while place < ends[text]:
            byte = data[place]
            size = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            if byte < 0x80:
                inside = 0x61 <= byte <= 0x7A or 0x30 <= byte <= 0x39 or 0x41 <= byte <= 0x5A
            elif byte == 0xC2:
                inside = False  # U+0080-00BF: signs, no-break spaces
            else:
                # U+2000-2BFF and U+3000-303F are spaces, punctuation and signs.
                signs = byte == 0xE2 and data[place + 1] < 0xB0
                inside = not signs and not (byte == 0xE3 and data[place + 1] == 0x80)
            alone = inside and 0xE3 <= byte <= 0xE9
            if word and (alone or not inside):
                tokens[n_tokens] = word
                n_tokens += 1
                word = np.uint64(0)
            if inside:
                word = word or np.uint64(0xCBF29CE484222325)
                for offset in range(size):
                    word = (word ^ np.uint64(data[place + offset])) * np.uint64(0x100000001B3)
            place += size
            if word and (alone or place >= ends[text]):
                tokens[n_tokens] = word
                n_tokens += 1
                word = np.uint64(0)
        stops[text] = n_tokens
