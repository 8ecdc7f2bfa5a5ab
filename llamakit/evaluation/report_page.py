"""The evaluation's page: models side by side, from headline numbers down to single answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from llamakit.artifacts import chart
from llamakit.artifacts.page import Cell, Page
from llamakit.evaluation.perplexity import BY_POSITION
from llamakit.evaluation.report import by_part
from llamakit.evaluation.report_adherence import add_adherence, add_attention
from llamakit.evaluation.report_cells import (
    Cells,
    Own,
    add_curve,
    add_groups,
    best_model,
    cells_of,
    counted,
    drawn,
    interval,
    kind_of,
    main_of,
    short,
    title_of,
)
from llamakit.evaluation.report_safety import add_safety
from llamakit.evaluation.results import PartResult
from llamakit.evaluation.side_by_side import add_side_by_side

_SAMPLES_A_PART = 3
_WITHOUT_TEXTS = ("perplexity", "attention", "win")


def report_page(report: Mapping[str, Any], results: Sequence[PartResult]) -> Page:
    """Build the page from `report.assemble`'s object and the results it was made from."""
    models: list[str] = report["models"]
    forms = [f"{name} ({report['formats'][name]})" for name in models]
    page = Page("Evaluation", " · ".join(forms))
    parts = by_part(results)
    page.figures(_headlines(parts, models))
    tasks = {name: own for name, own in parts.items() if kind_of(own) == "task"}
    if tasks:
        _tasks(page, tasks, models)
    for name, own in parts.items():
        if kind_of(own) in _SECTIONS:
            _SECTIONS[kind_of(own)](page, name, own, models)
    if "answers" in parts:
        add_side_by_side(page, parts, report, models)
    if report["differences"]:
        _differences(page, report["differences"])
    _samples(page, parts, models)
    _notes(page, parts)
    return page


def _headlines(parts: Mapping[str, Own], models: Sequence[str]) -> dict[str, Cell]:
    """Each part's main number: the best model's, or the one that all have."""
    tiles = {}
    for name, own in parts.items():
        main = main_of(own)
        if kind_of(own) == "win" and len(own) < 2:
            continue
        best = best_model(own, main)
        estimate = own[best or models[0]].measures[main]
        note = interval(estimate)
        if len(models) > 1:
            note = f"{best}, {note}" if best else f"all models, {note}"
        label = name if name == main or kind_of(own) == "task" else f"{name}: {main}"
        value = estimate.value if math.isfinite(estimate.value) else None
        tiles[label.replace("_", " ")] = Cell(value, note)
    return tiles


def _tasks(page: Page, tasks: Mapping[str, Own], models: Sequence[str]) -> None:
    page.section(
        "Tasks",
        "Share of questions answered right, with 95% intervals (Wilson). Bold is the best model.",
    )
    heights, intervals = {}, {}
    for model in models:
        found = [own[model].measures[own[model].main] for own in tasks.values()]
        heights[model] = [drawn(estimate.value) for estimate in found]
        intervals[model] = [(estimate.low, estimate.high) for estimate in found]
    page.chart(
        chart.bars(
            list(tasks), heights, y_label="share right", intervals=intervals, y_limits=(0, 1)
        )
    )
    rows: list[Cells] = [
        [name, *cells_of(own, main_of(own), models), counted(own)] for name, own in tasks.items()
    ]
    page.table(["task", *models, "questions"], rows)
    other: list[Cells] = [
        [f"{name} · {measure.replace('_', ' ')}", *cells_of(own, measure, models)]
        for name, own in tasks.items()
        for measure in next(iter(own.values())).measures
        if measure != main_of(own)
    ]
    if other:
        page.table(["the same by other measures", *models], other)
    for name, own in tasks.items():
        add_groups(page, f"{name} by subject", own, models)


def _perplexity(page: Page, name: str, own: Own, models: Sequence[str]) -> None:
    page.section(
        title_of(name),
        "How well the documents are predicted: lower is better. Perplexity is per token and only"
        " compares models of one vocabulary; bits per byte compare all. Intervals resample"
        " documents.",
    )
    bits = [own[model].measures["bits_per_byte"] for model in models]
    if len(models) > 1:
        page.chart(
            chart.bars(
                list(models),
                {"bits per byte": [drawn(one.value) for one in bits]},
                y_label="bits per byte",
                intervals={"bits per byte": [(one.low, one.high) for one in bits]},
            )
        )
    rows: list[Cells] = [
        [m.replace("_", " "), *cells_of(own, m, models)] for m in ("perplexity", "bits_per_byte")
    ]
    page.table(["", *models], rows)
    add_curve(
        page, own, models, BY_POSITION, "position in the document", "nats per token", doubling=True
    )
    add_groups(page, "Perplexity by source", own, models)


def _differences(page: Page, differences: Sequence[Mapping[str, Any]]) -> None:
    page.section(
        "Differences",
        "Two models on the same items: the mean difference with a paired bootstrap interval. It is"
        " clear when the interval leaves zero out (95%, not corrected for the number of rows) and"
        " there are ten items or more.",
    )
    rows: list[Cells] = []
    for one in differences:
        estimate = one["difference"]
        rows.append(
            [
                f"{one['part']} · {one['measure'].replace('_', ' ')}",
                f"{one['from']} → {one['to']}",
                Cell(
                    f"{estimate['value']:+.3f}",
                    f"{estimate['low']:+.3f} to {estimate['high']:+.3f}",
                    strong=one["clear"],
                ),
                estimate["n"],
                "yes" if one["clear"] else "no",
            ]
        )
    page.table(["part", "models", "difference", "items", "clear"], rows)


def _samples(page: Page, parts: Mapping[str, Own], models: Sequence[str]) -> None:
    shown_parts = {name: own for name, own in parts.items() if kind_of(own) not in _WITHOUT_TEXTS}
    if not shown_parts:
        return
    page.section("Samples", "The first items of each part on which the models differ.")
    for name, own in shown_parts.items():
        found = []
        tables = [{row.id: row for row in own[model].rows} for model in models if model in own]
        keys = [key for key in tables[0] if all(key in table for table in tables)]
        keys.sort(key=lambda key: len({table[key].output for table in tables}) == 1)
        for key in keys[:_SAMPLES_A_PART]:
            texts = {
                model: short(table[key].output) or "(nothing)"
                for model, table in zip(models, tables, strict=True)
            }
            first = tables[0][key]
            if first.expected:
                texts = {"expected": short(first.expected), **texts}
            label = f"{name} · {first.group}" if first.group else name
            found.append((f"{label}\n{short(first.prompt)}", texts))
        page.samples(found)


def _notes(page: Page, parts: Mapping[str, Own]) -> None:
    rows: list[Cells] = [
        [name, model, note]
        for name, own in parts.items()
        for model, result in own.items()
        for note in result.notes
    ]
    if rows:
        page.section("Notes")
        page.table(["part", "model", "note"], rows)


_SECTIONS = {
    "perplexity": _perplexity,
    "adherence": add_adherence,
    "attention": add_attention,
    "safety": add_safety,
}
"""By kind of part; tasks and side-by-side answers have sections of their own."""
