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

AXES = {
    "oracle": ("oracle_helpfulness", "oracle_safety"),
    "reward models": ("helpfulness", "safety"),
}
"""Who judges, and their two measures of the part `win`: helpfulness across, safety upwards."""


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
        _against(page, parts["win"], report["control"], models)


def evolution(points: Sequence[str], win: Mapping[str, Mapping[str, Estimate]]) -> str | None:
    """Helpfulness against safety, model after model (paper figure 11); None without both.

    Args:
        points: the models, in the order they were made.
        win: the measures of the part `win` by model.
    """
    series, spans = {}, {}
    for judge, axes in AXES.items():
        if not all(name in win[point] for point in points for name in axes):
            continue
        xs, ys = ([win[point][name] for point in points] for name in axes)
        if not all(math.isfinite(one.value) for one in (*xs, *ys)):
            continue
        series[judge] = ([one.value for one in xs], [one.value for one in ys])
        spans[judge] = ([ends(one) for one in xs], [ends(one) for one in ys])
    if not series:
        return None
    return chart.trail(
        series, points, x_label="helpfulness: win share", y_label="safety: win share", spans=spans
    )


def _against(page: Page, own: Own, control: str, models: Sequence[str]) -> None:
    """Win rates against the control, and where each model stands."""
    page.section(
        title_of("win"),
        f"Against {control}. The first of each judge's rows is the share of decided comparisons"
        " that are won, with Wilson's interval over prompts; the others are shares of all.",
    )
    drawing = evolution(models, {model: own[model].measures for model in models})
    if drawing is not None:
        page.chart(drawing, "Helpfulness against safety")
    measures = list(dict.fromkeys(name for one in own.values() for name in one.measures))
    rows: list[Cells] = [
        [name.replace("_", " "), *cells_of(own, name, models, marked=False, counted=True)]
        for name in measures
    ]
    page.table(["", *models], rows)


def _matches(page: Page, judge: str, matches: Matches, models: Sequence[str]) -> None:
    shares = {(m["first"], m["second"]): m["win_share"]["value"] for m in matches}
    # Two models are one number; from three on a picture helps.
    if len(models) > 2:
        grid = [[share_between(shares, row, column) for column in models] for row in models]
        page.chart(
            chart.heatmap(grid, models, models, x_label="against", y_label="model", limits=(0, 1)),
            f"Win share, judged by {judge}",
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
    page.table(["judged by " + judge, "wins", "ties", "losses", "flips", "win share"], rows)


def _plotted(own: Own, model: str, judge: str) -> list[float]:
    """A judge's scores of a model's answers: the outside judge's as they are, others as shares."""
    found = values_of(own[model].rows, judge)
    if judge in OUTSIDE:
        return found
    return [1 / (1 + math.exp(-max(-60.0, min(60.0, value)))) for value in found]
