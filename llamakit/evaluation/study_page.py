"""A study's page and its table as Markdown: arms side by side, runs behind every number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from llamakit.artifacts.page import Cell, Page, shown
from llamakit.evaluation.report_cells import Cells, cell_of, interval, title_of
from llamakit.evaluation.study import Compared
from llamakit.evaluation.study_charts import Drawing

Sizes = Mapping[str, Mapping[str, int]]
"""By arm: weights, and bytes of keys and values a token."""


def study_page(
    title: str,
    arms: Sequence[str],
    runs: int,
    sizes: Sizes,
    found: Sequence[Compared],
    drawings: Sequence[Drawing],
) -> Page:
    """Build the page, with the drawings of `study_charts`."""
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
    for drawing in drawings:
        if not drawing.part:
            page.chart(drawing.svg, drawing.caption)
    for part in dict.fromkeys(one.part for one in found):
        own = [one for one in found if one.part == part]
        _part(page, part, arms, own, [one for one in drawings if one.part == part])
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


def _part(
    page: Page, part: str, arms: Sequence[str], own: Sequence[Compared], drawings: Sequence[Drawing]
) -> None:
    page.section(title_of(part))
    for drawing in drawings:
        page.chart(drawing.svg, drawing.caption)
    rows: list[Cells] = [
        [_label(one), *(_cell(one, arm) for arm in arms)] for one in own if one.kind != "curve"
    ]
    page.table(["", *arms], rows)


def _label(one: Compared) -> str:
    name = f"in {one.measure or '(none)'}" if one.kind == "group" else one.measure
    return f"{one.part} · {name}".replace("_", " ")


def _cell(one: Compared, arm: str) -> Cell:
    cell = cell_of(one.arms[arm])
    if arm not in one.differences:
        return cell
    difference = one.differences[arm]
    note = f"{cell.note}; " if cell.note else ""
    note += f"{difference.value:+.3g}"
    if math.isfinite(difference.low):  # one run knows of no interval
        note += f" [{difference.low:+.3g}, {difference.high:+.3g}]"
    return Cell(cell.value, note, strong=one.clear(arm))


def _written(one: Compared, arm: str) -> str:
    estimate = one.arms[arm]
    span = interval(estimate)
    text = shown(estimate.value) + (f" ({span})" if span else "")
    return f"**{text}**" if arm in one.differences and one.clear(arm) else text
