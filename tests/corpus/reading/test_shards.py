"""Ingest by shards: neither workers, nor pieces, nor kills change what comes out."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard

from llamakit.artifacts import frames
from llamakit.artifacts.frames import read_all
from llamakit.corpus.reading import ingestion, parts, shards
from llamakit.corpus.reading.fields import FieldNames
from llamakit.corpus.reading.ingestion import Ingested, ingest_files
from llamakit.corpus.reading.limits import Limits
from llamakit.corpus.reading.shards import Reading
from llamakit.corpus.reading.sources import find_data_files
from llamakit.engine.shards import Engine
from llamakit.errors import InputError
from llamakit.events import SILENT

SMALL = 40_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of many forms, some of them damaged, with ids that occur in several."""
    folder = tmp_path / "input"
    folder.mkdir()
    draw = random.Random(0)

    def lines(count: int) -> bytes:
        out = []
        for number in range(count):
            row: dict[str, Any] = {"text": f"{draw.random()} " * 5, "n": number}
            if draw.random() < 0.5:
                row["id"] = f"x{draw.randrange(count)}"
            out.append(b"{broken" if draw.random() < 0.01 else json.dumps(row).encode())
        return b"\n".join(out)

    (folder / "a.jsonl").write_bytes(lines(1_500))
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(lines(300)))
    (folder / "c.jsonl.zst").write_bytes(zstandard.compress(lines(300))[:-1_000])
    pl.DataFrame({"text": [f"row {n}" for n in range(900)], "id": range(900)}).write_parquet(
        folder / "d.parquet", row_group_size=100
    )
    for number in range(5):
        (folder / f"e{number}.txt").write_text(f"text {number}")
    (folder / "f.jsonl").write_bytes(b"")
    (folder / "g.json").write_text(json.dumps([{"text": "one", "id": "x1"}, {"text": "two"}]))
    return folder


def ingest(
    folder: Path, target: Path, workers: int = 1, piece_bytes: int = SMALL, max_broken: float = 0.1
) -> Ingested:
    return ingest_files(
        find_data_files(folder, "input").files,
        target,
        target / "work",
        Reading("documents", FieldNames(), Limits(max_broken)),
        engine=Engine(workers),
        events=SILENT,
        piece_bytes=piece_bytes,
    )


def written(target: Path) -> dict[str, str]:
    """The digest of every part."""
    return {
        path.relative_to(target).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for sub in ("data", "rejected")
        for path in sorted((target / sub).iterdir())
    }


def test_workers_change_no_byte(folder: Path, tmp_path: Path) -> None:
    one, two = ingest(folder, tmp_path / "1"), ingest(folder, tmp_path / "2", workers=2)
    assert one == two
    assert written(tmp_path / "1") == written(tmp_path / "2")
    assert len(written(tmp_path / "1")) > 5


def test_pieces_change_no_row(folder: Path, tmp_path: Path) -> None:
    tables = []
    for size in (SMALL, 15_000, 2**26):
        target = tmp_path / str(size)
        done = ingest(folder, target, piece_bytes=size)
        frame = read_all(target / "data")
        assert frame["id"].n_unique() == frame.height == done.kept
        tables.append((frame, read_all(target / "rejected"), done))
    for frame, rejected, done in tables[1:]:
        assert frame.equals(tables[0][0])
        assert rejected.equals(tables[0][1])
        assert done == tables[0][2]
    assert tables[0][2].ids_renamed > 100
    assert tables[0][2].reasons["truncated_file"] == 1


@pytest.mark.parametrize("step", ["read_shard", "new_numbers", "place_shard", "_write_rejected"])
def test_stopped_anywhere_it_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    ingest(folder, tmp_path / "whole")
    calls = 0
    real = getattr(ingestion, step)

    def fails(given: Any, *more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2 or step in ("new_numbers", "_write_rejected"):
            if step == "place_shard":
                real(given)  # all its parts are moved, but nobody was told
            raise KeyboardInterrupt
        return real(given, *more)

    monkeypatch.setattr(ingestion, step, fails)
    with pytest.raises(KeyboardInterrupt):
        ingest(folder, tmp_path / "stopped")
    monkeypatch.undo()
    ingest(folder, tmp_path / "stopped")
    assert written(tmp_path / "stopped") == written(tmp_path / "whole")


def test_parts_are_bounded_in_rows_and_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "ROWS_PER_PART", 10)
    monkeypatch.setattr(parts, "PART_BYTES", 100)
    monkeypatch.setattr(parts, "_CHUNK_BYTES", 30)
    path = tmp_path / "a.jsonl"
    sizes = [1] * 25 + [60] * 5 + [300]
    path.write_text(
        "".join(json.dumps({"text": "é" * (n // 2) + "x" * (n % 2)}) + "\n" for n in sizes)
    )
    ingest(path, tmp_path / "out")
    frames_ = [pl.read_parquet(p) for p in sorted((tmp_path / "out/data").iterdir())]
    assert [frame.height for frame in frames_] == [10, 10, 6, 1, 1, 1, 1, 1]
    assert sum(frame["text"].str.len_bytes().sum() for frame in frames_) == sum(sizes)


def test_a_number_of_broken_rows_stops_its_shard(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x"}\n' * 50 + "{\n" * 5_000)
    with pytest.raises(InputError, match=r"more than 3 rows are broken: input:51 \(not_json\)"):
        ingest(path, tmp_path / "out", max_broken=3)


def test_a_damaged_table_gives_the_same_rows_each_time(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    draw = random.Random(1)
    texts = [f"{draw.random()}" for _ in range(20_000)]
    pl.DataFrame({"text": texts}).write_parquet(path, row_group_size=1_000, compression="zstd")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2_000] = bytes(2_000)
    path.write_bytes(data)
    kept = []
    for attempt in range(3):
        done = ingest(path, tmp_path / str(attempt), piece_bytes=2**30)
        kept.append(read_all(tmp_path / str(attempt) / "data")["text"].to_list())
        assert done.reasons == {"corrupt_file": 1}
    assert 5_000 < len(kept[0]) < 20_000
    assert kept[0] == texts[: len(kept[0])]
    assert kept[1] == kept[2] == kept[0]


def test_kinds_have_the_schemas_of_their_tables() -> None:
    assert {kind: schema for kind, (_, schema) in shards.KINDS.items()} == {
        "documents": frames.DOCUMENTS,
        "dialogues": frames.DIALOGUES,
        "preferences": frames.PREFERENCES,
    }
