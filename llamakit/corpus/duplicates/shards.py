"""The steps of deduplication that run on one shard: each reads and writes files of its own."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llamakit.artifacts.files import atomic_file
from llamakit.artifacts.frames import (
    DOCUMENTS,
    REJECTED,
    group,
    part_name,
    read_table,
    write_table,
)
from llamakit.corpus.duplicates.shingles import Shingles, distinct, normalise, shingle_batches
from llamakit.corpus.duplicates.signatures import band_keys, signatures
from llamakit.corpus.reading.documents import metadata_text

if TYPE_CHECKING:
    from llamakit.corpus.duplicates.deduplication import Settings


@dataclass(frozen=True)
class Sketch:
    """Sketch the documents of `part` into `folder`."""

    part: Path
    folder: Path
    settings: Settings

    @property
    def exact(self) -> Path:
        """(documents, 2) u64: a 128-bit key of the normalised text."""
        return self.folder / "exact.npy"

    @property
    def bands(self) -> Path:
        """(bands, documents) u64."""
        return self.folder / "bands.npy"

    @property
    def wordy(self) -> Path:
        """(documents,) bool: whether a document has words, so that it has a signature."""
        return self.folder / "wordy.npy"


def sketch(shard: Sketch) -> dict[str, Any]:
    """Exact keys and, where near duplicates are looked for, band keys."""
    texts = read_table(shard.part, ["text"])["text"].to_list()
    digests = [hashlib.blake2b(normalise(t).encode(), digest_size=16).digest() for t in texts]
    save_array(shard.exact, np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2))
    settings = shard.settings
    if settings.near:
        keys = [np.zeros((settings.bands, 0), np.uint64)]
        wordy = [np.zeros(0, bool)]
        for shingles in shingle_batches(texts, settings.ngram):
            values = signatures(shingles, settings.num_perm)
            keys.append(band_keys(values, settings.bands, settings.rows))
            wordy.append(np.diff(shingles.offsets) > 0)
        save_array(shard.bands, np.concatenate(keys, axis=1))
        save_array(shard.wordy, np.concatenate(wordy))
    return {"documents": len(texts)}


@dataclass(frozen=True)
class Gather:
    """Collect the shingle sets of some rows of `part` into `folder`."""

    part: Path
    folder: Path
    ngram: int

    @property
    def rows(self) -> Path:
        """The rows wanted, ascending."""
        return self.folder / "rows.npy"


def gather(shard: Gather) -> dict[str, Any]:
    """Write the rows' distinct shingles, one after another, and where each row's begin."""
    rows = np.load(shard.rows)
    texts: list[str] = []
    if len(rows):
        texts = read_table(shard.part, ["text"])["text"].gather(rows).to_list()
    batches = [distinct(batch) for batch in shingle_batches(texts, shard.ngram)]
    save_array(
        shard.folder / "hashes.npy", np.concatenate([np.zeros(0, np.uint64), *_hashes(batches)])
    )
    sizes = np.concatenate([np.zeros(1, np.int64), *(np.diff(b.offsets) for b in batches)])
    save_array(shard.folder / "offsets.npy", np.cumsum(sizes))
    return {"documents": len(texts)}


def _hashes(batches: list[Shingles]) -> list[NDArray[np.uint64]]:
    return [batch.hashes for batch in batches]


@dataclass(frozen=True)
class Verify:
    """Compare pairs of gathered documents; `gathered` holds a folder a shard."""

    folder: Path
    gathered: Path
    similarity: float

    @property
    def pairs(self) -> Path:
        """(pairs, 2, 2) i64: of both documents the shard and the place in it."""
        return self.folder / "pairs.npy"

    @property
    def similarities(self) -> Path:
        """(pairs,) f64: Jaccard similarities."""
        return self.folder / "similarities.npy"


def verify(shard: Verify) -> dict[str, Any]:
    """The Jaccard similarity of each pair; 0 where the sizes alone rule the threshold out."""
    pairs = np.load(shard.pairs)
    result = np.zeros(len(pairs))
    for index, (one, other) in enumerate(pairs.tolist()):
        a, b = _shingles_of(shard.gathered, *one), _shingles_of(shard.gathered, *other)
        small, large = sorted((len(a), len(b)))
        if small >= shard.similarity * large:
            common = np.intersect1d(a, b, assume_unique=True).size
            result[index] = common / (small + large - common)
    save_array(shard.similarities, result)
    return {"pairs": len(pairs)}


def _shingles_of(folder: Path, shard: int, place: int) -> NDArray[np.uint64]:
    hashes, offsets = _opened(folder / f"{shard:05d}")
    return hashes[offsets[place] : offsets[place + 1]]


@lru_cache(maxsize=256)
def _opened(folder: Path) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    hashes = np.load(folder / "hashes.npy", mmap_mode="r")
    return np.asarray(hashes), np.load(folder / "offsets.npy")


@dataclass(frozen=True)
class Split:
    """Write part `index` of `target` without the rows that `verdicts` removes."""

    part: Path
    verdicts: Path
    target: Path
    index: int


def split(shard: Split) -> dict[str, Any]:
    """Survivors to `data/`, the others to `rejected/`; returns [kept, removed] by source."""
    frame = read_table(shard.part)
    verdicts = read_table(shard.verdicts)
    removed = np.zeros(len(frame), bool)
    removed[verdicts["document"].to_numpy()] = True
    kept = frame.filter(pl.Series(~removed, dtype=pl.Boolean))
    write_table(shard.target / "data" / part_name(shard.index), kept, DOCUMENTS)
    dropped = frame.filter(pl.Series(removed, dtype=pl.Boolean))
    metadata = [
        _marked(text, verdict)
        for text, verdict in zip(
            dropped["metadata"].to_list(), verdicts.iter_rows(named=True), strict=True
        )
    ]
    reasons = ["exact_duplicate" if e else "near_duplicate" for e in verdicts["exact"].to_list()]
    dropped = dropped.with_columns(
        pl.Series("metadata", metadata, dtype=pl.String),
        pl.Series("reason", reasons, dtype=pl.String),
    )
    if len(dropped):
        write_table(shard.target / "rejected" / part_name(shard.index), dropped, REJECTED)
    marked = frame.select("source").with_columns(pl.Series("removed", removed))
    by_source = group(
        marked, "source", [(~pl.col("removed")).sum(), pl.col("removed").sum().alias("lost")]
    )
    return {"sources": {source: [kept, lost] for source, kept, lost in by_source.iter_rows()}}


def _marked(metadata: str, verdict: dict[str, Any]) -> str:
    """The metadata with what the document duplicates; `matched` where that is not the survivor."""
    values = json.loads(metadata)
    values["duplicate_of"] = verdict["survivor"]
    values["similarity"] = round(verdict["similarity"], 4)
    if verdict["match"] != verdict["survivor"]:
        values["matched"] = verdict["match"]
    return metadata_text(values)


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write a plain array, atomically."""
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)
