"""Checkpoints in the background: what is saved is the moment, and what fails is told."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from llamakit.errors import Stopped
from llamakit.events import Events
from llamakit.training import saving
from llamakit.training.checkpoint import Checkpoints
from llamakit.training.pieces import Piece
from llamakit.training.saving import Saver


class Told(Events):
    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


class Slow(Checkpoints):
    """Writes when it is let."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.may = threading.Event()

    def save(self, *args: object, **kwargs: object) -> Path:  # type: ignore[override]
        self.may.wait()
        return super().save(*args, **kwargs)  # type: ignore[arg-type]


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_what_is_saved_is_the_moment_not_what_came_after(tmp_path: Path) -> None:
    slow = Slow(tmp_path)
    whole, rows = torch.zeros(1000), torch.ones(4, 3)
    with Saver(slow, Events()) as saver:
        saver.save(1, {"w": whole, "r": Piece(rows, (8, 3), (4, 0))}, {"at": 1})
        whole += 7  # training goes on
        rows *= 0
        slow.may.set()
    loaded = Checkpoints(tmp_path).latest()
    assert loaded is not None
    assert loaded.state == {"at": 1}
    assert torch.equal(loaded.tensors["w"], torch.zeros(1000))
    assert torch.equal(loaded.tensors.box("r", (4, 0), (4, 3)), torch.ones(4, 3))


def test_a_save_waits_for_the_one_before(tmp_path: Path) -> None:
    slow = Slow(tmp_path)
    w = torch.zeros(10)
    with Saver(slow, Events()) as saver:
        saver.save(1, {"w": w}, {})
        assert not (tmp_path / "step-00000001").exists()
        threading.Timer(0.1, slow.may.set).start()
        saver.save(2, {"w": w + 1}, {})
        assert (tmp_path / "step-00000001").exists()
    assert names(tmp_path) == ["step-00000001", "step-00000002"]


def test_without_memory_for_a_copy_it_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "available_bytes", lambda: 50)
    threads: list[str] = []

    class Here(Checkpoints):
        def save(self, *args: object, **kwargs: object) -> Path:  # type: ignore[override]
            threads.append(threading.current_thread().name)
            return super().save(*args, **kwargs)  # type: ignore[arg-type]

    with Saver(Here(tmp_path), Events()) as saver:
        saver.save(1, {"w": torch.zeros(10)}, {})
        assert (tmp_path / "step-00000001").exists()
    assert threads == [threading.main_thread().name]


def test_what_trying_again_does_not_mend_is_raised(tmp_path: Path) -> None:
    with (
        pytest.raises(TypeError, match="not JSON serializable"),
        Saver(Checkpoints(tmp_path), Events()) as saver,
    ):
        saver.save(1, {"w": torch.zeros(10)}, {"bad": object()})
    assert names(tmp_path) == []


def test_who_stops_at_once_does_not_wait(tmp_path: Path) -> None:
    slow = Slow(tmp_path)

    def stopped() -> None:
        with Saver(slow, Events()) as saver:
            saver.save(1, {"w": torch.zeros(10)}, {})
            raise Stopped(2)

    with pytest.raises(Stopped):
        stopped()
    assert names(tmp_path) == []
    slow.may.set()


def test_a_full_disk_is_told_and_the_next_save_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    events = Told()
    tensors = {"w": torch.zeros(2**20)}
    with Saver(Checkpoints(tmp_path), events) as saver:
        saver.save(1, tensors, {})
        saver.finish()
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            saver.save(2, tensors, {})
            while saver._writing is not None:  # as the loop does, step by step
                saver.poll()
        assert names(tmp_path) == ["step-00000001"]
        saver.save(3, tensors, {})
    assert names(tmp_path) == ["step-00000001", "step-00000003"]
    (warning,) = events.warnings
    assert "of step 2 could not be saved (No space left on device): it needs 4 MiB" in warning
    assert "That of step 1 is kept" in warning


def test_a_disk_without_room_for_a_folder_is_told_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    events = Told()
    with monkeypatch.context() as patch, Saver(Checkpoints(tmp_path / "new"), events) as saver:
        patch.setattr(Path, "mkdir", full)
        saver.save(1, {"w": torch.zeros(4)}, {})
    assert "There is none before it" in events.warnings[0]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    try:
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("mounting needs root")
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_on_a_disk_that_is_full_the_last_good_checkpoint_stays(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = Told()
    folder = small_disk / "checkpoints"
    tensors = {"w": torch.arange(2**18, dtype=torch.float32)}  # 1 MiB
    with Saver(Checkpoints(folder), events) as saver:
        saver.save(1, tensors, {})
        saver.save(2, tensors, {})
        saver.finish()
        # Somebody else's file takes the rest but for half a checkpoint.
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - 2**19))
        saver.save(3, tensors, {})
        saver.finish()
        assert "needs 1 MiB, 0 MiB are free. That of step 2 is kept" in events.warnings[0]
        # A quota, of which the file system does not tell beforehand: half is written.
        with monkeypatch.context() as patch:
            patch.setattr(Checkpoints, "free_bytes", lambda self: 2**30)
            saver.save(4, tensors, {})
            saver.finish()
        assert "No space left on device" in events.warnings[1]
        assert names(folder) == ["step-00000001", "step-00000002"]
        assert shutil.disk_usage(small_disk).free >= 2**19
        ballast.unlink()
        saver.save(5, tensors, {})
    assert names(folder) == ["step-00000002", "step-00000005"]
    loaded = Checkpoints(folder).latest()
    assert loaded is not None
    assert torch.equal(loaded.tensors["w"], tensors["w"])
