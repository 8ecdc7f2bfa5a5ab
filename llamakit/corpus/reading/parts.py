"""Rows written as parts of a table: parts, and the memory they take, bounded in rows and bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from llamakit.artifacts.frames import ROWS_PER_PART, Schema, part_name, write_table

PART_BYTES = 64 * 2**20
# Python's texts take up to four times their bytes: only a few are held as such.
_CHUNK_BYTES = 8 * 2**20


class PartWriter:
    """Writes `part-00000.parquet` and on into a folder; `rows` are those of each part."""

    def __init__(self, folder: Path, schema: Schema) -> None:
        self._folder = folder
        self._schema = schema
        self._held: list[Mapping[str, Any]] = []
        self._held_bytes = 0
        self._frames: list[pl.DataFrame] = []
        self._rows = 0
        self._bytes = 0
        self.rows: list[int] = []
        # A killed attempt may have written more parts than this one will.
        for leftover in folder.glob("part-*.parquet"):
            leftover.unlink()

    def add(self, row: Mapping[str, Any], size: int) -> None:
        """Add a row whose texts take `size` bytes; one that is larger than a part stands alone."""
        if self._bytes + self._held_bytes + size > PART_BYTES and (self._rows or self._held):
            self._flush()
        self._held.append(row)
        self._held_bytes += size
        if self._rows + len(self._held) >= ROWS_PER_PART:
            self._flush()
        elif self._held_bytes >= _CHUNK_BYTES:
            self._pack()

    def close(self, *, always: bool = False) -> None:
        """Write what is left; `always` writes a part even when there never was a row."""
        if self._rows or self._held or (always and not self.rows):
            self._flush()

    def _pack(self) -> None:
        columns = {c: [row[c] for row in self._held] for c in self._schema}
        self._frames.append(pl.DataFrame(columns, schema=dict(self._schema)))
        self._rows += len(self._held)
        self._bytes += self._held_bytes
        self._held, self._held_bytes = [], 0

    def _flush(self) -> None:
        self._pack()
        frame = pl.concat(self._frames)
        write_table(self._folder / part_name(len(self.rows)), frame, self._schema)
        self.rows.append(self._rows)
        self._frames, self._rows, self._bytes = [], 0, 0
