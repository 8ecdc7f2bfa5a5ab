"""The machine a run uses: device, threads, memory. None of it shapes the result's identity."""

from __future__ import annotations

import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from llamakit.engine.ranks import here
from llamakit.errors import LlamakitError, UsageError
from llamakit.events import Events
from llamakit.model.config import ModelConfig
from llamakit.training.estimate import Device, kind_of, memory_parts
from llamakit.training.plan import Precision
from llamakit.wording import counted

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_MEMORY_INFO = Path("/proc/meminfo")
_CPU_INFO = Path("/proc/cpuinfo")
_MEASURE_SECONDS = 0.25
# Of the matrices whose product is timed; processors stop earlier, for want of time.
_WIDEST = 8192


def pick_device(wanted: str) -> str:
    """`auto` is a GPU when there is one, else the processor.

    Raises:
        UsageError: a GPU is asked for and there is none.
    """
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    elif wanted == "cuda" and not torch.cuda.is_available():
        raise UsageError("device cuda: no GPU is found here", fix="Use --device cpu or auto.")
    present, processes = torch.cuda.device_count(), here().local_world
    if wanted == "cuda" and present < processes:
        raise UsageError(
            f"torchrun started {processes} processes here, and there are {counted(present, 'GPU')}",
            fix="Start one process a GPU, or use --device cpu.",
        )
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


def check_compiler(device: str, *, wanted: bool) -> None:
    """Fail before the work begins when torch.compile is wanted and has nothing to compile with.

    Raises:
        UsageError: no C++ compiler is found, or for a GPU no C compiler or no Triton.
    """
    if not wanted:
        return
    if device == "cuda":
        names, what = [os.environ.get("CC", ""), "gcc", "clang", "cc"], "C compiler"
        if find_spec("triton") is None:
            raise UsageError(
                "compile: Triton is not installed, which compiles for a GPU",
                fix='"pip install triton" (PyTorch for CUDA brings it), or leave compile out.',
            )
    else:
        names, what = [os.environ.get("CXX", ""), "g++", "clang++", "c++"], "C++ compiler"
    if not any(name and shutil.which(name) for name in names):
        raise UsageError(
            f"compile: no {what} is found ({', '.join(filter(None, names))})",
            fix="Install one (on Debian, apt install g++), or leave compile out.",
        )


def check_memory(
    config: ModelConfig,
    dtype: Precision,
    device: str,
    *,
    shards: int = 1,
    tensor: int = 1,
    trained: int | None = None,
) -> None:
    """Fail before the work begins when weights, gradients and optimizer alone cannot fit.

    Raises:
        LlamakitError: more is needed than the device has.
    """
    parts = memory_parts(config, dtype, shards=shards, tensor=tensor, trained=trained)
    needed = sum(parts.values())
    present = memory_bytes(device)
    if device == "cpu":
        needed *= here().local_world  # they share it
    if needed > present:
        raise LlamakitError(
            f"training this model needs at least {needed / 2**30:,.1f} GiB for weights, gradients"
            f" and optimizer; the {'GPU' if device == 'cuda' else 'machine'} has"
            f" {present / 2**30:,.1f} GiB",
            fix="Take a smaller preset, or override dim, n_layers and ffn_dim; --parallel fsdp cuts"
            " it over the devices that torchrun starts; --dry-run reckons the memory by part.",
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


def available_bytes() -> int:
    """The machine's memory that is free or can be freed, no more than the container may still take;
    0 where the system does not tell."""
    try:
        text = _MEMORY_INFO.read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"^MemAvailable:\s*(\d+) kB$", text, flags=re.MULTILINE)
    free = int(found.group(1)) * 1024 if found else 0
    try:
        limit = _CGROUP_LIMIT.read_text(encoding="ascii").strip()
        used = int(_CGROUP_LIMIT.with_name("memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return free
    return min(free, int(limit) - used) if limit.isdigit() else free


def this_device(device: str, dtype: Precision) -> Device:
    """The device a run would use here: a GPU of the table, else what is measured of it.

    The rate of matrix products is measured in under a third of a second, once a process, with the
    threads that are set. Whoever writes it down keeps it out of an artifact's payload.
    """
    name = torch.cuda.get_device_name() if device == "cuda" else _processor()
    if device == "cuda" and (known := kind_of(name)) is not None:
        return replace(known, memory=memory_bytes(device))
    threads = f", {counted(torch.get_num_threads(), 'thread')}" if device == "cpu" else ""
    rate = _matmul_rate(device, dtype, torch.get_num_threads())
    return Device(f"{name}{threads}", {dtype: rate}, memory_bytes(device), None, "measured here")


@cache
def _matmul_rate(device: str, dtype: Precision, n_threads: int) -> float:
    """FLOP/s of square matrix products, the best of a few; `n_threads` is what is set already."""
    kind = torch.float32 if dtype == "fp32" else torch.bfloat16
    generator = torch.Generator().manual_seed(0)
    end = time.perf_counter() + _MEASURE_SECONDS
    best, width = 0.0, 256
    while True:
        a = torch.randn(width, width, generator=generator).to(device, kind)
        _product_seconds(a)  # kernels are chosen, and caches filled, at first use
        seconds = _product_seconds(a)
        best = max(best, 2 * width**3 / seconds)
        left = end - time.perf_counter()
        # The next is eight times the work, done twice: no larger than the time left allows.
        if width < _WIDEST and 16 * seconds < left / 2:
            width *= 2
        elif left < 4 * seconds:
            return best


def _product_seconds(a: Tensor) -> float:
    if a.is_cuda:
        torch.cuda.synchronize()
    started = time.perf_counter()
    a @ a
    if a.is_cuda:
        torch.cuda.synchronize()
    return max(time.perf_counter() - started, 1e-9)


def _processor() -> str:
    try:
        text = _CPU_INFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, flags=re.MULTILINE)
    return found.group(1).strip() if found else platform.machine()
