"""Requirements that an evaluation's result must meet: `exam>=0.6`, `exam:ppo>sft`.

    PART[.MEASURE][:MODEL] OP NUMBER     the measure of MODEL, or of every model
    PART[.MEASURE]:MODEL OP MODEL        one model's measure against another's
    win.JUDGE:MODEL OP NUMBER            the share of decided comparisons MODEL wins of the control
    win.JUDGE:MODEL > MODEL              MODEL wins more of the decided comparisons

OP is one of >=, <=, > and <. Values are compared as they are; intervals are for the reader.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamakit.artifacts.page import shown
from llamakit.errors import UsageError, nearest

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_NAME = r"[\w-]+(?:\.[\w-]+)*"
_FORM = re.compile(
    rf"\s*(?P<measure>{_NAME})(?::(?P<model>[\w.:-]+?))?\s*(?P<op>>=|<=|>|<)\s*(?P<than>[\w.:+-]+)\s*"
)


@dataclass(frozen=True)
class Requirement:
    """One parsed requirement."""

    text: str
    measure: str
    """`PART` or `PART.MEASURE`."""
    model: str | None
    """None asks it of every model."""
    op: str
    than: float | str
    """A number, or the model to compare with."""

    def unmet(self, report: Mapping[str, Any]) -> str | None:
        """What misses the requirement in a report, as one line; None when it is met.

        A measure or model that the report does not have counts as unmet, and is named.
        """
        part, _, judge = self.measure.partition(".")
        if part == "win" and isinstance(self.than, str):
            return self._unmet_win(report, judge)
        models = [self.model] if self.model else list(report["models"])
        lines = []
        for model in models:
            value = _value(report, self.measure, model)
            bound = self.than if isinstance(self.than, float) else None
            if isinstance(self.than, str):
                bound = _value(report, self.measure, self.than)
            if value is None or bound is None:
                missing = model if value is None else self.than
                return f"{self.text}: the report has no {self.measure} of {missing!r}"
            if not _OPERATORS[self.op](value, bound):
                other = f"{self.than} has {shown(bound)}" if isinstance(self.than, str) else ""
                lines.append(f"{model} has {shown(value)}" + (f", {other}" if other else ""))
        return f"{self.text}: {'; '.join(lines)}" if lines else None

    def _unmet_win(self, report: Mapping[str, Any], judge: str) -> str | None:
        name = judge or next(iter(report["wins"]), "")
        for match in report["wins"].get(name, []):
            if {match["first"], match["second"]} != {self.model, self.than}:
                continue
            share = match["win_share"]["value"]
            if share is None:
                return f"{self.text}: every comparison is a tie"
            own = share if match["first"] == self.model else 1 - share
            if _OPERATORS[self.op](own, 0.5):
                return None
            return f"{self.text}: {self.model} wins {shown(own)} of the decided comparisons"
        return f"{self.text}: the report compares no such models (judge {name!r})"


def parse(text: str) -> Requirement:
    """Read one requirement.

    Raises:
        UsageError: it has not the form above.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise UsageError(
            f"{text!r} is no requirement",
            where="require",
            fix="Write it as exam>=0.6, exam:sft>=0.6 or exam:sft>base.",
        )
    than: float | str
    try:
        than = float(found["than"])
    except ValueError:
        than = found["than"]
        if found["model"] is None:
            raise UsageError(
                f"{text!r} compares with a model, so it must name both",
                where="require",
                fix=f"Write it as {found['measure']}:MODEL{found['op']}{than}.",
            ) from None
    return Requirement(text.strip(), found["measure"], found["model"], found["op"], than)


def missed(requirements: Sequence[str], report: Path) -> list[str]:
    """What misses each requirement that the report in a folder does not meet."""
    content = json.loads((report / "report.json").read_text(encoding="utf-8"))
    lines = (parse(text).unmet(content) for text in requirements)
    return [line for line in lines if line is not None]


def check_names(requirement: Requirement, models: list[str], parts: list[str]) -> None:
    """Refuse a requirement on a model or a part that this evaluation will not have.

    Raises:
        UsageError: the name is unknown; the nearest is named.
    """
    named = [requirement.model, requirement.than if isinstance(requirement.than, str) else None]
    for kind, known, names in (
        ("model", models, [name for name in named if name is not None]),
        ("part", parts, [requirement.measure.partition(".")[0]]),
    ):
        for name in names:
            if name not in known:
                guess = nearest(name, known)
                hint = f"Did you mean {guess!r}? " if guess else ""
                raise UsageError(
                    f"{requirement.text!r}: there is no {kind} {name!r} here",
                    where="require",
                    fix=f"{hint}There are: {', '.join(known)}.",
                )


def _value(report: Mapping[str, Any], measure: str, model: str) -> float | None:
    part, _, name = measure.partition(".")
    found = report["parts"].get(part, {}).get(model)
    if found is None:
        return None
    estimate = found["measures"].get(name or found["main"])
    value = None if estimate is None else estimate["value"]
    return None if value is None else float(value)
