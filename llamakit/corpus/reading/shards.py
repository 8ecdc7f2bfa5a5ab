"""The work of one shard: its pieces read into parts of its own, and later put into their place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from llamakit.artifacts.frames import (
    DIALOGUES,
    DOCUMENTS,
    PREFERENCES,
    Schema,
    part_name,
    parts,
    read_table,
    write_table,
)
from llamakit.corpus.reading.dialogues import to_dialogue
from llamakit.corpus.reading.documents import to_document
from llamakit.corpus.reading.fields import FieldNames
from llamakit.corpus.reading.ids import IdKeys, in_share
from llamakit.corpus.reading.limits import Limits
from llamakit.corpus.reading.parts import PartWriter
from llamakit.corpus.reading.pieces import Piece
from llamakit.corpus.reading.preferences import to_preference
from llamakit.corpus.reading.records import BrokenRow, shown_value
from llamakit.corpus.reading.rows import read_rows
from llamakit.corpus.reading.table_rows import UnevenDamageError
from llamakit.corpus.reading.unusable import UnusableRowError

BROKEN: Schema = {
    "file": pl.String(),
    "line": pl.Int64(),
    "reason": pl.String(),
    "raw": pl.String(),
}
"""A row that was set aside: where it stands, one word of why, and how it begins."""

Convert = Callable[[Any, FieldNames], dict[str, Any]]

KINDS: dict[str, tuple[Convert, Schema]] = {
    "documents": (to_document, DOCUMENTS),
    "dialogues": (to_dialogue, DIALOGUES),
    "preferences": (to_preference, PREFERENCES),
}


@dataclass(frozen=True)
class Reading:
    """How rows become records. `kind`: documents, dialogues or preferences; `source` overrides
    every row's, `only` keeps rows of these sources (empty: all), `share` that part of them (as
    `in_share` draws), `safety` overrides the tag."""

    kind: str
    names: FieldNames
    limits: Limits
    source: str | None = None
    only: frozenset[str] = frozenset()
    share: float = 1.0
    safety: bool | None = None


@dataclass(frozen=True)
class ReadShard:
    """Pieces to read, in order; `folder` takes `data/`, `rejected/` and the keys of the ids."""

    pieces: tuple[Piece, ...]
    folder: Path
    reading: Reading


@dataclass
class _Found:
    """What a shard holds so far."""

    kept: int = 0
    broken: int = 0
    other_sources: int = 0
    not_drawn: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    first_broken: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    """Rows of each piece."""
    damaged: list[tuple[str, int, str]] = field(default_factory=list)
    """Files that cannot be read on: name, row, reason."""


def read_shard(shard: ReadShard) -> dict[str, Any]:
    """Read the shard's pieces into its folder; returns its counts.

    Raises:
        InputError: so many rows are broken that the whole input is too broken.
    """
    try:
        return _read(shard, careful=False)
    except UnevenDamageError:
        return _read(shard, careful=True)


def _read(shard: ReadShard, careful: bool) -> dict[str, Any]:
    reading = shard.reading
    convert, schema = KINDS[reading.kind]
    data = PartWriter(shard.folder / "data", schema)
    rejected = PartWriter(shard.folder / "rejected", BROKEN)
    keys, found = IdKeys(), _Found()
    most = reading.limits.rows_per_file

    def set_aside(name: str, line: int, reason: str, raw: str, broken: bool) -> None:
        found.reasons[reason] += 1
        rejected.add({"file": name, "line": line, "reason": reason, "raw": raw}, len(raw))
        if broken:
            found.broken += 1
            if len(found.first_broken) < reading.limits.named:
                found.first_broken.append(f"{name}:{line} ({reason})")
            reading.limits.check_part(found.broken, found.first_broken)

    for piece in shard.pieces:
        name, stem, number = piece.file.name, piece.file.stem, 0
        for row in read_rows(piece, careful):
            if number == most:
                break
            number += 1
            if isinstance(row, BrokenRow):
                set_aside(name, row.line, row.reason, row.raw, row.broken)
                if row.ends_file and row.line > 1:
                    found.damaged.append((name, row.line, row.reason))
                continue
            try:
                record = convert(row.value, reading.names)
            except UnusableRowError as why:
                set_aside(name, row.line, why.reason, shown_value(row.value), why.broken)
                continue
            record["source"] = reading.source or record["source"] or stem
            if reading.only and record["source"] not in reading.only:
                found.other_sources += 1
                continue
            if reading.safety is not None and reading.kind == "dialogues":
                record["safety"] = reading.safety
            record["id"] = record["id"] or f"{name}:{row.line}"
            if not in_share(record["id"], reading.share):
                found.not_drawn += 1
                continue
            keys.add(record["id"])
            data.add(record, _size(record))
            found.kept += 1
            # The next row is read while these would still be held.
            del row, record
        found.rows.append(number)
    data.close()
    rejected.close()
    keys.save(shard.folder)
    return {**vars(found), "parts": data.rows}


def _size(record: dict[str, Any]) -> int:
    """Bytes of the record's texts; its other fields are small beside them."""
    text = record.get("text")
    if text is not None:
        return _bytes(text) + _bytes(record["metadata"])
    turns = (record.get(key) or () for key in ("messages", "prompt", "chosen", "rejected"))
    return sum(_bytes(message["content"]) for messages in turns for message in messages)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


@dataclass(frozen=True)
class PlaceShard:
    """A shard's parts to put into `target`, from part `first_part` on. `renames` holds rows of the
    shard and the numbers that their ids get, one row each; None when all ids stay."""

    folder: Path
    target: Path
    kind: str
    first_part: int
    renames: Path | None


def place_shard(shard: PlaceShard) -> dict[str, Any]:
    """Move the shard's parts to where they stay, ids made unique on the way."""
    renames = np.zeros((0, 2), np.int64) if shard.renames is None else np.load(shard.renames)
    begin = 0
    for path in parts(shard.folder / "data"):
        target = shard.target / part_name(shard.first_part + int(path.stem.split("-")[1]))
        if shard.renames is None:
            path.replace(target)
            continue
        frame = read_table(path)
        mine = renames[(renames[:, 0] >= begin) & (renames[:, 0] < begin + frame.height)]
        ids = frame["id"].to_list()
        for row, number in mine.tolist():
            ids[row - begin] = f"{ids[row - begin]}~{number}"
        schema = KINDS[shard.kind][1]
        write_table(target, frame.with_columns(pl.Series("id", ids, pl.String())), schema)
        begin += frame.height
    return {"renamed": len(renames)}
