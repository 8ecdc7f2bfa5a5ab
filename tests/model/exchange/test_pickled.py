"""Files of weights that hold a program: it must not run."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from llamakit.errors import InputError
from llamakit.model.exchange.pickled import read_pickled


class Attack:
    """Unpickled, it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "it-ran"


def test_the_attack_is_one(tmp_path: Path, mark: Path) -> None:
    """An ordinary unpickler runs it, so that the tests below prove something."""
    path = tmp_path / "weights.pth"
    torch.save({"norm.weight": Attack(mark)}, path)
    torch.load(path, weights_only=False)
    assert mark.exists()


@pytest.mark.parametrize("place", ["value", "key", "whole", "after"])
def test_a_program_in_a_file_of_weights_does_not_run(
    tmp_path: Path, mark: Path, place: str
) -> None:
    path, attack = tmp_path / "weights.pth", Attack(mark)
    held: Any = {
        "value": {"norm.weight": attack},
        "key": {attack: torch.ones(2)},
        "whole": attack,
        "after": {"norm.weight": torch.ones(2), "z": [attack]},
    }[place]
    torch.save(held, path)
    with pytest.raises(InputError, match=r"more than tensors.*Nothing in it was run"):
        read_pickled(path)
    assert not mark.exists()


def test_a_bare_pickle_does_not_run(tmp_path: Path, mark: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps(Attack(mark)))
    with pytest.raises(InputError, match=r"not written by torch\.save"):
        read_pickled(path)
    assert not mark.exists()


def test_an_older_file_of_torch_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match=r"torch 1\.6"):
        read_pickled(path)


def test_an_archive_that_could_grow_is_refused(tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain.pth", tmp_path / "packed.pth"
    torch.save({"a": torch.ones(2)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w") as target:
        for each in source.infolist():
            target.writestr(each.filename, source.read(each), zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="cut off"):
        read_pickled(packed)


@pytest.mark.parametrize("step", [1, 7, 50])
def test_cut_anywhere(tmp_path: Path, step: int) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.arange(100.0)}, path)
    whole = path.read_bytes()
    for size in range(0, len(whole), len(whole) * step // 97 + 1):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError):
            read_pickled(path)


def test_flipped_bytes_raise_or_give_tensors(tmp_path: Path) -> None:
    """Whatever a byte becomes, there is a table of tensors or an InputError: never another end."""
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.arange(10.0)}, path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            found = read_pickled(path)
        except InputError:
            continue
        assert all(isinstance(value, torch.Tensor) for value in found.values())
