"""Damaged and hostile files: whatever they hold comes out as rows and as named reasons."""

from __future__ import annotations

import gzip
import importlib.util
import io
import json
import random
import re
from pathlib import Path

import polars as pl
import pytest
import zstandard

from llamakit.artifacts.frames import read_all
from llamakit.artifacts.store import Store
from llamakit.corpus.reading import json_rows, streams
from llamakit.corpus.reading.pieces import Piece
from llamakit.corpus.reading.records import BrokenRow, Row
from llamakit.corpus.reading.rows import read_rows
from llamakit.corpus.reading.sources import find_data_files
from llamakit.corpus.reading.table_rows import UnevenDamageError
from llamakit.stages.ingest import Ingest
from llamakit.stages.produce import produce

LINES = b"".join(json.dumps({"id": n, "text": f"text {n} é"}).encode() + b"\n" for n in range(60))


def table() -> bytes:
    buffer = io.BytesIO()
    rows = [{"text": f"text {n}", "more": {"n": [n]}} for n in range(60)]
    pl.DataFrame(rows).write_parquet(buffer, row_group_size=20)
    return buffer.getvalue()


def archive() -> bytes:
    head = b"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Record-ID: <urn:uuid:1>\r\n"
    return (head + b"Content-Length: 5\r\n\r\nhello\r\n\r\n") * 20


FILES = {
    "a.jsonl": LINES,
    "a.json": b"[" + b",".join(LINES.splitlines()) + b"]",
    "a.jsonl.gz": gzip.compress(LINES, mtime=0),
    "a.jsonl.zst": zstandard.compress(LINES),
    "a.parquet": table(),
    "a.warc.gz": gzip.compress(archive(), mtime=0),
    "a.warc": archive(),
    "a.txt": LINES,
}


def read(path: Path) -> list[Row | BrokenRow]:
    (file,) = find_data_files(path, path.name).files
    try:
        return list(read_rows(Piece(file)))
    except UnevenDamageError:
        return list(read_rows(Piece(file), careful=True))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flip", "cut", "zeros", "twice"])
def test_any_damage_ends_in_rows_and_reasons(tmp_path: Path, name: str, damage: str) -> None:
    if ".warc" in name and importlib.util.find_spec("fastwarc") is None:
        pytest.skip("llamakit[warc] is not installed")
    draw = random.Random(f"{name} {damage}")
    for _ in range(12):
        data = bytearray(FILES[name])
        place = draw.randrange(len(data))
        if damage == "flip":
            data[place] ^= 1 << draw.randrange(8)
        elif damage == "cut":
            del data[place:]
        elif damage == "zeros":
            data[place : place + 30] = bytes(len(data[place : place + 30]))
        else:
            data[place:place] = data[draw.randrange(len(data)) :]
        path = tmp_path / name
        path.write_bytes(data)
        first, again = read(path), read(path)
        assert first == again
        for row in first:
            if isinstance(row, BrokenRow):
                assert re.fullmatch("[a-z0-9_]+", row.reason)
                row.raw.encode()


def test_a_folder_of_accidents(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams.lines, "__defaults__", (2**20,))
    monkeypatch.setattr(json_rows, "MAX_ROW_BYTES", 2**20)
    folder = tmp_path / "folder"
    folder.mkdir()
    files = {
        "array.json": b"[" + b",\n".join(LINES.splitlines()) + b"]",
        "bomb.jsonl.zst": zstandard.compress(b"y" * (40 * 2**20)),
        "crlf.jsonl": b'\xef\xbb\xbf{"text": "one"}\r\n\r\n{"text": "two"}',
        "cut.jsonl.gz": gzip.compress(LINES)[:-30],
        "cut.parquet": FILES["a.parquet"][:500],
        "deep.jsonl": b"[" * 50_000 + b"\n" + b'{"text":' * 200 + b"\n" + LINES,
        "drift1.jsonl": b'{"text": "a", "id": 1, "n": [1]}\n{"text": "b", "id": "1", "n": {}}',
        "drift2.jsonl": b'{"content": "c", "n": "three", "id": null}\n{"text": 5}',
        "empty.jsonl": b"",
        "half.jsonl": b'{"text": "\\ud800"}',
        "huge.jsonl": b'{"text": "before"}\n' + b"x" * (3 * 2**20) + b'\n{"text": "after"}',
        "latin1.jsonl": '{"text": "café"}'.encode("latin-1"),
        "noise.json": random.Random(0).randbytes(2**16),
        "nul.jsonl": b'{"text": "a\\u0000b"}\n\0\0\0\n',
        "numbers.jsonl": b'{"text": "n", "a": 1e999, "b": NaN, "c": ' + b"9" * 40 + b"}",
        "twice.jsonl": b'{"text": "first", "text": "last"}',
        "wide.jsonl": '{"text": "Grüße"}\n'.encode("utf-16"),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    stage = Ingest(files=(str(folder),), as_="documents", max_broken=20)
    version = produce(stage, store).version
    rejected = read_all(version.path / "rejected")
    assert rejected.select("file", "line", "reason").rows() == [
        ("bomb.jsonl.zst", 1, "line_too_long"),
        ("cut.jsonl.gz", rejected["line"][1], "truncated_file"),
        ("cut.parquet", 1, "truncated_file"),
        ("deep.jsonl", 1, "nested_too_deep"),
        ("deep.jsonl", 2, "nested_too_deep"),
        ("drift2.jsonl", 2, "text_not_text"),
        ("half.jsonl", 1, "half_a_character"),
        ("huge.jsonl", 2, "line_too_long"),
        ("latin1.jsonl", 1, "not_utf8"),
        ("noise.json", 1, "not_utf8"),
        ("nul.jsonl", 2, "binary"),
    ]
    documents = read_all(version.path / "data")
    assert documents["id"].n_unique() == documents.height
    by_source = dict(documents.group_by("source").agg("text").iter_rows())
    assert by_source["crlf"] == ["one", "two"]
    assert by_source["drift1"] + by_source["drift2"] == ["a", "b", "c"]
    assert by_source["huge"] == ["before", "after"]
    assert by_source["nul"] == ["a\0b"]
    assert by_source["twice"] == ["last"]
    assert by_source["wide"] == ["Grüße"]
    assert len(by_source["array"]) == len(by_source["deep"]) == 60
    (numbers,) = documents.filter(source="numbers")["metadata"]
    assert json.loads(numbers) == {"a": "Infinity", "b": "NaN", "c": int("9" * 40)}
