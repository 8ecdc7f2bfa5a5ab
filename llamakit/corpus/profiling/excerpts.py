"""A few documents of each kind to look at: the longest, the shortest, some drawn by lot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from llamakit.artifacts.frames import Schema, read_table, write_table

CHARACTERS = 500
A_GROUP = 3

EXCERPTS: Schema = {
    "group": pl.String(),
    "id": pl.String(),
    "source": pl.String(),
    "language": pl.String(),
    "characters": pl.Int64(),
    "rank": pl.Float64(),
    "text": pl.String(),
}
"""`text` is the document's beginning. `rank` orders a group, least first: a length, a score
negated, or a lot."""


def picked(
    frame: pl.DataFrame, groups: Mapping[str, tuple[pl.Series, pl.Series]]
) -> list[pl.DataFrame]:
    """For each group the documents of least rank.

    Args:
        frame: documents with `id`, `source`, `language`, `characters` and `text`.
        groups: by name who may be taken (bool a document) and the rank (a number a document).
    """
    tables = []
    for name, (members, ranks) in groups.items():
        rows = frame.with_columns(
            pl.lit(name).alias("group"), ranks.cast(pl.Float64).alias("rank")
        ).filter(members)
        rows = _least([rows.select(list(EXCERPTS))])
        tables.append(rows.with_columns(pl.col("text").str.head(CHARACTERS)))
    return tables


def save_excerpts(path: Path, tables: Sequence[pl.DataFrame]) -> None:
    """Write a shard's candidates."""
    write_table(path, _least(tables), EXCERPTS)


def load_excerpts(paths: Sequence[Path]) -> pl.DataFrame:
    """The excerpts of all shards: the same for any division into shards."""
    whole = pl.DataFrame(schema=dict(EXCERPTS))
    for path in paths:
        whole = _least([whole, read_table(path)])
    return whole


def _least(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    frame = pl.concat([pl.DataFrame(schema=dict(EXCERPTS)), *tables])
    frame = frame.sort(["group", "rank", "id", "text"], maintain_order=True)
    return frame.filter(pl.int_range(pl.len()).over("group") < A_GROUP)
