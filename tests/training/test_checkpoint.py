"""Checkpoints: whole, or passed over."""

from __future__ import annotations

import errno
import json
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from llamakit.errors import InputError
from llamakit.events import Events
from llamakit.training.checkpoint import Checkpoint, Checkpoints, Keep
from llamakit.training.pieces import Piece
from llamakit.training.share import Share


class Warnings(Events):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def warn(self, text: str) -> None:
        self.texts.append(text)


def save(folder: Path, step: int, keep: Keep | None = None) -> Path:
    tensors = {
        "a": torch.full((3, 2), float(step)),
        "b": torch.arange(4, dtype=torch.bfloat16)[::2],
    }
    return Checkpoints(folder, keep=keep).save(step, tensors, {"pi": math.pi / step, "rng": "00ff"})


def latest(folder: Path, events: Events | None = None) -> Checkpoint | None:
    return Checkpoints(folder).latest(events or Events())


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_all_comes_back(tmp_path: Path) -> None:
    save(tmp_path, 7)
    checkpoint = latest(tmp_path)
    assert checkpoint is not None
    assert checkpoint.step == 7
    assert checkpoint.state == {"pi": math.pi / 7, "rng": "00ff"}
    assert torch.equal(checkpoint.tensors["a"], torch.full((3, 2), 7.0))
    assert checkpoint.tensors["b"].dtype == torch.bfloat16


def test_none_yet(tmp_path: Path) -> None:
    assert latest(tmp_path / "absent") is None


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 10, 11):
        save(tmp_path, step)
    assert names(tmp_path) == ["step-00000010", "step-00000011"]


def test_milestones_are_kept_beside_the_last(tmp_path: Path) -> None:
    for step in range(5, 60, 5):
        save(tmp_path, step, Keep(last=1, every=20))
    assert names(tmp_path) == [f"step-000000{n}" for n in (20, 40, 55)]


def test_what_was_passed_over_as_broken_makes_room(tmp_path: Path) -> None:
    keep = Keep(last=1)
    cut(save(tmp_path, 20, keep) / "state.json")
    save(tmp_path, 12, keep)  # continued from before, stopped before it came to 20 again
    assert names(tmp_path) == ["step-00000012"]


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    save(tmp_path, 5)
    Checkpoints(tmp_path).save(5, {"c": torch.zeros(1)}, {})
    assert names(tmp_path) == ["step-00000005"]
    checkpoint = latest(tmp_path)
    assert checkpoint is not None
    assert list(checkpoint.tensors) == ["c"]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    # In the middle of a digit it leaves valid JSON.
    content[content.find(b"0") if path.suffix == ".json" else -1] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
@pytest.mark.parametrize("file", ["rank-00000.safetensors", "state.json"])
def test_a_broken_newest_is_passed_over(tmp_path: Path, damage: object, file: str) -> None:
    assert callable(damage)
    save(tmp_path, 1)
    damage(save(tmp_path, 2) / file)
    events = Warnings()
    checkpoint = latest(tmp_path, events)
    assert checkpoint is not None
    assert checkpoint.step == 1
    assert len(events.texts) == 1
    assert "step-00000002 is broken" in events.texts[0]


def test_a_save_that_was_cut_short_is_no_checkpoint(tmp_path: Path) -> None:
    save(tmp_path, 1)
    (tmp_path / "saving-step-00000002-0").mkdir()
    (tmp_path / "saving-step-00000002-0" / "rank-00000.safetensors").write_bytes(b"half")
    checkpoint = latest(tmp_path)
    assert checkpoint is not None
    assert checkpoint.step == 1
    save(tmp_path, 2)
    assert names(tmp_path) == ["step-00000001", "step-00000002"]


def test_a_save_that_fails_leaves_nothing_and_removes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 1)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            save(tmp_path, 2)
    assert names(tmp_path) == ["step-00000001"]


def test_only_broken_ones_is_an_error(tmp_path: Path) -> None:
    cut(save(tmp_path, 1) / "rank-00000.safetensors")
    with pytest.raises(InputError, match="no checkpoint here can be read"):
        latest(tmp_path)


def test_a_newer_schema_is_not_guessed_at(tmp_path: Path) -> None:
    path = save(tmp_path, 1) / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))
    events = Warnings()
    with pytest.raises(InputError):
        latest(tmp_path, events)
    assert "its schema is 99, not 2" in events.texts[0]


WHOLE = torch.arange(40.0).view(10, 4)


def save_by_rows(folder: Path, world: int, step: int = 3) -> None:
    """Every process holds some rows of `w`, the first one `gain`: as sharded training does."""

    def one(rank: int) -> None:
        low, high = 10 * rank // world, 10 * (rank + 1) // world
        pieces = {"w": Piece(WHOLE[low:high], (10, 4), (low, 0))}
        if rank == 0:
            pieces["gain"] = Piece.whole(torch.tensor(0.5))
        saved[rank].save(step, pieces, {"rank": rank})

    saved = [Checkpoints(folder, share=Share(rank, world)) for rank in range(world)]
    with ThreadPoolExecutor(world) as pool:
        # The first process comes first: it has to wait for the others.
        list(pool.map(one, range(world)))


@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_any_number_of_processes_reads_what_another_number_wrote(
    tmp_path: Path, world: int
) -> None:
    save_by_rows(tmp_path, world)
    files = [f"rank-{rank:05d}.safetensors" for rank in range(world)]
    assert names(tmp_path / "step-00000003") == [*files, "state.json"]
    checkpoint = latest(tmp_path)
    assert checkpoint is not None
    assert checkpoint.state == {"rank": 0}
    assert set(checkpoint.tensors) == {"w", "gain"}
    assert torch.equal(checkpoint.tensors["w"], WHOLE)
    assert checkpoint.tensors["gain"].item() == 0.5
    for readers in (1, 2, 3, 5):
        for rank in range(readers):
            low, high = 10 * rank // readers, 10 * (rank + 1) // readers
            box = checkpoint.tensors.box("w", (low, 1), (high - low, 2))
            assert torch.equal(box, WHOLE[low:high, 1:3])


def test_each_process_looks_after_its_share_of_the_files(tmp_path: Path) -> None:
    save_by_rows(tmp_path, 4, step=3)
    save_by_rows(tmp_path, 4, step=6)
    flip(tmp_path / "step-00000006" / "rank-00001.safetensors")
    seen: list[bool] = []
    events = Warnings()
    # Of two processes, the first reads the files 0 and 2 and finds nothing; the other one does.
    checkpoint = Checkpoints(tmp_path, share=Share(0, 2)).latest(
        events, agreed=lambda whole: (seen.append(whole), len(seen) > 1)[1]
    )
    assert seen == [True, True]
    assert checkpoint is not None
    assert checkpoint.step == 3
    assert "another process" in events.texts[0]
    checkpoint = Checkpoints(tmp_path, share=Share(1, 2)).latest(events)
    assert checkpoint is not None
    assert checkpoint.step == 3


def test_one_process_that_fails_fails_all(tmp_path: Path) -> None:
    save(tmp_path, 1)
    first = Checkpoints(tmp_path, share=Share(0, 2))
    second = Checkpoints(tmp_path, share=Share(1, 2))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(first.save, 2, {"w": torch.ones(2)}, {})
        with pytest.raises(AttributeError):
            second.save(2, {"w": "no tensor"}, {})  # type: ignore[dict-item]
        with pytest.raises(OSError, match="process 1 could not write its part"):
            waiting.result()
    assert names(tmp_path) == ["step-00000001"]


def test_after_one_process_finds_the_disk_full_the_next_save_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Checkpoints(tmp_path, share=Share(0, 2))
    second = Checkpoints(tmp_path, share=Share(1, 2))
    with monkeypatch.context() as patch:
        patch.setattr(first, "free_bytes", lambda: 0)
        with pytest.raises(OSError, match="no space left"):
            first.save(1, {"a": torch.ones(2)}, {})
    second.save(1, {"b": torch.ones(3)}, {})  # came later: nobody waits for it
    assert names(tmp_path) == ["saving-step-00000001-0"]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(first.save, 2, {"a": torch.ones(2)}, {})
        second.save(2, {"b": torch.ones(3)}, {})
        waiting.result()
    assert names(tmp_path) == ["step-00000002"]
    checkpoint = latest(tmp_path)
    assert checkpoint is not None
    assert set(checkpoint.tensors) == {"a", "b"}
