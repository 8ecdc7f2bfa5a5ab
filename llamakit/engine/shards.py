"""Run one pure function over many shards, in local processes, remembering what is done."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

from llamakit.artifacts.files import write_json
from llamakit.errors import LlamakitError
from llamakit.events import Events

S = TypeVar("S")
Result = dict[str, Any]


@dataclass(frozen=True)
class Engine:
    """Where shards are worked on. `workers`: processes; None: one a processor."""

    workers: int | None = None


def map_shards(
    function: Callable[[S], Result],
    shards: Sequence[S],
    *,
    done: Path,
    engine: Engine,
    events: Events,
    label: str,
    unit: str = "shards",
) -> list[Result]:
    """Call `function` on every shard and return the results in the shards' order.

    Args:
        function: a module-level function of one picklable shard (paths and small values). It
            writes its own output atomically and returns a JSON-able dict of counts.
        done: folder that keeps each shard's result, so that a rerun skips the shards in it.
        engine: how many processes; 1 works in this process. They are spawned, never forked, since
            threads of polars and torch do not survive a fork.

    Raises:
        LlamakitError: a shard failed (its own error), or a worker process died.
    """
    workers = engine.workers or default_workers()
    todo = [index for index in range(len(shards)) if not _result_path(done, index).exists()]
    with events.task(label, total=len(shards), unit=unit) as task:
        task.advance(len(shards) - len(todo))
        if workers <= 1 or len(todo) <= 1:
            for index in todo:
                write_json(_result_path(done, index), function(shards[index]))
                task.advance()
        else:
            _in_processes(function, shards, todo, done, min(workers, len(todo)), task.advance)
    return [
        json.loads(_result_path(done, index).read_text(encoding="utf-8"))
        for index in range(len(shards))
    ]


def default_workers() -> int:
    """As many processes as this process may use processors."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_processes(
    function: Callable[[S], Result],
    shards: Sequence[S],
    todo: list[int],
    done: Path,
    workers: int,
    advance: Callable[[], None],
) -> None:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=obey_parent)
    try:
        running: dict[Future[Result], int] = {
            pool.submit(function, shards[index]): index for index in todo
        }
        for future in as_completed(running):
            write_json(_result_path(done, running[future]), future.result())
            advance()
    except BrokenProcessPool:
        raise LlamakitError(
            "a worker process died (out of memory, or killed)",
            fix="Run again with fewer --workers: finished shards are kept.",
        ) from None
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def obey_parent() -> None:
    """Leave Ctrl-C, which reaches the whole process group, to the parent; die when it dies.

    A worker that outlived a killed parent would write into a draft that a rerun works on.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_with, args=(parent,), daemon=True).start()


def _exit_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _result_path(done: Path, index: int) -> Path:
    return done / f"{index:05d}.json"
