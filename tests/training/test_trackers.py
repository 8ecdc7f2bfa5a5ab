"""Trackers hold what the metrics log holds, and never fail a run."""

from __future__ import annotations

import builtins
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from llamakit.events import Events
from llamakit.training.trackers import Tracker, trackers
from tests.training.small import Net

ROWS = [
    {"step": 10, "loss": 2.5, "lr": 0.001, "tokens": 640},
    {"step": 20, "loss": 2.0, "lr": 0.0005, "tokens": 1280, "grad_norm": float("inf")},
]


class Warnings(Events):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def warn(self, text: str) -> None:
        self.told.append(text)


def follow(names: list[str], log: Path, events: Events) -> None:
    """A run whose first row was written by an earlier attempt."""
    for tracker in trackers(names, log, {"lr": 0.001, "dim": 8}, events):
        tracker.begin(ROWS[:1])
        tracker.see(ROWS[1], Net())
        tracker.close()


def test_tensorboard_holds_every_row_once(tmp_path: Path) -> None:
    reader = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    events = Warnings()
    for _ in range(2):  # a run that goes on leaves no second copy of what came before
        follow(["tensorboard"], tmp_path, events)
    found = reader.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert set(found.Tags()["scalars"]) == {"loss", "lr", "tokens"}
    losses = [(event.step, event.value) for event in found.Scalars("loss")]
    assert losses == [(10, 2.5), (20, 2.0)]
    assert events.told == []


def records(data: bytes) -> list[bytes]:
    """The records of a short LevelDB log: each a checksum, a length of 16 bits, a type, bytes."""
    found, place = [], 7  # after the file's own header
    while place + 7 <= len(data):
        length = int.from_bytes(data[place + 4 : place + 6], "little")
        found.append(data[place + 7 : place + 7 + length])
        place += 7 + length
    return found


def test_wandb_keeps_an_offline_run_without_links(tmp_path: Path) -> None:
    events = Warnings()
    follow(["wandb"], tmp_path, events)
    assert events.told == []
    (run,) = tmp_path.rglob("*.wandb")
    record = importlib.import_module("wandb.proto.wandb_internal_pb2").Record
    seen: list[dict[str, str]] = []
    for data in records(run.read_bytes()):
        found = record.FromString(data)
        if found.WhichOneof("record_type") == "history":
            items = found.history.item
            seen.append({item.key or item.nested_key[0]: item.value_json for item in items})
    assert [(row["_step"], row["loss"]) for row in seen] == [("10", "2.5"), ("20", "2")]
    assert not [path for path in tmp_path.rglob("*") if path.is_symlink()]


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_missing_package_is_named_once_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    plain = builtins.__import__

    def without(wanted: str, *rest: Any) -> Any:
        if wanted.partition(".")[0] == name:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return plain(wanted, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    events = Warnings()
    follow([name], tmp_path, events)
    (told,) = events.told
    assert f'pip install "llamakit[{name}]"' in told


@pytest.mark.parametrize("moment", ["open", "write", "close"])
def test_an_error_is_told_once_and_ends_the_tracker(tmp_path: Path, moment: str) -> None:
    class Sink:
        written = 0

        def __init__(self, folder: Path) -> None:
            if moment == "open":
                raise OSError("no space left\nand more")

        def write(self, step: int, figures: Mapping[str, float]) -> None:
            Sink.written += 1
            if moment == "write":
                raise RuntimeError("the service went away")

        def close(self) -> None:
            if moment == "close":
                raise ValueError("cannot close")

    events = Warnings()
    tracker = Tracker("tensorboard", tmp_path / "t", Sink, events)
    tracker.begin([])
    for row in ROWS:
        tracker.see(row, Net())
    tracker.close()
    assert len(events.told) == 1
    assert "the run goes on without it" in events.told[0]
    assert "and more" not in events.told[0]
    assert Sink.written == {"open": 0, "write": 1, "close": 2}[moment]
