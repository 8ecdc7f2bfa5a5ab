"""A reward model's numbers on held-out pairs by name, for a record and for a report."""

from __future__ import annotations

import math
from collections.abc import Sequence

from llamakit.alignment.agreement import (
    GateQuality,
    ScoredPair,
    accuracy,
    accuracy_by_grade,
    accuracy_by_safety,
    accuracy_by_source,
    calibration_error,
)
from llamakit.alignment.length_bias import length_bias
from llamakit.text.statistics import Estimate


def measures(scored: Sequence[ScoredPair], gate: GateQuality | None) -> dict[str, Estimate]:
    """Everything that is said of all pairs; what is not known is nan."""
    bias = length_bias(scored)
    found = {
        "agreement": accuracy(scored),
        "calibration_error": _without_interval(calibration_error(scored), len(scored)),
        "length_only": bias.length_only,
        "follows_length": bias.follows_length,
        "length_correlation": bias.correlation,
        "agreement_chosen_longer": bias.chosen_longer,
        "agreement_chosen_shorter": bias.chosen_shorter,
        "agreement_length_balanced": _without_interval(bias.balanced, len(scored)),
    }
    if gate is not None:
        found |= {
            "gate_rate": gate.rate,
            "gate_precision": gate.precision,
            "gate_recall": gate.recall,
        }
    return found


def groups(scored: Sequence[ScoredPair]) -> dict[str, Estimate]:
    """Agreement by `grade …`, by `safety …` bin and, where there are several, by `source …`."""
    sources = accuracy_by_source(scored)
    named = {
        "grade": accuracy_by_grade(scored),
        "safety": accuracy_by_safety(scored),
        "source": sources if len(sources) > 1 else {},
    }
    return {
        f"{kind} {name}": estimate
        for kind, found in named.items()
        for name, estimate in found.items()
        # All without a label: that says nothing.
        if not (name in ("ungraded", "unlabelled") and len(found) == 1)
    }


def figures(scored: Sequence[ScoredPair], gate: GateQuality | None) -> dict[str, float]:
    """The numbers for a record, which holds nothing that is not known; none without pairs."""
    if not scored:
        return {}
    found = {name: one.value for name, one in measures(scored, gate).items()}
    whole = accuracy(scored)
    found |= {"agreement_low": whole.low, "agreement_high": whole.high}
    found["mean_score"] = sum(one.chosen + one.rejected for one in scored) / len(scored) / 2
    by = {
        "grade": accuracy_by_grade(scored),
        "safety": accuracy_by_safety(scored),
        "source": accuracy_by_source(scored),
    }
    for kind, estimates in by.items():
        found |= {f"agreement_{kind}_{name}": one.value for name, one in estimates.items()}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _without_interval(value: float, n: int) -> Estimate:
    return Estimate(value, float("nan"), float("nan"), n)
