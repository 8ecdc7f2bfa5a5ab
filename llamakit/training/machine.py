"""The machine a run uses: device, threads, memory. None of it shapes the result's identity."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from llamakit.errors import LlamakitError, UsageError
from llamakit.events import Events
from llamakit.model.config import ModelConfig
from llamakit.training.plan import Precision

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def pick_device(wanted: str) -> str:
    """`auto` is a GPU when there is one, else the processor.

    Raises:
        UsageError: a GPU is asked for and there is none.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UsageError("device cuda: no GPU is found here", fix="Use --device cpu or auto.")
    return wanted


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Compute with `n` threads inside; 0 leaves torch's own choice."""
    before = torch.get_num_threads()
    torch.set_num_threads(n or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def warn_of_slow_bf16(dtype: Precision, device: str, events: Events) -> None:
    """Say so when bf16 is asked of a processor that has to emulate it."""
    if dtype == "fp32" or device != "cpu":
        return
    has = torch.cpu.get_capabilities()
    if has.get("architecture") == "x86_64" and not (has["avx512_bf16"] or has["amx_bf16"]):
        events.warn(
            "this processor has no bf16 instructions: bf16 is several times slower than fp32 here"
        )


def training_bytes(config: ModelConfig, dtype: Precision) -> int:
    """The memory that weights, gradients and optimizer need, without activations.

    fp32: weights 4, gradients 4, two moments 8 bytes a parameter. bf16: the same for the masters,
    and 2 + 2 for what the model computes with.
    """
    return config.parameters() * (16 if dtype == "fp32" else 20)


def check_memory(needed: int, device: str) -> None:
    """Fail before the work begins when the memory cannot suffice.

    Raises:
        LlamakitError: more is needed than the device has.
    """
    present = memory_bytes(device)
    if needed > present:
        raise LlamakitError(
            f"training this model needs at least {needed / 2**30:,.1f} GiB for weights, gradients"
            f" and optimizer; the {'GPU' if device == 'cuda' else 'machine'} has"
            f" {present / 2**30:,.1f} GiB",
            fix="Take a smaller preset, or override dim, n_layers and ffn_dim.",
        )


def memory_bytes(device: str) -> int:
    """All memory of the device; of the machine, no more than the container may use."""
    if device == "cuda":
        _, total = torch.cuda.mem_get_info()
        return int(total)
    present: int = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = _CGROUP_LIMIT.read_text(encoding="ascii").strip()
    except OSError:
        return present
    return min(present, int(limit)) if limit.isdigit() else present
