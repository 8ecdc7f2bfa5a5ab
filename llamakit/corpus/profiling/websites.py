"""Web sites of a corpus: how much each gives, and how much personal data stands on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from llamakit.artifacts.frames import Schema, group, read_table, write_table
from llamakit.corpus.pii.sites import site_of

SITES: Schema = {
    "site": pl.String(),
    "documents": pl.Int64(),
    "characters": pl.Int64(),
    "sampled": pl.Int64(),
    "sampled_characters": pl.Int64(),
    "hits": pl.Int64(),
    "spans": pl.Int64(),
}
"""One row a site. `sampled` documents were searched for personal data, `hits` of them hold some,
`spans` finds in all."""

_SUMS = [pl.col(column).sum() for column in SITES if column != "site"]
_TABLES_AT_ONCE = 64


def site_table(urls: Sequence[str | None], counts: pl.DataFrame) -> pl.DataFrame:
    """The counts (columns of `SITES`, a row a document) by site; documents without one left out."""
    sites = pl.Series("site", [site_of(url) for url in urls], dtype=pl.String)
    return summed([counts.with_columns(sites).filter(pl.col("site").is_not_null())])


def summed(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Several such tables as one, sites in alphabetic order."""
    frame = pl.concat([pl.DataFrame(schema=dict(SITES)), *(t.select(list(SITES)) for t in tables)])
    return group(frame, "site", _SUMS).sort("site")


def save_sites(path: Path, tables: Sequence[pl.DataFrame]) -> None:
    """Write a shard's table."""
    write_table(path, summed(tables), SITES)


def load_sites(paths: Sequence[Path]) -> pl.DataFrame:
    """All shards' tables as one; memory is bounded by the number of sites."""
    whole = pl.DataFrame(schema=dict(SITES))
    for start in range(0, len(paths), _TABLES_AT_ONCE):
        some = [read_table(path) for path in paths[start : start + _TABLES_AT_ONCE]]
        whole = summed([whole, *some])
    return whole


def largest(table: pl.DataFrame, n: int) -> list[dict[str, Any]]:
    """The sites with most documents."""
    order = ["documents", "characters", "site"]
    return table.sort(order, descending=[True, True, False]).head(n).to_dicts()


def densest(table: pl.DataFrame, n: int, min_pages: int) -> list[dict[str, Any]]:
    """The sites with most finds of personal data per 1,000 characters searched.

    Args:
        min_pages: documents that must have been searched for a site to be named.
    """
    density = 1_000 * pl.col("spans") / pl.col("sampled_characters")
    judged = table.filter((pl.col("sampled") >= min_pages) & (pl.col("spans") > 0))
    ranked = judged.with_columns(density.alias("density"))
    return ranked.sort(["density", "site"], descending=[True, False]).head(n).to_dicts()
