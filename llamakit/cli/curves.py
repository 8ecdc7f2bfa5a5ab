"""Curves in the terminal: a chart of dots, eight to a character cell."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

Points = tuple[Sequence[float], Sequence[float]]

_COLOURS = ("cyan", "yellow", "green", "magenta")
# The bit of each dot of a braille cell, by column (2) and row (4) from its upper left.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_HEIGHT = 12
_LABEL = 10


def chart(title: str, x_label: str, series: Mapping[str, Points], width: int) -> list[Text]:
    """Lines of text: the series over common axes, the first drawn through, others dotted.

    Args:
        title: what is drawn.
        x_label: what it is drawn over.
        series: points by name; those that are not finite are left out.
        width: columns of the terminal.
    """
    from rich.text import Text

    from llamakit.cli.console import show_figure

    known = {name: _finite(points) for name, points in series.items()}
    known = {name: points for name, points in known.items() if points}
    if not known:
        return []
    columns = max(10, min(width, 110) - _LABEL - 1)
    x_low, x_high = _range([x for points in known.values() for x, _ in points])
    y_low, y_high = _range([y for points in known.values() for _, y in points])
    cells: dict[tuple[int, int], tuple[int, int]] = {}
    for index, points in enumerate(known.values()):
        dots = [
            (
                round((x - x_low) / (x_high - x_low) * (2 * columns - 1)),
                round((y_high - y) / (y_high - y_low) * (4 * _HEIGHT - 1)),
            )
            for x, y in points
        ]
        for across, down in _line(dots):
            if index and across % 3 == 0:
                continue
            place = (down // 4, across // 2)
            bits, _ = cells.get(place, (0, index))
            cells[place] = (bits | _DOTS[across % 2][down % 4], index)
    legend = Text(f"{title}  ", style="bold")
    for index, name in enumerate(known):
        mark = "┅━"[not index] * 2
        legend.append(f"{mark} {name}  ", style=f"not bold {_COLOURS[index % len(_COLOURS)]}")
    labels = {0: y_high, _HEIGHT // 2: (y_high + y_low) / 2, _HEIGHT - 1: y_low}
    lines = [legend]
    for row in range(_HEIGHT):
        label = show_figure(float(labels[row])) if row in labels else ""
        line = Text(f"{label:>{_LABEL - 1}} │", style="dim")
        for column in range(columns):
            bits, index = cells.get((row, column), (0, 0))
            style = f"not dim {_COLOURS[index % len(_COLOURS)]}" if bits else ""
            line.append(chr(0x2800 + bits) if bits else " ", style=style)
        line.rstrip()
        lines.append(line)
    first, last = show_figure(int(x_low)), f"{show_figure(int(x_high))} {x_label}"
    ruler = f"{'':>{_LABEL - 1}} └{'─' * columns}"
    axis = f"{'':>{_LABEL + 1}}{first}{last:>{max(1, columns - len(first))}}"
    return [*lines, Text(ruler, style="dim"), Text(axis, style="dim")]


def _finite(points: Points) -> list[tuple[float, float]]:
    return [(x, y) for x, y in zip(*points, strict=True) if math.isfinite(y)]


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Least and largest, never the same."""
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _line(dots: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The dots of straight lines from each to the next."""
    yield dots[0]
    for (x, y), (to_x, to_y) in pairwise(dots):
        steps = max(abs(to_x - x), abs(to_y - y))
        for step in range(1, steps + 1):
            yield x + round((to_x - x) * step / steps), y + round((to_y - y) * step / steps)
