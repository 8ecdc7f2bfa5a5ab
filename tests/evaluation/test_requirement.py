"""Requirements are parsed strictly and name what misses them."""

from __future__ import annotations

from typing import Any

import pytest

from llamakit.errors import UsageError
from llamakit.evaluation.requirement import check_names, parse


def estimate(value: float | None) -> dict[str, Any]:
    return {"value": value, "low": 0.0, "high": 1.0, "n": 9}


def part(value: float, main: str = "accuracy", **more: float) -> dict[str, Any]:
    measures = {main: estimate(value)} | {name: estimate(v) for name, v in more.items()}
    return {"main": main, "measures": measures}


REPORT = {
    "models": ["base", "sft"],
    "parts": {
        "exam": {"base": part(0.3, accuracy_raw=0.25), "sft": part(0.6, accuracy_raw=0.7)},
        "safety": {
            "base": part(0.9, "violation", false_refusal=0.0),
            "sft": part(0.1, "violation", false_refusal=0.2),
        },
        "win": {"base": part(0.5, "oracle"), "sft": part(0.9, "oracle", oracle_ties=0.1)},
    },
    "wins": {
        "helpfulness": [
            {"first": "base", "second": "sft", "win_share": estimate(0.2)},
            {"first": "base", "second": "ppo", "win_share": estimate(None)},
        ]
    },
}


@pytest.mark.parametrize(
    "text",
    [
        "exam:sft>=0.6",
        "exam>=0.3",
        "exam:sft>base",
        "exam.accuracy_raw:sft >= .7",
        "safety:sft<base",
        "safety.false_refusal <= 2e-1",
        "win:sft>base",
        "win.helpfulness:base<sft",
        "win.oracle:sft>=0.8",
        "win.oracle_ties:sft<0.2",
    ],
)
def test_met(text: str) -> None:
    assert parse(text).unmet(REPORT) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("exam>=0.6", "base has 0.300"),
        ("exam:base>sft", "base has 0.300, sft has 0.600"),
        ("safety.violation<=0.5", "base has 0.900"),
        ("exam.other>=0.1", "no exam.other"),
        ("none>=0.1", "no none"),
        ("win:base>sft", "base wins 0.200"),
        ("win:base>ppo", "every comparison is a tie"),
        ("win:base>other", "compares no such models"),
        ("win.safety:base>sft", "compares no such models"),
    ],
)
def test_unmet(text: str, told: str) -> None:
    line = parse(text).unmet(REPORT)
    assert line is not None
    assert line.startswith(text)
    assert told in line


@pytest.mark.parametrize("text", ["", "exam", "exam=0.6", ">=0.6", "exam>>1", "exam>=", "exam>sft"])
def test_malformed(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


def test_names_are_checked_before_the_work() -> None:
    check_names(parse("exam:sft>base"), ["base", "sft"], ["exam"])
    with pytest.raises(UsageError, match="Did you mean 'exam'"):
        check_names(parse("exm>=0.1"), ["base"], ["exam"])
    with pytest.raises(UsageError, match="no model 'sfd'"):
        check_names(parse("exam:base>sfd"), ["base", "sft"], ["exam"])
