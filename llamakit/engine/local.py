"""Shards in processes of this machine: spawned, watched, and replaced when they are killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import (
    FIRST_COMPLETED,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    as_completed,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from llamakit.engine.heap import one_heap
from llamakit.engine.work import THREAD_VARIABLES, Work

S = TypeVar("S")


def run_in_processes(work: Work[S], workers: int) -> None:
    """Do `work` in as many processes. They are spawned, never forked, since threads of polars and
    torch do not survive a fork.

    When a process dies, nobody tells on which of the shards at work. They run again, and those
    that lose a second process run one at a time in a process of their own: what was short of
    memory beside others now has it all, and what kills its process always is found out.

    Raises:
        LlamakitError: processes kept dying on one shard.
    """
    left = list(work.todo)
    while left:
        suspect = next((index for index in left if work.deaths[index] > 1), None)
        batch = left if suspect is None else [suspect]
        finished, lost = _in_pool(work, batch, min(workers, len(batch)))
        left = [index for index in left if index not in finished]
        if lost:
            work.warn(f"{work.label}: a worker process died; {len(lost)} unfinished run again")
        for index in lost:
            work.died(index)


def run_in_threads(work: Work[S], workers: int) -> None:
    """Do `work` in threads of this process; the first error stops what has not begun."""
    with one_heap():
        pool = ThreadPoolExecutor(workers)
        try:
            running = {pool.submit(work.function, work.shards[index]): index for index in work.todo}
            for future in as_completed(running):
                work.finish(running[future], future.result())
        finally:
            pool.shutdown(cancel_futures=True)


def _in_pool(work: Work[S], batch: list[int], processes: int) -> tuple[set[int], list[int]]:
    """Run a batch until it is done or a process dies: the shards finished, and those at work when
    it died."""
    context = multiprocessing.get_context("spawn")
    threads = max(1, processors() // processes)
    pool = ProcessPoolExecutor(
        processes, mp_context=context, initializer=_start, initargs=(threads,)
    )
    waiting = iter(batch)
    running: dict[Future[dict[str, Any]], int] = {}
    finished: set[int] = set()
    try:
        while True:
            # One more than there are processes, so that none waits for this loop.
            while len(running) <= processes and (index := next(waiting, None)) is not None:
                running[pool.submit(work.function, work.shards[index])] = index
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                work.finish(running[future], future.result())
                finished.add(running.pop(future))
    except BrokenProcessPool:
        pool.shutdown()
        for future in [each for each in running if each.exception() is None]:
            work.finish(running[future], future.result())
            finished.add(running.pop(future))
        return finished, sorted(running.values())
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    return finished, []


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start(threads: int) -> None:
    for variable in THREAD_VARIABLES:
        os.environ.setdefault(variable, str(threads))
    obey_parent()


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
