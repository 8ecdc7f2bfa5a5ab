"""Those who watch a run: they see each row of its log, and change nothing of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

from torch import nn

Row = Mapping[str, Any]
"""A row of the metrics log."""


class Watcher(Protocol):
    """Sees a run's log from its beginning, also when the run goes on from a checkpoint."""

    def begin(self, rows: Sequence[Row]) -> None:
        """The run begins; `rows` are what its log holds already."""

    def see(self, row: Row, model: nn.Module) -> None:
        """A row was written; the model is as it is at that step."""

    def close(self) -> None:
        """The run has ended, stopped or failed; called also when `begin` has failed."""


@contextmanager
def watching(
    watchers: Sequence[Watcher], rows: Sequence[Row]
) -> Iterator[Callable[[Row, nn.Module], None]]:
    """Begin and close the watchers around a run; yields what shows them a row."""
    with ExitStack() as stack:
        for watcher in watchers:
            stack.callback(watcher.close)
            watcher.begin(rows)

        def see(row: Row, model: nn.Module) -> None:
            for watcher in watchers:
                watcher.see(row, model)

        yield see
