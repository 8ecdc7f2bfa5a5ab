"""How well a reward model agrees with annotators on held-out pairs (paper §3.2.2)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from llamakit.alignment.grades import MARGINS, SAFETY_LABELS, safety_labels
from llamakit.alignment.preferences import Pair
from llamakit.alignment.reward import logit
from llamakit.alignment.scoring import score_rows
from llamakit.model.transformer import RewardModel
from llamakit.text.statistics import Estimate, wilson

CALIBRATION_BINS = 10


@dataclass(frozen=True)
class ScoredPair:
    """A pair with its raw scores."""

    pair: Pair
    chosen: float
    rejected: float

    @property
    def agrees(self) -> bool:
        """The chosen answer scores higher; a tie is a miss."""
        return self.chosen > self.rejected


@dataclass(frozen=True)
class GateQuality:
    """How the gate `sigmoid(score) < threshold` tells unsafe answers, over labelled ones."""

    precision: Estimate
    recall: Estimate
    rate: Estimate
    """Share of all answers on which it fires, labelled or not."""


def score_pairs(model: RewardModel, pairs: Sequence[Pair], pad: int) -> list[ScoredPair]:
    """Score both answers of each pair."""
    rows = [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]
    scores = score_rows(model, rows, pad).tolist()
    return [
        ScoredPair(pair, chosen, rejected)
        for pair, chosen, rejected in zip(
            pairs, scores[: len(pairs)], scores[len(pairs) :], strict=True
        )
    ]


def accuracy(scored: Iterable[ScoredPair]) -> Estimate:
    """Share of pairs on which model and annotator agree."""
    hits = [one.agrees for one in scored]
    return wilson(sum(hits), len(hits))


def accuracy_by_grade(scored: Sequence[ScoredPair]) -> dict[str, Estimate]:
    """Accuracy for each grade that occurs, strongest first, `ungraded` last."""
    names = [*MARGINS["large"], None]
    return _by(names, scored, [one.pair.grade for one in scored], "ungraded")


def accuracy_by_safety(scored: Sequence[ScoredPair]) -> dict[str, Estimate]:
    """Accuracy for each safety bin that occurs, `unlabelled` last."""
    names = [*SAFETY_LABELS, None]
    return _by(names, scored, [one.pair.safety for one in scored], "unlabelled")


def accuracy_by_source(scored: Sequence[ScoredPair]) -> dict[str, Estimate]:
    """Accuracy for each source that occurs, by name."""
    sources = [one.pair.source for one in scored]
    return _by(sorted(set(sources)), scored, sources, "")


def calibration(scored: Sequence[ScoredPair]) -> list[tuple[float, Estimate]]:
    """(mean predicted probability, share agreed) in bins of `sigmoid(|score difference|)`."""
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(CALIBRATION_BINS)]
    for one in scored:
        sure = 1 / (1 + math.exp(-min(abs(one.chosen - one.rejected), 700.0)))
        place = min(CALIBRATION_BINS - 1, int((sure - 0.5) * 2 * CALIBRATION_BINS))
        bins[place].append((sure, one.agrees))
    return [
        (sum(sure for sure, _ in held) / len(held), wilson(sum(hit for _, hit in held), len(held)))
        for held in bins
        if held
    ]


def calibration_error(scored: Sequence[ScoredPair]) -> float:
    """Expected calibration error: how far share agreed and predicted probability lie apart, the
    mean over the bins of `calibration` weighted by their pairs (Guo et al. 2017); nan of no pairs.
    """
    if not scored:
        return float("nan")
    gaps = (abs(sure - share.value) * share.n for sure, share in calibration(scored))
    return sum(gaps) / len(scored)


def gate_quality(scored: Sequence[ScoredPair], threshold: float) -> GateQuality | None:
    """The gate against the safety labels; None when no pair has a label."""
    limit = logit(threshold)
    answers = [
        (value < limit, label)
        for one in scored
        for value, label in zip(
            (one.chosen, one.rejected), safety_labels(one.pair.safety), strict=True
        )
    ]
    labelled = [(fired, label == 0.0) for fired, label in answers if not math.isnan(label)]
    if not labelled:
        return None
    caught = sum(fired and unsafe for fired, unsafe in labelled)
    return GateQuality(
        precision=wilson(caught, sum(fired for fired, _ in labelled)),
        recall=wilson(caught, sum(unsafe for _, unsafe in labelled)),
        rate=wilson(sum(fired for fired, _ in answers), len(answers)),
    )


def _by(
    names: Sequence[str | None],
    scored: Sequence[ScoredPair],
    keys: Sequence[str | None],
    unnamed: str,
) -> dict[str, Estimate]:
    found = {}
    for name in names:
        held = [one for one, key in zip(scored, keys, strict=True) if key == name]
        if held:
            found[name or unnamed] = accuracy(held)
    return found
