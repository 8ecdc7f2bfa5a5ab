"""Arms of an experiment compared over repeated runs.

One report is one run: it evaluated each arm once, on the same items. What is compared are the runs'
numbers, so that intervals speak of other seeds and not only of other questions.

measure     `PART.MEASURE`, `PART.GROUP` (its main measure by group) or `PART.CURVE`
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from llamakit.artifacts.frames import Schema
from llamakit.errors import InputError
from llamakit.text.statistics import Estimate, mean_of_runs

RUNS: Schema = {
    "part": pl.String(),
    "kind": pl.String(),
    "measure": pl.String(),
    "x": pl.Int64(),
    "arm": pl.String(),
    "run": pl.Int64(),
    "value": pl.Float64(),
}
"""One number of one run: `kind` is main (a part's main measure), measure, group, breakdown or
curve; `x` a curve's place, else null."""


@dataclass(frozen=True)
class Number:
    """One number of one arm in one run, as in `RUNS`."""

    part: str
    kind: str
    measure: str
    x: int | None
    arm: str
    run: int
    value: float


@dataclass(frozen=True)
class Compared:
    """One number over all runs."""

    part: str
    kind: str
    measure: str
    x: int | None
    arms: Mapping[str, Estimate]
    """Mean of the runs, by arm."""
    differences: Mapping[str, Estimate]
    """Mean of the runs' differences from the first arm, by arm but for the first."""

    def clear(self, arm: str) -> bool:
        """Whether the interval of an arm's difference leaves zero out."""
        difference = self.differences[arm]
        return difference.low > 0 or difference.high < 0

    def to_json(self) -> dict[str, Any]:
        """The comparison as JSON values; a number that does not exist is null."""
        return {
            "part": self.part,
            "kind": self.kind,
            "measure": self.measure,
            **({} if self.x is None else {"x": self.x}),
            "arms": {arm: _plain(one) for arm, one in self.arms.items()},
            "differences": {
                arm: {**_plain(one), "clear": self.clear(arm)}
                for arm, one in self.differences.items()
            },
        }


def models_of(report: Mapping[str, Any], arms: Sequence[str], run: int = 0) -> dict[str, str]:
    """The model of each arm in a report: called as the arm, or as `ARM-…` or `ARM:…`.

    Raises:
        InputError: there is none of an arm, or more than one.
    """
    models = {}
    for arm in arms:
        own = [n for n in report["models"] if n == arm or n.startswith((f"{arm}-", f"{arm}:"))]
        if len(own) != 1:
            raise InputError(
                f"report {run + 1} has {len(own)} models of the arm {arm!r}",
                where=", ".join(report["models"]),
                fix="A report evaluates each arm once; a model's name begins with its arm's.",
            )
        models[arm] = own[0]
    return models


def numbers(reports: Sequence[Mapping[str, Any]], arms: Sequence[str]) -> list[Number]:
    """Every number that every arm has in every run.

    Args:
        reports: the objects in eval's `report.json`, one a run.
        arms: names, as in `models_of`, whose errors are raised.
    """
    found: list[Number] = []
    for run, report in enumerate(reports):
        for arm, model in models_of(report, arms, run).items():
            for part, own in report["parts"].items():
                if model in own:
                    found += _of(own[model], part, arm, run)
    counts = Counter(_key(one) for one in found)
    return [one for one in found if counts[_key(one)] == len(reports) * len(arms)]


def _key(one: Number) -> tuple[str, str, str, int | None]:
    """What the numbers of all arms and runs have in common."""
    return one.part, one.kind, one.measure, one.x


def compared(found: Sequence[Number], arms: Sequence[str]) -> list[Compared]:
    """Every number over all runs, in the order of the first run."""
    values: dict[tuple[str, str, str, int | None], dict[str, list[float]]] = {}
    for one in found:
        by_arm = values.setdefault(_key(one), {})
        by_arm.setdefault(one.arm, []).append(one.value)
    return [
        Compared(
            *key,
            arms={arm: mean_of_runs(by_arm[arm]) for arm in arms},
            differences={
                arm: mean_of_runs(
                    [b - a for a, b in zip(by_arm[arms[0]], by_arm[arm], strict=True)]
                )
                for arm in arms[1:]
            },
        )
        for key, by_arm in values.items()
    ]


def runs_table(found: Sequence[Number]) -> pl.DataFrame:
    """All numbers as a table of `RUNS`."""
    return pl.DataFrame([asdict(one) for one in found], schema=dict(RUNS))


def _of(result: Mapping[str, Any], part: str, arm: str, run: int) -> Iterator[Number]:
    for kind, named in (("measure", result["measures"]), ("group", result["groups"])):
        for name, estimate in named.items():
            if estimate["value"] is not None:
                shown = "main" if kind == "measure" and name == result["main"] else kind
                yield Number(part, shown, name, None, arm, run, estimate["value"])
    for title, groups in result.get("breakdowns", {}).items():
        for name, estimate in groups.items():
            if estimate["value"] is not None:
                place = f"{title}: {name or '(none)'}"
                yield Number(part, "breakdown", place, None, arm, run, estimate["value"])
    for name, curve in result["curves"].items():
        for x, point in zip(curve["xs"], curve["points"], strict=True):
            if point["value"] is not None:
                yield Number(part, "curve", name, x, arm, run, point["value"])


def _plain(estimate: Estimate) -> dict[str, float | int | None]:
    return {
        name: value if math.isfinite(value) else None for name, value in asdict(estimate).items()
    }
