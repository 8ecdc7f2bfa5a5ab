"""All results of an evaluation as one JSON object and one table of samples.

models        names, in the order given
formats       model -> plain | chat
sizes         model -> {parameters, kv_cache_bytes_per_token}
parts         part -> model -> {kind, main, higher_is_better, measures, groups, curves, grids,
              notes}
differences   paired differences of two models on the same items, with intervals
wins          judge -> one match for each pair of models
control       the model that the part `win` holds all others against; null where none is judged
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

import polars as pl

from llamakit.artifacts.frames import Schema
from llamakit.evaluation.judge import Match, against, compare, verdict_of
from llamakit.evaluation.results import PartResult
from llamakit.text.statistics import paired_bootstrap

SAMPLES: Schema = {
    "part": pl.String(),
    "model": pl.String(),
    "id": pl.String(),
    "group": pl.String(),
    "prompt": pl.String(),
    "output": pl.String(),
    "expected": pl.String(),
    "values": pl.String(),
}
"""`values` is a JSON object: the sample's own contribution to each measure."""

# Of fewer items a bootstrap interval says too little.
_FEWEST = 10
# What a part's models are compared by, item by item, where it is not the main measure.
_PAIRED_BY = {"perplexity": "bits_per_byte"}


def assemble(
    formats: Mapping[str, str],
    sizes: Mapping[str, Mapping[str, int]],
    results: Sequence[PartResult],
    judges: Sequence[str],
    seed: int,
    control: str | None = None,
) -> dict[str, Any]:
    """The report: `results` of every model and part, in any order that keeps a model's place.

    Args:
        control: the model that win rates were held against (`win_rates`).
    """
    models = list(formats)
    parts: dict[str, dict[str, Any]] = {}
    for result in results:
        parts.setdefault(result.part, {})[result.model] = result.summary()
    return {
        "models": models,
        "formats": dict(formats),
        "sizes": {name: dict(size) for name, size in sizes.items()},
        "parts": parts,
        "differences": _differences(models, results, seed),
        "wins": {
            judge: [_match(one) for one in _matches(models, results, judge)] for judge in judges
        },
        "control": control,
    }


def win_rates(
    results: Sequence[PartResult], judges: Sequence[str], control: str
) -> list[PartResult]:
    """Every model's part `win` against the control, by the judges that found pairs to compare."""
    answered = by_part(results).get("answers", {})
    found = []
    for own in answered.values():
        matches = {one: compare(own, answered[control], verdict_of(one)) for one in judges}
        judged = {name: one for name, one in matches.items() if one.wins + one.ties + one.losses}
        if judged:
            found.append(against(judged))
    return found


def samples(results: Sequence[PartResult]) -> pl.DataFrame:
    """One row for every sample of every part and model, in their order."""
    rows = [
        {
            "part": result.part,
            "model": result.model,
            "id": row.id,
            "group": row.group,
            "prompt": row.prompt,
            "output": row.output,
            "expected": row.expected,
            "values": json.dumps(dict(row.values), sort_keys=True),
        }
        for result in results
        for row in result.rows
    ]
    return pl.DataFrame(rows, schema=dict(SAMPLES))


def by_part(results: Sequence[PartResult]) -> dict[str, dict[str, PartResult]]:
    """Results by part and then by model, parts in the order they were first met."""
    found: dict[str, dict[str, PartResult]] = {}
    for result in results:
        found.setdefault(result.part, {})[result.model] = result
    return found


def _differences(
    models: Sequence[str], results: Sequence[PartResult], seed: int
) -> list[dict[str, Any]]:
    found = []
    for part, own in by_part(results).items():
        for first, second in combinations([name for name in models if name in own], 2):
            measure = _PAIRED_BY.get(part, own[first].main)
            before, after = _values(own[first], measure), _values(own[second], measure)
            shared = [key for key in before if key in after]
            if not shared:
                continue
            estimate = paired_bootstrap(
                [after[key] for key in shared], [before[key] for key in shared], seed
            )
            found.append(
                {
                    "part": part,
                    "measure": measure,
                    "from": first,
                    "to": second,
                    "difference": asdict(estimate),
                    "clear": estimate.n >= _FEWEST and (estimate.low > 0 or estimate.high < 0),
                }
            )
    return found


def _values(result: PartResult, measure: str) -> dict[tuple[str, int], float]:
    """Each sample's value; an id that occurs again is told apart by its count."""
    seen: Counter[str] = Counter()
    found = {}
    for row in result.rows:
        if measure in row.values:
            found[row.id, seen[row.id]] = row.values[measure]
        seen[row.id] += 1
    return found


def _matches(models: Sequence[str], results: Sequence[PartResult], judge: str) -> list[Match]:
    own = by_part(results).get("answers", {})
    present = [name for name in models if name in own]
    verdict = verdict_of(judge)
    return [compare(own[one], own[other], verdict) for one, other in combinations(present, 2)]


def _match(match: Match) -> dict[str, Any]:
    share = asdict(match.win_share)
    if not match.win_share.n:
        share["value"] = None
    return {**asdict(match), "win_share": share}
