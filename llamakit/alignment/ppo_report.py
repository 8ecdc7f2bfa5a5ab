"""The page of a PPO run: rewards, distance to the start, the value model's fit, sample answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llamakit.artifacts import chart
from llamakit.artifacts.page import Page

_PLOTS = (
    ("Rewards", ("score", "helpfulness", "safety"), "raw score"),
    ("KL to the reference", ("kl", "kl_k3"), "nats per answer"),
    ("Entropy", ("entropy",), "nats per token"),
    ("Ratio", ("ratio_deviation", "clip_fraction"), "largest |ratio - 1|, share clipped"),
    ("Value model", ("explained_variance", "value_loss"), "explained variance, loss"),
    ("Answers", ("response_tokens",), "tokens"),
    ("Shares", ("finished", "gated"), "share of answers"),
)


def ppo_page(
    metrics: Sequence[Mapping[str, Any]],
    checks: Sequence[Mapping[str, Any]],
    best_iteration: int,
    stopped: str,
) -> str:
    """The run as one HTML page.

    Args:
        metrics: rows of the training log, one an iteration.
        checks: rows of the held-out log.
        best_iteration: the iteration whose policy was kept.
        stopped: why the run ended.
    """
    page = Page("PPO", f"{len(metrics)} iterations; {stopped}")
    kept = next((row for row in checks if row["step"] == best_iteration), None)
    if checks and kept:
        start = checks[0]
        page.figures(
            {
                "kept iteration": best_iteration,
                "held-out score, start": start["score"],
                "held-out score, kept": kept["score"],
                "KL of the kept policy": kept["kl"],
                "answers that end": kept["finished"],
            }
        )
        page.section(
            "Held-out prompts",
            "The policy with the highest objective here is kept. A training reward that rises "
            "while this falls means the reward model is being fooled.",
        )
        page.chart(_lines(checks, ("objective",), "objective"))
        page.chart(_lines(checks, ("score", "helpfulness", "safety"), "raw score"))
    for title, names, label in _PLOTS:
        if drawn := _lines(metrics, names, label):
            page.section(title)
            page.chart(drawn)
    if checks and kept:
        page.section("Sample answers", "The start policy and the kept one, on held-out prompts.")
        page.samples(
            [
                (
                    before["prompt"],
                    {
                        _labelled("start", before): before["answer"],
                        _labelled("kept", after): after["answer"],
                    },
                )
                for before, after in zip(checks[0]["samples"], kept["samples"], strict=True)
            ]
        )
    return page.html()


def _labelled(name: str, sample: Mapping[str, Any]) -> str:
    return f"{name}: {sample['score']:.2f}{', gated' if sample['gated'] else ''}"


def _lines(rows: Sequence[Mapping[str, Any]], names: Sequence[str], label: str) -> str:
    """A chart of the figures that occur; empty when none does."""
    series = {}
    for name in names:
        points = [(row["step"], row[name]) for row in rows if name in row]
        if points:
            series[name] = ([x for x, _ in points], [y for _, y in points])
    return chart.lines(series, x_label="iteration", y_label=label) if series else ""
