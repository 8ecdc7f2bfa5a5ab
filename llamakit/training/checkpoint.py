"""Checkpoints: folders that are whole or absent, and noticed when broken.

    step-00000250/tensors.safetensors   weights, moments, whatever the run needs
    step-00000250/state.json            step, the run's other state, sha256 of the tensors

A checkpoint is written under another name, fsynced, and renamed. The last two are kept: when a disk
hands the newest back damaged, the run continues from the one before.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from llamakit.artifacts.digest import file_digest
from llamakit.artifacts.files import sync_file, sync_folder, write_json
from llamakit.errors import InputError
from llamakit.events import SILENT, Events

KEPT = 2
_SCHEMA = 1
_TENSORS = "tensors.safetensors"
_STATE = "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """One saved moment of a run."""

    step: int
    tensors: dict[str, Tensor]
    """On the CPU."""
    state: dict[str, Any]


def save_checkpoint(
    folder: Path, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]
) -> Path:
    """Save a checkpoint of `step` finished steps in `folder` and remove all but the last two.

    Args:
        tensors: any dtypes and devices; stored as they are.
        state: JSON values. Floats return exactly; a random generator's state goes in as hex.

    Returns:
        The checkpoint's folder.
    """
    final = folder / f"step-{step:08d}"
    draft = folder / f"saving-{final.name}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    save_file({k: t.detach().cpu().contiguous() for k, t in tensors.items()}, draft / _TENSORS)
    sync_file(draft / _TENSORS)
    record = {"schema": _SCHEMA, "step": step, "state": dict(state)}
    record["sha256"] = file_digest(draft / _TENSORS)
    write_json(draft / _STATE, record)
    if final.exists():
        shutil.rmtree(final)
    draft.rename(final)
    sync_folder(folder)
    for old in _folders(folder)[:-KEPT]:
        shutil.rmtree(old)
    return final


def latest_checkpoint(folder: Path, events: Events = SILENT) -> Checkpoint | None:
    """The newest whole checkpoint in `folder`; None when there is none.

    A broken one is passed over with a warning. That every one is broken is an error: starting
    again from nothing is the user's decision.

    Raises:
        InputError: there are checkpoints, and none can be read.
    """
    found = _folders(folder)
    for path in reversed(found):
        try:
            return _read(path)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            events.warn(f"checkpoint {path.name} is broken ({error}): trying the one before")
    if found:
        raise InputError(
            "no checkpoint here can be read",
            where=str(folder),
            fix="Remove the folder to start this run again from its beginning.",
        )
    return None


def _folders(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))


def _read(path: Path) -> Checkpoint:
    record = json.loads((path / _STATE).read_text(encoding="utf-8"))
    if record["schema"] != _SCHEMA:
        raise ValueError(f"its schema is {record['schema']}, not {_SCHEMA}")
    if file_digest(path / _TENSORS) != record["sha256"]:
        raise ValueError(f"{_TENSORS} does not have the digest it was saved with")
    return Checkpoint(record["step"], load_file(path / _TENSORS), record["state"])
