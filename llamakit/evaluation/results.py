"""What an evaluation finds, as plain data that a JSON file can keep.

A *part* is one measurement of one model: a task, the perplexity, the safety prompts. Its result has
measures, each with an interval, and one row per sample.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from llamakit.text.statistics import Estimate


@dataclass(frozen=True)
class Row:
    """One sample: what was asked, what came, and what it was worth."""

    id: str
    prompt: str
    output: str = ""
    expected: str = ""
    group: str = ""
    """Subject, label or source: what the part also reports by."""
    values: Mapping[str, float] = field(default_factory=dict)
    """The sample's own contribution to each measure (0-1 for rates)."""


@dataclass(frozen=True)
class Curve:
    """A measure along an axis, such as adherence by turn."""

    x_label: str
    xs: list[int]
    points: list[Estimate]


@dataclass(frozen=True)
class Grid:
    """A square of numbers, rows from top to bottom, with one label for a row and its column."""

    labels: list[str]
    values: list[list[float | None]]


@dataclass(frozen=True)
class PartResult:
    """What one part found of one model."""

    part: str
    model: str
    kind: str
    """`task`, `perplexity`, `adherence`, `attention`, `safety` or `answers`."""
    main: str
    """The measure that stands for the part."""
    higher_is_better: bool
    measures: dict[str, Estimate]
    groups: dict[str, Estimate] = field(default_factory=dict)
    """The main measure by group."""
    breakdowns: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    """Rates by group, of other measures or by other groups: by title, such as `false refusal by
    category`, and group."""
    curves: dict[str, Curve] = field(default_factory=dict)
    grids: dict[str, Grid] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """What a reader must know: lines left out, prompts too long."""
    rows: list[Row] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON values; a number that does not exist is null."""
        found: dict[str, Any] = _without_nan(asdict(self))
        return found

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PartResult:
        """The inverse of `to_json`."""
        curves = {
            name: Curve(curve["x_label"], curve["xs"], [_estimate(p) for p in curve["points"]])
            for name, curve in value["curves"].items()
        }
        return cls(
            part=value["part"],
            model=value["model"],
            kind=value["kind"],
            main=value["main"],
            higher_is_better=value["higher_is_better"],
            measures={name: _estimate(one) for name, one in value["measures"].items()},
            groups={name: _estimate(one) for name, one in value["groups"].items()},
            breakdowns={
                title: {name: _estimate(one) for name, one in groups.items()}
                for title, groups in value["breakdowns"].items()
            },
            curves=curves,
            grids={name: Grid(**grid) for name, grid in value["grids"].items()},
            notes=list(value["notes"]),
            rows=[Row(**row) for row in value["rows"]],
        )

    def summary(self) -> dict[str, Any]:
        """`to_json` without the rows and the names, for the report's JSON."""
        whole = self.to_json()
        return {key: whole[key] for key in whole if key not in ("rows", "part", "model")}


def by_group(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by their group, sorted, numbers by size; empty where there are fewer than two groups."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.group, []).append(row)
    ordered = sorted(found, key=lambda name: (int(name) if name.isdecimal() else -1, name))
    return {name: found[name] for name in ordered} if len(found) > 1 else {}


def values_of(rows: Sequence[Row], measure: str) -> list[float]:
    """The rows' values of a measure, of those rows that have it."""
    return [row.values[measure] for row in rows if measure in row.values]


def _estimate(value: Mapping[str, Any]) -> Estimate:
    def number(key: str) -> float:
        return float("nan") if value[key] is None else float(value[key])

    return Estimate(number("value"), number("low"), number("high"), int(value["n"]))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
