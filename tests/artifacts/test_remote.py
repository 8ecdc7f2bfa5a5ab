from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from llamakit.artifacts import remote
from llamakit.artifacts.remote import fetch, fixed_base
from llamakit.artifacts.store import FETCHED, Store
from llamakit.artifacts.upkeep import find_garbage
from llamakit.errors import InputError, LlamakitError
from llamakit.events import SILENT
from llamakit.stages.source import find_sources


@pytest.fixture
def bucket() -> Iterator[Any]:
    """A file system in memory with three files."""
    system = fsspec.filesystem("memory")
    for name in ("en/a.jsonl", "en/b.jsonl", "de/a.jsonl"):
        system.pipe(f"/bucket/{name}", name.encode())
    yield system
    system.rm("/bucket", recursive=True)


def test_a_file_a_folder_and_a_pattern(bucket: Any, tmp_path: Path) -> None:
    one = fetch("memory://bucket/en/a.jsonl", tmp_path, SILENT)
    assert [name for name, _ in one.files] == ["a.jsonl"]
    assert (one.folder / "a.jsonl").read_bytes() == b"en/a.jsonl"
    folder = fetch("memory://bucket", tmp_path, SILENT)
    assert folder.whole
    assert [name for name, _ in folder.files] == ["de/a.jsonl", "en/a.jsonl", "en/b.jsonl"]
    some = fetch("memory://bucket/**/a.jsonl", tmp_path, SILENT)
    assert [name for name, _ in some.files] == ["de/a.jsonl", "en/a.jsonl"]
    assert not some.whole


def test_content_counts_and_not_the_place(bucket: Any, tmp_path: Path) -> None:
    store = Store(tmp_path / "artifacts")
    for name in ("en/a.jsonl", "en/b.jsonl", "de/a.jsonl"):
        path = tmp_path / "bucket" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    for here, there in (
        (str(tmp_path / "bucket"), "memory://bucket"),
        (str(tmp_path / "bucket/en/b.jsonl"), "memory://bucket/en/b.jsonl"),
        (str(tmp_path / "bucket/*/a.jsonl"), "memory://bucket/*/a.jsonl"),
    ):
        local, far = find_sources(here, store), find_sources(there, store)
        assert [(s.name, s.digest) for s in local] == [(s.name, s.digest) for s in far]


def test_a_changed_file_is_seen_and_a_removed_one_is_gone(bucket: Any, tmp_path: Path) -> None:
    before = fetch("memory://bucket/en", tmp_path, SILENT)
    bucket.pipe("/bucket/en/a.jsonl", b"EN/A.jsonl")  # the same size
    bucket.rm("/bucket/en/b.jsonl")
    after = fetch("memory://bucket/en", tmp_path, SILENT)
    assert dict(before.files)["a.jsonl"] != dict(after.files)["a.jsonl"]
    assert [path.name for path in after.folder.iterdir()] == ["a.jsonl"]


def test_a_copy_is_used_while_the_server_vouches_for_it(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"ETag": '"one"', "size": 10}
    monkeypatch.setattr(type(bucket), "info", lambda self, path: told)
    downloads = []
    real = remote._download
    monkeypatch.setattr(
        remote, "_download", lambda *given: downloads.append(given[1]) or real(*given)
    )
    for etag, expected in (
        ('"one"', 1),
        ('"one"', 1),
        ('"two"', 2),
        ('W/"two"', 3),
        ('W/"two"', 4),
    ):
        told["ETag"] = etag
        fetch("memory://bucket/en/a.jsonl", tmp_path, SILENT)
        assert len(downloads) == expected


def test_what_broke_off_is_not_kept(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(bucket), "info", lambda self, path: {"size": 11})
    with pytest.raises(InputError, match="only 10 of 11 bytes came"):
        fetch("memory://bucket/en/a.jsonl", tmp_path, SILENT)
    assert not list(tmp_path.rglob("a.jsonl"))


def test_errors_say_what_and_where(tmp_path: Path) -> None:
    for url, said in (("memory://nothing", "nothing is there"), ("poem://x", "no such protocol")):
        with pytest.raises(InputError, match=f"{url}: {said}"):
            fetch(url, tmp_path, SILENT)


def test_a_missing_library_is_said_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(LlamakitError, match=r'pip install "llamakit\[remote\]"'):
        fetch("s3://bucket/x", tmp_path, SILENT)


def test_copies_are_garbage(bucket: Any, tmp_path: Path) -> None:
    store = Store(tmp_path)
    fetch("memory://bucket", store.root, SILENT)
    assert [garbage.path for garbage in find_garbage(store)] == [tmp_path / FETCHED]


@pytest.mark.parametrize(
    ("pattern", "base"),
    [("a/b/*.x", "a/b"), ("/a/**/x", "/a"), ("*.x", ""), ("a[1]/b/c", ""), ("/*/x", "")],
)
def test_fixed_base(pattern: str, base: str) -> None:
    assert fixed_base(pattern) == base


def test_help_does_not_wait_for_it() -> None:
    code = "import llamakit.stages.source, sys; print('fsspec' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
