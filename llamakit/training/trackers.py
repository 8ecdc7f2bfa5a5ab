"""Trackers: TensorBoard and Weights & Biases, shown the metrics log as it grows.

They can never fail a run: what goes wrong in one is said once, and the run goes on without it. What
they hold is what `metrics.jsonl` holds; a run that goes on from a checkpoint is told to them anew.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from llamakit.events import Events
from llamakit.training.watch import Row


class Sink(Protocol):
    """Where a tracker's figures go."""

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Keep the figures of a step."""

    def close(self) -> None:
        """Bring everything to disk."""


class Tracker:
    """Feeds one sink, and gives it up at the first error.

    Args:
        name: the package's, and the extra's that brings it.
        folder: what the sink writes to; emptied first, since all rows are told again.
        opened: makes the sink.
        events: told of what went wrong.
    """

    def __init__(
        self, name: str, folder: Path, opened: Callable[[Path], Sink], events: Events
    ) -> None:
        self._name = name
        self._folder = folder
        self._opened = opened
        self._events = events
        self._sink: Sink | None = None

    def begin(self, rows: Sequence[Row]) -> None:
        """Open the sink and tell it the rows of earlier attempts."""
        self._guarded(lambda: self._begin(rows))

    def see(self, row: Row, model: nn.Module) -> None:
        """Tell the sink a row."""
        self._guarded(lambda: self._write(row))

    def close(self) -> None:
        """Close the sink, if it is still there."""
        sink, self._sink = self._sink, None
        if sink is not None:
            self._guarded(sink.close)
        # A link into the folder the run was made in is a dangling one in the finished version.
        for path in sorted(self._folder.rglob("*")):
            if path.is_symlink():
                path.unlink()

    def _begin(self, rows: Sequence[Row]) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._sink = self._opened(self._folder)
        for row in rows:
            self._write(row)

    def _write(self, row: Row) -> None:
        if self._sink is None:
            return
        figures = {
            name: float(value)
            for name, value in row.items()
            if name != "step" and isinstance(value, (int, float)) and math.isfinite(value)
        }
        self._sink.write(row["step"], figures)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except ModuleNotFoundError as error:
            self._sink = None
            self._events.warn(
                f"--track {self._name}: {error.name} is not installed, the run goes on without it:"
                f' pip install "llamakit[{self._name}]"'
            )
        except Exception as error:  # whatever it is, it is not worth the run
            self._sink = None
            first = str(error).strip().partition("\n")[0]
            self._events.warn(
                f"--track {self._name} failed, the run goes on without it"
                f" ({type(error).__name__}: {first})"
            )


def trackers(
    names: Sequence[str], log: Path, config: Mapping[str, Any], events: Events
) -> list[Tracker]:
    """The trackers of a run, each with a folder of its name in the run's log.

    Args:
        names: of `tensorboard` and `wandb`.
        log: the run's log folder.
        config: of the run, shown beside its curves.
        events: told when one fails.
    """
    made: dict[str, Callable[[Path], Sink]] = {
        "tensorboard": lambda folder: _TensorBoard(folder, config),
        "wandb": lambda folder: _WandB(folder, config),
    }
    return [Tracker(name, log / name, made[name], events) for name in dict.fromkeys(names)]


class _TensorBoard:
    """Event files that `tensorboard --logdir` reads."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        import tensorboard  # noqa: F401 - named in the error when it is missing, as torch does not
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder))
        table = "\n".join(f"| {key} | {value} |" for key, value in config.items())
        self._writer.add_text("config", f"| | |\n|---|---|\n{table}", 0)

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _WandB:
    """A run in offline mode: `wandb sync` sends it, nothing else does."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        import wandb

        settings = wandb.Settings(
            mode="offline", silent=True, console="off", disable_git=True, disable_code=True,
            x_disable_stats=True, x_disable_meta=True, x_save_requirements=False,
        )  # fmt: skip
        self._run = wandb.init(
            project="llamakit", config=dict(config), dir=str(folder), settings=settings
        )  # fmt: skip

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        self._run.log(dict(figures), step=step)

    def close(self) -> None:
        self._run.finish()
