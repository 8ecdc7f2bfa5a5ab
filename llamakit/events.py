"""What a run tells while it works: tasks with progress, notes, warnings, and requests to stop.

The rooms report through `Events` and know nothing of terminals. This base class is silent; the
command line passes one that draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from llamakit.errors import Stopped

Figure = float | int | str


class Task:
    """One piece of long work, counted in `unit`s towards `total`; use it as a context manager."""

    def __init__(self, label: str, total: int | None, unit: str) -> None:
        self.label = label
        self.total = total
        self.unit = unit
        self.done = 0

    def advance(self, n: int = 1, **figures: Figure) -> None:
        """Count `n` more units as done; `figures` (loss, rate, …) are shown beside the bar."""
        self.done += n

    def __enter__(self) -> Task:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


class Events:
    """The silent listener: nothing is shown, and a request to stop is still honoured."""

    def __init__(self) -> None:
        self._graceful = 0
        self._signal: int | None = None

    def task(self, label: str, total: int | None = None, unit: str = "") -> Task:
        """Begin a piece of work of `total` units (None when the size is unknown)."""
        return Task(label, total, unit)

    def note(self, text: str) -> None:
        """Tell something worth a line."""

    def warn(self, text: str) -> None:
        """Tell something that deserves attention but does not stop the run."""

    @property
    def stopping(self) -> bool:
        """Whether a signal arrived inside `graceful()` and waits for the work to save itself."""
        return self._signal is not None

    def stop(self, signal: int) -> None:
        """Called by signal handlers. A second one, or one outside `graceful()`, stops at once."""
        if self._graceful and self._signal is None:
            self._signal = signal
            self.note("stopping: saving what can be resumed (once more to stop at once)")
            return
        raise Stopped(signal)

    def raise_if_stopping(self) -> None:
        """Call after saving; raises `Stopped` when a stop was asked for."""
        if self._signal is not None:
            raise Stopped(self._signal)

    @contextmanager
    def graceful(self) -> Iterator[None]:
        """Inside, a signal only sets `stopping`: the code saves and calls `raise_if_stopping`."""
        self._graceful += 1
        try:
            yield
        finally:
            self._graceful -= 1
            if not self._graceful:
                self._signal = None


SILENT = Events()
