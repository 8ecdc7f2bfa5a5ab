"""Read files into an artifact, shard by shard.

cut       files into pieces, small ones gathered: the shards
count     the lines of the pieces of large JSON lines, so that each knows where it begins
read      each shard: rows become records in parts of its own, broken ones are set aside
number    ids that occurred before, over all shards
place     each shard: its parts get their numbers and their last ids
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from llamakit.artifacts.files import write_array
from llamakit.artifacts.frames import read_parts
from llamakit.corpus.reading.ids import new_numbers
from llamakit.corpus.reading.parts import PartWriter
from llamakit.corpus.reading.pieces import (
    PIECE_BYTES,
    Piece,
    count_lines,
    cut,
    gathered,
    needs_count,
    numbered,
)
from llamakit.corpus.reading.shards import (
    BROKEN,
    KINDS,
    PlaceShard,
    Reading,
    ReadShard,
    place_shard,
    read_shard,
)
from llamakit.corpus.reading.sources import DataFile
from llamakit.corpus.reading.warc_rows import need_warc
from llamakit.engine.shards import Engine, map_shards
from llamakit.events import Events


@dataclass
class Ingested:
    """What was read: rows kept, ids that had to be renamed, rows of sources that were not asked
    for or not drawn into the share, rows set aside by reason."""

    kept: int = 0
    ids_renamed: int = 0
    files: int = 0
    broken: int = 0
    other_sources: int = 0
    not_drawn: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


def ingest_files(
    files: Sequence[DataFile],
    target: Path,
    work: Path,
    reading: Reading,
    *,
    engine: Engine,
    events: Events,
    piece_bytes: int = PIECE_BYTES,
) -> Ingested:
    """Write `data/` and `rejected/` below `target` from the rows of the files, in their order.

    What is written depends on the files and `piece_bytes`, and not on `engine`.

    Raises:
        InputError: more rows are broken than the limits allow, or no row can be used at all.
        LlamakitError: there are web archives, and the extra that reads them is missing.
    """
    if any(file.format == "warc" for file in files):
        need_warc()
    pieces = _pieces(files, work, reading, piece_bytes, engine, events)
    shards = [
        ReadShard(tuple(together), work / f"shards/{index:05d}", reading)
        for index, together in enumerate(gathered(pieces, piece_bytes))
    ]
    results = map_shards(
        read_shard, shards, done=work / "read", engine=engine, events=events, label="reading"
    )
    _tell(shards, results, events)
    done = Ingested(files=len(files))
    first_broken: list[str] = []
    for result in results:
        done.kept += result["kept"]
        done.broken += result["broken"]
        done.other_sources += result["other_sources"]
        done.not_drawn += result["not_drawn"]
        done.reasons.update(result["reasons"])
        first_broken += result["first_broken"]
    reading.limits.judge(
        kept=done.kept + done.not_drawn,
        broken=done.broken,
        other_sources=done.other_sources,
        reasons=done.reasons,
        first_broken=first_broken[: reading.limits.named],
    )
    places = _places(shards, results, target, work)
    placed = map_shards(
        place_shard, places, done=work / "placed", engine=engine, events=events, label="writing"
    )
    if not done.kept:
        # Nothing was drawn into the share: a table without rows.
        PartWriter(target / "data", KINDS[reading.kind][1]).close(always=True)
    done.ids_renamed = sum(result["renamed"] for result in placed)
    _write_rejected(shards, target)
    return done


def _pieces(
    files: Sequence[DataFile],
    work: Path,
    reading: Reading,
    piece_bytes: int,
    engine: Engine,
    events: Events,
) -> list[Piece]:
    """The files cut; not at all when only their first rows are read."""
    if reading.limits.rows_per_file is not None:
        return [Piece(file) for file in files]
    pieces = [piece for file in files for piece in cut(file, piece_bytes)]
    places = needs_count(pieces)
    if not places:
        return pieces
    counts = map_shards(
        count_lines,
        [pieces[place] for place in places],
        done=work / "counted",
        engine=engine,
        events=events,
        label="counting lines",
    )
    lines = {place: count["lines"] for place, count in zip(places, counts, strict=True)}
    return numbered(pieces, lines)


def _tell(shards: Sequence[ReadShard], results: Sequence[dict[str, Any]], events: Events) -> None:
    """Say which files hold nothing, and which could not be read to their end."""
    rows: Counter[str] = Counter()
    for shard, result in zip(shards, results, strict=True):
        for piece, count in zip(shard.pieces, result["rows"], strict=True):
            rows[piece.file.name] += count
        for name, row, reason in result["damaged"]:
            events.warn(
                f"{name} cannot be read from row {row:,} on ({reason}): what follows is lost"
            )
    for name, count in rows.items():
        if not count:
            events.warn(f"{name} holds no rows")


def _places(
    shards: Sequence[ReadShard], results: Sequence[dict[str, Any]], target: Path, work: Path
) -> list[PlaceShard]:
    """Where each shard's parts go, and the new ids' numbers beside those that have any."""
    positions, numbers = new_numbers([shard.folder for shard in shards])
    begins = np.cumsum([0, *(result["kept"] for result in results)])
    bounds = np.searchsorted(positions, begins)
    first_parts = np.cumsum([0, *(len(result["parts"]) for result in results)])
    (target / "data").mkdir(parents=True, exist_ok=True)
    places = []
    for index, shard in enumerate(shards):
        own = slice(bounds[index], bounds[index + 1])
        renames = None
        if bounds[index + 1] > bounds[index]:
            renames = work / f"renames/{index:05d}.npy"
            write_array(renames, np.stack([positions[own] - begins[index], numbers[own]], axis=-1))
        places.append(
            PlaceShard(
                folder=shard.folder,
                target=target / "data",
                kind=shard.reading.kind,
                first_part=int(first_parts[index]),
                renames=renames,
            )
        )
    return places


def _write_rejected(shards: Sequence[ReadShard], target: Path) -> None:
    """The rows set aside by all shards in one table; a shard has few of them."""
    writer = PartWriter(target / "rejected", BROKEN)
    for row in _rejected(shards):
        writer.add(row, len(row["raw"]))
    writer.close(always=True)


def _rejected(shards: Sequence[ReadShard]) -> Iterator[dict[str, Any]]:
    for shard in shards:
        for frame in read_parts(shard.folder / "rejected"):
            yield from frame.iter_rows(named=True)
