"""Documents that share a key: exact copies, and the pairs worth comparing.

A task takes one range of keys of some bands out of every shard's sorted sketches, so that its
memory does not grow with the corpus: larger ones are cut into more ranges.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llamakit.corpus.duplicates.sketches import NO_BAND, ROW_BITS, save_array

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]

WINDOW = 32
"""In a bucket of more documents each is paired with its next 32 and with the first only: a page
copied 10,000 times would otherwise make 50 million pairs, and these connect it all the same."""

_KEYS_PER_TASK = 500_000
_RANGE_DOCUMENTS = 4_000_000


@dataclass(frozen=True)
class Corpus:
    """The sketches of all shards, and where each shard's documents begin (one more at the end)."""

    files: tuple[Path, ...]
    begins: tuple[int, ...]

    @property
    def documents(self) -> int:
        """How many there are; they are numbered through the shards."""
        return self.begins[-1]


@dataclass(frozen=True)
class KeyRange:
    """The keys of `bands`, from `low` up to `high`, of a corpus; what is found goes to `out`.

    `copies`: an array of bool, the documents that are left out."""

    corpus: Corpus
    bands: tuple[int, ...]
    low: int
    high: int
    out: Path
    copies: Path | None = None


def key_ranges(
    corpus: Corpus, bands: range, folder: Path, copies: Path | None = None
) -> list[KeyRange]:
    """The tasks for some bands: several bands each while there are few documents, one range of one
    band each where there are many."""
    n_ranges = -(-max(corpus.documents, 1) // _RANGE_DOCUMENTS)
    limits = [NO_BAND * n // n_ranges for n in range(n_ranges + 1)]
    step = max(1, _KEYS_PER_TASK // max(corpus.documents, 1))
    return [
        KeyRange(
            corpus,
            tuple(bands[first : first + step]),
            limits[number],
            limits[number + 1],
            folder / f"{first:04d}-{number:05d}.npy",
            copies,
        )
        for first in range(0, len(bands), step)
        for number in range(n_ranges)
    ]


def find_copies(task: KeyRange) -> dict[str, Any]:
    """Write (copies, 2): the first document of each exact text, and each later one."""
    keys, documents = next(_sorted_keys(task))
    same = np.flatnonzero(keys[1:] == keys[:-1])
    shared = np.unique(documents[np.union1d(same, same + 1)]).astype(np.int64)
    # Forty bits brought them together; all 128 decide.
    whole = np.zeros((len(shared), 2), np.uint64)
    for index, file in enumerate(task.corpus.files):
        begin, end = task.corpus.begins[index : index + 2]
        low, high = np.searchsorted(shared, [begin, end])
        if high > low:
            table = np.load(file, mmap_mode="r")
            whole[low:high] = table[-3:-1, shared[low:high] - begin].T
    first = shared[first_of_equal(np.ascontiguousarray(whole).view("V16").ravel())]
    later = first != shared
    save_array(task.out, np.stack([first[later], shared[later]], axis=-1))
    return {"copies": int(later.sum())}


def find_pairs(task: KeyRange) -> dict[str, Any]:
    """Write the distinct pairs with an equal key, ascending, as smaller << 32 | larger."""
    found = [pairs_of_keys(keys, documents) for keys, documents in _sorted_keys(task)]
    save_array(task.out, np.unique(np.concatenate(found)))
    return {"bands": len(found)}


def pairs_of_keys(keys: U64, documents: U64) -> U64:
    """Pairs of documents whose keys are equal, given both in ascending order of (key, document)."""
    found: list[U64] = [np.zeros(0, np.uint64)]
    for distance in range(1, WINDOW + 1):
        same = np.flatnonzero(keys[distance:] == keys[:-distance])
        if not len(same):
            return np.concatenate(found)
        found.append(pack(documents[same], documents[same + distance]))
    # Buckets larger than the window: join every further member to the bucket's first.
    starts = np.append(True, keys[1:] != keys[:-1])
    first = np.maximum.accumulate(np.where(starts, np.arange(len(starts)), 0))
    far = np.flatnonzero(np.arange(len(starts)) - first > WINDOW)
    return np.concatenate([*found, pack(documents[first[far]], documents[far])])


def pack(small: NDArray[Any], large: NDArray[Any]) -> U64:
    """Two numbers below 2^32 as one."""
    return small.astype(np.uint64) << np.uint64(32) | large.astype(np.uint64)


def unpack(pairs: U64) -> I64:
    """The pairs (n, 2) that were packed."""
    halves = [pairs >> np.uint64(32), pairs & np.uint64(0xFFFFFFFF)]
    return np.stack(halves, axis=-1).astype(np.int64)


def first_of_equal(keys: NDArray[np.void]) -> I64:
    """For each key the index of its first occurrence."""
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    result: I64 = first[group].astype(np.int64)
    return result


def _sorted_keys(task: KeyRange) -> Iterator[tuple[U64, U64]]:
    """For each band the keys and documents of the range, by key and then document."""
    bits = task.corpus.documents.bit_length()
    # A key keeps what room the number of the document leaves it: all 40 bits up to 16 million.
    lost = max(0, bits - ROW_BITS)
    left_out = np.load(task.copies, mmap_mode="r") if task.copies else None
    for band in task.bands:
        pieces = [np.zeros(0, np.uint64)]
        for file, begin in zip(task.corpus.files, task.corpus.begins, strict=False):
            line = np.load(file, mmap_mode="r")[band]
            ends = np.array([task.low << ROW_BITS, task.high << ROW_BITS], np.uint64)
            low, high = np.searchsorted(line, ends)
            piece = np.asarray(line[low:high])
            documents = (piece & np.uint64(2**ROW_BITS - 1)) + np.uint64(begin)
            keys = piece >> np.uint64(ROW_BITS + lost)
            if left_out is not None:
                stay = ~left_out[documents]
                documents, keys = documents[stay], keys[stay]
            pieces.append(keys << np.uint64(bits) | documents)
        packed = np.sort(np.concatenate(pieces))
        yield packed >> np.uint64(bits), packed & np.uint64(2**bits - 1)
