from __future__ import annotations

from pathlib import Path

import pytest

from llamakit.artifacts import integrity
from llamakit.artifacts.digest import file_digest
from llamakit.artifacts.integrity import check_payload
from llamakit.artifacts.kinds import Kind
from llamakit.artifacts.record import FileEntry, Record
from llamakit.artifacts.store import Version
from llamakit.errors import InputError


@pytest.fixture
def version(tmp_path: Path) -> Version[Kind]:
    """A version of two payload files and a log."""
    entries = []
    for name in ("a.txt", "data/b.txt", "log/c.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
        payload = not name.startswith("log/")
        entries.append(FileEntry(name, path.stat().st_size, file_digest(path), payload))
    record = Record(
        kind="raw", name="letters", version=1, stage="letters", revision=1, config={}, inputs=[],
        fingerprint="", digest="", files=entries, counts={}, metrics={}, headline="", seed=None,
        elapsed_seconds=0.0, peak_memory_bytes=0, provenance={},
    )  # fmt: skip
    return Version(tmp_path, record)


def test_a_whole_version_passes_whatever_its_logs_hold(version: Version[Kind]) -> None:
    (version.path / "log/c.txt").unlink()
    check_payload(version)


def test_a_missing_a_cut_and_a_changed_file_are_named(version: Version[Kind]) -> None:
    path = version.path / "data" / "b.txt"
    path.write_text("data/B.txt")
    with pytest.raises(InputError, match=r"b\.txt: the file's bytes changed.*letters:v1"):
        check_payload(version)
    path.write_text("data")
    with pytest.raises(InputError, match="has 4 bytes, not 10"):
        check_payload(version)
    path.unlink()
    with pytest.raises(InputError, match=r"the file is missing.*make it again"):
        check_payload(version)


def test_only_what_is_read_counts(version: Version[Kind]) -> None:
    (version.path / "data" / "b.txt").unlink()
    check_payload(version, within=version.path / "a.txt")
    with pytest.raises(InputError):
        check_payload(version, within=version.path / "data")
    with pytest.raises(InputError):
        check_payload(version, within=version.path)


def test_of_large_payloads_only_sizes_are_held_against_the_record(
    version: Version[Kind], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrity, "DIGESTED_BYTES", 5)
    (version.path / "a.txt").write_text("A.txt")
    check_payload(version)
    (version.path / "a.txt").write_text("a")
    with pytest.raises(InputError):
        check_payload(version)
