"""A report as one self-contained HTML page: no script, no font, no picture from elsewhere.

A page is built from top to bottom and then written:

    page = Page("Deduplication", "raw -> clean")
    page.figures({"documents kept": 3812, "removed": 0.047})
    page.section("Clusters", "Documents that say the same.")
    page.table(["size", "clusters"], [[2, 120], [3, 14]])
    page.chart(chart.bars(["2", "3"], {"clusters": [120, 14]}, y_label="clusters"))
    html = page.html()

Text is escaped everywhere; only the SVG of `chart` is taken as it is. The same content gives the
same bytes. The page works in light and dark, on paper and on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template

Value = str | int | float | None


@dataclass(frozen=True)
class Cell:
    """A table cell with more than a value."""

    value: Value
    note: str = ""
    """Small print under the value: an interval, a count."""
    strong: bool = False
    """Shown in bold: the best of its row."""
    text: str = ""
    """Shown instead of the value, which still says how the column is aligned."""


@dataclass(frozen=True)
class Block:
    """One piece of a page, in the form that the template draws."""

    shape: str
    content: Mapping[str, object]


@dataclass
class Page:
    """A page under construction; every method adds a piece at the end and returns the page."""

    title: str
    subtitle: str = ""
    blocks: list[Block] = field(default_factory=list)

    def figures(self, values: Mapping[str, Value | Cell]) -> Page:
        """Headline numbers as tiles, label under value."""
        tiles = [(label, _cell(value)) for label, value in values.items()]
        return self._add("figures", tiles=tiles)

    def section(self, title: str, text: str = "") -> Page:
        """A heading, listed in the page's contents, with paragraphs (split at empty lines)."""
        number = sum(block.shape == "section" for block in self.blocks) + 1
        return self._add(
            "section", title=title, anchor=f"section-{number}", paragraphs=_split(text)
        )

    def text(self, text: str) -> Page:
        """Paragraphs, split at empty lines."""
        return self._add("text", paragraphs=_split(text))

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[Value | Cell]], caption: str = ""
    ) -> Page:
        """A table; a column whose values are all numbers is aligned to the right."""
        cells = [[_cell(value) for value in row] for row in rows]
        numeric = [
            all(_is_number(row[index].value) for row in cells) for index in range(len(columns))
        ]
        return self._add("table", columns=columns, rows=cells, numeric=numeric, caption=caption)

    def chart(self, svg: str, caption: str = "") -> Page:
        """A drawing from `llamakit.artifacts.chart`."""
        return self._add("chart", svg=svg, caption=caption)

    def samples(self, rows: Sequence[tuple[str, Mapping[str, str]]]) -> Page:
        """Texts side by side: for each row a heading (the prompt) and a text under each label."""
        return self._add(
            "samples", rows=[(heading, list(texts.items())) for heading, texts in rows]
        )

    def html(self) -> str:
        """The whole page as text, ending with a newline."""
        sections = [block.content for block in self.blocks if block.shape == "section"]
        return (
            _template().render(
                title=self.title, subtitle=self.subtitle, blocks=self.blocks, sections=sections
            )
            + "\n"
        )

    def _add(self, shape: str, **content: object) -> Page:
        self.blocks.append(Block(shape, content))
        return self


def shown(value: Value) -> str:
    """A value as a reader wants it: 12,345 · 0.6123 · 3.2e-05 · – for none."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    size = abs(value)
    if not math.isfinite(value) or (0 < size < 0.001):
        return f"{value:.2g}"
    decimals = next((n for n, limit in enumerate((1000, 100, 10)) if size >= limit), 3)
    return f"{value:,.{decimals}f}"


def _cell(value: Value | Cell) -> Cell:
    return value if isinstance(value, Cell) else Cell(value)


def _is_number(value: Value) -> bool:
    return value is None or isinstance(value, int | float)


def _split(text: str) -> list[str]:
    return [paragraph.strip() for paragraph in text.split("\n\n") if paragraph.strip()]


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["shown"] = shown
    return environment.from_string(Path(__file__).with_name("page.html").read_text("utf-8"))
