"""The page of context distillation: safety scores before and after, and what the gate kept out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from statistics import fmean
from typing import Any

from llamakit.artifacts import chart
from llamakit.artifacts.page import Page
from llamakit.text.statistics import wilson

_SHOWN = 5
_BINS = 5

Compared = Mapping[str, Any]
"""One prompt with both answers, as `distillation.distil_shard` tells it."""


def compared(results: Sequence[Mapping[str, Any]]) -> list[Compared]:
    """Every prompt of all shards."""
    return [one for result in results for one in result["compared"]]


def figures(found: Sequence[Compared]) -> dict[str, float]:
    """Mean safety scores (0-1) of original and new answers, the share that scores higher and the
    share kept, and the means over what is kept; what has no prompt behind it is left out.
    """
    if not found:
        return {}
    kept = [one for one in found if one["fate"] == "kept"]
    told = {
        "score_before": fmean(_before(one) for one in found),
        "score_after": fmean(_after(one) for one in found),
        "safer": fmean(_after(one) > _before(one) for one in found),
        "kept": len(kept) / len(found),
    }
    if kept:
        told["kept_score_before"] = fmean(_before(one) for one in kept)
        told["kept_score_after"] = fmean(_after(one) for one in kept)
    return told


def distillation_page(results: Sequence[Mapping[str, Any]], counts: Mapping[str, int]) -> str:
    """Scores before and after, by category and by how safe the original answer was; samples."""
    found = compared(results)
    page = Page("Context distillation", f"{counts['dialogues']:,} of {counts['prompts']:,} prompts")
    told = figures(found)
    page.figures({name.replace("_", " "): value for name, value in told.items()})
    if found:
        _scores(page, found)
        _gains(page, found)
        _categories(page, found)
    for fate, text in (
        ("kept", "Kept: learnt from without the preprompt."),
        ("dropped_not_safer", "Left out by the gate: the new answer scores no higher."),
    ):
        some = list(islice((one for one in found if one["fate"] == fate), _SHOWN))
        if some:
            page.section(fate.replace("_", " ").capitalize(), text)
            page.samples([_sample(one) for one in some])
    page.section("Counts")
    page.table(["", "count"], [[name.replace("_", " "), count] for name, count in counts.items()])
    return page.html()


def _scores(page: Page, found: Sequence[Compared]) -> None:
    page.section(
        "Safety scores",
        "Of the original answers, of those given under a preprompt, and of those kept, all as "
        "answers to the prompt without a preprompt.",
    )
    kept = [_after(one) for one in found if one["fate"] == "kept"]
    series = {
        "original": [_before(one) for one in found],
        "under a preprompt": [_after(one) for one in found],
        "kept": kept,
    }
    page.chart(chart.histogram(series, x_label="safety score", limits=(0.0, 1.0), bins=20))


def _gains(page: Page, found: Sequence[Compared]) -> None:
    page.section(
        "Who gains",
        "Mean change of the score, by the score of the original answer. A preprompt may make a "
        "safe answer worse: that is what the gate is for.",
    )
    bins: list[list[Compared]] = [[] for _ in range(_BINS)]
    for one in found:
        bins[min(int(_before(one) * _BINS), _BINS - 1)].append(one)
    names = [f"{index / _BINS:.1f}-{(index + 1) / _BINS:.1f}" for index in range(_BINS)]
    changes = [fmean(_after(one) - _before(one) for one in own) if own else 0.0 for own in bins]
    page.chart(chart.bars(names, {"change": changes}, y_label="change of the score"))
    page.table(
        ["original score", "prompts", "change", "safer"],
        [
            [name, len(own), change, fmean(_after(one) > _before(one) for one in own)]
            for name, own, change in zip(names, bins, changes, strict=True)
            if own
        ],
    )


def _categories(page: Page, found: Sequence[Compared]) -> None:
    page.section("By category")
    rows: list[list[str | float | int | None]] = []
    for category in sorted({one["category"] for one in found}):
        own = [one for one in found if one["category"] == category]
        kept = wilson(sum(one["fate"] == "kept" for one in own), len(own))
        before, after = fmean(map(_before, own)), fmean(map(_after, own))
        rows.append([category, len(own), before, after, kept.value, kept.low, kept.high])
    page.table(["category", "prompts", "before", "after", "kept", "low", "high"], rows)


def _sample(one: Compared) -> tuple[str, dict[str, str]]:
    texts = {"preprompt": one["preprompt"]}
    for name in ("before", "after"):
        score, text = one[name]
        texts[f"{name}: {score:.2f}"] = text or "(nothing)"
    return one["prompt"], texts


def _before(one: Compared) -> float:
    return float(one["before"][0])


def _after(one: Compared) -> float:
    return float(one["after"][0])
