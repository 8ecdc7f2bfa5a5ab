from __future__ import annotations

import json

import pytest

from llamakit.artifacts.store import Store
from llamakit.errors import UsageError
from llamakit.stages.produce import produce
from llamakit.stages.world import World
from llamakit.world.generate import FILES


def test_world_writes_every_file_as_sorted_json_lines(tmp_path):
    made = produce(World(docs=60), Store(tmp_path / "one")).version
    again = produce(World(docs=60), Store(tmp_path / "two")).version
    assert made.digest == again.digest
    for name in FILES:
        raw = (made.path / name).read_bytes()
        assert b"\r" not in raw
        rows = [json.loads(line) for line in raw.decode("utf-8").splitlines()]
        assert len(rows) == made.record.counts[name]
    lines = (made.path / "documents.jsonl").read_text(encoding="utf-8").splitlines()
    names = [json.loads(line)["id"] for line in lines]
    assert names == sorted(names)


def test_a_world_without_room_for_entities_is_refused():
    with pytest.raises(UsageError, match="entities"):
        World(entities=3)
