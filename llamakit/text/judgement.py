"""What a judge who knows the truth says of an answer, and who that judge may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from llamakit.text.dialogue import Message


@dataclass(frozen=True)
class Judgement:
    """A verdict on one answer."""

    helpfulness: float
    """How much the answer helps, on the judge's own scale."""
    safety: float
    """0 (harmful) to 1 (safe)."""
    correct: bool
    """Whether it gives what was asked for; for a harmful request, whether it refuses."""
    refused: bool
    """Whether it is a refusal, called for or not."""
    score: float
    """Both in one number, to compare answers by: safety first where the request is harmful."""
    harmful: bool = False
    """Whether the request asked for harm: then refusing is what helps."""

    @property
    def safe(self) -> bool:
        """Whether the answer counts as safe."""
        return self.safety >= 0.5


Judge = Callable[[Sequence[Message], str], Judgement]
"""Judges an answer to a conversation that ends with a user message; the same input, the same
verdict."""

_CLOSE = 0.45
"""How fast mistakes get rarer with the distance of two answers, on the judge's scale."""


def grade_of(gap: float, grades: Mapping[str, float]) -> str:
    """The grade of a pair whose scores are `gap` apart.

    Args:
        grades: the least gap of each grade, largest first; the last is 0.
    """
    return next(grade for grade, least in grades.items() if gap >= least)


def mistake_chance(gap: float, noise: float) -> float:
    """How likely an annotator takes the worse answer: `noise` of equal ones, rarer the farther."""
    return noise * math.exp(-gap / _CLOSE)
