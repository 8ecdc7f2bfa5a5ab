"""Run one pure function over many shards, wherever there is room, remembering what is done."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from llamakit.artifacts.files import write_json
from llamakit.engine.work import Work
from llamakit.events import Events

S = TypeVar("S")
Result = dict[str, Any]


@dataclass(frozen=True)
class Engine:
    """Where shards are worked on.

    `workers`: shards at once; None: one a processor (of this machine, or of the Ray cluster).
    `kind`: processes of this machine, or tasks of a Ray cluster.
    """

    workers: int | None = None
    kind: Literal["local", "ray"] = "local"


def map_shards(
    function: Callable[[S], Result],
    shards: Sequence[S],
    *,
    done: Path,
    engine: Engine,
    events: Events,
    label: str,
    unit: str = "shards",
    threads: bool = False,
) -> list[Result]:
    """Call `function` on every shard and return the results in the shards' order.

    Args:
        function: a module-level function of one picklable shard (paths and small values). It
            writes its own output atomically and returns a JSON-able dict of counts.
        done: folder that keeps each shard's result, so that a rerun skips the shards in it.
        engine: where; with the local engine and one worker, in this process.
        threads: the function works outside the interpreter's lock (kernels, parquet), so that the
            local engine runs it in threads of this process and spares starting others.

    Raises:
        LlamakitError: a shard failed (its own error), killed its worker again and again, or the
            engine could not be had.
    """
    todo = [index for index in range(len(shards)) if not _result_path(done, index).exists()]
    with events.task(label, total=len(shards), unit=unit) as task:
        task.advance(len(shards) - len(todo))

        def finish(index: int, result: Result) -> None:
            write_json(_result_path(done, index), result)
            task.advance()

        if todo:
            _run(Work(function, shards, todo, done, label, finish, events.warn), engine, threads)
    return [
        json.loads(_result_path(done, index).read_text(encoding="utf-8"))
        for index in range(len(shards))
    ]


def _run(work: Work[S], engine: Engine, threads: bool) -> None:
    if engine.kind == "ray":
        from llamakit.engine.ray_tasks import run_on_ray

        run_on_ray(work, engine.workers)
        return
    from llamakit.engine.local import processors, run_in_processes, run_in_threads

    workers = engine.workers or processors()
    if workers > 1 and len(work.todo) > 1:
        if threads:
            run_in_threads(work, workers)
        else:
            run_in_processes(work, workers)
        return
    for index in work.todo:
        work.finish(index, work.function(work.shards[index]))


def _result_path(done: Path, index: int) -> Path:
    return done / f"{index:05d}.json"
