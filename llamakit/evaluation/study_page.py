"""A study's page and its table as Markdown: arms side by side, runs behind every number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llamakit.artifacts import chart
from llamakit.artifacts.page import Cell, Page, shown
from llamakit.evaluation.perplexity import BY_POSITION
from llamakit.evaluation.report_cells import Cells, cell_of, drawn, interval, title_of
from llamakit.evaluation.study import Compared
from llamakit.text.statistics import Estimate

Sizes = Mapping[str, Mapping[str, int]]
"""By arm: weights, and bytes of keys and values a token."""


def study_page(
    title: str, arms: Sequence[str], runs: int, sizes: Sizes, found: Sequence[Compared]
) -> Page:
    """Build the page."""
    page = Page(title, f"{' · '.join(arms)} · {runs} runs")
    page.text(
        "Every number is the mean of the runs with Student's 95% interval; a difference is the mean"
        f" of the runs' differences from {arms[0]}, and clear when its interval leaves zero out"
        " (not corrected for the number of rows)."
    )
    names = list(dict.fromkeys(name for own in sizes.values() for name in own))
    page.table(
        ["", *arms],
        [[name.replace("_", " "), *(sizes[arm].get(name) for arm in arms)] for name in names],
    )
    for part in dict.fromkeys(one.part for one in found):
        _part(page, part, arms, [one for one in found if one.part == part])
    return page


def markdown(arms: Sequence[str], sizes: Sizes, found: Sequence[Compared]) -> str:
    """The study as Markdown: sizes, then every measure and group; curves are left to the page."""
    lines = [f"| | {' | '.join(arms)} |", "|---|" + "---|" * len(arms)]
    names = list(dict.fromkeys(name for own in sizes.values() for name in own))
    for name in names:
        cells = (f"{sizes[arm][name]:,}" if name in sizes[arm] else "–" for arm in arms)
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    for one in found:
        if one.kind != "curve":
            cells = (_written(one, arm) for arm in arms)
            lines.append(f"| {_label(one)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _part(page: Page, part: str, arms: Sequence[str], own: Sequence[Compared]) -> None:
    page.section(title_of(part))
    measures = [one for one in own if one.kind == "measure"]
    groups = [one for one in own if one.kind == "group"]
    if measures:
        _bars(page, arms, measures[0])
    if groups and all(one.measure.isdecimal() for one in groups):
        places = {int(one.measure): one for one in groups}
        _lines(page, arms, places, "by group", doubling=True)
    for name in dict.fromkeys(one.measure for one in own if one.kind == "curve"):
        places = {one.x: one for one in own if one.measure == name and one.x is not None}
        _lines(page, arms, places, name, doubling=name == BY_POSITION)
    rows: list[Cells] = [
        [_label(one), *(_cell(one, arm) for arm in arms)] for one in [*measures, *groups]
    ]
    page.table(["", *arms], rows)


def _bars(page: Page, arms: Sequence[str], measure: Compared) -> None:
    page.chart(
        chart.bars(
            arms,
            {measure.measure: [drawn(measure.arms[arm].value) for arm in arms]},
            y_label=measure.measure.replace("_", " "),
            intervals={measure.measure: [_ends(measure.arms[arm]) for arm in arms]},
        )
    )


def _lines(
    page: Page, arms: Sequence[str], places: Mapping[int, Compared], name: str, *, doubling: bool
) -> None:
    xs = sorted(places)
    series = {
        arm: ([float(x) for x in xs], [places[x].arms[arm].value for x in xs]) for arm in arms
    }
    bands = {
        arm: tuple(zip(*(_ends(places[x].arms[arm]) for x in xs), strict=True)) for arm in arms
    }
    svg = chart.lines(
        series,
        x_label="group" if name == "by group" else "position" if doubling else "turn",
        y_label=name,
        bands={arm: (low, high) for arm, (low, high) in bands.items()},
        log_x=doubling,
    )
    page.chart(svg, name.capitalize())


def _ends(estimate: Estimate) -> tuple[float, float]:
    """The interval, or the value alone where one run knows of none."""
    known = estimate.low == estimate.low
    return (estimate.low, estimate.high) if known else (estimate.value, estimate.value)


def _label(one: Compared) -> str:
    name = one.measure if one.kind == "measure" else f"in {one.measure or '(none)'}"
    return f"{one.part} · {name}".replace("_", " ")


def _cell(one: Compared, arm: str) -> Cell:
    cell = cell_of(one.arms[arm])
    if arm not in one.differences:
        return cell
    difference = one.differences[arm]
    note = f"{cell.note}; {difference.value:+.3g} ({interval(difference)})"
    return Cell(cell.value, note, strong=one.clear(arm))


def _written(one: Compared, arm: str) -> str:
    estimate = one.arms[arm]
    span = interval(estimate)
    text = shown(estimate.value) + (f" ({span})" if span else "")
    return f"**{text}**" if arm in one.differences and one.clear(arm) else text
