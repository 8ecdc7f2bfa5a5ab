"""Pages of the two stages that sample dialogues: rejection sampling and ghost attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llamakit.alignment.rejection import reward_curves
from llamakit.artifacts import chart
from llamakit.artifacts.page import Page
from llamakit.text.statistics import Estimate, wilson

_SHOWN = 12


def rejection_page(results: Sequence[Mapping[str, Any]], counts: Mapping[str, int]) -> str:
    """What best-of-K gains: expected best and median against K, scores by temperature, samples."""
    scores = [held for result in results for held in result["scores"]]
    page = Page("Rejection sampling", f"{counts['dialogues']:,} of {counts['prompts']:,} prompts")
    if scores:
        best, median = reward_curves(scores)
        page.figures(
            {"best of K": best[-1], "median": median[-1], "expected gain": best[-1] - median[-1]}
        )
        page.section(
            "Reward against K",
            "Expected maximum and median of K answers a prompt, over all of them. The gap is what "
            "fine-tuning on the best can gain.",
        )
        ks = list(range(1, len(best) + 1))
        page.chart(
            chart.lines(
                {"maximum": (ks, best), "median": (ks, median)}, x_label="K", y_label="raw score"
            )
        )
        page.table(
            ["K", "maximum", "median"], [list(row) for row in zip(ks, best, median, strict=True)]
        )
        page.section("By temperature")
        page.table(["temperature", "mean score", "answers", "won"], by_temperature(results))
        curves = best_by_temperature(results)
        if len(curves) > 1:
            # A temperature has its share of the K answers, some one more than others.
            shown = list(range(1, min(map(len, curves.values())) + 1))
            page.text(
                "Expected maximum of n answers that are all sampled at one temperature (paper"
                " figure 8). Which one is best may change with n, and from round to round."
            )
            page.chart(
                chart.lines(
                    {f"T = {one:g}": (shown, best[: len(shown)]) for one, best in curves.items()},
                    x_label="n",
                    y_label="maximum, raw score",
                )
            )
            page.table(
                ["n", *(f"T = {one:g}" for one in curves), "best T"],
                [
                    [n, *(best[n - 1] for best in curves.values()), best_temperature(curves, n)]
                    for n in shown
                ],
            )
    page.section("Samples", "The best and the worst answer of a prompt.")
    held = [sample for result in results for sample in result["samples"]][:_SHOWN]
    page.samples(
        [
            (
                one["prompt"],
                {f"{name}: {one[name][0]:.2f}": one[name][1] for name in ("best", "worst")},
            )
            for one in held
        ]
    )
    page.section("Counts")
    page.table(["", "count"], [[name.replace("_", " "), count] for name, count in counts.items()])
    return page.html()


def by_temperature(results: Sequence[Mapping[str, Any]]) -> list[list[float | int]]:
    """Rows of (temperature, mean score, answers, prompts whose best answer has it)."""
    pairs = [
        (temperature, score)
        for result in results
        for scores, temperatures in zip(result["scores"], result["temperatures"], strict=True)
        for score, temperature in zip(scores, temperatures, strict=True)
    ]
    won = [temperature for result in results for temperature in result["won_temperatures"]]
    rows: list[list[float | int]] = []
    for temperature in sorted({temperature for temperature, _ in pairs}):
        scores = [score for one, score in pairs if one == temperature]
        rows.append([temperature, sum(scores) / len(scores), len(scores), won.count(temperature)])
    return rows


def best_by_temperature(results: Sequence[Mapping[str, Any]]) -> dict[float, list[float]]:
    """For each temperature, the expected maximum of n = 1, 2, … answers sampled at it."""
    found: dict[float, list[list[float]]] = {}
    for result in results:
        for scores, temperatures in zip(result["scores"], result["temperatures"], strict=True):
            own: dict[float, list[float]] = {}
            for score, temperature in zip(scores, temperatures, strict=True):
                own.setdefault(temperature, []).append(score)
            for temperature, held in own.items():
                found.setdefault(temperature, []).append(held)
    return {one: reward_curves(found[one])[0] for one in sorted(found)}


def best_temperature(curves: Mapping[float, Sequence[float]], n: int) -> float:
    """The temperature whose best of n answers is expected to score highest."""
    return max(curves, key=lambda one: curves[one][n - 1])


def adherence(results: Sequence[Mapping[str, Any]], key: str) -> dict[str, Estimate]:
    """How often the teacher obeyed, by the tally `key` (`by_turn`, `by_family`), added up."""
    totals: dict[str, list[int]] = {}
    for result in results:
        for name, (obeyed, checked) in result[key].items():
            held = totals.setdefault(name, [0, 0])
            held[0] += obeyed
            held[1] += checked
    order = sorted(totals, key=lambda name: (len(name), name) if key == "by_turn" else (0, name))
    return {name: wilson(*totals[name]) for name in order}


def ghost_page(results: Sequence[Mapping[str, Any]], counts: Mapping[str, int]) -> str:
    """How well the teacher obeyed while it saw the instruction at every turn, and samples."""
    page = Page("Ghost attention", f"{counts['dialogues']:,} dialogues")
    turns, families = adherence(results, "by_turn"), adherence(results, "by_family")
    if turns:
        page.section(
            "The teacher's adherence",
            "Measured on its own answers, with the instruction on every user turn. The trained "
            "model can hardly do better: a weak teacher is not worth learning from.",
        )
        for label, found in (("turn", turns), ("family", families)):
            page.table(
                [label, "obeyed", "low", "high", "checks"],
                [[name, one.value, one.low, one.high, one.n] for name, one in found.items()],
            )
        xs = [float(name) for name in turns]
        page.chart(
            chart.lines(
                {"obeyed": (xs, [one.value for one in turns.values()])},
                x_label="turn",
                y_label="share obeyed",
                bands={
                    "obeyed": (
                        [one.low for one in turns.values()],
                        [one.high for one in turns.values()],
                    )
                },
                y_limits=(0.0, 1.05),
            )
        )
    page.section("Samples", "As they are trained on: the instruction once, the last answer learnt.")
    held = [sample for result in results for sample in result["samples"]][:_SHOWN]
    page.samples(
        [
            (
                messages[0]["content"],
                {f"{n} {one['role']}": one["content"] for n, one in enumerate(messages[1:], 2)},
            )
            for messages in held
        ]
    )
    page.section("Counts")
    page.table(["", "count"], [[name.replace("_", " "), count] for name, count in counts.items()])
    return page.html()
