from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from llamakit.engine.shards import Engine, map_shards
from llamakit.errors import InputError, LlamakitError
from llamakit.events import SILENT


def square(number: int) -> dict[str, int]:
    return {"square": number * number, "pid": os.getpid()}


def fail_on_three(number: int) -> dict[str, int]:
    if number == 3:
        raise InputError("three", where="here", fix="Leave it out.")
    return {"number": number}


def die_on_three(number: int) -> dict[str, int]:
    if number == 3:
        os._exit(9)
    return {"number": number}


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


def test_a_dead_worker_is_an_error_not_a_hang(tmp_path: Path) -> None:
    with pytest.raises(LlamakitError, match="worker process died"):
        map_shards(
            die_on_three, range(6), done=tmp_path, engine=Engine(2), events=SILENT, label="x"
        )
