"""A study's drawings: the arms' main numbers, and what changes along an axis."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from llamakit.artifacts import chart
from llamakit.errors import InputError
from llamakit.evaluation.perplexity import BY_POSITION
from llamakit.evaluation.report_cells import drawn, ends
from llamakit.evaluation.side_by_side import evolution
from llamakit.evaluation.study import Compared

_FILE_SAFE = re.compile(r"\W+")


@dataclass(frozen=True)
class Drawing:
    """One chart of a part; `name` is fit for a file."""

    part: str
    name: str
    svg: str
    caption: str


@dataclass(frozen=True)
class Axis:
    """What changes from arm to arm, where they are amounts of one thing."""

    label: str
    names: Sequence[str]
    """Each arm's amount; they are drawn at even distances."""


def drawings(
    arms: Sequence[str], found: Sequence[Compared], axis: Axis | None = None
) -> list[Drawing]:
    """Every part's main measure by arm; its groups, where they are numbers, and its curves as
    lines; of win rates, helpfulness against safety. Intervals over the runs are drawn around each.
    """
    parts = dict.fromkeys(one.part for one in found)
    return [
        one for part in parts for one in _of(part, arms, [c for c in found if c.part == part], axis)
    ]


def chosen(
    arms: Sequence[str], found: Sequence[Compared], charts: Sequence[str], axis: Axis | None = None
) -> list[Drawing]:
    """Charts of several measures by arm, each asked for as `PART.MEASURE+PART.MEASURE`.

    Raises:
        InputError: the reports have no such measure.
    """
    known = {f"{one.part}.{one.measure}": one for one in found if one.kind in ("main", "measure")}
    made = []
    for number, text in enumerate(charts, start=1):
        names = [name.strip() for name in text.split("+")]
        if unknown := [name for name in names if name not in known]:
            raise InputError(
                f"the reports have no measure {unknown[0]!r} that every arm has",
                where="charts",
                fix=f"They have {', '.join(known)}.",
            )
        measures = {name.replace("_", " "): known[name] for name in names}
        label = "share" if len(names) > 1 else next(iter(measures))
        svg = _by_arm(arms, measures, label, axis)
        made.append(Drawing("", f"chart-{number}", svg, ", ".join(measures)))
    return made


def _of(
    part: str, arms: Sequence[str], own: Sequence[Compared], axis: Axis | None
) -> Iterator[Drawing]:
    for one in own:
        if one.kind == "main":
            name = one.measure.replace("_", " ")
            main = _by_arm(arms, {one.measure: one}, name, axis)
            yield Drawing(part, part, main, name.capitalize())
    if part in ("win", "answers"):
        plain = [one for one in own if one.kind in ("main", "measure")]
        svg = evolution(part, arms, {a: {one.measure: one.arms[a] for one in plain} for a in arms})
        if svg is not None:
            yield Drawing(part, f"{part}-evolution", svg, "Helpfulness against safety")
    groups = {int(o.measure): o for o in own if o.kind == "group" and o.measure.isdecimal()}
    if groups:
        svg = _lines(arms, groups, "group", part)
        yield Drawing(part, f"{part}-by-group", svg, "By group")
    for name in dict.fromkeys(one.measure for one in own if one.kind == "curve"):
        places = {one.x: one for one in own if one.measure == name and one.x is not None}
        along = "position" if name == BY_POSITION else "turn"
        svg = _lines(arms, places, along, name)
        yield Drawing(part, f"{part}-{_FILE_SAFE.sub('-', name)}", svg, name.capitalize())


def _by_arm(
    arms: Sequence[str], measures: Mapping[str, Compared], y_label: str, axis: Axis | None
) -> str:
    """One series a measure, over the arms: bars, or lines along the axis."""
    values = {name: [drawn(one.arms[arm].value) for arm in arms] for name, one in measures.items()}
    around = {name: [ends(one.arms[arm]) for arm in arms] for name, one in measures.items()}
    if axis is None:
        return chart.bars(arms, values, y_label=y_label, intervals=around)
    places = [float(place) for place in range(len(arms))]
    return chart.lines(
        {name: (places, heights) for name, heights in values.items()},
        x_label=axis.label,
        y_label=y_label,
        bands={
            name: ([low for low, _ in own], [high for _, high in own])
            for name, own in around.items()
        },
        names=axis.names,
    )


def _lines(arms: Sequence[str], places: Mapping[int, Compared], x_label: str, y_label: str) -> str:
    xs = sorted(places)
    lows, highs = (
        {arm: [ends(places[x].arms[arm])[side] for x in xs] for arm in arms} for side in (0, 1)
    )
    return chart.lines(
        {arm: ([float(x) for x in xs], [places[x].arms[arm].value for x in xs]) for arm in arms},
        x_label=x_label,
        y_label=y_label,
        bands={arm: (lows[arm], highs[arm]) for arm in arms},
        log_x=x_label != "turn",
    )
