"""Checkpoints: whole, or passed over."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from llamakit.errors import InputError
from llamakit.events import Events
from llamakit.training.checkpoint import latest_checkpoint, save_checkpoint


class Warnings(Events):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def warn(self, text: str) -> None:
        self.texts.append(text)


def save(folder: Path, step: int) -> Path:
    tensors = {
        "a": torch.full((3, 2), float(step)),
        "b": torch.arange(4, dtype=torch.bfloat16)[::2],
    }
    return save_checkpoint(folder, step, tensors, {"pi": math.pi / step, "rng": "00ff"})


def test_all_comes_back(tmp_path: Path) -> None:
    save(tmp_path, 7)
    checkpoint = latest_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint.step == 7
    assert checkpoint.state == {"pi": math.pi / 7, "rng": "00ff"}
    assert torch.equal(checkpoint.tensors["a"], torch.full((3, 2), 7.0))
    assert checkpoint.tensors["b"].dtype == torch.bfloat16


def test_none_yet(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path / "absent") is None


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 10, 11):
        save(tmp_path, step)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000010", "step-00000011"]


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    save(tmp_path, 5)
    save_checkpoint(tmp_path, 5, {"c": torch.zeros(1)}, {})
    checkpoint = latest_checkpoint(tmp_path)
    assert checkpoint is not None
    assert list(checkpoint.tensors) == ["c"]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
@pytest.mark.parametrize("file", ["tensors.safetensors", "state.json"])
def test_a_broken_newest_is_passed_over(tmp_path: Path, damage: object, file: str) -> None:
    assert callable(damage)
    save(tmp_path, 1)
    damage(save(tmp_path, 2) / file)
    events = Warnings()
    checkpoint = latest_checkpoint(tmp_path, events)
    assert checkpoint is not None
    assert checkpoint.step == 1
    assert len(events.texts) == 1
    assert "step-00000002 is broken" in events.texts[0]


def test_a_save_that_was_cut_short_is_no_checkpoint(tmp_path: Path) -> None:
    save(tmp_path, 1)
    (tmp_path / "saving-step-00000002").mkdir()
    (tmp_path / "saving-step-00000002" / "tensors.safetensors").write_bytes(b"half")
    checkpoint = latest_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint.step == 1
    save(tmp_path, 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000001", "step-00000002"]


def test_only_broken_ones_is_an_error(tmp_path: Path) -> None:
    cut(save(tmp_path, 1) / "tensors.safetensors")
    with pytest.raises(InputError, match="no checkpoint here can be read"):
        latest_checkpoint(tmp_path)


def test_a_newer_schema_is_not_guessed_at(tmp_path: Path) -> None:
    path = save(tmp_path, 1) / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))
    with pytest.raises(InputError):
        latest_checkpoint(tmp_path)
