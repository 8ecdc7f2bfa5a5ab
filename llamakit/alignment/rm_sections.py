"""What a page shows of one or several reward models on the same pairs.

Every heading names the pairs, `of`, where a page has several sets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from llamakit.alignment.agreement import (
    GateQuality,
    ScoredPair,
    accuracy,
    accuracy_by_grade,
    accuracy_by_safety,
    accuracy_by_source,
    calibration,
    calibration_error,
)
from llamakit.alignment.consensus import Consensus
from llamakit.alignment.length_bias import length_bias
from llamakit.artifacts import chart
from llamakit.artifacts.page import Cell, Page, Value
from llamakit.text.statistics import Estimate

Models = Mapping[str, Sequence[ScoredPair]]
"""Scored pairs by the name of the model that scored them."""
Row = list[Value | Cell]


def add_agreement(page: Page, models: Models, of: str = "") -> None:
    """Share of pairs ranked as the annotator did, in all and by grade, safety bin and source."""
    page.section(
        _titled("Agreement with annotators", of), "Share of held-out pairs, 95% Wilson intervals."
    )
    page.table(
        ["", *models],
        [["all pairs", *(counted(accuracy(scored)) for scored in models.values())]],
    )
    _by(page, "grade", models, accuracy_by_grade)
    _by(page, "safety bin", models, accuracy_by_safety)
    _by(page, "source", models, accuracy_by_source)


def add_calibration(page: Page, models: Models, of: str = "") -> None:
    """Reliability: the probability a model gives its choice, and how often it is right."""
    errors = ", ".join(f"{name} {calibration_error(held):.3f}" for name, held in models.items())
    page.section(
        _titled("Calibration", of),
        "Probability that a model gives its choice, the sigmoid of the difference of scores, and"
        f" how often it is right. Expected calibration error: {errors}.",
    )
    lines: dict[str, tuple[list[float], list[float]]] = {}
    bands: dict[str, tuple[list[float], list[float]]] = {}
    rows: list[Row] = []
    for name, scored in models.items():
        points = calibration(scored)
        lines[name] = ([x for x, _ in points], [y.value for _, y in points])
        bands[name] = ([y.low for _, y in points], [y.high for _, y in points])
        rows += [[name, x, counted(y)] for x, y in points]
    lines["ideal"] = ([0.5, 1.0], [0.5, 1.0])
    drawn = chart.lines(lines, x_label="predicted probability", y_label="agreement", bands=bands)
    page.chart(drawn)
    page.table(["model", "predicted", "agreed"], rows)


def add_scores(page: Page, models: Models, of: str = "") -> None:
    """Histograms of the scores of chosen and of rejected answers, one a model."""
    page.section(
        _titled("Scores", of), "Raw scores; their sigmoid is the share that the gate compares."
    )
    for name, scored in models.items():
        samples = {
            "chosen": [one.chosen for one in scored],
            "rejected": [one.rejected for one in scored],
        }
        page.chart(chart.histogram(samples, x_label="raw score"), name if len(models) > 1 else "")


def add_length(page: Page, models: Models, of: str = "") -> None:
    """How far length explains a model's choices, beside the rule that takes the longer answer."""
    page.section(
        _titled("Length", of),
        "Would length alone do? The rule takes the longer answer; it has 1 where the chosen answer"
        " is longer, 0 where it is shorter, and one half in their mean. Lengths are in tokens.",
    )
    found = {name: length_bias(scored) for name, scored in models.items()}
    first = next(iter(found.values()))
    rows: list[Row] = [
        ["agreement", *(counted(accuracy(held)) for held in models.values()),
         counted(first.length_only)],
        ["where the chosen answer is longer", *(counted(b.chosen_longer) for b in found.values()),
         1.0],
        ["where it is shorter", *(counted(b.chosen_shorter) for b in found.values()), 0.0],
        ["mean of both", *(_number(one.balanced) for one in found.values()), 0.5],
        ["prefers the longer answer", *(counted(b.follows_length) for b in found.values()), 1.0],
        ["correlation of scores and lengths (differences)",
         *(counted(b.correlation) for b in found.values()), None],
    ]  # fmt: skip
    page.table(["", *models, "the longer one"], rows)


def add_gate(page: Page, gates: Mapping[str, GateQuality], of: str = "") -> None:
    """The safety gate against labelled answers, one column a model."""
    page.section(_titled("Safety gate", of), "Unsafe answers found below the threshold of 0.15.")
    names = {"precision": "precision", "recall": "recall", "rate": "fires"}
    rows: list[Row] = [
        [label, *(counted(getattr(gate, name)) for gate in gates.values())]
        for name, label in names.items()
    ]
    page.table(["", *gates], rows)


def add_consensus(page: Page, pairs: Mapping[tuple[str, str], Consensus], of: str = "") -> None:
    """How two models rank the same pairs, one column for each two of them."""
    page.section(
        _titled("Two models", of),
        "On pairs that both have scored: how often they prefer the same answer, who agrees with the"
        " annotator, and how their scores go together.",
    )
    rows: list[Row] = [
        [label, *(counted(getattr(one, name)) for one in pairs.values())]
        for name, label in {
            "same": "prefer the same answer",
            "both_right": "both agree with the annotator",
            "first_alone": "the first alone",
            "second_alone": "the second alone",
            "both_wrong": "neither",
            "differences": "correlation of differences (Pearson)",
            "scores": "correlation of all scores (Spearman)",
        }.items()
    ]
    named = list(dict.fromkeys(name for one in pairs.values() for name in one.groups))
    for name in named:
        label = f"same answer · {name.replace('_', ' ')}"
        rows.append([label, *(_known(one.groups.get(name)) for one in pairs.values())])
    page.table(["", *(f"{first} and {second}" for first, second in pairs)], rows)


def _titled(title: str, of: str) -> str:
    return f"{title} · {of}" if of else title


def counted(estimate: Estimate) -> Cell:
    """A number with its interval and what it was counted over in small print."""
    if not math.isfinite(estimate.value):
        return Cell(None, f"n = {estimate.n:,}")
    known = math.isfinite(estimate.low)
    span = f"{estimate.low:.3f}–{estimate.high:.3f}, " if known else ""
    return Cell(estimate.value, f"{span}n = {estimate.n:,}")


def _known(estimate: Estimate | None) -> Cell:
    return Cell(None) if estimate is None else counted(estimate)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _by(
    page: Page,
    label: str,
    models: Models,
    split: Callable[[Sequence[ScoredPair]], dict[str, Estimate]],
) -> None:
    found = {model: split(scored) for model, scored in models.items()}
    names = list(dict.fromkeys(name for own in found.values() for name in own))
    if len(names) < 2:
        return
    shown = [name.replace("_", " ") for name in names]
    page.table(
        [label, *models],
        [
            [text, *(_known(own.get(name)) for own in found.values())]
            for name, text in zip(names, shown, strict=True)
        ],
    )
    whole = {model: own for model, own in found.items() if set(own) == set(names)}
    page.chart(
        chart.bars(
            shown,
            {model: [own[name].value for name in names] for model, own in whole.items()},
            x_label=label,
            y_label="agreement",
            intervals={
                model: [(own[name].low, own[name].high) for name in names]
                for model, own in whole.items()
            },
            y_limits=(0.0, 1.0),
        )
    )
