"""Pieces of the evaluation's page: cells with intervals, the best model, texts cut short."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from llamakit.artifacts import chart
from llamakit.artifacts.page import Cell, Page, Value, shown
from llamakit.evaluation.results import PartResult
from llamakit.text.statistics import Estimate

Own = Mapping[str, PartResult]
"""One part's results by model."""

Cells = list[Value | Cell]

_SHOWN_CHARACTERS = 700
_TITLES = {
    "perplexity": "Perplexity",
    "safety": "Safety",
    "answers": "Side by side",
    "win": "Win rates",
}


def add_groups(page: Page, caption: str, own: Own, models: Sequence[str]) -> None:
    """A table of the main measure by group, where the part has groups."""
    _grouped(page, caption, {name: result.groups for name, result in own.items()}, models)


def add_breakdowns(page: Page, own: Own, models: Sequence[str]) -> None:
    """A table of each of the part's breakdowns."""
    for title in dict.fromkeys(name for result in own.values() for name in result.breakdowns):
        groups = {name: result.breakdowns.get(title, {}) for name, result in own.items()}
        _grouped(page, title.capitalize(), groups, models)


def _grouped(
    page: Page,
    caption: str,
    groups: Mapping[str, Mapping[str, Estimate]],
    models: Sequence[str],
) -> None:
    names = list(dict.fromkeys(name for own in groups.values() for name in own))
    if not names:
        return
    rows: list[Cells] = []
    for name in names:
        cells: Cells = []
        for model in models:
            estimate = groups[model].get(name)
            cells.append(Cell(None) if estimate is None else cell_of(estimate))
        rows.append([name or "(none)", *cells])
    page.table(["", *models], rows, caption)


def add_curve(
    page: Page,
    own: Own,
    models: Sequence[str],
    curve: str,
    x_label: str,
    y_label: str,
    y_limits: tuple[float, float] | None = None,
    *,
    doubling: bool = False,
) -> None:
    """A chart with one line a model, its interval shaded; places that double are drawn evenly."""
    series, bands = {}, {}
    for model in models:
        found = own[model].curves[curve]
        known = [(x, p) for x, p in zip(found.xs, found.points, strict=True) if p.n]
        series[model] = ([float(x) for x, _ in known], [p.value for _, p in known])
        bands[model] = ([p.low for _, p in known], [p.high for _, p in known])
    svg = chart.lines(
        series, x_label=x_label, y_label=y_label, bands=bands, y_limits=y_limits, log_x=doubling
    )
    page.chart(svg, curve.capitalize())


def cells_of(
    own: Own,
    measure: str,
    models: Sequence[str],
    *,
    higher: bool | None = None,
    counted: bool = False,
    marked: bool = True,
) -> Cells:
    """One cell a model for a measure, the best one bold if `marked`."""
    best = best_model(own, measure, higher) if marked and len(models) > 1 else None
    cells: Cells = []
    for model in models:
        estimate = own[model].measures.get(measure) if model in own else None
        if estimate is None:
            cells.append(Cell(None))
            continue
        cells.append(cell_of(estimate, strong=model == best, counted=counted))
    return cells


def cell_of(estimate: Estimate, *, strong: bool = False, counted: bool = False) -> Cell:
    """A number with its interval in small print, and how many samples stand behind it."""
    value = estimate.value if math.isfinite(estimate.value) else None
    note = interval(estimate)
    return Cell(value, f"{note}, n = {estimate.n:,}" if counted else note, strong)


def interval(estimate: Estimate) -> str:
    """`low–high`, or nothing when there is no interval."""
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return ""
    return f"{shown(estimate.low)}–{shown(estimate.high)}"


def best_model(own: Own, measure: str, higher: bool | None = None) -> str | None:
    """The model whose value is best; None when all values are equal or there are none."""
    values = {
        model: result.measures[measure].value
        for model, result in own.items()
        if measure in result.measures and math.isfinite(result.measures[measure].value)
    }
    if not values or (len(values) > 1 and len(set(values.values())) == 1):
        return None
    up = next(iter(own.values())).higher_is_better if higher is None else higher
    return (max if up else min)(values, key=lambda model: values[model])


def share_between(
    shares: Mapping[tuple[str, str], float | None], row: str, column: str
) -> float | None:
    """The share of decided comparisons that `row` wins against `column`."""
    if (row, column) in shares:
        return shares[row, column]
    share = shares.get((column, row))
    return None if share is None else 1 - share


def kind_of(own: Own) -> str:
    """The part's kind."""
    return next(iter(own.values())).kind


def main_of(own: Own) -> str:
    """The part's main measure."""
    return next(iter(own.values())).main


def counted(own: Own) -> int:
    """How many samples stand behind the part's main measure."""
    return max(result.measures[result.main].n for result in own.values())


def title_of(part: str) -> str:
    """A part's heading."""
    return _TITLES.get(part, part.replace("_", " ").capitalize())


def drawn(value: float) -> float:
    """A bar's height: one that does not exist is drawn as none."""
    return value if math.isfinite(value) else 0.0


def short(text: str) -> str:
    """A text as long as a reader wants it."""
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS].rstrip() + " …"


def ends(estimate: Estimate) -> tuple[float, float]:
    """The interval, or the value alone where none is known, as of one run."""
    known = math.isfinite(estimate.low) and math.isfinite(estimate.high)
    return (estimate.low, estimate.high) if known else (estimate.value, estimate.value)
