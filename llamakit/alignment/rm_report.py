"""The page of a reward model: agreement by grade and safety bin, calibration, the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llamakit.alignment.agreement import (
    GateQuality,
    ScoredPair,
    accuracy,
    accuracy_by_grade,
    accuracy_by_safety,
    accuracy_by_source,
    calibration,
)
from llamakit.artifacts import chart
from llamakit.artifacts.page import Page
from llamakit.text.statistics import Estimate


def rm_page(
    kind: str,
    metrics: Sequence[Mapping[str, Any]],
    scored: Sequence[ScoredPair],
    gate: GateQuality | None,
    counts: Mapping[str, int],
) -> str:
    """Training and held-out agreement as one HTML page.

    Args:
        metrics: rows of the training log.
        scored: held-out pairs with their scores; may be empty.
        gate: the safety gate on them, where they are labelled.
        counts: what was read, shortened and dropped.
    """
    page = Page(f"Reward model: {kind}", f"{counts['pairs']:,} pairs, {len(scored):,} held out")
    if scored:
        whole = accuracy(scored)
        page.figures({"agreement": whole.value, "low": whole.low, "high": whole.high})
        page.section("Agreement with annotators", "Share of held-out pairs, 95% Wilson intervals.")
        _estimates(page, "grade", accuracy_by_grade(scored))
        _estimates(page, "safety bin", accuracy_by_safety(scored))
        _estimates(page, "source", accuracy_by_source(scored))
        page.section(
            "Calibration", "Probability that the model gives its choice, and how often it is right."
        )
        points = calibration(scored)
        sure = [x for x, _ in points]
        page.chart(
            chart.lines(
                {"measured": (sure, [y.value for _, y in points]), "ideal": (sure, sure)},
                x_label="predicted probability",
                y_label="share agreed",
                bands={"measured": ([y.low for _, y in points], [y.high for _, y in points])},
            )
        )
        page.section("Scores", "Raw scores; their sigmoid is the share that the gate compares.")
        page.chart(
            chart.histogram(
                {
                    "chosen": [one.chosen for one in scored],
                    "rejected": [one.rejected for one in scored],
                },
                x_label="raw score",
            )
        )
    if gate is not None:
        page.section("Safety gate", "Unsafe answers found below the threshold of 0.15.")
        quality = {"precision": gate.precision, "recall": gate.recall, "fires": gate.rate}
        page.table(["", "share", "low", "high", "n"], [_row(*item) for item in quality.items()])
    if metrics:
        page.section("Training")
        xs = [row["step"] for row in metrics]
        page.chart(
            chart.lines(
                {"loss": (xs, [row["loss"] for row in metrics])}, x_label="step", y_label="loss"
            )
        )
        page.chart(
            chart.lines(
                {
                    "accuracy": (xs, [row["accuracy"] for row in metrics]),
                    "mean score": (xs, [row["score"] for row in metrics]),
                },
                x_label="step",
                y_label="on training pairs",
            )
        )
    page.section("Data")
    page.table(
        ["pairs", "count"], [[name.replace("_", " "), count] for name, count in counts.items()]
    )
    return page.html()


def _estimates(page: Page, label: str, found: Mapping[str, Estimate]) -> None:
    page.table([label, "agreement", "low", "high", "n"], [_row(*item) for item in found.items()])
    page.chart(
        chart.bars(
            list(found),
            {"agreement": [one.value for one in found.values()]},
            x_label=label,
            y_label="agreement",
            intervals={"agreement": [(one.low, one.high) for one in found.values()]},
            y_limits=(0.0, 1.0),
        )
    )


def _row(name: str, estimate: Estimate) -> list[str | float | int]:
    return [name, estimate.value, estimate.low, estimate.high, estimate.n]
