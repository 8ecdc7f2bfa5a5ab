from __future__ import annotations

import codecs
import gzip
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamakit.corpus.reading import rows as rows_module
from llamakit.corpus.reading.pieces import Piece
from llamakit.corpus.reading.records import BrokenRow, Row
from llamakit.corpus.reading.rows import read_rows
from llamakit.corpus.reading.sources import find_data_files


def read(path: Path) -> list[Row | BrokenRow]:
    files = find_data_files(path, path.name).files
    return [row for file in files for row in read_rows(Piece(file))]


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_json_lines_with_bom_blank_lines_crlf_and_no_last_newline(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": 2}')
    assert read(path) == [Row(1, {"a": 1}), Row(3, {"a": 2})]


def test_broken_lines_keep_their_number_and_reason(tmp_path: Path) -> None:
    data = b'{"a": 1}\n{"a": \n{"a": "caf\xe9"}\n\x00\x01\xff\n{"a": 2}\n'
    found = read(write(tmp_path / "a.jsonl", data))
    assert [(r.line, r.reason) for r in found if isinstance(r, BrokenRow)] == [
        (2, "not_json"),
        (3, "not_utf8"),
        (4, "binary"),
    ]
    assert "caf\\xe9" in next(r.raw for r in found if isinstance(r, BrokenRow) and r.line == 3)


def test_deep_nesting_is_a_broken_row(tmp_path: Path) -> None:
    (row,) = read(write(tmp_path / "a.jsonl", b"[" * 200_000))
    assert isinstance(row, BrokenRow)


@pytest.mark.parametrize(
    "text",
    [
        '[{"a": 1}, {"a": 2}]',
        '[\n  {"a": 1},\n  {"a": 2}\n]\n',
        '{"a": 1}\n{"a": 2}\n',
        '{\n  "a": 1\n}\n{\n  "a": 2\n}',
    ],
)
def test_json_in_all_its_layouts(tmp_path: Path, text: str) -> None:
    found = read(write(tmp_path / "a.json", text.encode()))
    assert [row.value for row in found if isinstance(row, Row)] == [{"a": 1}, {"a": 2}]
    assert len(found) == 2


@settings(max_examples=30, deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=5), st.text() | st.integers()), max_size=8))
def test_arrays_stream_to_what_json_reads(values: list[dict[str, object]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.json"
        path.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8", errors="replace")
        expected = json.loads(path.read_text(encoding="utf-8"))
        assert [row.value for row in read(path) if isinstance(row, Row)] == expected


def test_a_large_array_is_read_in_pieces_and_a_cut_one_is_said_to_be(tmp_path: Path) -> None:
    values = [{"text": "x" * 50_000, "n": n} for n in range(20)]
    data = json.dumps(values).encode()
    assert [r.value for r in read(write(tmp_path / "a.json", data)) if isinstance(r, Row)] == values
    found = read(write(tmp_path / "b.json", data[:-40_000]))
    assert len(found) == 20
    assert isinstance(found[-1], BrokenRow)


def test_truncated_gzip_gives_what_can_be_read_then_says_so(tmp_path: Path) -> None:
    import random

    letters = random.Random(0)
    lines = [json.dumps({"text": letters.random()}) for _ in range(20_000)]
    data = gzip.compress("\n".join(lines).encode())
    found = read(write(tmp_path / "a.jsonl.gz", data[: len(data) // 2]))
    assert isinstance(found[-1], BrokenRow)
    assert found[-1].reason == "truncated_file"
    good = [r.value for r in found[:-1] if isinstance(r, Row)]
    assert len(good) > 1_000
    assert good == [json.loads(line) for line in lines[: len(good)]]


def test_text_is_one_row_and_its_line_ends_are_unified(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.txt", b"\xef\xbb\xbfone\r\ntwo\rthree\n")) == [
        Row(1, {"text": "one\ntwo\nthree\n"})
    ]
    assert read(write(tmp_path / "b.txt", b"caf\xe9"))[0].reason == "not_utf8"  # type: ignore[union-attr]
    assert read(write(tmp_path / "c.txt", b"")) == []


def test_a_huge_text_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "MAX_ROW_BYTES", 100)
    (row,) = read(write(tmp_path / "a.txt", b"word " * 100))
    assert isinstance(row, BrokenRow)
    assert row.reason == "text_too_long"


def test_parquet_and_what_only_calls_itself_so(tmp_path: Path) -> None:
    values = [{"text": f"t{n}", "n": n} for n in range(3)]
    pl.DataFrame(values).write_parquet(tmp_path / "a.parquet")
    assert [row.value for row in read(tmp_path / "a.parquet") if isinstance(row, Row)] == values
    whole = (tmp_path / "a.parquet").read_bytes()
    for data, reason in ((b"nonsense", "not_parquet"), (whole[:-20], "truncated_file")):
        (row,) = read(write(tmp_path / "b.parquet", data))
        assert isinstance(row, BrokenRow)
        assert row.reason == reason


def test_unknown_endings_are_read_by_content(tmp_path: Path) -> None:
    assert read(write(tmp_path / "data", b'{"a": 1}\n{"a": 2}\n')) == [
        Row(1, {"a": 1}),
        Row(2, {"a": 2}),
    ]
    (row,) = read(write(tmp_path / "x.bin", bytes(range(256)) * 4))
    assert isinstance(row, BrokenRow)
    assert row.reason == "binary"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_wide_encodings_with_a_mark_are_read(tmp_path: Path, encoding: str) -> None:
    text = '{"a": "café 🙂"}\n' * 40_000
    data = text.encode(encoding)
    if encoding == "utf-16-be":
        data = codecs.BOM_UTF16_BE + data
    found = read(write(tmp_path / "a.jsonl", data))
    assert [row.line for row in found] == list(range(1, 40_001))
    assert {row.value["a"] for row in found if isinstance(row, Row)} == {"café 🙂"}


def test_a_cut_wide_encoding_is_named(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.jsonl", '{"a": 1}\n{"a": "🙂"}'.encode("utf-16")[:-6]))
    assert found[0] == Row(1, {"a": 1})
    assert isinstance(found[1], BrokenRow)
    assert (found[1].reason, found[1].ends_file) == ("not_utf16", True)
