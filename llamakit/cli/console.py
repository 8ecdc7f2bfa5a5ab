"""What a person sees while a run works: live bars on a terminal, plain lines without one.

All of it goes to stderr; stdout carries results only.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable
from types import TracebackType

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Task as BarState,
)
from rich.text import Text

from llamakit.errors import Stopped
from llamakit.events import Events, Figure, Task

_FIRST_LINE_SECONDS = 3.0
_LINE_SECONDS = 15.0
# Columns from which a bar and a training run's figures fit on one line.
_WIDE = 130


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Stop as any tool does whose reader has gone, not with Rich's exit code 1."""
        raise Stopped(signal.SIGPIPE)


def make_console(*, stderr: bool) -> Console:
    """A console that colours only real terminals.

    Rich takes some CI systems for terminals and writes colour codes into their pipes; whether the
    stream is one is asked of the stream itself.
    """
    stream = sys.stderr if stderr else sys.stdout
    live = stream.isatty() and os.environ.get("TERM") != "dumb"
    return _Console(stderr=stderr, force_terminal=live, force_interactive=live, highlight=False)


def show_figure(value: Figure) -> str:
    """A figure as short text: 1234567 -> 1.23M, 0.000123 -> 1.23e-04."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and abs(value) < 100_000:
        return f"{value:,}"
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            scale = 1e3 if unit == "k" else size
            return f"{value / scale:.3g}{unit}"
    if value and abs(value) < 1e-3:
        return f"{value:.2e}"
    return f"{value:.4g}"


def _figures_text(figures: dict[str, Figure]) -> str:
    return "  ".join(f"{name} {show_figure(value)}" for name, value in figures.items())


class _Rate(ProgressColumn):
    """Units a second, over the last stretch of the work."""

    def render(self, task: BarState) -> Text:
        unit = str(task.fields.get("unit") or "it")
        return Text(f"{show_figure(task.speed)} {unit}/s" if task.speed else "", style="dim")


class _Bars(Progress):
    """All bars; figures stand beside them where the terminal is wide, else on lines below."""

    def __init__(self, console: Console) -> None:
        self._screen = console  # rich asks for what is drawn before it has taken the console over
        super().__init__(console=console, transient=True)

    def get_renderables(self) -> Iterable[RenderableType]:
        """What is drawn now: the width may have changed since."""
        wide = self._screen.width >= _WIDE
        self.columns = _columns(wide)
        yield self.make_tasks_table(self.tasks)
        for task in () if wide else self.tasks:
            if figures := task.fields["figures"]:
                name = f"{task.description}: " if len(self.tasks) > 1 else ""
                yield Text(f"  {name}{figures}", style="dim")


def _columns(wide: bool) -> tuple[ProgressColumn, ...]:
    figures = TextColumn("[dim]{task.fields[figures]}[/dim]")
    return (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24 if wide else 16),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(compact=True),
        *((figures,) if wide else ()),
    )


class _Bar(Task):
    """A task drawn live."""

    def __init__(self, progress: Progress, label: str, total: int | None, unit: str) -> None:
        super().__init__(label, total, unit)
        self._progress = progress
        self._bar = progress.add_task(label, total=total, unit=unit, figures="")

    def advance(self, n: int = 1, **figures: Figure) -> None:
        super().advance(n)
        self._progress.advance(self._bar, n)
        if figures:
            self._progress.update(self._bar, figures=_figures_text(figures))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.remove_task(self._bar)


class _Lines(Task):
    """A task told as a plain line every so often, and one at its end if it took long."""

    def __init__(self, say: Console, label: str, total: int | None, unit: str) -> None:
        super().__init__(label, total, unit)
        self._say = say
        self._started = time.monotonic()
        self._next = self._started + _FIRST_LINE_SECONDS
        self._figures: dict[str, Figure] = {}
        self._skipped = 0
        self._told = -1

    def advance(self, n: int = 1, **figures: Figure) -> None:
        if self.done == 0 and time.monotonic() - self._started < 0.05:
            # Work found already done counts neither for the rate nor for the time left.
            self._skipped = n if n > 1 else 0
        super().advance(n)
        self._figures.update(figures)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_SECONDS
            self._line()

    def _line(self) -> None:
        elapsed = time.monotonic() - self._started
        rate = (self.done - self._skipped) / elapsed if elapsed else 0.0
        self._told = self.done
        parts = [f"{self.label}: {self.done:,}"]
        if self.total:
            parts[0] += f"/{self.total:,}"
        parts[0] += f" {self.unit}".rstrip()
        if rate:
            parts.append(f"{show_figure(rate)}/s")
            if self.total and self.total > self.done:
                parts.append(f"{_duration((self.total - self.done) / rate)} left")
        if self._figures:
            parts.append(_figures_text(self._figures))
        self._say.print("  ".join(parts), markup=False, soft_wrap=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        late = time.monotonic() - self._started >= _FIRST_LINE_SECONDS
        if late and kind is None and self._told != self.done:
            self._line()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


class ConsoleEvents(Events):
    """Events drawn on stderr; use as a context manager, so that live bars end with the run."""

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__()
        self._quiet = quiet
        self.console = make_console(stderr=True)
        self._progress: Progress | None = None
        if self.console.is_terminal and not quiet:
            self._progress = _Bars(self.console)

    def __enter__(self) -> ConsoleEvents:
        if self._progress:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress:
            self._progress.stop()

    def task(self, label: str, total: int | None = None, unit: str = "") -> Task:
        if self._quiet:
            return Task(label, total, unit)
        if self._progress:
            return _Bar(self._progress, label, total, unit)
        return _Lines(self.console, label, total, unit)

    def note(self, text: str) -> None:
        if not self._quiet:
            self.console.print(text, style="dim", markup=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        self.console.print(f"warning: {text}", style="yellow", markup=False, soft_wrap=True)
