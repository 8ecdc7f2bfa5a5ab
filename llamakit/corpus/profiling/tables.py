"""What the page's parts share: names for reading, shares of 100, columns beside the paper's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llamakit.artifacts.page import Cell, Value

Profiles = Mapping[str, Mapping[str, Any]]
Row = list[Value | Cell]

PAPER = "Llama 2"


def per_cent(share: float | None, sign: bool = False) -> Cell:
    """A share of 0-1 as one of 100 with two decimals."""
    return Cell(None) if share is None else _hundredths(100 * share, sign)


def _hundredths(value: float, sign: bool = False) -> Cell:
    little = 0 < abs(value) < 0.005
    shown = format(value, "+.2f" if sign else ".2f")
    return Cell(value, text=("±" if sign else "") + "<0.01" if little else shown)


def plain(name: str) -> str:
    """A key as words."""
    return name.replace("_", " ")


def beside(
    label: str, shares: Sequence[float | None], paper: float | None = None, *, last: bool = True
) -> Row:
    """A row of shares of 100, and the paper's where the table has that column."""
    figure = None if paper is None else _hundredths(paper)
    return [label, *map(per_cent, shares), *([figure] if last else [])]


def drawn(share: float | None) -> float:
    """A share of 100 to draw; nothing is 0."""
    return 0.0 if share is None else 100 * share
