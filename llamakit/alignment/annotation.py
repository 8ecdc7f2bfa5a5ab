"""What a judge says of two answers, as the row of a preference set (paper §3.2.1).

The judge chooses one answer, says by how much it is better, and for safety prompts which of the two
are safe. It is the oracle of an embedded world, or reward models (RLAIF).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from llamakit.artifacts.frames import PREFERENCES, Schema
from llamakit.text.judgement import Judge, grade_of, mistake_chance

ANNOTATED: Schema = {
    **PREFERENCES,
    "chosen_temperature": pl.Float64(),
    "rejected_temperature": pl.Float64(),
}
"""Preferences that know the temperatures their answers were sampled at."""

REWARD_GRADES = {"significantly": 2.0, "better": 1.0, "slightly": 0.3, "negligible": 0.0}
"""The gap of raw scores from which on reward models give each grade: the better answer has a chance
of .88, .73 and .57 to be the better one."""

_SAFE = 0.0
"""The raw safety score from which on an answer is safe: a share of one half."""
_STREAM = 25  # stream of random numbers


@dataclass(frozen=True)
class Opinion:
    """What a judge thinks of one answer."""

    score: float
    """To compare answers by."""
    safe: bool | None
    """Whether it is safe; None where the judge does not know."""


Opinions = Callable[[Mapping[str, Any]], tuple[Opinion, Opinion]]
"""A judge of both answers of a comparison."""


@dataclass(frozen=True)
class Annotator:
    """Who judges, by which gaps, and how often the worse answer is taken."""

    name: str
    opinions: Opinions
    grades: Mapping[str, float]
    noise: float
    """The share of mistakes between answers of equal worth (0-0.5)."""
    batch: int
    seed: int

    def row(self, comparison: Mapping[str, Any], counts: Counter[str]) -> dict[str, Any] | None:
        """A comparison (a row of `COMPARISONS`) as a preference; None where it is left out.

        Where exactly one answer is safe, nobody is mistaken about which; a pair whose better answer
        alone is unsafe is left out, as in the paper.
        """
        first, second = self.opinions(comparison)
        chance = np.random.default_rng([self.seed, self.batch, _STREAM, comparison["place"]])
        gap = abs(first.score - second.score)
        coin, doubt = chance.random(2)
        best = int(coin < 0.5) if gap == 0 else int(second.score > first.score)
        safe = (first.safe, second.safe) if comparison["safety"] else (None, None)
        if doubt < mistake_chance(gap, self.noise) and safe[0] == safe[1]:
            best = 1 - best
            counts["mistaken"] += 1
        worse = 1 - best
        if safe[worse] and not safe[best]:
            counts["dropped_chosen_unsafe"] += 1
            return None
        texts = [[{"role": "assistant", "content": text}] for text in comparison["answers"]]
        return {
            "id": f"{self.batch}-{comparison['id']}",
            "prompt": comparison["prompt"],
            "chosen": texts[best],
            "rejected": texts[worse],
            "grade": grade_of(gap, self.grades),
            "safety": _bin(safe[best], safe[worse]),
            "source": comparison["source"],
            "batch": self.batch,
            "annotator": self.name,
            "chosen_model": comparison["models"][best],
            "rejected_model": comparison["models"][worse],
            "chosen_temperature": comparison["temperatures"][best],
            "rejected_temperature": comparison["temperatures"][worse],
        }


def oracle_opinions(judge: Judge) -> Opinions:
    """The oracle of an embedded world as a judge."""

    def opinions(comparison: Mapping[str, Any]) -> tuple[Opinion, Opinion]:
        first, second = (judge(comparison["prompt"], text) for text in comparison["answers"])
        return Opinion(first.score, first.safe), Opinion(second.score, second.safe)

    return opinions


def reward_opinions(comparison: Mapping[str, Any]) -> tuple[Opinion, Opinion]:
    """The reward models' scores that were taken when the answers were sampled."""
    safety = comparison["safety_scores"]
    first, second = (
        Opinion(score, None if safety is None else safety[index] >= _SAFE)
        for index, score in enumerate(comparison["scores"])
    )
    return first, second


def for_people(comparison: Mapping[str, Any], batch: int) -> dict[str, Any]:
    """A comparison as a line to be judged by people, in a form that `ingest` reads.

    They fill in `winner` (a or b), `grade` and, for safety prompts, `safety`.
    """
    line: dict[str, Any] = {
        "id": f"{batch}-{comparison['id']}",
        "prompt": comparison["prompt"],
        "winner": None,
        "grade": None,
        "safety": None,
        "source": comparison["source"],
        "batch": batch,
        "annotator": None,
    }
    for index, side in enumerate("ab"):
        line[f"response_{side}"] = comparison["answers"][index]
        line[f"model_{side}"] = comparison["models"][index]
        line[f"temperature_{side}"] = comparison["temperatures"][index]
    return line


def _bin(chosen: bool | None, rejected: bool | None) -> str | None:
    if chosen is None or rejected is None:
        return None
    return "chosen_safe" if chosen and not rejected else "both_safe" if chosen else "both_unsafe"
