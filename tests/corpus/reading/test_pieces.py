from __future__ import annotations

import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamakit.corpus.reading import streams
from llamakit.corpus.reading.pieces import Piece, count_lines, cut, gathered, needs_count, numbered
from llamakit.corpus.reading.records import BrokenRow, Row
from llamakit.corpus.reading.rows import read_rows
from llamakit.corpus.reading.sources import DataFile, find_data_files


def in_pieces(file: DataFile, size: int) -> list[Row | BrokenRow]:
    """The file's rows, read piece by piece."""
    pieces = cut(file, size)
    lines = {place: count_lines(pieces[place])["lines"] for place in needs_count(pieces)}
    return [row for piece in numbered(pieces, lines) for row in read_rows(piece)]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([b'{"a": 1}', b"", b"[2]", b"{", b'"long line long line"', b"\r"])),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
    st.integers(1, 60),
)
def test_pieces_give_the_rows_and_lines_of_the_whole(
    lines: list[bytes], end: bytes, ended: bool, size: int
) -> None:
    data = end.join(lines) + (end if ended else b"")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_bytes(data)
        (file,) = find_data_files(path, path.name).files
        assert in_pieces(file, size) == list(read_rows(Piece(file)))


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_a_line_over_several_pieces_and_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(streams, "_CHUNK", chunk)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'[1]\n["' + b"x" * 500 + b'"]\n[3]\n[4]')
    (file,) = find_data_files(path, path.name).files
    assert [row.line for row in in_pieces(file, 50)] == [1, 2, 3, 4]


def test_parquet_is_cut_by_rows(tmp_path: Path) -> None:
    pl.DataFrame({"n": range(10_000)}).write_parquet(tmp_path / "a.parquet", row_group_size=700)
    (file,) = find_data_files(tmp_path / "a.parquet", "a.parquet").files
    assert len(cut(file, 10_000)) > 3
    rows = in_pieces(file, 10_000)
    assert [(row.line, row.value["n"]) for row in rows if isinstance(row, Row)] == [
        (n + 1, n) for n in range(10_000)
    ]


def test_what_cannot_be_cut_stays_whole(tmp_path: Path) -> None:
    wide, packed = tmp_path / "wide.jsonl", tmp_path / "packed.jsonl"
    wide.write_bytes(('{"a": 1}\n' * 50).encode("utf-16"))
    packed.write_bytes(b"\x1f\x8b" + b"x" * 500)
    for path in (wide, packed):
        (file,) = find_data_files(path, path.name).files
        assert cut(file, 100) == [Piece(file)]


def test_small_files_share_a_shard_in_their_order(tmp_path: Path) -> None:
    for name, size in (("a", 10), ("b", 10), ("c", 90), ("d", 10), ("e", 300)):
        (tmp_path / f"{name}.txt").write_text("x" * size)
    files = find_data_files(tmp_path, "folder").files
    shards = gathered([Piece(file) for file in files], 100)
    assert [[piece.file.name[0] for piece in shard] for shard in shards] == [
        ["a", "b"],
        ["c", "d"],
        ["e"],
    ]
