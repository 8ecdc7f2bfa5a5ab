"""Run a pipeline: each stage as soon as what it reads is made, several at once if asked."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from types import FrameType

from llamakit.artifacts.kinds import Kind
from llamakit.artifacts.store import Store, Version
from llamakit.engine.local import obey_parent
from llamakit.errors import LlamakitError
from llamakit.events import Events
from llamakit.pipeline.plan import bind
from llamakit.pipeline.relay import RelayEvents, drain
from llamakit.pipeline.spec import PipelineSpec, StageSpec
from llamakit.stages.produce import produce
from llamakit.stages.stage import Stage

_PATIENCE_SECONDS = 60
"""How long workers may save what can be resumed, once one of them was lost."""


@dataclass(frozen=True)
class Done:
    """One stage that was made or reused, and how long that took."""

    name: str
    version: Version[Kind]
    reused: bool
    seconds: float
    unmet: list[str]


def run_pipeline(
    spec: PipelineSpec,
    chosen: Sequence[StageSpec],
    store: Store,
    *,
    jobs: int = 1,
    events: Events,
) -> list[Done]:
    """Make every chosen stage, in order; with `jobs` > 1, independent stages side by side.

    A failure stops the run; what is made stays, and the next run continues from there.
    """
    if jobs <= 1:
        return _one_by_one(spec, chosen, store, events)
    return _side_by_side(spec, chosen, store, jobs, events)


def _one_by_one(
    spec: PipelineSpec, chosen: Sequence[StageSpec], store: Store, events: Events
) -> list[Done]:
    made: dict[str, Version[Kind]] = {}
    done = []
    running = [each.name for each in chosen]
    for number, stage_spec in enumerate(chosen, start=1):
        stage = bind(spec, stage_spec, store, made, running)
        events.note(f"[{number}/{len(chosen)}] {stage_spec.name} ({stage.command()})")
        item = _produce(stage, store, stage_spec.name, events)
        made[stage_spec.name] = item.version
        done.append(item)
    return done


def _produce(stage: Stage, store: Store, name: str, events: Events) -> Done:
    started = time.monotonic()
    made = produce(stage, store, name=name, events=events)
    return Done(name, made.version, made.reused, time.monotonic() - started, made.unmet)


def _side_by_side(
    spec: PipelineSpec, chosen: Sequence[StageSpec], store: Store, jobs: int, events: Events
) -> list[Done]:
    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    listener = threading.Thread(target=drain, args=(messages, events), daemon=True)
    listener.start()
    made: dict[str, Version[Kind]] = {}
    done: dict[str, Done] = {}
    waiting = list(chosen)
    names = [each.name for each in chosen]
    running: dict[Future[Done], StageSpec] = {}
    pool = ProcessPoolExecutor(
        jobs, mp_context=context, initializer=_start_worker, initargs=(messages,)
    )
    try:
        while waiting or running:
            for stage_spec in [s for s in waiting if _ready(s, names, made)]:
                stage = bind(spec, stage_spec, store, made, names)
                future = pool.submit(_produce_in_worker, stage, store.root, stage_spec.name)
                running[future] = stage_spec
                waiting.remove(stage_spec)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                item = future.result()
                done[item.name] = item
                made[item.name] = item.version
                del running[future]
    except BaseException as error:
        # SIGTERM lets each worker save what can be resumed.
        workers = multiprocessing.active_children()
        for process in workers:
            process.terminate()
        lost = isinstance(error, BrokenProcessPool)
        if lost:
            # The lost worker may have held the lock on results: the others would wait for ever.
            for process in workers:
                process.join(_PATIENCE_SECONDS)
                process.kill()
        pool.shutdown(wait=True, cancel_futures=True)
        if lost:
            raise LlamakitError(
                f"a worker process was killed while it made one of: {_named(running)}",
                fix="It may have run out of memory: take fewer --jobs. Run again to continue.",
            ) from None
        raise
    pool.shutdown()
    messages.put(None)
    listener.join()
    return [done[name] for name in names]


def _named(running: Mapping[Future[Done], StageSpec]) -> str:
    return ", ".join(stage_spec.name for stage_spec in running.values())


def _ready(stage_spec: StageSpec, names: list[str], made: dict[str, Version[Kind]]) -> bool:
    return all(need in made for need in stage_spec.needs if need in names)


_worker_messages: Queue[object] | None = None


def _start_worker(messages: Queue[object]) -> None:
    global _worker_messages  # noqa: PLW0603 - a worker process serves one run and holds its queue
    _worker_messages = messages
    obey_parent()


def _produce_in_worker(stage: Stage, root: Path, name: str) -> Done:
    assert _worker_messages is not None
    events = RelayEvents(name, _worker_messages)

    def on_signal(number: int, frame: FrameType | None) -> None:
        events.stop(number)

    idle = signal.signal(signal.SIGTERM, on_signal)
    try:
        return _produce(stage, Store(root), name, events)
    finally:
        # Between stages there is nothing to save, and nobody to catch `Stopped`.
        signal.signal(signal.SIGTERM, idle)
