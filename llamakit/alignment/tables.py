"""Tables of dialogues and preferences as rows: read whole, or cut into shards on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from llamakit.artifacts.frames import (
    DIALOGUES,
    Schema,
    part_name,
    read_all,
    read_table,
    write_rows,
    write_table,
)


def read_rows(folders: Sequence[Path], schema: Schema = DIALOGUES) -> list[dict[str, Any]]:
    """All rows of the tables in `folders`, one table after the other.

    Raises:
        InputError: a table is not readable, or is not of `schema`.
    """
    return [row for folder in folders for row in read_all(folder, schema).to_dicts()]


def write_dialogues(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one part of a dialogues table; keys that are no column are left out."""
    held = [{name: row[name] for name in DIALOGUES} for row in rows]
    write_table(path, pl.DataFrame(held, schema=dict(DIALOGUES)), DIALOGUES)


def shard_dialogues(
    rows: Sequence[Mapping[str, Any]], folder: Path, size: int
) -> list[tuple[Path, int]]:
    """Write dialogues as tables of `size` rows; returns (table, index of its first row) of each.

    The same rows give the same shards, so that a rerun finds the work of an earlier one.
    """
    shards = []
    for index, first in enumerate(range(0, len(rows), size)):
        path = folder / part_name(index)
        write_dialogues(path, rows[first : first + size])
        shards.append((path, first))
    return shards


def merge_dialogues(parts: Sequence[Path], folder: Path) -> None:
    """Write the rows of `parts` as one table in `folder`, in order; how they were cut leaves no
    trace.
    """
    write_rows(folder, [row for path in parts for row in read_table(path).to_dicts()], DIALOGUES)


def total_counts(results: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """The `counts` of shards' results added up."""
    totals: Counter[str] = Counter()
    for result in results:
        totals.update(result["counts"])
    return dict(totals)


def told(counts: Mapping[str, int]) -> str:
    """Counts in words, for a message: `4 dropped too few turns, 2 ended early`."""
    return ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts.items() if n) or "none"
