"""Shards as plain tasks of a Ray cluster. Tasks carry paths: every node must see the same store."""

from __future__ import annotations

import os
import platform
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from llamakit import __version__
from llamakit.engine.local import processors
from llamakit.engine.work import THREAD_VARIABLES, Work
from llamakit.errors import LlamakitError, UsageError

S = TypeVar("S")

_POLL_SECONDS = 1.0
_CANCEL_SECONDS = 5.0
_KNOCK_SECONDS = 10.0
_OBJECT_STORE_BYTES = 100 * 2**20
"""Ray's shared memory. Tasks pass paths and counts, so its smallest size will do."""


def run_on_ray(work: Work[S], workers: int | None) -> None:
    """Do `work` as tasks of one processor each, at most `workers` at once.

    The cluster is the one of RAY_ADDRESS; without it, one of this machine that ends with this
    process. A worker or a node that dies loses its task to another; a task that has lost its
    worker asks for more processors, and so for fewer neighbours to share the memory with.

    Raises:
        LlamakitError: Ray is not installed, the cluster does not answer, a node does not see the
            store, or workers kept dying on one shard.
    """
    ray = _connected(workers)
    task = ray.remote(max_retries=0, scheduling_strategy="SPREAD")(run_shard)
    environment = {"env_vars": {v: os.environ.get(v, "1") for v in THREAD_VARIABLES}}
    waiting = list(reversed(work.todo))
    running: dict[Any, int] = {}
    with _witness(work.done) as witness:
        place = Place(Path.cwd(), witness, __version__)
        try:
            while waiting or running:
                # Asked anew each time: nodes come and go. More than there is room for tells an
                # autoscaler to add nodes.
                room = workers or 2 * int(ray.cluster_resources().get("CPU", 1))
                while waiting and len(running) < room:
                    index = waiting.pop()
                    processors_wanted = min(2 ** work.deaths[index], _widest(ray))
                    options = {"num_cpus": processors_wanted, "runtime_env": environment}
                    shard = work.shards[index]
                    running[task.options(**options).remote(work.function, shard, place)] = index
                ready, _ = ray.wait(list(running), timeout=_POLL_SECONDS)
                for reference in ready:
                    index = running.pop(reference)
                    result = _result(ray, reference)
                    if result is None:
                        work.warn(f"{work.label}: a worker died; its shard runs again")
                        work.died(index)
                        waiting.append(index)
                    else:
                        work.finish(index, result)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
            # None of them is to write into a draft that a rerun works on.
            if running:
                ray.wait(list(running), num_returns=len(running), timeout=_CANCEL_SECONDS)


@dataclass(frozen=True)
class Place:
    """What a task has in common with the process that sent it: its folder, the store, the code."""

    folder: Path
    witness: Path
    """A file that has just been written to the store."""
    version: str


def run_shard(function: Callable[[S], dict[str, Any]], shard: S, place: Place) -> dict[str, Any]:
    """What runs on a node.

    Raises:
        LlamakitError: the node has another llamakit, or does not see the store.
    """
    here = f"node {platform.node()}"
    if __version__ != place.version:
        raise LlamakitError(
            f"llamakit {__version__} is installed there, the run was started by {place.version}",
            where=here,
            fix="Install the same version on every node.",
        )
    with suppress(OSError):
        os.chdir(place.folder)  # a relative path means what it means to the sender
    if not place.witness.exists():
        raise LlamakitError(
            f"the node does not see {place.witness.parent}",
            where=here,
            fix="With --engine ray the store and all files that are read must lie on a file system "
            "that every node mounts at the same path: name such a folder by --store.",
        )
    return function(shard)


@contextmanager
def _witness(folder: Path) -> Iterator[Path]:
    """A file in `folder` by which a node proves that it sees the store."""
    folder.mkdir(parents=True, exist_ok=True)
    # A new name each time: nodes remember for a while that a name they asked for was not there.
    path = folder.absolute() / f".{os.urandom(8).hex()}.tmp"
    path.touch()
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _result(ray: Any, reference: Any) -> dict[str, Any] | None:
    """A task's result; None when it lost its worker. An error of the function is raised as is."""
    errors = ray.exceptions
    try:
        result: dict[str, Any] = ray.get(reference)
    except errors.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, Exception) and not isinstance(cause, errors.RayError):
            raise cause from None
        raise LlamakitError(f"a Ray task could not be started: {_told(error)}") from None
    except (
        errors.WorkerCrashedError,
        errors.OutOfMemoryError,
        errors.NodeDiedError,
        errors.ObjectLostError,
    ):
        return None
    except errors.RayError as error:
        raise LlamakitError(f"Ray failed: {_told(error)}") from None
    return result


def _told(error: BaseException) -> str:
    """The last line of what is often a traceback of another process."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _widest(ray: Any) -> int:
    """Processors of the cluster's largest node: no task can have more."""
    sizes = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
    return max(1, int(max(sizes, default=1)))


def _connected(workers: int | None) -> Any:
    """The `ray` module, connected; once a process."""
    # Both are read as Ray is loaded: it counts its users over the network, and it prints the errors
    # of tasks that nobody asks for any more, such as those of a stopped run.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    try:
        ray = import_module("ray")
    except ImportError:
        raise LlamakitError(
            "Ray is not installed", where="--engine ray", fix='pip install "llamakit[ray]"'
        ) from None
    if ray.is_initialized():
        return ray
    # Unless told, Ray would attach to whatever cluster was last started on this machine.
    address = os.environ.get("RAY_ADDRESS") or "local"
    if address.startswith("ray://"):
        raise UsageError(
            "a Ray client cannot run stages: it does not see the store",
            where=f"RAY_ADDRESS={address}",
            fix="Start llamakit on a node of the cluster, with RAY_ADDRESS=auto.",
        )
    size: dict[str, Any] = {}
    if address == "local":
        size = {
            "num_cpus": max(workers or 0, processors()),
            "object_store_memory": _OBJECT_STORE_BYTES,
            "include_dashboard": False,
        }
    try:
        _knock(address)
        with _own_signals():
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", **size)
    except (OSError, ValueError, RuntimeError) as error:
        raise LlamakitError(
            f"no Ray cluster answers ({_told(error)})",
            where=f"RAY_ADDRESS={address}",
            fix="`ray status` tells whether one runs; without RAY_ADDRESS llamakit starts its own.",
        ) from None
    # Ray prints the deaths of workers on stdout, which carries a command's result only; there is
    # no public switch.
    printer: Any = import_module("ray._private.worker")
    printer._worker_logs_enabled = False
    return ray


def _knock(address: str) -> None:
    """Raise OSError where nobody answers at HOST:PORT: Ray itself would try for many minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_KNOCK_SECONDS).close()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray puts a SIGTERM handler of its own in place of the command's: put that back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
