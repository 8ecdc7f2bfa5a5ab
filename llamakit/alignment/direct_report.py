"""The page of a DPO run: the policy's rewards, and how well they agree with annotators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llamakit.alignment.agreement import ScoredPair, accuracy
from llamakit.alignment.rm_sections import add_agreement, add_calibration, add_length, add_scores
from llamakit.artifacts import chart
from llamakit.artifacts.page import Page

_PLOTS = (
    (("loss", "heldout_loss"), "loss, nats per pair"),
    (("accuracy", "heldout_accuracy"), "share of pairs ranked right"),
    (("margin", "heldout_margin"), "margin of rewards"),
    (("chosen_reward", "rejected_reward"), "reward on training pairs"),
    (("lr",), "learning rate"),
    (("grad_norm",), "gradient norm before clipping"),
)


def direct_page(
    metrics: Sequence[Mapping[str, Any]], scored: Sequence[ScoredPair], counts: Mapping[str, int]
) -> str:
    """Training and held-out agreement as one HTML page.

    Args:
        metrics: rows of the training log.
        scored: held-out pairs with the rewards of their answers; may be empty.
        counts: what was read, shortened and dropped.
    """
    page = Page("DPO", f"{counts['pairs']:,} pairs, {len(scored):,} held out")
    if scored:
        whole = accuracy(scored)
        page.figures({"agreement": whole.value, "low": whole.low, "high": whole.high})
        page.text(
            "An answer's reward is beta times how much likelier the policy has become to give it. "
            "Rewards of chosen answers often fall, those of rejected ones faster: only the "
            "difference is trained."
        )
        models = {"policy": scored}
        add_agreement(page, models)
        add_calibration(page, models)
        add_scores(page, models)
        add_length(page, models)
    page.section("Training")
    for names, label in _PLOTS:
        series = {
            name.replace("_", " "): (
                [row["step"] for row in metrics if name in row],
                [row[name] for row in metrics if name in row],
            )
            for name in names
            if any(name in row for row in metrics)
        }
        if series:
            page.chart(chart.lines(series, x_label="step", y_label=label))
    page.section("Data")
    page.table(
        ["pairs", "count"], [[name.replace("_", " "), count] for name, count in counts.items()]
    )
    return page.html()
