"""The page's section of models side by side: win rates, means and scores by each judge."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from llamakit.artifacts import chart
from llamakit.artifacts.page import Cell, Page
from llamakit.evaluation.outside import OUTSIDE
from llamakit.evaluation.report_cells import (
    Cells,
    Own,
    cells_of,
    ends,
    share_between,
    title_of,
)
from llamakit.evaluation.results import values_of
from llamakit.text.statistics import Estimate

Matches = Sequence[Mapping[str, Any]]

_ORACLE = ("oracle_helpfulness", "oracle_safety")
_AXES = {
    "win": ("win share", {"oracle": _ORACLE, "reward models": ("helpfulness", "safety")}),
    "answers": ("mean score", {"oracle": _ORACLE}),
}
"""By part: what its numbers are, who judges, and their measures of helpfulness and safety."""


def add_side_by_side(
    page: Page, parts: Mapping[str, Own], report: Mapping[str, Any], models: Sequence[str]
) -> None:
    """Add the sections of the parts `answers` and, where somebody judged, `win`."""
    wins: Mapping[str, Matches] = report["wins"]
    own = parts["answers"]
    page.section(
        title_of("answers"),
        "All models answer the same prompts, and each pair of answers is judged in both orders. The"
        " win share leaves ties out. Reward models that trained a model flatter it: trust a judge"
        " that training never saw, as the oracle of the embedded world is.",
    )
    for judge, matches in wins.items():
        if matches:
            _matches(page, judge, matches, models)
        scores = {model: _plotted(own, model, judge) for model in models}
        scores = {model: found for model, found in scores.items() if found}
        if scores:
            limits = None if judge in OUTSIDE else (0.0, 1.0)
            name = judge.replace("_", " ")
            page.chart(
                chart.histogram(scores, x_label=f"{name} score", limits=limits, bins=25),
                f"Scores of the answers, {name}",
            )
    measures = next(iter(own.values())).measures
    means: list[Cells] = [
        [
            f"mean {measure.replace('_', ' ')}",
            *cells_of(own, measure, models, marked=measure in wins),
        ]
        for measure in measures
    ]
    page.table(["", *models], means)
    if "win" in parts and len(models) > 1:
        _against(page, parts, report["control"], models)


def evolution(
    part: str, points: Sequence[str], measures: Mapping[str, Mapping[str, Estimate]]
) -> str | None:
    """Helpfulness against safety, model after model (paper figure 11); None without both.

    Win shares are what the paper draws; they leave ties out and soon reach 1 where few answers are
    unsafe. Mean scores of the outside judge go on telling.

    Args:
        part: `win` or `answers`.
        points: the models, in the order they were made.
        measures: of that part, by model.
    """
    series, spans = {}, {}
    what, judges = _AXES[part]
    for judge, axes in judges.items():
        if not all(name in measures[point] for point in points for name in axes):
            continue
        xs, ys = ([measures[point][name] for point in points] for name in axes)
        if not all(math.isfinite(one.value) for one in (*xs, *ys)):
            continue
        series[judge] = ([one.value for one in xs], [one.value for one in ys])
        spans[judge] = ([ends(one) for one in xs], [ends(one) for one in ys])
    if not series:
        return None
    return chart.trail(
        series, points, x_label=f"helpfulness: {what}", y_label=f"safety: {what}", spans=spans
    )


def _against(page: Page, parts: Mapping[str, Own], control: str, models: Sequence[str]) -> None:
    """Win rates against the control, and where each model stands."""
    own = parts["win"]
    page.section(
        title_of("win"),
        f"Against {control}. The first of each judge's rows is the share of decided comparisons"
        " that are won, with Wilson's interval over prompts; the others are shares of all.",
    )
    for part in _AXES:
        drawing = evolution(part, models, {m: parts[part][m].measures for m in models})
        if drawing is not None:
            page.chart(drawing, f"Helpfulness against safety: {_AXES[part][0]}")
    measures = list(dict.fromkeys(name for one in own.values() for name in one.measures))
    rows: list[Cells] = [
        [name.replace("_", " "), *cells_of(own, name, models, marked=False, counted=True)]
        for name in measures
    ]
    page.table(["", *models], rows)


def _matches(page: Page, judge: str, matches: Matches, models: Sequence[str]) -> None:
    by = f"judged by {judge.replace('_', ' ')}"
    shares = {(m["first"], m["second"]): m["win_share"]["value"] for m in matches}
    # Two models are one number; from three on a picture helps.
    if len(models) > 2:
        grid = [[share_between(shares, row, column) for column in models] for row in models]
        page.chart(
            chart.heatmap(grid, models, models, x_label="against", y_label="model", limits=(0, 1)),
            f"Win share, {by}",
        )
    rows: list[Cells] = [
        [
            f"{m['first']} against {m['second']}",
            m["wins"],
            m["ties"],
            m["losses"],
            m["flips"],
            Cell(
                m["win_share"]["value"],
                f"{m['win_share']['low']:.2f}–{m['win_share']['high']:.2f}",
            ),
        ]
        for m in matches
    ]
    page.table([by, "wins", "ties", "losses", "flips", "win share"], rows)


def _plotted(own: Own, model: str, judge: str) -> list[float]:
    """A judge's scores of a model's answers: the outside judge's as they are, others as shares."""
    found = values_of(own[model].rows, judge)
    if judge in OUTSIDE:
        return found
    return [1 / (1 + math.exp(-max(-60.0, min(60.0, value)))) for value in found]
