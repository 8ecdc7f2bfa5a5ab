from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from llamakit.corpus.reading.pieces import Piece
from llamakit.corpus.reading.records import BrokenRow, Row
from llamakit.corpus.reading.rows import read_rows
from llamakit.corpus.reading.sources import Found, find_data_files
from llamakit.errors import InputError


def table(*texts: str) -> pl.DataFrame:
    return pl.DataFrame({"text": list(texts), "meta": [{"n": [len(t)]} for t in texts]})


def saved(folder: Path, *shards: pl.DataFrame) -> None:
    """A split as `save_to_disk` writes it, with a cache beside it."""
    folder.mkdir(parents=True)
    names = [f"data-{n:05d}-of-{len(shards):05d}.arrow" for n in range(len(shards))]
    for name, shard in zip(names, shards, strict=True):
        shard.write_ipc_stream(folder / name)
    table("stale").write_ipc_stream(folder / "cache-1234.arrow")
    state = {"_data_files": [{"filename": name} for name in names]}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": {}}))


def texts(found: Found) -> list[Any]:
    rows = [row for file in found.files for row in read_rows(Piece(file))]
    assert all(isinstance(row, Row) for row in rows), rows
    return [row.value["text"] for row in rows if isinstance(row, Row)]


def test_a_saved_dataset(tmp_path: Path) -> None:
    saved(tmp_path / "set", table("a", "b"), table("c"))
    found = find_data_files(tmp_path / "set", "set")
    assert texts(found) == ["a", "b", "c"]
    assert {file.stem for file in found.files} == {"set"}


def test_of_saved_splits_train_is_read_unless_others_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/dataset_dict.json").write_text('{"splits": ["test", "train"]}')
    saved(tmp_path / "set/train", table("a"))
    saved(tmp_path / "set/test", table("b"))
    found = find_data_files(tmp_path / "set", "set")
    assert (texts(found), found.splits, found.splits_left) == (["a"], ["train"], ["test"])
    assert texts(find_data_files(tmp_path / "set", "set", ["all"])) == ["b", "a"]
    assert texts(find_data_files(tmp_path / "set", "set", ["test"])) == ["b"]
    with pytest.raises(InputError, match=r"no split 'dev'. It has: test, train"):
        find_data_files(tmp_path / "set", "set", ["dev"])


def test_a_checkout_from_the_hub(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# A card, and no document\n")
    (tmp_path / "LICENSE.md").write_text("no document either")
    for name in ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001"):
        table(name).write_parquet(tmp_path / "data" / f"{name}.parquet")
    found = find_data_files(tmp_path, "hub")
    assert texts(found) == ["train-00000-of-00002", "train-00001-of-00002"]
    assert found.splits_left == ["validation"]
    assert found.passed == ["LICENSE.md"]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.jsonl", "train"),
        ("en/test.jsonl", "test"),
        ("dev/part-0.jsonl", "validation"),
        ("my-eval-set.jsonl", "test"),
        ("harmless_base-00000-of-00001.parquet", "harmless_base"),
        ("latest.jsonl", "train"),
        ("training/testimonials.jsonl", "train"),
    ],
)
def test_the_split_of_a_name(tmp_path: Path, name: str, split: str) -> None:
    (tmp_path / "README.md").write_text("---\n---\n")
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b'{"text": "x"}\n')
    assert find_data_files(tmp_path, "hub").splits == [split]


def test_a_folder_with_notes_is_no_dataset(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Notes\n")
    (tmp_path / "test.jsonl").write_text('{"text": "x"}\n')
    found = find_data_files(tmp_path, "folder")
    assert [file.name for file in found.files] == ["README.md", "test.jsonl"]
    assert found.splits == []


def read(path: Path) -> list[Row | BrokenRow]:
    return [row for f in find_data_files(path, path.name).files for row in read_rows(Piece(f))]


def test_arrow_in_batches_whole_cut_and_false(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    frame = table(*[f"text {n}" for n in range(250)])
    frame.write_ipc(path)
    assert [row.line for row in read(path)] == list(range(1, 251))
    one, two = tmp_path / "1.arrow", tmp_path / "2.arrow"
    frame[:100].write_ipc_stream(one)
    frame[100:].write_ipc_stream(two)
    schema = 8 + struct.unpack("<I", one.read_bytes()[4:8])[0]
    stream = one.read_bytes()[:-8] + two.read_bytes()[schema:]  # a stream of two batches
    path.write_bytes(stream)
    assert [row.value for row in read(path) if isinstance(row, Row)] == frame.to_dicts()
    for cut in (len(stream) - 500, len(stream) - 12):
        path.write_bytes(stream[:cut])
        *rows, last = read(path)
        assert isinstance(last, BrokenRow)
        assert (len(rows) >= 100, last.reason, last.ends_file) == (True, "truncated_file", True)
    for data, reason in ((b"no arrow at all", "not_arrow"), (b"\xff" * 400, "not_arrow")):
        path.write_bytes(data)
        (broken,) = read(path)
        assert isinstance(broken, BrokenRow)
        assert broken.reason == reason


def test_arrow_with_any_byte_changed_ends_in_rows_or_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    table("one", "two").write_ipc_stream(path)
    whole = path.read_bytes()
    for place in range(0, 300, 7):
        data = bytearray(whole)
        data[place] ^= 0xFF
        path.write_bytes(data)
        assert all(isinstance(row, (Row, BrokenRow)) for row in read(path))
