"""Events of a worker process, told to the process that shows them."""

from __future__ import annotations

import itertools
from multiprocessing.queues import Queue
from types import TracebackType
from typing import Any

from llamakit.events import Events, Figure, Task


class RelayEvents(Events):
    """Sends every event, with the stage's name, through a queue."""

    def __init__(self, name: str, messages: Queue[Any]) -> None:
        super().__init__()
        self._name = name
        self._messages = messages
        self._numbers = itertools.count()

    def task(self, label: str, total: int | None = None, unit: str = "") -> Task:
        key = f"{self._name}/{next(self._numbers)}"
        self._messages.put(("begin", key, f"{self._name}: {label}", total, unit))
        return _RelayTask(key, label, total, unit, self._messages)

    def note(self, text: str) -> None:
        self._messages.put(("note", f"{self._name}: {text}"))

    def warn(self, text: str) -> None:
        self._messages.put(("warn", f"{self._name}: {text}"))


class _RelayTask(Task):
    def __init__(
        self, key: str, label: str, total: int | None, unit: str, messages: Queue[Any]
    ) -> None:
        super().__init__(label, total, unit)
        self._key = key
        self._messages = messages

    def advance(self, n: int = 1, **figures: Figure) -> None:
        super().advance(n)
        self._messages.put(("advance", self._key, n, figures))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._messages.put(("end", self._key))


def drain(messages: Queue[Any], events: Events) -> None:
    """Repeat relayed events to `events` until None comes through the queue."""
    tasks: dict[str, Task] = {}
    while (message := messages.get()) is not None:
        match message:
            case ("begin", key, label, total, unit):
                tasks[key] = events.task(label, total, unit).__enter__()
            case ("advance", key, n, figures):
                tasks[key].advance(n, **figures)
            case ("end", key):
                tasks.pop(key).__exit__(None, None, None)
            case ("note", text):
                events.note(text)
            case ("warn", text):
                events.warn(text)
