"""What the page's parts share: names for reading, shares of 100, columns beside the paper's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llamakit.artifacts.page import Cell, Value

Profiles = Mapping[str, Mapping[str, Any]]
Row = list[Value | Cell]

PAPER = "Llama 2"


def per_cent(share: float | None) -> float | None:
    """A share of 0-1 as one of 100."""
    return None if share is None else 100 * share


def plain(name: str) -> str:
    """A key as words."""
    return name.replace("_", " ")


def beside(
    label: str, shares: Sequence[float | None], paper: float | None = None, *, last: bool = True
) -> Row:
    """A row of shares of 100, and the paper's where the table has that column."""
    return [label, *(per_cent(share) for share in shares), *([paper] if last else [])]


def drawn(share: float | None) -> float:
    """A share of 100 to draw; nothing is 0."""
    return 0.0 if share is None else 100 * share
