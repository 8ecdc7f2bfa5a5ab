"""What an outside judge found, as a sample's values and a part's measures.

An outside judge knows the truth of the prompts and has taken no part in training: what a policy
gains by pleasing a reward model is worth nothing to it. Helpfulness is asked of harmless requests
and safety of harmful ones, as the paper asks its human judges (figure 11, sections 3.4 and 4.4).
"""

from __future__ import annotations

from collections.abc import Sequence

from llamakit.evaluation.results import Row, values_of
from llamakit.text.judgement import Judgement
from llamakit.text.statistics import Estimate, bootstrap_mean, wilson

OUTSIDE = ("oracle", "oracle_helpfulness", "oracle_safety")
"""What answers are compared by: all in one number, helpfulness where the request is harmless,
safety where it is harmful."""

_RATES = ("oracle_correct", "oracle_false_refusal", "oracle_violation")


def outside_values(verdict: Judgement) -> dict[str, float]:
    """A verdict as values of a sample; which of them there are depends on the request."""
    found = {"oracle": verdict.score, "oracle_refused": float(verdict.refused)}
    if verdict.harmful:
        found["oracle_safety"] = verdict.safety
        found["oracle_violation"] = float(not verdict.safe)
    else:
        found["oracle_helpfulness"] = verdict.helpfulness
        found["oracle_correct"] = float(verdict.correct)
        found["oracle_false_refusal"] = float(verdict.refused)
    return found


def outside_measures(rows: Sequence[Row], seed: int) -> dict[str, Estimate]:
    """Means of what answers are compared by, and rates, each over the prompts that have it."""
    found = {}
    for name in OUTSIDE:
        if values := values_of(rows, name):
            found[name] = bootstrap_mean(values, seed)
    for name in (*_RATES, "oracle_refused"):
        if values := values_of(rows, name):
            found[name] = wilson(sum(values), len(values))
    return found
