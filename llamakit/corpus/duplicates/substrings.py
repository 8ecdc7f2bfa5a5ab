"""Exact substrings past a length are cut out of texts, all but their first occurrence.

The rule of Lee et al. 2022 (Deduplicating training data makes language models better), in bytes: a
window of `length` bytes within one document repeats if the same bytes stood at an earlier place of
the corpus, in an earlier document or before the window in its own. Every byte of a repeating window
goes, and the first occurrence stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llamakit.artifacts.frames import DOCUMENTS, Schema, part_name, parts, read_table, write_table
from llamakit.corpus.duplicates.boilerplate import reject
from llamakit.corpus.duplicates.flat import Flat, Measure, lay, lays, measure
from llamakit.corpus.duplicates.repeats import (
    Anchors,
    Firsts,
    Search,
    Table,
    Windows,
    confirmed,
    find_anchors,
    find_firsts,
    find_windows,
    make_table,
    ranges_for,
    search,
    stretches,
)
from llamakit.engine.shards import Engine, map_shards
from llamakit.events import Events

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]
S = TypeVar("S")

SPANS: Schema = {
    "id": pl.String(),
    "start": pl.Int64(),
    "text": pl.String(),
    "first": pl.String(),
    "first_start": pl.Int64(),
}
"""What was cut out of document `id` at byte `start`, and where its beginning stood first."""


@dataclass(frozen=True)
class CutSubstrings:
    """Write `part`, whose documents are numbered from `begin`, to `data` without the windows in
    `repeated`; what went to `spans`, and documents of which nothing is left to `rejected`."""

    part: Path
    begin: int
    flat: Flat
    repeated: tuple[Path, ...]
    length: int
    data: Path
    spans: Path
    rejected: Path


@dataclass(frozen=True)
class Span:
    """Bytes `start` to `stop` of document `number`; `first`: the place they stood at first."""

    number: int
    start: int
    stop: int
    first: int


class Substrings:
    """The search through all parts of a folder, and the cutting."""

    def __init__(self, length: int, work: Path, engine: Engine, events: Events) -> None:
        self.length, self.work = length, work
        self.engine, self.events = engine, events

    def cut(self, kept: Path, target: Path) -> dict[str, int]:
        """Write the documents in `kept` to `data/` below `target`, and what went to `spans/` and
        `rejected/`; counts of what was cut."""
        shards = parts(kept)
        flat = Flat(self.work / "flat")
        measures = [
            Measure(part, self.work / f"measured/{index:05d}.npy")
            for index, part in enumerate(shards)
        ]
        self._map(measure, measures, "measuring")
        tasks, begins = lays(measures, flat)
        self._map(lay, tasks, "laying out")
        repeated = self._repeated(flat)
        items = [
            CutSubstrings(
                part,
                begins[index],
                flat,
                repeated,
                self.length,
                *(target / name / part_name(index) for name in ("data", "spans", "rejected")),
            )
            for index, part in enumerate(shards)
        ]
        found = self._map(cut_substrings, items, "cutting substrings")
        counts = {
            f"cut_{name}": sum(result[name] for result in found)
            for name in ("substrings", "substrings_bytes", "substrings_documents")
        }
        emptied = sum(result["emptied"] for result in found)
        return counts | {"rejected_only_repeated_substrings": emptied}

    def _repeated(self, flat: Flat) -> tuple[Path, ...]:
        """Files of the windows that repeat."""
        pieces = stretches(flat, self.length)
        anchors = [Anchors(p, self._file("anchors", n)) for n, p in enumerate(pieces)]
        self._map(find_anchors, anchors, "anchoring")
        keys = tuple(item.out for item in anchors)
        ranges = ranges_for(keys)
        tables = [self._table("anchor", keys, n, ranges) for n in range(ranges)]
        self._map(make_table, tables, "gathering anchors")
        files = tuple(item.table for item in tables)
        searches = [Search(p, files, self._file("met", n)) for n, p in enumerate(pieces)]
        self._map(search, searches, "searching anchors")
        met = tuple(item.out for item in searches)
        twice = [self._table("repeated", (tables[n].twice, *met), n, ranges) for n in range(ranges)]
        self._map(make_table, twice, "gathering repeats")
        files = tuple(item.table for item in twice)
        windows = [Windows(p, files, self._file("windows", n)) for n, p in enumerate(pieces)]
        self._map(find_windows, windows, "finding windows")
        hashed = tuple(item.out for item in windows)
        ranges = ranges_for(hashed)
        firsts = [
            Firsts(hashed, n, ranges, self.length, self._file("firsts", n)) for n in range(ranges)
        ]
        self._map(find_firsts, firsts, "finding firsts")
        return tuple(item.out for item in firsts)

    def _table(self, name: str, files: tuple[Path, ...], index: int, ranges: int) -> Table:
        table, twice = (self._file(f"{name}-{what}", index) for what in ("table", "twice"))
        return Table(files, index, ranges, table, twice)

    def _file(self, name: str, index: int) -> Path:
        return self.work / name / f"{index:05d}.npy"

    def _map(
        self, function: Callable[[S], dict[str, Any]], items: Sequence[S], label: str
    ) -> list[dict[str, Any]]:
        return map_shards(
            function,
            items,
            done=self.work / f"done-{label}",
            engine=self.engine,
            events=self.events,
            label=label,
            threads=True,
        )


def cut_substrings(shard: CutSubstrings) -> dict[str, Any]:
    """Returns how many substrings and bytes went, from how many documents, and how many of these
    were left empty."""
    frame = read_table(shard.part)
    offsets = shard.flat.offsets()
    spans = _spans(shard, offsets, shard.begin + len(frame))
    texts = frame["text"].to_list()
    by_row: dict[int, list[Span]] = {}
    for span in spans:
        by_row.setdefault(span.number - shard.begin, []).append(span)
    gone = 0
    for row, own in by_row.items():
        whole = texts[row].encode()
        texts[row] = without([(span.start, span.stop) for span in own], whole)
        gone += len(whole) - len(texts[row].encode())
    touched = np.zeros(len(frame), bool)
    touched[list(by_row)] = True
    after = pl.Series("text", texts, dtype=pl.String)
    empty = pl.Series(touched, dtype=pl.Boolean) & (after.str.len_bytes() == 0)
    write_table(shard.spans, _listed(spans, frame, shard, offsets), SPANS)
    write_table(shard.data, frame.with_columns(after).filter(~empty), DOCUMENTS)
    if empty.any():
        reject(frame.filter(empty), "only_repeated_substrings", shard.rejected)
    return {
        "substrings": len(spans),
        "substrings_bytes": gone,
        "substrings_documents": len(by_row),
        "emptied": int(empty.sum()),
    }


def without(spans: Sequence[tuple[int, int]], whole: bytes) -> str:
    """A text without some spans of its UTF-8, ascending. Where two pieces meet that were apart, a
    blank stands, or a line's or a paragraph's end if the span or what bordered on it held one."""
    left = whole[: spans[0][0]].decode()
    ends = [*(start for start, _ in spans[1:]), len(whole)]
    for (start, stop), end in zip(spans, ends, strict=True):
        right = whole[stop:end].decode()
        head, tail = left.rstrip(), right.lstrip()
        between = left[len(head) :] + whole[start:stop].decode() + right[: len(right) - len(tail)]
        seam = "\n\n" if "\n\n" in between else "\n" if "\n" in between else " "
        left = head + seam + tail if head and tail else head or tail
    return left


def _spans(shard: CutSubstrings, offsets: I64, end: int) -> list[Span]:
    """What goes of documents from the shard's first up to `end`, cut at whole characters."""
    start, stop = int(offsets[shard.begin]), int(offsets[end])
    found = confirmed(shard.flat, shard.repeated, start, stop, shard.length)
    if not len(found):
        return []
    data = shard.flat.data()
    places = found["place"]
    numbers = np.searchsorted(offsets, places, side="right") - 1
    apart = (places[1:] > places[:-1] + shard.length) | (numbers[1:] != numbers[:-1])
    begins = np.flatnonzero(np.append(True, apart))
    ends = np.append(begins[1:], len(places)) - 1
    spans = []
    for one, last in zip(begins.tolist(), ends.tolist(), strict=True):
        home = int(offsets[numbers[one]])
        low, high = int(places[one]), int(places[last]) + shard.length
        document_end = int(offsets[numbers[one] + 1])
        moved = low
        while moved < high and _inside(data, moved):
            moved += 1
        while moved < high < document_end and _inside(data, high):
            high -= 1
        if moved < high:
            first = int(found["first"][one]) + moved - low
            spans.append(Span(int(numbers[one]), moved - home, high - home, first))
    return spans


def _inside(data: U8, place: int) -> bool:
    """Whether a place is within a character."""
    return int(data[place]) & 0xC0 == 0x80


def _listed(
    spans: Sequence[Span], frame: pl.DataFrame, shard: CutSubstrings, offsets: I64
) -> pl.DataFrame:
    ids, data = frame["id"].to_list(), shard.flat.data()
    rows = []
    for span in spans:
        home = int(offsets[span.number])
        number = int(np.searchsorted(offsets, span.first, side="right")) - 1
        rows.append(
            {
                "id": ids[span.number - shard.begin],
                "start": span.start,
                "text": data[home + span.start : home + span.stop].tobytes().decode(),
                "first": shard.flat.value(number, "id"),
                "first_start": span.first - int(offsets[number]),
            }
        )
    return pl.DataFrame(rows, schema=dict(SPANS))
