"""Reward models side by side on sets of held-out pairs: the page and the table of every pair."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import polars as pl

from llamakit.alignment.agreement import GateQuality, ScoredPair, accuracy
from llamakit.alignment.consensus import Consensus, consensus
from llamakit.alignment.rm_sections import (
    Models,
    add_agreement,
    add_calibration,
    add_consensus,
    add_gate,
    add_length,
    add_scores,
)
from llamakit.artifacts.frames import Schema
from llamakit.artifacts.page import Page, Value

SAMPLES: Schema = {
    "part": pl.String(),
    "model": pl.String(),
    "id": pl.String(),
    "grade": pl.String(),
    "safety": pl.String(),
    "source": pl.String(),
    "prompt": pl.String(),
    "chosen": pl.String(),
    "rejected": pl.String(),
    "chosen_score": pl.Float64(),
    "rejected_score": pl.Float64(),
    "chosen_tokens": pl.Int64(),
    "rejected_tokens": pl.Int64(),
}
"""One row for each pair and model. Scores are raw; tokens count prompt and answer."""

_SHOWN_PAIRS, _SHOWN_CHARACTERS = 5, 400

Rows = Sequence[Mapping[str, Any]]


def comparisons(models: Models) -> dict[tuple[str, str], Consensus]:
    """Every two of the models, where they have scored pairs in common."""
    rows = {name: {one.pair.row for one in scored} for name, scored in models.items()}
    return {
        (first, second): consensus(models[first], models[second])
        for first, second in combinations(models, 2)
        if rows[first] & rows[second]
    }


def samples(part: str, models: Models, rows: Rows) -> Iterable[dict[str, Any]]:
    """The rows of `SAMPLES` of one set of pairs.

    Args:
        rows: of the preferences table, where each scored pair is at its `row`.
    """
    for model, scored in models.items():
        for one in scored:
            row = rows[one.pair.row]
            yield {
                "part": part,
                "model": model,
                "id": one.pair.id,
                "grade": one.pair.grade,
                "safety": one.pair.safety,
                "source": one.pair.source,
                "prompt": row["prompt"][-1]["content"],
                "chosen": row["chosen"][-1]["content"],
                "rejected": row["rejected"][-1]["content"],
                "chosen_score": one.chosen,
                "rejected_score": one.rejected,
                "chosen_tokens": len(one.pair.chosen),
                "rejected_tokens": len(one.pair.rejected),
            }


def comparison_page(
    parts: Mapping[str, Models],
    gates: Mapping[str, Mapping[str, GateQuality]],
    rows: Mapping[str, Rows],
    notes: Sequence[str],
) -> Page:
    """One page over all sets of pairs.

    Args:
        parts: by set, the models' scored pairs.
        gates: by set and model, the safety gate where pairs are labelled.
        rows: by set, the preferences table.
        notes: what a reader must know: pairs left out or shortened.
    """
    names = list(next(iter(parts.values())))
    page = Page("Reward models", f"{', '.join(names)} on {', '.join(parts)}")
    table: list[list[Value]] = []
    for part, models in parts.items():
        table.append([part, *(accuracy(scored).value for scored in models.values())])
    page.figures({f"{row[0]} · {name}": value for row in table
                  for name, value in zip(names, row[1:], strict=True)})  # fmt: skip
    if notes:
        page.text("\n\n".join(notes))
    for part, models in parts.items():
        of = part if len(parts) > 1 else ""
        add_agreement(page, models, of)
        add_calibration(page, models, of)
        add_scores(page, models, of)
        add_length(page, models, of)
        if gates[part]:
            add_gate(page, gates[part], of)
        found = comparisons(models)
        if found:
            add_consensus(page, found, of)
        _add_worst(page, models, rows[part], of)
    return page


def _add_worst(page: Page, models: Models, rows: Rows, of: str) -> None:
    """The pairs on which a model is surest that the annotator erred."""
    title = "Farthest from the annotator"
    page.section(f"{title} · {of}" if of else title)
    for name, scored in models.items():
        worst = sorted(scored, key=lambda one: (one.chosen - one.rejected, one.pair.row))
        page.samples([_shown(name, one, rows) for one in worst[:_SHOWN_PAIRS] if not one.agrees])


def _shown(name: str, one: ScoredPair, rows: Rows) -> tuple[str, dict[str, str]]:
    row = rows[one.pair.row]
    gap = one.chosen - one.rejected
    grade = f", {one.pair.grade}" if one.pair.grade else ""
    return (
        f"{name}{grade} · {gap:+.2f} · {_short(row['prompt'][-1]['content'])}",
        {
            f"chosen {one.chosen:+.2f}": _short(row["chosen"][-1]["content"]),
            f"rejected {one.rejected:+.2f}": _short(row["rejected"][-1]["content"]),
        },
    )


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS].rstrip()} …"


def plain(found: Mapping[tuple[str, str], Consensus]) -> list[dict[str, Any]]:
    """The comparisons of two models as JSON values; what is not known is null."""
    rows = []
    for (first, second), one in found.items():
        row: dict[str, Any] = {"first": first, "second": second}
        for name, estimate in vars(one).items():
            if name == "groups":
                row["groups"] = {key: _plain(value) for key, value in estimate.items()}
            else:
                row[name] = _plain(estimate)
        rows.append(row)
    return rows


def _plain(estimate: Any) -> dict[str, float | None]:
    return {k: v if math.isfinite(v) else None for k, v in vars(estimate).items()}
