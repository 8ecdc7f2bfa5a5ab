"""The true similarity of pairs of documents, from their shingle sets on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llamakit.artifacts.frames import read_table
from llamakit.corpus.duplicates.shingles import Shingles, shingle, similarities
from llamakit.corpus.duplicates.sketches import save_array
from llamakit.corpus.duplicates.texts import slices
from llamakit.engine.shards import Engine, map_shards
from llamakit.events import Events

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

_PAIRS_PER_SHARD = 20_000
_SLICE_BYTES = 2**20


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
    """Write the rows' shingle sets, one after another, and where each row's begin."""
    rows = np.load(shard.rows)
    hashes, sizes = [np.zeros(0, np.uint64)], [np.zeros(1, np.int64)]
    if len(rows):
        texts = read_table(shard.part, ["text"])["text"].gather(rows)
        for _, piece in slices(texts, _SLICE_BYTES):
            found = shingle(piece, shard.ngram)
            hashes.append(found.hashes)
            sizes.append(np.diff(found.offsets))
    save_array(shard.folder / "hashes.npy", np.concatenate(hashes))
    save_array(shard.folder / "offsets.npy", np.cumsum(np.concatenate(sizes)))
    return {"documents": len(rows)}


@dataclass(frozen=True)
class Verify:
    """Compare pairs of gathered documents; `gathered` holds a folder a shard."""

    folder: Path
    gathered: Path

    @property
    def pairs(self) -> Path:
        """(pairs, 4) i64: shard of the one and of the other, then the place in each; sorted."""
        return self.folder / "pairs.npy"

    @property
    def similarities(self) -> Path:
        """(pairs,) f64: Jaccard similarities."""
        return self.folder / "similarities.npy"


def verify(job: Verify) -> dict[str, Any]:
    """The Jaccard similarity of each pair."""
    pairs = np.load(job.pairs)
    result = np.zeros(len(pairs))
    turns = np.flatnonzero(np.any(pairs[1:, :2] != pairs[:-1, :2], axis=1)) + 1
    for low, high in zip([0, *turns], [*turns, len(pairs)], strict=True):
        one, other = pairs[low, :2]
        places = np.ascontiguousarray(pairs[low:high, 2:])
        result[low:high] = similarities(
            _gathered(job.gathered, one), _gathered(job.gathered, other), places
        )
    save_array(job.similarities, result)
    return {"pairs": len(pairs)}


def _gathered(folder: Path, shard: int) -> Shingles:
    """A shard's sets, mapped: of the hashes only those are read that are compared."""
    home = folder / f"{shard:05d}"
    hashes = np.load(home / "hashes.npy", mmap_mode="r")
    return Shingles(hashes.view(np.ndarray), np.load(home / "offsets.npy"))


class Verifier:
    """Compares documents named by number, some of which it has gathered beforehand."""

    def __init__(
        self,
        parts: list[Path],
        begins: I64,
        wanted: I64,
        ngram: int,
        work: Path,
        engine: Engine,
        events: Events,
    ) -> None:
        """Gather the `wanted` documents, ascending numbers; `begins` as in `Corpus`."""
        self._begins, self._wanted = begins, wanted
        self._work, self._engine, self._events = work, engine, events
        self._bounds = np.searchsorted(wanted, begins)
        gathers = []
        for index, part in enumerate(parts):
            item = Gather(part, work / f"gather/{index:05d}", ngram)
            low, high = self._bounds[index : index + 2]
            save_array(item.rows, wanted[low:high] - begins[index])
            gathers.append(item)
        self._map(gather, gathers, "gathered", "gathering")

    def similarities(self, pairs: I64, name: str) -> F64:
        """The similarity of each pair (n, 2) of gathered documents; `name` is the scratch's."""
        places = np.searchsorted(self._wanted, pairs)
        shards = np.searchsorted(self._begins, pairs, side="right") - 1
        table = np.concatenate([shards, places - self._bounds[shards]], axis=1)
        order = np.lexsort(table.T[[3, 2, 1, 0]])
        jobs = []
        for number, start in enumerate(range(0, len(pairs), _PAIRS_PER_SHARD)):
            job = Verify(self._work / name / f"{number:05d}", self._work / "gather")
            save_array(job.pairs, table[order[start : start + _PAIRS_PER_SHARD]])
            jobs.append(job)
        self._map(verify, jobs, f"{name}-done", "verifying")
        result = np.zeros(len(pairs))
        result[order] = np.concatenate([np.zeros(0), *(np.load(j.similarities) for j in jobs)])
        return result

    def _map(self, function: Any, items: list[Any], done: str, label: str) -> None:
        map_shards(
            function,
            items,
            done=self._work / done,
            engine=self._engine,
            events=self._events,
            label=label,
            threads=True,
        )
