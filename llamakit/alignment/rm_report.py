"""The page of a reward model's training: held-out agreement, and how it was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llamakit.alignment.agreement import GateQuality, ScoredPair, accuracy
from llamakit.alignment.consensus import consensus
from llamakit.alignment.rm_sections import (
    add_agreement,
    add_calibration,
    add_consensus,
    add_gate,
    add_length,
    add_scores,
)
from llamakit.artifacts import chart
from llamakit.artifacts.page import Page


def rm_page(
    kind: str,
    metrics: Sequence[Mapping[str, Any]],
    scored: Sequence[ScoredPair],
    gate: GateQuality | None,
    counts: Mapping[str, int],
    other: tuple[str, Sequence[ScoredPair]] | None = None,
) -> str:
    """Training and held-out agreement as one HTML page.

    Args:
        metrics: rows of the training log.
        scored: held-out pairs with their scores; may be empty.
        gate: the safety gate on them, where they are labelled.
        counts: what was read, shortened and dropped.
        other: another model's name and its scores of the same pairs.
    """
    page = Page(f"Reward model: {kind}", f"{counts['pairs']:,} pairs, {len(scored):,} held out")
    if scored:
        whole = accuracy(scored)
        page.figures({"agreement": whole.value, "low": whole.low, "high": whole.high})
        models = {kind: scored}
        add_agreement(page, models)
        add_calibration(page, models)
        add_scores(page, models)
        add_length(page, models)
        if other is not None:
            name, theirs = other
            add_consensus(page, {(kind, name): consensus(scored, theirs)})
    if gate is not None:
        add_gate(page, {kind: gate})
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
