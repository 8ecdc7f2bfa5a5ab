"""Write a mixture: sizes by source, the plan, and the rows each part is read from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llamakit.artifacts.files import write_json
from llamakit.artifacts.frames import collect, part_name, read_table, write_table
from llamakit.artifacts.kinds import Documents
from llamakit.artifacts.mixture import (
    MIXTURE_FILE,
    MIXTURE_FOLDER,
    MIXTURE_SCHEMA,
    PICKS,
    plain_parts,
)
from llamakit.artifacts.store import Version
from llamakit.corpus.mixing.plan import CHARACTERS_PER_TOKEN, SourcePlan, draw_repeats
from llamakit.events import Events

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Inventory:
    """Every document of the inputs, in order: which source it is of, and how large."""

    sources: list[str]
    source_of: I64
    tokens: I64
    parts: list[tuple[int, str]]
    """The inputs' parts: number of the input, path inside it."""
    begins: I64
    """Where each part's documents begin, one more at the end."""

    def documents(self) -> dict[str, int]:
        """Documents by source."""
        counts = np.bincount(self.source_of, minlength=len(self.sources))
        return dict(zip(self.sources, counts.tolist(), strict=True))

    def sizes(self, unit: I64) -> dict[str, int]:
        """The sum of `unit` (tokens, or ones) by source."""
        sums = np.bincount(self.source_of, unit, minlength=len(self.sources))
        return {s: int(n) for s, n in zip(self.sources, sums, strict=True)}


def take_inventory(versions: Sequence[Version[Documents]], events: Events) -> Inventory:
    """Measure the inputs; memory is 16 bytes a document."""
    sources: dict[str, int] = {}
    source_of, tokens, sizes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [0]
    parts: list[tuple[int, str]] = []
    paths = [(n, path) for n, v in enumerate(versions) for path in plain_parts(v, "mix")]
    with events.task("measuring", total=len(paths), unit="parts") as task:
        for number, path in paths:
            query = pl.scan_parquet(path).select("source", pl.col("text").str.len_chars())
            frame = collect(query)
            names = frame["source"].to_list()
            codes = [sources.setdefault(name, len(sources)) for name in names]
            source_of.append(np.array(codes, np.int64))
            characters = frame["text"].to_numpy().astype(np.int64)
            tokens.append(np.maximum(-(-characters // CHARACTERS_PER_TOKEN), 1))
            parts.append((number, path.relative_to(versions[number].path).as_posix()))
            sizes.append(len(frame))
            task.advance()
    return Inventory(
        list(sources), np.concatenate(source_of), np.concatenate(tokens), parts, np.cumsum(sizes)
    )


@dataclass(frozen=True)
class Mixed:
    """Distinct documents taken, reads (repetitions counted), tokens read, and reads by source."""

    documents: int
    reads: int
    tokens: int
    reads_by_source: Counter[str]


def write_mixture(
    target: Path,
    versions: Sequence[Version[Documents]],
    inventory: Inventory,
    plans: Sequence[SourcePlan],
    unit: I64,
    seed: int,
    warn: Callable[[str], None],
) -> Mixed:
    """Draw how often each document is read, and write `mixture.json` and `mixture/`.

    Args:
        plans: one a source, in the inventory's order.
        unit: what the plans' sizes count: tokens a document, or ones.
    """
    repeats = np.zeros(len(inventory.source_of), np.int64)
    for number, plan in enumerate(plans):
        mine = np.flatnonzero(inventory.source_of == number)
        repeats[mine] = draw_repeats(unit[mine], plan.epochs, seed, number)
        if plan.epochs > 0 and not repeats[mine].any():
            warn(f"{plan.source}: its share is less than half a document, so none is taken")
    shards: list[dict[str, int | str]] = []
    for index, (number, part) in enumerate(inventory.parts):
        begin, end = int(inventory.begins[index]), int(inventory.begins[index + 1])
        rows = np.flatnonzero(repeats[begin:end])
        if not len(rows):
            continue
        frame = read_table(versions[number].path / part, ["id", "source"])[rows]
        picks = f"{MIXTURE_FOLDER}/{part_name(len(shards))}"
        frame = frame.with_columns(
            pl.Series("row", rows), pl.Series("repeats", repeats[begin:end][rows])
        )
        write_table(target / picks, frame, PICKS)
        shards.append({"input": number, "part": part, "picks": picks})
    write_json(
        target / MIXTURE_FILE,
        {
            "schema": MIXTURE_SCHEMA,
            "inputs": [version.digest for version in versions],
            "shards": shards,
        },
    )
    reads = np.bincount(inventory.source_of, repeats, minlength=len(inventory.sources))
    by_source = {s: int(n) for s, n in zip(inventory.sources, reads, strict=True)}
    return Mixed(
        documents=int(np.count_nonzero(repeats)),
        reads=int(repeats.sum()),
        tokens=int((repeats * inventory.tokens).sum()),
        reads_by_source=Counter(by_source),
    )
