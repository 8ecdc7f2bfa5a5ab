"""Charts for reports: small SVG drawings that follow the page's colours, light or dark.

Every function returns one `<svg>` element to be placed in a page (`page.Page.chart`). The same data
give the same bytes: no dates, no random identifiers, no fonts of the machine. Colours are CSS
variables with a fallback, so a page recolours its charts and a lone SVG file still shows them.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, ParamSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
Points = tuple[Sequence[float], Sequence[float]]
Band = tuple[Sequence[float], Sequence[float]]

# Matplotlib draws in these stand-in colours; `_finish` turns them into CSS variables.
_INK, _GRID = "#010203", "#040506"
_SERIES = ("#2f6fdb", "#d9822b", "#2a9d74", "#b5479d", "#7a6ff0", "#8a8f2a", "#c94f4f", "#4a8fa8")
_SIZE_INCHES = (6.8, 3.1)
_SQUARE_INCHES = (5.6, 4.6)
_MARKED_POINTS = 30
_NAMED_PLACES = 12
_LABELLED_CELLS = 150
_SETTINGS: dict[str, object] = {
    "svg.hashsalt": "llamakit",
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 10,
}


def _in_house_style(draw: Callable[P, str]) -> Callable[P, str]:
    """Draw under matplotlib's defaults and our settings, whatever a user's matplotlibrc says."""

    @functools.wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> str:
        from matplotlib import style

        with style.context(["default", _SETTINGS]):
            return draw(*args, **kwargs)

    return styled


@_in_house_style
def lines(
    series: Mapping[str, Points],
    *,
    x_label: str,
    y_label: str,
    title: str = "",
    bands: Mapping[str, Band] | None = None,
    log_x: bool = False,
    log_y: bool = False,
    y_limits: tuple[float, float] | None = None,
    names: Sequence[str] = (),
) -> str:
    """One line per series of `(xs, ys)`; `bands` shades an interval `(lows, highs)` around one.

    Points that are not finite leave a gap; without limits the y axis is fitted to the data. `names`
    stand at the places 0, 1, … of the x axis, instead of numbers.
    """
    figure, axes = _axes(x_label, y_label)
    for index, (name, (xs, ys)) in enumerate(series.items()):
        colour = _SERIES[index % len(_SERIES)]
        marker = "o" if len(xs) <= _MARKED_POINTS else ""
        axes.plot(xs, ys, color=colour, label=_plain(name), marker=marker, markersize=3.5, lw=1.8)
        if bands and name in bands:
            low, high = bands[name]
            axes.fill_between(xs, low, high, color=colour, alpha=0.16, linewidth=0)
    if log_x:
        axes.set_xscale("log")
    if log_y:
        axes.set_yscale("log")
    if y_limits is not None:
        axes.set_ylim(*y_limits)
    places = sorted({float(x) for xs, _ in series.values() for x in xs})
    if names:
        axes.set_xticks(range(len(names)), [_plain(name) for name in names])
    elif all(place.is_integer() for place in places) and not log_x:
        # Steps and turns are whole: no ticks between them.
        if len(places) <= _NAMED_PLACES:
            axes.set_xticks(places)
        else:
            axes.locator_params(axis="x", integer=True)
    _legend(axes, len(series))
    return _finish(figure, title or f"{y_label} by {x_label}")


@_in_house_style
def bars(
    labels: Sequence[str],
    series: Mapping[str, Sequence[float]],
    *,
    y_label: str,
    x_label: str = "",
    title: str = "",
    intervals: Mapping[str, Sequence[tuple[float, float]]] | None = None,
    y_limits: tuple[float, float] | None = None,
) -> str:
    """Groups of bars, one group per label and one bar per series, with error bars where given.

    Each series has one height per label, and each of its `intervals` is that bar's `(low, high)`.
    """
    figure, axes = _axes(x_label, y_label)
    width = 0.78 / max(1, len(series))
    for index, (name, heights) in enumerate(series.items()):
        offset = (index - (len(series) - 1) / 2) * width
        places = [group + offset for group in range(len(labels))]
        colour = _SERIES[index % len(_SERIES)]
        axes.bar(places, heights, width * 0.9, color=colour, label=_plain(name))
        if intervals and name in intervals:
            ends = list(zip(heights, intervals[name], strict=True))
            below = [max(0.0, height - low) for height, (low, _) in ends]
            above = [max(0.0, high - height) for height, (_, high) in ends]
            axes.errorbar(
                places,
                heights,
                yerr=[below, above],
                fmt="none",
                ecolor=_INK,
                elinewidth=1,
                capsize=2.5,
            )
    crowded = len(labels) > 1 and sum(map(len, labels)) > 75
    axes.set_xticks(
        range(len(labels)),
        [_plain(label) for label in labels],
        rotation=30 if crowded else 0,
        ha="right" if crowded else "center",
    )
    # One lone group would otherwise be as wide as the page.
    margin = 0.5 + 0.5 / max(1, len(labels))
    axes.set_xlim(-margin, max(1, len(labels)) - 1 + margin)
    if y_limits is not None:
        axes.set_ylim(*y_limits)
    _legend(axes, len(series))
    return _finish(figure, title or y_label)


@_in_house_style
def trail(
    series: Mapping[str, Points],
    names: Sequence[str],
    *,
    x_label: str,
    y_label: str,
    title: str = "",
    spans: Mapping[str, tuple[Sequence[tuple[float, float]], Sequence[tuple[float, float]]]]
    | None = None,
) -> str:
    """Points `(xs, ys)` joined in their order, each with its name beside it.

    `spans` holds a series' intervals `(low, high)` of xs and of ys, drawn as thin crosses.
    """
    figure, axes = _axes(x_label, y_label, _SQUARE_INCHES)
    axes.grid(True, axis="x", color=_GRID, linewidth=0.8)
    for index, (label, (xs, ys)) in enumerate(series.items()):
        colour = _SERIES[index % len(_SERIES)]
        axes.plot(xs, ys, color=colour, label=_plain(label), marker="o", markersize=4, lw=1.4)
        if spans and label in spans:
            for low_high, place in zip(spans[label][0], ys, strict=True):
                axes.plot(low_high, (place, place), color=colour, lw=0.8, alpha=0.5)
            for low_high, place in zip(spans[label][1], xs, strict=True):
                axes.plot((place, place), low_high, color=colour, lw=0.8, alpha=0.5)
        for name, x, y in zip(names, xs, ys, strict=True):
            axes.annotate(
                _plain(name), (x, y), xytext=(4, 4), textcoords="offset points", fontsize=8.5
            )
    _legend(axes, len(series))
    return _finish(figure, title or f"{y_label} against {x_label}")


@_in_house_style
def histogram(
    samples: Mapping[str, Sequence[float]],
    *,
    x_label: str,
    y_label: str = "share",
    title: str = "",
    bins: int = 40,
    limits: tuple[float, float] | None = None,
) -> str:
    """The distribution of each series over common bins, as shares of that series (0-1)."""
    import numpy as np

    figure, axes = _axes(x_label, y_label)
    arrays = {name: np.asarray(list(values), dtype=np.float64) for name, values in samples.items()}
    filled = [array for array in arrays.values() if array.size]
    if filled:
        low, high = limits or (
            float(min(array.min() for array in filled)),
            float(max(array.max() for array in filled)),
        )
        edges = np.linspace(low, high if high > low else low + 1.0, bins + 1)
        for index, (name, array) in enumerate(arrays.items()):
            counts, _ = np.histogram(array, edges)
            shares = counts / max(1, array.size)
            colour = _SERIES[index % len(_SERIES)]
            axes.stairs(shares, edges, color=colour, lw=1.6, label=_plain(name))
            axes.stairs(shares, edges, color=colour, fill=True, alpha=0.18, lw=0)
    _legend(axes, len(samples))
    return _finish(figure, title or f"{y_label} by {x_label}")


@_in_house_style
def heatmap(
    values: Sequence[Sequence[float | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    x_label: str = "",
    y_label: str = "",
    title: str = "",
    limits: tuple[float, float] | None = None,
    number: str = ".2f",
) -> str:
    """A grid of cells, the stronger the colour the larger the value; None leaves a cell empty.

    Rows go from top to bottom. `limits` are the values of no and full colour (the data's ends when
    absent); `number` is the format of the number that a small grid shows in each cell.
    """
    from matplotlib.patches import Rectangle

    side = max(1.9, min(5.2, 0.42 * len(rows) + 0.9))
    figure, axes = _axes(x_label, y_label, (_SIZE_INCHES[0], side))
    known = [value for line in values for value in line if value is not None]
    low, high = limits or ((min(known), max(known)) if known else (0.0, 1.0))
    written = len(rows) * len(columns) <= _LABELLED_CELLS
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            if value is None:
                continue
            share = min(1.0, max(0.0, (value - low) / (high - low))) if high > low else 0.0
            corner = (column - 0.5, row - 0.5)
            alpha = round(0.06 + 0.66 * share, 3)
            axes.add_patch(Rectangle(corner, 1, 1, facecolor=_SERIES[0], alpha=alpha, linewidth=0))
            if written:
                axes.text(column, row, format(value, number), ha="center", va="center", fontsize=9)
    axes.grid(False)
    axes.set_xlim(-0.5, max(1, len(columns)) - 0.5)
    axes.set_ylim(max(1, len(rows)) - 0.5, -0.5)
    # A long axis names every n-th line, so that names do not overlap.
    across, down = max(1, -(-len(columns) // 24)), max(1, -(-len(rows) // 24))
    crowded = sum(map(len, columns[::across])) > 70
    axes.set_xticks(
        range(0, len(columns), across),
        [_plain(name) for name in columns[::across]],
        rotation=30 if crowded else 0,
        ha="right" if crowded else "center",
    )
    axes.set_yticks(range(0, len(rows), down), [_plain(name) for name in rows[::down]])
    for side_name in ("left", "bottom"):
        axes.spines[side_name].set_visible(False)
    axes.tick_params(length=0)
    return _finish(figure, title or "heat map")


def _axes(
    x_label: str, y_label: str, size: tuple[float, float] = _SIZE_INCHES
) -> tuple[Figure, Axes]:
    """An empty chart in the house style, made without matplotlib's global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    figure.patch.set_visible(False)
    axes = figure.add_subplot()
    axes.patch.set_visible(False)
    axes.set_xlabel(_plain(x_label), color=_INK)
    axes.set_ylabel(_plain(y_label), color=_INK)
    axes.tick_params(colors=_INK, labelsize=9, length=3, width=0.8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_INK)
        axes.spines[side].set_linewidth(0.8)
    axes.grid(True, axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _legend(axes: Axes, n_series: int) -> None:
    if n_series > 1:
        axes.legend(
            frameon=False,
            fontsize=9,
            labelcolor=_INK,
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            ncols=min(n_series, 4),
            borderaxespad=0.2,
        )


def _plain(text: str) -> str:
    """Text as it is: in matplotlib a dollar sign starts a formula, a leading _ hides a label."""
    escaped = text.replace("$", r"\$")
    return f"\u200b{escaped}" if escaped.startswith("_") else escaped


def _finish(figure: Figure, title: str) -> str:
    """The figure as one `<svg>` element with a title, CSS colours and only the ids in use."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = svg.replace("xlink:href", "href").replace(
        ' xmlns:xlink="http://www.w3.org/1999/xlink"', ""
    )
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px system-ui, sans-serif", svg)
    # Matplotlib draws tick and cell labels in black, which dark pages would hide.
    svg = re.sub(r'(<text style="(?![^"]*fill:))', r"\1fill: currentColor; ", svg)
    svg = svg.replace(_INK, "currentColor").replace(_GRID, "var(--grid, #8883)")
    for number, colour in enumerate(_SERIES, start=1):
        svg = svg.replace(colour, f"var(--series-{number}, {colour})")
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    head = f'<svg role="img" viewBox="{box.group(0)[9:-1]}"' if box else "<svg"
    head += ' xmlns="http://www.w3.org/2000/svg">'
    body = svg[svg.index(">") + 1 :]
    return f"{head}\n<title>{escape(title)}</title>{body}".strip()
