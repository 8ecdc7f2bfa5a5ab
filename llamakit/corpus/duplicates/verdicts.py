"""Which documents go, which stay in their place, and how alike the two are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llamakit.artifacts.frames import Schema, read_table
from llamakit.corpus.duplicates.candidates import Corpus
from llamakit.corpus.duplicates.clusters import (
    Clusters,
    closest,
    similarity_of,
    survivors,
)
from llamakit.corpus.duplicates.settings import Settings
from llamakit.corpus.duplicates.verification import Verifier

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

VERDICTS: Schema = {
    "document": pl.Int64(),
    "survivor": pl.Int64(),
    "similarity": pl.Float64(),
    "exact": pl.Boolean(),
    "match": pl.Int64(),
    "match_similarity": pl.Float64(),
}
"""One row a removed document, by number. `exact`: its normalised text is the survivor's. `match`,
where the survivor alone would not have removed it: its closest neighbour in the cluster, and how
alike the two are; else null."""

_FEW = 8
"""Rows of a part that are read one by one faster than the whole column."""


def rank_documents(members: I64, parts: Sequence[Path], corpus: Corpus, settings: Settings) -> I64:
    """What decides among the members of a cluster before their order does; the lowest survives."""
    rank = np.zeros(len(members), np.int64)
    if settings.keep == "first":
        return rank
    places = {source: place for place, source in enumerate(settings.sources)}
    bounds = np.searchsorted(members, corpus.begins)
    for index, (part, file) in enumerate(zip(parts, corpus.files, strict=True)):
        low, high = bounds[index : index + 2]
        rows = members[low:high] - corpus.begins[index]
        if not len(rows):
            continue
        if settings.keep == "longest":
            rank[low:high] = -np.load(file, mmap_mode="r")[-1, rows].astype(np.int64)
        else:
            sources = read_table(part, ["source"])["source"].gather(rows).to_list()
            rank[low:high] = [places.get(source, len(places)) for source in sources]
    return rank


def judge(
    clusters: Clusters,
    rank: I64,
    copies: I64,
    pairs: I64,
    similarities: F64,
    verifier: Verifier | None,
    threshold: float,
) -> pl.DataFrame:
    """The verdicts, by document.

    Args:
        copies: (n, 2) of exact copies, the first of its text and the later one, by the later.
        pairs: verified pairs (n, 2) of first copies, ascending, and their `similarities`.
        verifier: has gathered all documents of `pairs`; None where there are none.
    """
    kept = survivors(clusters, rank)
    gone = kept != clusters.members
    documents, survivor = clusters.members[gone], kept[gone]
    ones, others = _first_copy(documents, copies), _first_copy(survivor, copies)
    exact = ones == others
    similarity = np.where(
        exact, 1.0, similarity_of(np.stack([ones, others], 1), pairs, similarities)
    )
    unknown = np.flatnonzero(np.isnan(similarity))
    if len(unknown) and verifier is not None:
        chained = np.sort(np.stack([ones[unknown], others[unknown]], 1), axis=1)
        similarity[unknown] = verifier.similarities(chained, "chained")
    match = np.full(len(documents), -1)
    match_similarity = np.full(len(documents), np.nan)
    through = np.flatnonzero(similarity < threshold)
    if len(through):
        firsts, places = np.unique(ones[through], return_inverse=True)
        neighbour, degree = closest(firsts, pairs, similarities)
        match[through], match_similarity[through] = neighbour[places], degree[places]
    frame = pl.DataFrame(
        {
            "document": documents,
            "survivor": survivor,
            "similarity": similarity,
            "exact": exact,
            "match": match,
            "match_similarity": match_similarity,
        },
        schema=dict(VERDICTS),
    )
    return frame.with_columns(
        pl.when(pl.col("match") >= 0).then(pl.col("match")),
        pl.when(pl.col("match") >= 0).then(pl.col("match_similarity")),
    )


def names_of(
    numbers: I64, parts: Sequence[Path], begins: Sequence[int], column: str = "id"
) -> pl.Series:
    """A column of some documents, given their numbers, ascending."""
    bounds = np.searchsorted(numbers, begins)
    found = [pl.Series(column, [], dtype=pl.String)]
    for index, part in enumerate(parts):
        rows = numbers[bounds[index] : bounds[index + 1]] - begins[index]
        if len(rows) <= _FEW:
            found += [read_table(part, [column], rows=(row, 1))[column] for row in rows.tolist()]
        else:
            found.append(read_table(part, [column])[column].gather(rows))
    return pl.concat(found)


def _first_copy(documents: I64, copies: I64) -> I64:
    """For each document the first with its very text."""
    if not len(copies):
        return documents
    place = np.minimum(np.searchsorted(copies[:, 1], documents), len(copies) - 1)
    return np.where(copies[place, 1] == documents, copies[place, 0], documents)
