"""Exact and near-duplicate removal over shards of documents.

    sketch each shard    keys of the text and of its MinHash bands, sorted, on disk
    copies, candidates   documents with equal keys, a range of keys at a time
    gather each shard    the shingle sets of the candidates only
    verify               the true Jaccard similarity of every candidate pair
    cluster              connected components of verified pairs; one document survives of each
    write each shard     survivors to data/, the others to rejected/ with what they duplicate

Memory is bounded by a shard or a range of keys, plus some dozens of bytes a candidate pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llamakit.artifacts.frames import part_name
from llamakit.corpus.duplicates.candidates import (
    Corpus,
    find_copies,
    find_pairs,
    key_ranges,
    unpack,
)
from llamakit.corpus.duplicates.clusters import components, with_copies
from llamakit.corpus.duplicates.settings import Settings
from llamakit.corpus.duplicates.sketches import SketchPart, save_array, sketch_part
from llamakit.corpus.duplicates.verdicts import VERDICTS, judge, rank_documents
from llamakit.corpus.duplicates.verification import Verifier
from llamakit.corpus.duplicates.writing import Split, split, write_pairs, write_verdicts
from llamakit.engine.shards import Engine, map_shards
from llamakit.events import Events

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
S = TypeVar("S")


@dataclass(frozen=True)
class Deduplicated:
    """What was found. `candidates` and `verified` count pairs; `verdicts` are of all removed
    documents, `sizes` of all clusters; `sources` has [kept, removed] of each source."""

    documents: int
    candidates: int
    verified: int
    verdicts: pl.DataFrame
    similarities: F64
    sizes: I64
    sources: dict[str, tuple[int, int]]
    begins: tuple[int, ...]


class Deduplication:
    """One run over the parts of a documents artifact."""

    def __init__(
        self, parts: Sequence[Path], work: Path, settings: Settings, engine: Engine, events: Events
    ) -> None:
        self.parts, self.work, self.settings = list(parts), work, settings
        self.engine, self.events = engine, events

    def run(self, target: Path, data: Path | None = None) -> Deduplicated:
        """Write `data/` (elsewhere if `data` is given), `rejected/` and `pairs/` below `target`,
        the same on any engine."""
        corpus = self._sketched()
        copies = self._copies(corpus)
        candidates = np.zeros((0, 2), np.int64)
        similarities = np.zeros(0)
        verifier = None
        if self.settings.near:
            candidates = self._candidates(corpus, copies)
            verifier = Verifier(
                self.parts,
                np.array(corpus.begins),
                np.unique(candidates),
                self.settings.ngram,
                self.work,
                self.engine,
                self.events,
            )
            similarities = verifier.similarities(candidates, "verify")
        alike = similarities >= self.settings.similarity
        pairs = candidates[alike]
        clusters = components(np.concatenate([copies, pairs]))
        verdicts = pl.DataFrame(schema=dict(VERDICTS))
        if len(clusters.members):
            rank = rank_documents(clusters.members, self.parts, corpus, self.settings)
            verdicts = judge(
                clusters,
                rank,
                copies,
                pairs,
                similarities[alike],
                verifier,
                self.settings.similarity,
            )
        joined = with_copies(pairs, similarities[alike], copies)
        write_pairs(*joined, self.parts, corpus.begins, target)
        return Deduplicated(
            documents=corpus.documents,
            candidates=len(candidates),
            verified=len(pairs),
            verdicts=verdicts,
            similarities=similarities,
            sizes=np.unique(clusters.first, return_counts=True)[1],
            sources=self._write(verdicts, corpus, data or target / "data", target / "rejected"),
            begins=corpus.begins,
        )

    def _sketched(self) -> Corpus:
        files = [self.work / f"sketch/{index:05d}.npy" for index in range(len(self.parts))]
        shards = [SketchPart(p, f, self.settings) for p, f in zip(self.parts, files, strict=True)]
        results = self._map(sketch_part, shards, "sketching")
        begins = np.cumsum([0, *(result["documents"] for result in results)])
        return Corpus(tuple(files), tuple(begins.tolist()))

    def _copies(self, corpus: Corpus) -> I64:
        """Exact copies: the first of each text and the later ones, by the later one."""
        band = self.settings.bands if self.settings.near else 0
        tasks = key_ranges(corpus, range(band, band + 1), self.work / "copies")
        self._map(find_copies, tasks, "copies")
        found = np.concatenate([np.zeros((0, 2), np.int64), *(np.load(t.out) for t in tasks)])
        return found[np.argsort(found[:, 1])]

    def _candidates(self, corpus: Corpus, copies: I64) -> I64:
        """Pairs worth comparing among the documents that are the first of their exact text."""
        left_out = self.work / "left_out.npy"
        mask = np.zeros(corpus.documents, bool)
        mask[copies[:, 1]] = True
        save_array(left_out, mask)
        tasks = key_ranges(corpus, range(self.settings.bands), self.work / "pairs", left_out)
        self._map(find_pairs, tasks, "pairing")
        found = np.zeros(0, np.uint64)
        for task in tasks:
            found = np.union1d(found, np.load(task.out))
        return unpack(found)

    def _write(
        self, verdicts: pl.DataFrame, corpus: Corpus, data: Path, rejected: Path
    ) -> dict[str, tuple[int, int]]:
        files = write_verdicts(verdicts, self.parts, corpus.begins, self.work / "verdicts")
        shards = [
            Split(part, file, data / part_name(index), rejected / part_name(index))
            for index, (part, file) in enumerate(zip(self.parts, files, strict=True))
        ]
        sources: dict[str, tuple[int, int]] = {}
        for shard in self._map(split, shards, "writing"):
            for source, (kept, removed) in shard["sources"].items():
                before = sources.get(source, (0, 0))
                sources[source] = (before[0] + kept, before[1] + removed)
        return sources

    def _map(
        self, function: Callable[[S], dict[str, Any]], shards: Sequence[S], label: str
    ) -> list[dict[str, Any]]:
        return map_shards(
            function,
            shards,
            done=self.work / f"done-{label}",
            engine=self.engine,
            events=self.events,
            label=label,
            threads=True,
        )


LOST_SHARE = 0.5
LOST_DOCUMENTS = 20


def lost_sources(sources: dict[str, tuple[int, int]]) -> list[tuple[str, int, int]]:
    """Sources that lose most of their documents, with those kept and removed: that is more often
    an error than a finding."""
    return [
        (source, kept, removed)
        for source, (kept, removed) in sorted(sources.items())
        if removed >= LOST_DOCUMENTS and removed > LOST_SHARE * (kept + removed)
    ]
