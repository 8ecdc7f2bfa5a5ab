from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from llamakit.engine.shards import Engine, map_shards
from llamakit.errors import InputError, LlamakitError
from llamakit.events import SILENT, Events
from tests.engine.small import Mortal, die_on_three, die_once, fail_on_three, square, threads


class Heard(Events):
    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.mark.parametrize("workers", [1, 3])
def test_results_are_in_order_whatever_the_workers(tmp_path: Path, workers: int) -> None:
    results = map_shards(
        square, range(7), done=tmp_path, engine=Engine(workers), events=SILENT, label="square"
    )
    assert [r["square"] for r in results] == [n * n for n in range(7)]
    assert (os.getpid() in {r["pid"] for r in results}) == (workers == 1)


def test_finished_shards_are_not_run_again(tmp_path: Path) -> None:
    (tmp_path / "00001.json").write_text(json.dumps({"square": "kept"}))
    results = map_shards(square, [1, 2], done=tmp_path, engine=Engine(1), events=SILENT, label="x")
    assert [r["square"] for r in results] == [1, "kept"]


def test_an_error_in_a_worker_keeps_its_words_and_the_finished_shards(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"here: three\. Leave it out\."):
        map_shards(
            fail_on_three, range(6), done=tmp_path, engine=Engine(2), events=SILENT, label="x"
        )
    assert not (tmp_path / "00003.json").exists()


def test_a_killed_worker_is_survived(tmp_path: Path) -> None:
    events = Heard()
    shards = [Mortal(number, tmp_path / f"grave-{number}") for number in range(7)]
    results = map_shards(
        die_once, shards, done=tmp_path / "done", engine=Engine(2), events=events, label="x"
    )
    assert [r["number"] for r in results] == list(range(7))
    assert {path.name for path in tmp_path.glob("grave-*")} == {"grave-0", "grave-3", "grave-6"}
    assert events.warnings
    assert all("a worker process died" in text for text in events.warnings)


def test_a_shard_that_always_kills_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    # Its neighbours die with it, and are not blamed for it.
    with pytest.raises(LlamakitError, match=r"x, shard 3 of 6: 3: a worker process died 3 times"):
        map_shards(
            die_on_three, range(6), done=tmp_path, engine=Engine(2), events=SILENT, label="x"
        )
    assert not (tmp_path / "00003.json").exists()
    assert {"00000.json", "00001.json", "00002.json"} <= {path.name for path in tmp_path.iterdir()}


def test_workers_share_the_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLARS_MAX_THREADS", raising=False)
    monkeypatch.setattr("llamakit.engine.local.processors", lambda: 6)
    results = map_shards(
        threads, range(2), done=tmp_path, engine=Engine(2), events=SILENT, label="x"
    )
    assert [r["threads"] for r in results] == [3, 3]
