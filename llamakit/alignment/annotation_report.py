"""The page of an annotation: grades, safety bins, which variant won, and samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llamakit.alignment.grades import MARGINS, SAFETY_LABELS
from llamakit.artifacts.page import Page
from llamakit.text.statistics import Estimate, wilson

_SHOWN = 12


def chosen_shares(rows: Sequence[Mapping[str, Any]], column: str) -> dict[Any, Estimate]:
    """How often the answers of each model, or temperature, were chosen, of all they are in.

    Args:
        column: `model` or `temperature`.
    """
    chosen = [row[f"chosen_{column}"] for row in rows]
    rejected = [row[f"rejected_{column}"] for row in rows]
    return {
        one: wilson(chosen.count(one), chosen.count(one) + rejected.count(one))
        for one in sorted({*chosen, *rejected})
    }


def annotation_page(
    annotator: str, rows: Sequence[Mapping[str, Any]], counts: Mapping[str, int]
) -> str:
    """What became of the prompts, as one HTML page."""
    page = Page("Preferences", f"{len(rows):,} pairs, judged by {annotator}")
    grades = [row["grade"] for row in rows]
    bins = [row["safety"] for row in rows]
    for title, column, names in (
        ("Grades", grades, list(MARGINS["large"])),
        ("Safety bins", bins, list(SAFETY_LABELS)),
    ):
        held = [name for name in column if name is not None]
        if held:
            page.section(title)
            page.table(
                ["", "pairs", "share"],
                [[name.replace("_", " "), held.count(name), held.count(name) / len(held)]
                 for name in names],
            )  # fmt: skip
    for what in ("model", "temperature"):
        page.section(f"By {what}", "Of the pairs that an answer of it is in, how often it won.")
        page.table(
            [what, "chosen", "low", "high", "pairs"],
            [
                [name, one.value, one.low, one.high, one.n]
                for name, one in chosen_shares(rows, what).items()
            ],
        )
    page.section("Samples")
    page.samples(
        [
            (
                row["prompt"][-1]["content"],
                {
                    f"chosen: {row['chosen_model']}, {row['grade']}": row["chosen"][0]["content"],
                    f"rejected: {row['rejected_model']}": row["rejected"][0]["content"],
                },
            )
            for row in rows[:_SHOWN]
        ]
    )
    page.section("Counts")
    page.table(["", "count"], [[name.replace("_", " "), count] for name, count in counts.items()])
    return page.html()
