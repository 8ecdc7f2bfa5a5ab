"""Those who watch a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from llamakit.errors import Stopped
from llamakit.events import Events
from llamakit.training.loop import fit
from llamakit.training.metrics import read_metrics
from llamakit.training.plan import TrainingPlan
from llamakit.training.watch import Row, Watcher
from tests.training.small import MICRO_BATCHES, Net, RandomRows, squared_error, stopping

PLAN = TrainingPlan(steps=6, lr=0.01, log_every=2, checkpoint_every=2)


class Notebook:
    """Writes down what it is shown."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.begun = self.closed = 0

    def begin(self, rows: Sequence[Row]) -> None:
        self.begun += 1
        self.rows = list(rows)

    def see(self, row: Row, model: nn.Module) -> None:
        assert isinstance(model, Net)
        self.rows.append(row)

    def close(self) -> None:
        self.closed += 1


def train(folder: Path, watchers: Sequence[Watcher], **how: Any) -> None:
    fit(
        Net(), how.pop("objective", squared_error), RandomRows(), PLAN,
        checkpoints=folder / "checkpoints", log=folder / "log", events=how.pop("events", Events()),
        watchers=watchers, **how,
    )  # fmt: skip


def test_they_see_each_row_of_the_log(tmp_path: Path) -> None:
    notebook = Notebook()
    train(tmp_path, [notebook], utilisation=lambda rate: rate / 1e9)
    assert notebook.rows == read_metrics(tmp_path / "log" / "metrics.jsonl")
    assert [row["step"] for row in notebook.rows] == [2, 4, 6]
    for row in notebook.rows:
        assert row["mfu"] == round(row["tokens_per_s"] / 1e9, 4)
    assert (notebook.begun, notebook.closed) == (1, 1)


def test_of_a_run_that_goes_on_they_see_the_earlier_rows_too(tmp_path: Path) -> None:
    events, first, second = Events(), Notebook(), Notebook()
    with pytest.raises(Stopped):
        train(tmp_path, [first], events=events, objective=stopping(events, 4 * MICRO_BATCHES))
    assert [row["step"] for row in first.rows] == [2, 4]
    train(tmp_path, [second])
    assert [row["step"] for row in second.rows] == [2, 4, 6]
    assert first.closed == second.closed == 1


def test_one_that_cannot_begin_is_closed(tmp_path: Path) -> None:
    class Broken(Notebook):
        def begin(self, rows: Sequence[Row]) -> None:
            raise OSError("no room")

    broken, other = Broken(), Notebook()
    with pytest.raises(OSError, match="no room"):
        train(tmp_path, [other, broken])
    assert (other.closed, broken.closed) == (1, 1)


def test_watched_or_not_the_log_has_the_same_figures(tmp_path: Path) -> None:
    def figures(folder: Path) -> list[dict[str, float]]:
        rows = read_metrics(folder / "log" / "metrics.jsonl")
        return [
            {k: v for k, v in row.items() if k not in ("tokens_per_s", "wait_share")}
            for row in rows
        ]

    train(tmp_path / "a", [])
    train(tmp_path / "b", [Notebook()])
    assert figures(tmp_path / "a") == figures(tmp_path / "b")
