"""Two runs side by side: the curves of both logs, one over the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamakit.artifacts import chart
from llamakit.artifacts.page import Page
from llamakit.training.metrics import METRICS_FILE, read_metrics

Points = tuple[Sequence[float], Sequence[float]]

# What is drawn first, where logs have it, and its name; other figures follow in their own.
_FIRST = {
    "loss": "loss",
    "validation_loss": "validation loss",
    "lr": "learning rate",
    "grad_norm": "gradient norm",
    "tokens_per_s": "tokens per second",
    "mfu": "share of the peak (MFU)",
}
_UNDRAWN = {"step", "tokens", "wait_share"}


@dataclass(frozen=True)
class Curves:
    """What several logs hold, figure by figure."""

    x_label: str
    """`step`; or `tokens`, where a step of one run is more tokens than a step of another."""
    figures: Mapping[str, Mapping[str, Points]]
    """By figure, then by run: the points."""


def curves(folders: Mapping[str, Path]) -> Curves:
    """The curves of runs.

    Args:
        folders: by the run's name, the log folder of its version. One without a metrics log, as
            of a stage that trains nothing, has no curves.
    """
    logs = {
        name: read_metrics(folder / METRICS_FILE)
        for name, folder in folders.items()
        if (folder / METRICS_FILE).is_file()
    }
    logs = {name: rows for name, rows in logs.items() if rows}
    sizes = {round(rows[-1].get("tokens", 0) / rows[-1]["step"]) for rows in logs.values()}
    x = "tokens" if len(sizes) > 1 and 0 not in sizes else "step"
    names = {name for rows in logs.values() for row in rows for name in row} - _UNDRAWN
    ordered = [name for name in _FIRST if name in names]
    ordered += sorted(names - {*_FIRST})
    figures = {}
    for figure in ordered:
        found = {name: _points(rows, x, figure) for name, rows in logs.items()}
        figures[figure] = {name: points for name, points in found.items() if points[0]}
    return Curves(x, {figure: found for figure, found in figures.items() if found})


def title_of(figure: str) -> str:
    """A figure's name for a reader."""
    return _FIRST.get(figure, figure.replace("_", " "))


def _points(rows: Sequence[Mapping[str, Any]], x: str, figure: str) -> Points:
    known = [
        (row[x], row[figure])
        for row in rows
        if isinstance(row.get(figure), (int, float)) and isinstance(row.get(x), (int, float))
    ]
    return [place for place, _ in known], [value for _, value in known]


def comparison_page(
    title: str, found: Curves, differences: Sequence[Sequence[str]], names: Sequence[str]
) -> str:
    """A self-contained page: the curves of the runs overlaid, and what differs in their records.

    Args:
        title: heading.
        found: of `curves`.
        differences: rows of section, key, and the value of each run.
        names: of the runs.
    """
    page = Page(title)
    for figure, series in found.figures.items():
        title = title_of(figure)
        page.section(title[:1].upper() + title[1:])
        page.chart(chart.lines(series, x_label=found.x_label, y_label=title))
    if not found.figures:
        page.text("Neither has a training log: there are no curves.")
    page.section("Differences")
    if differences:
        page.table(["", "key", *names], differences)
    else:
        page.text("The records do not differ.")
    return page.html()
