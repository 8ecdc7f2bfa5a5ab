"""Repeated passages are cut out of the documents that deduplication kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl

from llamakit.artifacts.frames import (
    DOCUMENTS,
    REJECTED,
    part_name,
    parts,
    read_table,
    write_table,
)
from llamakit.corpus.duplicates.passages import (
    COUNTED,
    CountPassages,
    Cut,
    count_passages,
    merge_passages,
    merges,
    without,
)
from llamakit.engine.shards import Engine, map_shards
from llamakit.events import Events

S = TypeVar("S")


@dataclass(frozen=True)
class CutPart:
    """Write `part` to `data` without the passages in `repeated`; documents of which nothing is
    left join those in `rejected`."""

    part: Path
    begin: int
    cut: Cut
    repeated: tuple[Path, ...]
    data: Path
    rejected: Path


def cut_part(shard: CutPart) -> dict[str, Any]:
    """Returns how many passages and characters went, from how many documents, and how many of
    these were left empty."""
    frame = read_table(shard.part)
    whole = np.concatenate([np.zeros(0, COUNTED), *(np.load(path) for path in shard.repeated)])
    repeated = dict(zip(whole["key"].tolist(), whole["first"].tolist(), strict=True))
    before = frame["text"].to_list()
    results = [
        without(text, shard.begin + row, repeated, shard.cut) for row, text in enumerate(before)
    ]
    texts = pl.Series("text", [text for text, _ in results], dtype=pl.String)
    empty = pl.Series([not text.strip() and n > 0 for text, n in results], dtype=pl.Boolean)
    write_table(shard.data, frame.with_columns(texts).filter(~empty), DOCUMENTS)
    if empty.any():
        reject(frame.filter(empty), f"only_repeated_{shard.cut.unit}", shard.rejected)
    return {
        "passages": sum(n for _, n in results),
        "characters": sum(len(b) - len(text) for b, (text, _) in zip(before, results, strict=True)),
        "documents": sum(n > 0 for _, n in results),
        "emptied": int(empty.sum()),
    }


def reject(gone: pl.DataFrame, reason: str, rejected: Path) -> None:
    """Add documents to those in a rejected part, as they came: their text is what one would look
    at. Those it holds for this reason are of an earlier run, and make way."""
    gone = gone.with_columns(pl.lit(reason).alias("reason"))
    earlier = [read_table(rejected)] if rejected.exists() else []
    earlier = [f.filter(pl.col("reason") != reason) for f in earlier]
    write_table(rejected, pl.concat([*earlier, gone]), REJECTED)


def cut_boilerplate(
    kept: Path,
    target: Path,
    work: Path,
    cuts: Sequence[Cut],
    engine: Engine,
    events: Events,
    final: Path | None = None,
) -> dict[str, int]:
    """Cut passages out of the documents in `kept`, one kind after another, into `target/data`
    (elsewhere if `final` is given); counts by kind."""
    counts: dict[str, int] = {}
    for number, cut in enumerate(cuts):
        home = work / f"cut-{cut.unit}"
        last = number == len(cuts) - 1
        data = (final or target / "data") if last else home / "data"
        found = _cut_all(parts(kept), data, target / "rejected", home, cut, engine, events)
        for what in ("passages", "characters", "documents"):
            name = cut.unit if what == "passages" else f"{cut.unit}_{what}"
            counts[f"cut_{name}"] = sum(result[what] for result in found)
        counts[f"rejected_only_repeated_{cut.unit}"] = sum(each["emptied"] for each in found)
        kept = data
    return counts


def _cut_all(
    shards: list[Path],
    data: Path,
    rejected: Path,
    home: Path,
    cut: Cut,
    engine: Engine,
    events: Events,
) -> list[dict[str, Any]]:
    def mapped(
        function: Callable[[S], dict[str, Any]], items: Sequence[S], label: str
    ) -> list[dict[str, Any]]:
        done = home / f"done-{label}"
        return map_shards(function, items, done=done, engine=engine, events=events, label=label)

    sizes = [read_table(part, ["id"]).height for part in shards]
    begins = np.cumsum([0, *sizes]).tolist()
    counts = [
        CountPassages(part, begins[index], cut, home / f"counted/{index:05d}.npy")
        for index, part in enumerate(shards)
    ]
    mapped(count_passages, counts, f"counting {cut.unit}")
    tasks = merges([item.out for item in counts], cut, home / "repeated")
    mapped(merge_passages, tasks, f"merging {cut.unit}")
    repeated = tuple(task.out for task in tasks)
    items = [
        CutPart(
            part, begins[index], cut, repeated, data / part_name(index), rejected / part_name(index)
        )
        for index, part in enumerate(shards)
    ]
    return mapped(cut_part, items, f"cutting {cut.unit}")
