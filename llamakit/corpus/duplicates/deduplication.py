"""Exact and near-duplicate removal over shards of documents.

    sketch each shard   exact key and MinHash band keys, on disk
    pair                equal exact keys; equal band keys, one band in memory at a time
    gather each shard   the shingle sets of the candidates only
    verify              the true Jaccard similarity of every candidate pair
    cluster             connected components of verified pairs; the first document survives
    write each shard    survivors to data/, the others to rejected/ with what they duplicate

Memory is bounded by a shard, plus about 50 bytes a document for the pairing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llamakit.artifacts.frames import read_table
from llamakit.corpus.duplicates.candidates import candidate_pairs
from llamakit.corpus.duplicates.clusters import components, first_of_equal
from llamakit.corpus.duplicates.shards import (
    Gather,
    Sketch,
    Split,
    Verify,
    gather,
    save_array,
    sketch,
    split,
    verify,
)
from llamakit.engine.shards import Engine, map_shards
from llamakit.events import Events

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

_PAIRS_PER_SHARD = 20_000
_LOST_SHARE = 0.5
_LOST_DOCUMENTS = 20


@dataclass(frozen=True)
class Settings:
    """`similarity`: Jaccard of word n-grams from which two documents are duplicates (1: exact
    copies only). `bands` x `rows` of `num_perm` MinHash values find the candidates."""

    similarity: float
    ngram: int
    num_perm: int
    bands: int
    rows: int

    @property
    def near(self) -> bool:
        """Whether near duplicates are looked for at all."""
        return self.similarity < 1


@dataclass(frozen=True)
class Deduplicated:
    """What was found. `candidates` and `verified` count pairs; `largest` is a cluster's size."""

    documents: int
    exact: int
    near: int
    candidates: int
    verified: int
    clusters: int
    largest: int


def deduplicate(
    parts: Sequence[Path],
    target: Path,
    work: Path,
    settings: Settings,
    *,
    engine: Engine,
    events: Events,
) -> Deduplicated:
    """Write `data/` and `rejected/` below `target`; the result does not depend on `engine`."""
    sketches = [Sketch(p, work / f"sketch/{i:05d}", settings) for i, p in enumerate(parts)]
    results = map_shards(
        sketch, sketches, done=work / "sketched", engine=engine, events=events, label="sketching"
    )
    begins = np.cumsum([0, *(result["documents"] for result in results)])
    n_documents = int(begins[-1])
    exact_keys = [np.load(s.exact).view("V16").ravel() for s in sketches]
    twin = first_of_equal(np.concatenate([np.zeros(0, "V16"), *exact_keys]))
    pairs, similarities, candidates = np.zeros((0, 2), np.int64), np.zeros(0), 0
    if settings.near:
        whole = _candidates(sketches, twin, settings)
        candidates = len(whole)
        similarities = _verified(whole, parts, begins, work, settings, engine, events)
        alike = similarities >= settings.similarity
        pairs, similarities = whole[alike], similarities[alike]
    first = components(n_documents, pairs)[twin]
    verdicts = _verdicts(twin, first, pairs, similarities)
    _write_verdicts(verdicts, parts, begins, work / "verdicts")
    splits = [Split(p, work / f"verdicts/{i:05d}.parquet", target, i) for i, p in enumerate(parts)]
    written = map_shards(
        split, splits, done=work / "split", engine=engine, events=events, label="writing"
    )
    _warn_of_losses([result["sources"] for result in written], events)
    removed = first != np.arange(n_documents)
    sizes = np.bincount(first, minlength=1)
    return Deduplicated(
        documents=n_documents,
        exact=int(np.sum(twin != np.arange(n_documents))),
        near=int(np.sum(removed & (twin == np.arange(n_documents)))),
        candidates=candidates,
        verified=len(pairs),
        clusters=int(np.sum(sizes > 1)),
        largest=int(sizes.max()),
    )


def _candidates(sketches: Sequence[Sketch], twin: I64, settings: Settings) -> I64:
    """Pairs among the documents that have words and are the first of their exact copies."""
    wordy = np.concatenate([np.load(s.wordy) for s in sketches])
    items = np.flatnonzero(wordy & (twin == np.arange(len(twin))))

    def bands() -> Iterator[NDArray[np.uint64]]:
        for band in range(settings.bands):
            keys = [np.load(s.bands, mmap_mode="r")[band] for s in sketches]
            yield np.concatenate(keys)[items]

    return candidate_pairs(bands(), items)


def _verified(
    pairs: I64,
    parts: Sequence[Path],
    begins: I64,
    work: Path,
    settings: Settings,
    engine: Engine,
    events: Events,
) -> F64:
    """The true Jaccard similarity of each candidate pair."""
    wanted = np.unique(pairs)
    bounds = np.searchsorted(wanted, begins)
    gathers = []
    for index, part in enumerate(parts):
        rows = wanted[bounds[index] : bounds[index + 1]] - begins[index]
        item = Gather(part, work / f"gather/{index:05d}", settings.ngram)
        save_array(item.rows, rows)
        gathers.append(item)
    map_shards(
        gather, gathers, done=work / "gathered", engine=engine, events=events, label="gathering"
    )
    # A candidate's place: the shard it lies in and its number among that shard's candidates.
    shard = np.searchsorted(begins, wanted, side="right") - 1
    place = np.arange(len(wanted)) - bounds[shard]
    index_of = np.searchsorted(wanted, pairs)
    verifies = []
    for number, start in enumerate(range(0, len(pairs), _PAIRS_PER_SHARD)):
        chosen = index_of[start : start + _PAIRS_PER_SHARD]
        job = Verify(work / f"verify/{number:05d}", work / "gather", settings.similarity)
        save_array(job.pairs, np.stack([shard[chosen], place[chosen]], axis=-1))
        verifies.append(job)
    map_shards(
        verify, verifies, done=work / "verified", engine=engine, events=events, label="verifying"
    )
    return np.concatenate([np.zeros(0), *(np.load(job.similarities) for job in verifies)])


def _verdicts(twin: I64, first: I64, pairs: I64, similarities: F64) -> pl.DataFrame:
    """One row a removed document: what survives in its place, and what it was found to match.

    The match is the survivor where the two were compared, else the most similar document.
    """
    own = np.arange(len(twin))
    match, degree = twin.copy(), np.where(twin != own, 1.0, 0.0)
    # Written in ascending order of preference: the last one stands.
    both = np.concatenate([pairs, pairs[:, ::-1]])
    alike = np.concatenate([similarities, similarities])
    preferred = np.lexsort((-both[:, 1], alike, first[both[:, 0]] == both[:, 1]))
    match[both[preferred, 0]] = both[preferred, 1]
    degree[both[preferred, 0]] = alike[preferred]
    copies = twin != own
    match[copies], degree[copies] = twin[copies], 1.0
    removed = np.flatnonzero(first != own)
    return pl.DataFrame(
        {
            "document": removed,
            "survivor": first[removed],
            "match": match[removed],
            "similarity": degree[removed],
            "exact": copies[removed],
        }
    )


def _write_verdicts(
    verdicts: pl.DataFrame, parts: Sequence[Path], begins: I64, folder: Path
) -> None:
    """Per shard, the rows to remove, with ids instead of numbers."""
    needed = np.unique(np.concatenate([verdicts["survivor"], verdicts["match"]]).astype(np.int64))
    bounds = np.searchsorted(needed, begins)
    names: list[str] = []
    for index, part in enumerate(parts):
        rows = needed[bounds[index] : bounds[index + 1]] - begins[index]
        if len(rows):
            names += read_table(part, ["id"])["id"].gather(rows).to_list()
    ids = pl.Series(names, dtype=pl.String)
    limits = np.searchsorted(verdicts["document"].to_numpy(), begins)
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(len(parts)):
        mine = verdicts[int(limits[index]) : int(limits[index + 1])]
        mine = mine.with_columns(
            pl.col("document") - int(begins[index]),
            ids.gather(np.searchsorted(needed, mine["survivor"].to_numpy())).alias("survivor"),
            ids.gather(np.searchsorted(needed, mine["match"].to_numpy())).alias("match"),
        )
        mine.write_parquet(folder / f"{index:05d}.parquet")


def _warn_of_losses(shards: Sequence[dict[str, list[int]]], events: Events) -> None:
    """Say when a source loses most of its documents: that is more often an error than a finding."""
    totals: dict[str, list[int]] = {}
    for sources in shards:
        for source, (kept, removed) in sources.items():
            total = totals.setdefault(source, [0, 0])
            total[0] += kept
            total[1] += removed
    for source, (kept, removed) in sorted(totals.items()):
        if removed >= _LOST_DOCUMENTS and removed > _LOST_SHARE * (kept + removed):
            events.warn(f"{source} loses {removed:,} of its {kept + removed:,} documents")
