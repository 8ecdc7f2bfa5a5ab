"""A study's drawings: the arms' main numbers, and what changes along an axis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from llamakit.artifacts import chart
from llamakit.evaluation.perplexity import BY_POSITION
from llamakit.evaluation.report_cells import drawn, ends
from llamakit.evaluation.side_by_side import evolution
from llamakit.evaluation.study import Compared


@dataclass(frozen=True)
class Drawing:
    """One chart of a part; `name` is fit for a file."""

    part: str
    name: str
    svg: str
    caption: str


def drawings(arms: Sequence[str], found: Sequence[Compared]) -> list[Drawing]:
    """Every part's main measure as bars; its groups, where they are numbers, and its curves as
    lines; of win rates, helpfulness against safety. Intervals over the runs are drawn around each.
    """
    parts = dict.fromkeys(one.part for one in found)
    return [one for part in parts for one in _of(part, arms, [c for c in found if c.part == part])]


def _of(part: str, arms: Sequence[str], own: Sequence[Compared]) -> Iterator[Drawing]:
    for one in own:
        if one.kind == "main":
            yield Drawing(part, part, _bars(arms, one), one.measure.replace("_", " ").capitalize())
    if part == "win":
        plain = [one for one in own if one.kind in ("main", "measure")]
        svg = evolution(arms, {arm: {one.measure: one.arms[arm] for one in plain} for arm in arms})
        if svg is not None:
            yield Drawing(part, "helpfulness-safety", svg, "Helpfulness against safety")
    groups = {int(o.measure): o for o in own if o.kind == "group" and o.measure.isdecimal()}
    if groups:
        svg = _lines(arms, groups, "group", part)
        yield Drawing(part, f"{part}-by-group", svg, "By group")
    for name in dict.fromkeys(one.measure for one in own if one.kind == "curve"):
        places = {one.x: one for one in own if one.measure == name and one.x is not None}
        axis = "position" if name == BY_POSITION else "turn"
        svg = _lines(arms, places, axis, name)
        yield Drawing(part, f"{part}-{name.replace(' ', '-')}", svg, name.capitalize())


def _bars(arms: Sequence[str], measure: Compared) -> str:
    return chart.bars(
        arms,
        {measure.measure: [drawn(measure.arms[arm].value) for arm in arms]},
        y_label=measure.measure.replace("_", " "),
        intervals={measure.measure: [ends(measure.arms[arm]) for arm in arms]},
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
