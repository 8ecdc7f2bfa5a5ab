"""Checkpoints saved while training goes on, and what happens when one cannot be."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from llamakit.engine.ranks import here
from llamakit.errors import Stopped
from llamakit.events import Events
from llamakit.training.checkpoint import Checkpoints, stored_bytes
from llamakit.training.machine import available_bytes
from llamakit.training.pieces import Piece

_MIB = 2**20


class Saver:
    """Saves the checkpoints of a run in a thread; use it as a context manager.

    The state is copied at once, into memory that is kept for the next time, and written while
    training goes on. Where memory does not suffice for the copy, training waits for the writing.
    A checkpoint that cannot be written (the disk is full) is a warning: those before it are kept,
    and the next one is tried when it is due.
    """

    def __init__(self, checkpoints: Checkpoints, events: Events) -> None:
        self._checkpoints = checkpoints
        self._events = events
        self._copies: dict[str, Tensor] = {}
        self._writing: threading.Thread | None = None
        self._failure: Exception | None = None
        self._attempt = (0, 0)

    def save(
        self, step: int, tensors: Mapping[str, Tensor | Piece], state: Mapping[str, Any]
    ) -> None:
        """Save `step` finished steps; arguments as of `Checkpoints.save`. Returns when `tensors`
        may change again. A save before this one is waited for.
        """
        self.finish()
        size = stored_bytes(tensors)
        self._attempt = (step, size)
        # Processes of one machine share its memory.
        if not self._copies and size > available_bytes() / 2 / here().local_world:
            self._write(step, tensors, state)
            self._tell()
            return
        copied = self._copied(tensors)
        self._writing = threading.Thread(
            target=self._write, args=(step, copied, state), name="checkpoint", daemon=True
        )
        self._writing.start()

    def poll(self) -> None:
        """Tell of a save that has failed in the meantime."""
        if self._writing is not None and not self._writing.is_alive():
            self.finish()

    def finish(self) -> None:
        """Wait for a save that is under way.

        Raises:
            Exception: it failed for a reason that trying again does not mend.
        """
        if self._writing is not None:
            self._writing.join()
            self._writing = None
            self._tell()

    def _write(
        self, step: int, tensors: Mapping[str, Tensor | Piece], state: Mapping[str, Any]
    ) -> None:
        try:
            self._checkpoints.save(step, tensors, state)
        except Exception as error:
            self._failure = error

    def _tell(self) -> None:
        failure, self._failure = self._failure, None
        if failure is None:
            return
        if not isinstance(failure, OSError | SafetensorError):
            raise failure
        step, size = self._attempt
        kept = self._checkpoints.newest()
        self._events.warn(
            f"the checkpoint of step {step:,} could not be saved ({_reason(failure)}): it needs "
            f"{size / _MIB:,.0f} MiB, {self._checkpoints.free_bytes() / _MIB:,.0f} MiB are free. "
            + (f"That of step {kept:,} is kept" if kept is not None else "There is none before it")
            + "; training goes on, and the next one is tried when it is due"
        )

    def _copied(self, tensors: Mapping[str, Tensor | Piece]) -> dict[str, Tensor | Piece]:
        copied: dict[str, Tensor | Piece] = {}
        devices = set()
        for name, value in tensors.items():
            tensor = _tensor(value).detach()
            copy = self._copies.get(name)
            if copy is None or copy.shape != tensor.shape or copy.dtype != tensor.dtype:
                copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
                self._copies[name] = copy
            copy.copy_(tensor, non_blocking=True)
            if tensor.is_cuda:
                devices.add(tensor.device)
            copied[name] = replace(value, tensor=copy) if isinstance(value, Piece) else copy
        for device in devices:
            torch.cuda.synchronize(device)
        return copied

    def __enter__(self) -> Saver:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Who saves before stopping has waited. Who stops at once does not want to.
        if not isinstance(error, Stopped):
            self.finish()


def _tensor(value: Tensor | Piece) -> Tensor:
    return value.tensor if isinstance(value, Piece) else value


def _reason(failure: Exception) -> str:
    return failure.strerror if isinstance(failure, OSError) and failure.strerror else str(failure)
