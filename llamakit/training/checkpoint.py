"""Checkpoints: folders that are whole or absent, and noticed when broken.

    step-00000250/rank-00000.safetensors   weights, moments, whatever the run needs: what one
                                           process holds of it; one file for each process
    step-00000250/state.json               step, the run's other state, for every file its sha256
                                           and where in which tensor its pieces lie; its own sha256

A checkpoint is written under another name, fsynced, and renamed when every process has written its
file. Several are kept: when a disk hands the newest back damaged, the run continues from the one
before. Any number of processes can read what any other number wrote (`pieces.py`).
"""

from __future__ import annotations

import errno
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from llamakit.artifacts.digest import file_digest, json_digest
from llamakit.artifacts.files import sync_folder, write_json
from llamakit.errors import InputError
from llamakit.events import SILENT, Events
from llamakit.training.pieces import Index, Piece, PieceFiles, write_pieces
from llamakit.training.share import ALONE, Share

_SCHEMA = 2
_STATE = "state.json"
_STEP = "step-"
_SAVING = "saving-"
# Other processes write as much as this one; what takes longer by this much does not come.
_PATIENCE_S = 900.0
_POLL_S = 0.02


@dataclass(frozen=True)
class Keep:
    """Which checkpoints stay when a new one has been saved."""

    last: int = 2
    """So many of the newest; at least 1."""
    every: int = 0
    """And those of steps that this divides; 0: none."""
    last_of: int = 0
    """And the newest two of steps that this divides; 0: none."""

    def among(self, steps: Sequence[int]) -> set[int]:
        """Which of `steps`, in ascending order, stay."""
        return {
            *steps[-self.last :],
            *(step for step in steps if self.every and step % self.every == 0),
            *[step for step in steps if self.last_of and step % self.last_of == 0][-2:],
        }


@dataclass(frozen=True)
class Checkpoint:
    """One saved moment of a run."""

    step: int
    """Steps done."""
    tensors: PieceFiles
    """Read from the files when asked for; `box` gives parts of them."""
    state: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run. Made anew at every start, before any process of it saves.

    Args:
        folder: every process of the run must see the same.
        share: which process this is. Each saves its pieces; the first makes them a checkpoint.
    """

    def __init__(self, folder: Path, *, keep: Keep | None = None, share: Share = ALONE) -> None:
        self.folder = folder
        self._keep = keep or Keep()
        self._share = share
        self._attempts = 0
        self._clear(None)

    def save(
        self, step: int, tensors: Mapping[str, Tensor | Piece], state: Mapping[str, Any]
    ) -> Path:
        """Save a checkpoint of `step` finished steps, then remove those not to be kept.

        Every process calls this for the same steps in the same order; all but the first return when
        their own file is written.

        Args:
            tensors: what this process holds, and no other process saves too.
            state: JSON values, the first process's count. Floats return exactly; a random
                generator's state goes in as hex.

        Returns:
            The checkpoint's folder.

        Raises:
            OSError, SafetensorError: it could not be written (a full disk). Nothing of it is left,
                and earlier checkpoints are untouched.
        """
        final = self._path(step)
        # Numbered, so that what another process left of an attempt that failed is never counted in.
        draft = self.folder / f"{_SAVING}{final.name}-{self._attempts}"
        self._attempts += 1
        mine = _file(self._share.rank)
        try:
            self._clear(draft)
            draft.mkdir(parents=True, exist_ok=True)
            if self.free_bytes() < stored_bytes(tensors):
                # Filling the disk to its brim would stop others that write to it.
                raise OSError(errno.ENOSPC, "no space left on the disk")
            entry = write_pieces(draft / mine, tensors)
            if self._share.rank:
                write_json(draft / _entry(self._share.rank), entry)
                return final
            index = {mine: entry, **self._of_others(draft)}
            record = {"schema": _SCHEMA, "step": step, "state": dict(state), "files": index}
            write_json(draft / _STATE, {**record, "sha256": _state_digest(record)})
            if final.exists():
                self._remove(final)
            draft.rename(final)
        except BaseException:
            self._give_up(draft)
            raise
        sync_folder(self.folder)
        self._prune(step)
        return final

    def free_bytes(self) -> int:
        """What the disk has left where the folder is, or is to be."""
        there = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        return shutil.disk_usage(there).free

    def newest(self) -> int | None:
        """The step of the newest checkpoint, which may be broken."""
        return max(self._steps(), default=None)

    def latest(
        self,
        events: Events = SILENT,
        *,
        agreed: Callable[[bool], bool] = bool,
        at_most: int | None = None,
    ) -> Checkpoint | None:
        """The newest whole checkpoint; None when there is none.

        A broken one is passed over with a warning. That every one is broken is an error: starting
        again from nothing is the user's decision.

        Args:
            agreed: asked by every process whether its part of a checkpoint is whole; must tell all
                of them whether all are. Each reads its share of the files to know.
            at_most: pass over checkpoints of later steps.

        Raises:
            InputError: there are checkpoints, and none can be read.
        """
        found = [step for step in self._steps() if at_most is None or step <= at_most]
        for path in map(self._path, reversed(found)):
            problem, checkpoint = "another process cannot read its part", None
            try:
                checkpoint = _read(path, self._share)
            except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
                problem = str(error)
            if agreed(checkpoint is not None):
                return checkpoint
            events.warn(f"checkpoint {path.name} is broken ({problem}): trying the one before")
        if found:
            raise InputError(
                "no checkpoint here can be read",
                where=str(self.folder),
                fix="Remove the folder to start this run again from its beginning.",
            )
        return None

    def drop_after(self, step: int) -> None:
        """Remove checkpoints of later steps: a run that went back behind them takes another way."""
        if self._share.rank == 0:
            for later in reversed(self._steps()):
                if later > step:
                    self._remove(self._path(later))

    def _of_others(self, draft: Path) -> Index:
        """The entries of all other processes' files, waited for."""
        index = {}
        until = time.monotonic() + _PATIENCE_S
        for rank in range(1, self._share.world):
            entry = draft / _entry(rank)
            while not entry.exists():
                if (draft / _failed(rank)).exists():
                    raise OSError(f"process {rank} could not write its part")
                if time.monotonic() > until:
                    raise TimeoutError(f"process {rank} has not written its part")
                time.sleep(_POLL_S)
            index[_file(rank)] = json.loads(entry.read_text(encoding="utf-8"))
            entry.unlink()
        return index

    def _clear(self, at_work: Path | None) -> None:
        """Remove what attempts before the one at work have left: other processes may have written
        their parts after the first had given up."""
        if self._share.rank == 0:
            for leftover in self.folder.glob(f"{_SAVING}*"):
                if leftover != at_work:
                    shutil.rmtree(leftover)

    def _give_up(self, draft: Path) -> None:
        """Remove what could not be saved whole; the first process must not wait for the rest."""
        if self._share.rank == 0:
            shutil.rmtree(draft, ignore_errors=True)
            return
        (draft / _file(self._share.rank)).unlink(missing_ok=True)
        with suppress(OSError):
            (draft / _failed(self._share.rank)).touch()

    def _prune(self, step: int) -> None:
        """Remove what need not be kept now that `step` is saved.

        A checkpoint of a later step is one that was passed over as broken or rolled back behind.
        """
        steps = self._steps()
        kept = self._keep.among([s for s in steps if s <= step])
        for old in steps:
            if old not in kept:
                self._remove(self._path(old))

    def _remove(self, path: Path) -> None:
        """Half of a checkpoint, left by a kill, must not look like a broken one."""
        aside = path.rename(path.with_name(f"{_SAVING}{path.name}-removed"))
        shutil.rmtree(aside)

    def _path(self, step: int) -> Path:
        return self.folder / f"{_STEP}{step:08d}"

    def _steps(self) -> list[int]:
        """Steps with a checkpoint, whole or broken, in order."""
        names = [path.name.removeprefix(_STEP) for path in self.folder.glob(f"{_STEP}*")]
        return sorted(int(name) for name in names if name.isdecimal())


def stored_bytes(tensors: Mapping[str, Tensor | Piece]) -> int:
    """The size of what a process saves."""
    return sum((t.tensor if isinstance(t, Piece) else t).nbytes for t in tensors.values())


def _file(rank: int) -> str:
    return f"rank-{rank:05d}.safetensors"


def _entry(rank: int) -> str:
    return f"rank-{rank:05d}.json"


def _failed(rank: int) -> str:
    return f"rank-{rank:05d}.failed"


def _read(path: Path, share: Share) -> Checkpoint:
    record = json.loads((path / _STATE).read_text(encoding="utf-8"))
    if record["schema"] != _SCHEMA:
        raise ValueError(f"its schema is {record['schema']}, not {_SCHEMA}")
    if record.pop("sha256") != _state_digest(record):
        raise ValueError(f"{_STATE} does not have the digest it was saved with")
    for file, entry in _shared(record["files"], share):
        if file_digest(path / file) != entry["sha256"]:
            raise ValueError(f"{file} does not have the digest it was saved with")
    return Checkpoint(record["step"], PieceFiles(path, record["files"]), record["state"])


def _shared(files: Index, share: Share) -> Iterator[tuple[str, dict[str, Any]]]:
    for place, (file, entry) in enumerate(sorted(files.items())):
        if place % share.world == share.rank:
            yield file, entry


def _state_digest(record: Mapping[str, Any]) -> str:
    # Through JSON once: a tuple is a list when it is read back.
    return json_digest(json.loads(json.dumps(record)))
