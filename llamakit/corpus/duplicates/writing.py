"""Survivors and removed documents are written, part by part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llamakit.artifacts.frames import (
    DOCUMENTS,
    REJECTED,
    Schema,
    group,
    part_name,
    read_table,
    write_table,
)
from llamakit.corpus.duplicates.verdicts import names_of
from llamakit.corpus.reading.documents import metadata_text

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

PAIRS: Schema = {"one": pl.String(), "other": pl.String(), "similarity": pl.Float64()}
"""Ids of two documents found to be duplicates, the earlier first, and their similarity."""


@dataclass(frozen=True)
class Split:
    """Write `part` to `data` without the rows that `verdicts` removes, and those to `rejected`."""

    part: Path
    verdicts: Path
    data: Path
    rejected: Path


def write_pairs(
    pairs: I64, similarities: F64, parts: Sequence[Path], begins: Sequence[int], target: Path
) -> None:
    """Every pair that joins two documents, for whoever checks or wants other clusters."""
    numbers = np.unique(pairs)
    ids = names_of(numbers, parts, begins)
    places = np.searchsorted(numbers, pairs)
    frame = pl.DataFrame(
        {
            "one": ids.gather(places[:, 0]),
            "other": ids.gather(places[:, 1]),
            "similarity": similarities.round(4),
        }
    )
    write_table(target / "pairs" / part_name(0), frame, PAIRS)


def write_verdicts(
    verdicts: pl.DataFrame, parts: Sequence[Path], begins: Sequence[int], folder: Path
) -> list[Path]:
    """Per shard, the rows to remove, with ids instead of numbers; returns the shards' files."""
    named = pl.concat([verdicts["survivor"], verdicts["match"].drop_nulls()])
    numbers = np.unique(named.to_numpy())
    ids = names_of(numbers, parts, begins)
    limits = np.searchsorted(verdicts["document"].to_numpy(), begins)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{index:05d}.parquet" for index in range(len(parts))]
    for index, file in enumerate(files):
        mine = verdicts[int(limits[index]) : int(limits[index + 1])]
        match = mine["match"].to_numpy()
        mine.with_columns(
            pl.col("document") - begins[index],
            ids.gather(np.searchsorted(numbers, mine["survivor"].to_numpy())).alias("survivor"),
            pl.when(pl.col("match").is_not_null())
            .then(
                ids.gather(np.minimum(np.searchsorted(numbers, match), max(len(numbers) - 1, 0)))
                if len(numbers)
                else pl.lit(None, pl.String)
            )
            .alias("match"),
        ).write_parquet(file)
    return files


def split(shard: Split) -> dict[str, Any]:
    """Survivors here, the others there; returns [kept, removed] by source."""
    frame = read_table(shard.part)
    verdicts = read_table(shard.verdicts)
    removed = np.zeros(len(frame), bool)
    removed[verdicts["document"].to_numpy()] = True
    kept = frame.filter(pl.Series(~removed, dtype=pl.Boolean)) if removed.any() else frame
    write_table(shard.data, kept, DOCUMENTS)
    if len(verdicts):
        dropped = frame[verdicts["document"]]
        rows = zip(dropped["metadata"].to_list(), verdicts.iter_rows(named=True), strict=True)
        dropped = dropped.with_columns(
            pl.Series("metadata", [_marked(text, row) for text, row in rows], dtype=pl.String),
            pl.when(verdicts["exact"])
            .then(pl.lit("exact_duplicate"))
            .otherwise(pl.lit("near_duplicate"))
            .alias("reason"),
        )
        write_table(shard.rejected, dropped, REJECTED)
    marked = frame.select("source").with_columns(pl.Series("removed", removed))
    by_source = group(
        marked, "source", [(~pl.col("removed")).sum(), pl.col("removed").sum().alias("lost")]
    )
    return {"sources": {source: [kept, lost] for source, kept, lost in by_source.iter_rows()}}


def _marked(metadata: str, verdict: dict[str, Any]) -> str:
    """The metadata with what the document duplicates, and by whom it got there in a chain."""
    values = json.loads(metadata)
    values["duplicate_of"] = verdict["survivor"]
    values["similarity"] = round(verdict["similarity"], 4)
    if verdict["match"] is not None:
        values["matched"] = verdict["match"]
        values["matched_similarity"] = round(verdict["match_similarity"], 4)
    return metadata_text(values)
