"""A training run's page: what its metrics log shows, as charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llamakit.artifacts import chart
from llamakit.artifacts.files import atomic_file
from llamakit.artifacts.page import Page
from llamakit.training.metrics import read_metrics

Row = Mapping[str, Any]

# One chart each: title, the y-axis, and the columns drawn where a log has them.
_CHARTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Loss", "loss (nats per target)", ("loss", "validation_loss")),
    ("Learning rate", "learning rate", ("lr",)),
    ("Gradient norm", "norm before clipping", ("grad_norm",)),
    ("Throughput", "tokens per second", ("tokens_per_s",)),
)
_DRAWN = {"step", "tokens", "wait_share", *(name for _, _, names in _CHARTS for name in names)}


def write_training_page(log: Path, title: str, figures: Mapping[str, str | int | float]) -> Path:
    """Write `log/report.html` from `log/metrics.jsonl`.

    Args:
        figures: headline numbers shown at the top.

    Returns:
        The page's path. Figures of an objective (an accuracy) get a chart each after the common
        ones.
    """
    rows = read_metrics(log / "metrics.jsonl")
    page = Page(title).figures(figures)
    for heading, label, names in _CHARTS:
        _add(page, rows, heading, label, names)
    for name in sorted({name for row in rows for name in row} - _DRAWN):
        _add(page, rows, name.replace("_", " ").capitalize(), name, (name,))
    path = log / "report.html"
    with atomic_file(path) as temporary:
        temporary.write_text(page.html(), encoding="utf-8")
    return path


def _add(page: Page, rows: Sequence[Row], heading: str, label: str, names: tuple[str, ...]) -> None:
    series = {}
    for name in names:
        known = [(row["step"], row[name]) for row in rows if name in row]
        if known:
            series[name.replace("_", " ")] = ([x for x, _ in known], [y for _, y in known])
    if series:
        page.section(heading).chart(chart.lines(series, x_label="step", y_label=label))
