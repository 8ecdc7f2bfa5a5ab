from __future__ import annotations

from pathlib import Path

import pytest

from llamakit.corpus.reading.sources import find_data_files
from llamakit.errors import InputError


def test_a_folder_is_read_deep_in_order_and_says_what_it_passes_over(tmp_path: Path) -> None:
    for name in ("b/2.txt", "a.jsonl", "b/1.MD", ".hidden/x.txt", "c.exe", "b/3.tar.gz"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    found = find_data_files(tmp_path, "folder")
    assert [file.name for file in found.files] == ["a.jsonl", "b/1.MD", "b/2.txt"]
    assert found.passed == ["b/3.tar.gz", "c.exe"]


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        find_data_files(tmp_path / "none", "none")
    with pytest.raises(InputError, match="holds no file"):
        find_data_files(tmp_path, "empty")


@pytest.mark.parametrize(
    ("name", "stem"), [("a/wiki.jsonl.gz", "wiki"), ("x.txt", "x"), ("v1.2", "v1.2")]
)
def test_a_source_is_named_after_its_file(tmp_path: Path, name: str, stem: str) -> None:
    path = tmp_path / Path(name).name
    path.write_text("{}")
    (file,) = find_data_files(path, name).files
    assert file.stem == stem


def test_compression_is_told_by_content(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_text('{"a": 1}\n')
    (file,) = find_data_files(path, path.name).files
    assert (file.format, file.compression) == ("jsonl", None)
