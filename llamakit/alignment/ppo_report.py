"""The page of a PPO run: rewards, distance to the start, the value model's fit, sample answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llamakit.artifacts import chart
from llamakit.artifacts.page import Page

_PLOTS = (
    (
        "Rewards",
        "Raw scores of the answers trained on. They say nothing of the text: see the samples.",
        ((("score", "helpfulness", "safety"), "raw score"), (("score_std",), "their deviation")),
    ),
    (
        "Distance to the reference",
        "k1 is what the reward is charged for; k3 estimates the same and is never negative. The "
        "weight moves only with a target.",
        ((("kl", "kl_k3", "kl_updating"), "nats per answer"), (("kl_weight",), "KL weight")),
    ),
    (
        "Entropy",
        "Near 0 the policy always says the same, and there is nothing left to choose from.",
        ((("entropy",), "nats per token"),),
    ),
    (
        "Ratio to the policy that sampled",
        "Many clipped ratios mean that the learning rate is too high for the batch.",
        (
            (("ratio_mean", "ratio_max"), "ratio"),
            (("clip_fraction",), "share clipped"),
            (("update_kl",), "KL moved, nats per token"),
        ),
    ),
    (
        "Value model",
        "The share of the returns' variance that the value model foresees; below 0 it is worse "
        "than a constant.",
        ((("explained_variance",), "explained variance"), (("value_loss",), "loss")),
    ),
    (
        "Answers",
        "An answer is finished when the model ended it; gated when the safety model judged it.",
        (
            (("response_tokens",), "tokens"),
            (("finished", "gated", "flat_groups"), "share"),
        ),
    ),
    (
        "Optimizer",
        "Gradient norms before clipping, and the learning rates.",
        (
            (("policy_grad_norm", "value_grad_norm"), "gradient norm"),
            (("policy_loss",), "policy loss"),
            (("lr", "value_lr"), "learning rate"),
        ),
    ),
)
_NAMES = {"kl": "k1", "kl_k3": "k3", "kl_updating": "greatest while updating"}


def ppo_page(
    method: str,
    metrics: Sequence[Mapping[str, Any]],
    checks: Sequence[Mapping[str, Any]],
    best_iteration: int,
    stopped: str,
) -> str:
    """The run as one HTML page.

    Args:
        method: what it is called.
        metrics: rows of the training log, one an iteration.
        checks: rows of the held-out log.
        best_iteration: the iteration whose policy was kept.
        stopped: why the run ended.
    """
    page = Page(method, f"{len(metrics)} iterations; {stopped}")
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
        page.chart(_lines(checks, ("kl",), "nats per answer"))
    for title, text, charts in _PLOTS:
        drawn = [svg for names, label in charts if (svg := _lines(metrics, names, label))]
        if drawn:
            page.section(title, text)
        for svg in drawn:
            page.chart(svg)
    if checks and kept:
        page.section(
            "Sample answers",
            "To the same held-out prompts: the start policy, the kept one, and the last one if "
            "that is another.",
        )
        shown = {"start": checks[0], "kept": kept}
        if checks[-1]["step"] != kept["step"]:
            shown["last"] = checks[-1]
        page.samples(
            [
                (
                    rows[0]["prompt"],
                    {
                        _labelled(name, row): row["answer"]
                        for name, row in zip(shown, rows, strict=True)
                    },
                )
                for rows in zip(*(check["samples"] for check in shown.values()), strict=True)
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
            series[_NAMES.get(name, name.replace("_", " "))] = (
                [x for x, _ in points],
                [y for _, y in points],
            )
    return chart.lines(series, x_label="iteration", y_label=label) if series else ""
