"""Read files into an artifact: convert every row, keep ids unique, set broken rows aside."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from llamakit.artifacts.frames import (
    DIALOGUES,
    DOCUMENTS,
    PREFERENCES,
    ROWS_PER_PART,
    Schema,
    part_name,
    write_table,
)
from llamakit.corpus.reading.dialogues import to_dialogue
from llamakit.corpus.reading.documents import to_document
from llamakit.corpus.reading.fields import FieldNames
from llamakit.corpus.reading.preferences import to_preference
from llamakit.corpus.reading.rows import BrokenRow, Row, read_rows
from llamakit.corpus.reading.sources import DataFile
from llamakit.corpus.reading.unusable import UnusableRowError
from llamakit.errors import InputError
from llamakit.events import Events

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

_PART_BYTES = 64 * 2**20
_FEWEST_ROWS = 1_000
_NAMED = 5


@dataclass(frozen=True)
class Limits:
    """`max_broken`: below 1 a share of all rows (counted as at least 1,000, so that a small file
    may hold a few), from 1 on a number of rows. `rows_per_file`: the first rows read, or None."""

    max_broken: float
    rows_per_file: int | None = None

    def exceeded(self, broken: int, rows: int) -> bool:
        """Whether so many broken rows among `rows` are too many."""
        if self.max_broken >= 1:
            return broken > self.max_broken
        # In small files the share alone would forbid any; but most rows must be good.
        most = max(self.max_broken, 0.5) if self.max_broken > 0 else 0.0
        return broken > self.max_broken * max(rows, _FEWEST_ROWS) or broken > most * rows


@dataclass
class Ingested:
    """What was read: rows kept, ids that had to be renamed, rows of sources that were not asked
    for, rows set aside by reason."""

    kept: int = 0
    ids_renamed: int = 0
    files: int = 0
    broken: int = 0
    other_sources: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        """All rows read."""
        return self.kept + self.other_sources + sum(self.reasons.values())


def ingest_files(
    files: Iterable[DataFile],
    folder: Path,
    *,
    kind: str,
    names: FieldNames,
    source: str | None,
    only: Collection[str] = (),
    safety: bool | None = None,
    limits: Limits,
    events: Events,
) -> Ingested:
    """Write `data/` and `rejected/` below `folder` from the rows of the files, in their order.

    Args:
        kind: documents, dialogues or preferences.
        source: overrides every row's source; a row without one takes its file's name.
        only: the sources whose rows are kept; empty keeps all.
        safety: overrides every dialogue's safety tag.

    Raises:
        InputError: more rows are broken than `limits` allow, or no row can be used at all.
    """
    convert, schema = KINDS[kind]
    ids = UniqueIds()
    done = Ingested()
    first_broken: list[str] = []
    kept = _Parts(folder / "data", schema)
    aside = _Parts(folder / "rejected", BROKEN)

    def set_aside(file: DataFile, line: int, reason: str, raw: str, broken: bool) -> None:
        done.reasons[reason] += 1
        aside.add({"file": file.name, "line": line, "reason": reason, "raw": raw}, len(raw))
        if broken:
            done.broken += 1
            if len(first_broken) < _NAMED:
                first_broken.append(f"{file.name}:{line} ({reason})")

    for file in files:
        done.files += 1
        before = done.rows
        with events.task(f"reading {file.name}", unit="rows") as task:
            for number, row in enumerate(read_rows(file)):
                if limits.rows_per_file is not None and number >= limits.rows_per_file:
                    break
                task.advance()
                if isinstance(row, BrokenRow):
                    set_aside(file, row.line, row.reason, row.raw, broken=True)
                    if row.ends_file and row.line > 1:
                        events.warn(
                            f"{file.name} cannot be read from row {row.line:,} on ({row.reason}): "
                            "what follows is lost"
                        )
                    continue
                try:
                    record = convert(row.value, names)
                except UnusableRowError as why:
                    set_aside(file, row.line, why.reason, _raw(row), why.broken)
                    continue
                record["source"] = source or record["source"] or file.stem
                if only and record["source"] not in only:
                    done.other_sources += 1
                    continue
                if safety is not None and kind == "dialogues":
                    record["safety"] = safety
                record["id"] = ids.take(record["id"] or f"{file.name}:{row.line}")
                kept.add(record, _size(record))
                done.kept += 1
        if done.rows == before:
            events.warn(f"{file.name} holds no rows")
    kept.close()
    aside.close()
    done.ids_renamed = ids.renamed
    _judge(done, limits, first_broken)
    return done


def _judge(done: Ingested, limits: Limits, first_broken: list[str]) -> None:
    rows = done.rows
    repair = "Repair the input, name its fields (--text-field …), or raise --max-broken."
    if done.reasons["not_utf8"] == done.broken:
        repair = "Convert it to UTF-8 (`iconv -f latin1 -t utf-8`), or raise --max-broken."
    named = ", ".join(first_broken) + (", …" if done.broken > _NAMED else "")
    if rows and limits.exceeded(done.broken, rows):
        raise InputError(
            f"{done.broken} of {rows} rows are broken: {named}",
            fix=repair,
        )
    if not done.kept:
        if not rows:
            raise InputError("the input holds no rows")
        if done.other_sources == rows:
            raise InputError(f"none of {rows} rows is of the sources asked for (--sources)")
        reasons = ", ".join(f"{count} {reason}" for reason, count in done.reasons.most_common(3))
        where = f" ({named})" if named else ""
        raise InputError(
            f"none of {rows} rows can be used: {reasons}{where}",
            fix="Check --as, and name the fields (--text-field, --prompt-field …).",
        )


class UniqueIds:
    """Gives out every id once: a second `x` becomes `x~2`. Memory: 8-byte hashes of ids seen."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._copies: dict[str, int] = {}
        self.renamed = 0

    def take(self, wanted: str) -> str:
        """`wanted`, or the first free `wanted~n`."""
        if self._free(wanted):
            return wanted
        self.renamed += 1
        number = self._copies.get(wanted, 1)
        while True:
            number += 1
            if self._free(candidate := f"{wanted}~{number}"):
                self._copies[wanted] = number
                return candidate

    def _free(self, name: str) -> bool:
        digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
        key = int.from_bytes(digest, "little")
        if key in self._seen:
            return False
        self._seen.add(key)
        return True


class _Parts:
    """Rows collected into parts, bounded in rows and in bytes."""

    def __init__(self, folder: Path, schema: Schema) -> None:
        self._folder = folder
        self._schema = schema
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._written = 0
        # A killed attempt may have written more parts than this one will.
        for leftover in folder.glob("part-*.parquet"):
            leftover.unlink()

    def add(self, row: dict[str, Any], size: int) -> None:
        self._rows.append(row)
        self._bytes += size
        if len(self._rows) >= ROWS_PER_PART or self._bytes >= _PART_BYTES:
            self._flush()

    def close(self) -> None:
        if self._rows or not self._written:
            self._flush()

    def _flush(self) -> None:
        frame = pl.DataFrame(self._rows, schema=dict(self._schema))
        write_table(self._folder / part_name(self._written), frame, self._schema)
        self._written += 1
        self._rows, self._bytes = [], 0


def _size(record: dict[str, Any]) -> int:
    text = record.get("text")
    if text is not None:
        return len(text)
    turns = (record.get(key) or [] for key in ("messages", "prompt", "chosen", "rejected"))
    return sum(len(message["content"]) for messages in turns for message in messages)


def _raw(row: Row) -> str:
    return repr(row.value)[:2_000].encode("utf-8", "backslashreplace").decode()
