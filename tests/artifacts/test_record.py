from __future__ import annotations

import json
from pathlib import Path

import pytest

from llamakit.artifacts.record import FileEntry, Record
from llamakit.artifacts.store import Store
from llamakit.errors import InputError

RECORD = Record(
    kind="raw", name="a", version=1, stage="world", revision=1, config={}, inputs=[],
    fingerprint="f", digest="d", files=[FileEntry("x", 1, "s", payload=True)], counts={},
    metrics={}, headline="", seed=None, elapsed_seconds=1.0, peak_memory_bytes=1, provenance={},
)  # fmt: skip


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    RECORD.write(tmp_path)
    assert Record.read(tmp_path) == RECORD


FILE = {"path": "x", "bytes": 1, "sha256": "s", "payload": True}


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "[" * 100_000,
        json.dumps({**RECORD.to_json(), "config": []}),
        json.dumps({**RECORD.to_json(), "version": "1"}),
        json.dumps({**RECORD.to_json(), "files": [{"path": 5}]}),
        json.dumps({**RECORD.to_json(), "files": [{**FILE, "path": 5}]}),
    ],
)  # fmt: skip
def test_a_broken_record_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "artifact.json").write_text(text)
    with pytest.raises(InputError, match="record cannot be read"):
        Record.read(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '"v1"', "[" * 100_000])
def test_broken_tags_are_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "tags.json").write_text(text)
    with pytest.raises(InputError, match="tags cannot be read"):
        Store(tmp_path).tags("a")
