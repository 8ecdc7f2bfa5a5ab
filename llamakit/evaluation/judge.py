"""Side by side: two models answer the same prompts, a judge says whose answer is better.

Every pair is judged in both orders, and only a verdict that both orders give counts as a win; the
rest are ties (a language model as judge flips one verdict in eight when the order is swapped). A
reward model scores answers one at a time, so its two orders always agree; it ties when the scores
are closer than its judgement is fine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from llamakit.evaluation.answers import TOO_LONG, answer
from llamakit.evaluation.candidate import Candidate
from llamakit.evaluation.prompts import as_message, dialogue_ids, dialogue_stops, last_user
from llamakit.evaluation.results import PartResult, Row, values_of
from llamakit.evaluation.safety import Scorer
from llamakit.events import SILENT, Events
from llamakit.model.generation import Sampling
from llamakit.text.dialogue import Message
from llamakit.text.statistics import Estimate, bootstrap_mean, wilson

TIE = 0.05
"""A tie: the judge gives the better answer a chance of at most 0.55 to be the better one."""

Verdict = Callable[[Row, Row], float]
"""The judged probability that the first answer is the better one (0-1)."""

_STREAM = 33  # stream of random numbers


@dataclass(frozen=True)
class Match:
    """Two models, compared prompt by prompt by one judge."""

    first: str
    second: str
    wins: int
    """Prompts on which the first is better, in both orders."""
    ties: int
    losses: int
    flips: int
    """Ties because the verdict changed with the order."""

    @property
    def win_share(self) -> Estimate:
        """Wins among decided comparisons: wins / (wins + losses)."""
        return wilson(self.wins, self.wins + self.losses)


def answers(
    candidate: Candidate,
    prompts: Sequence[tuple[str, Sequence[Message]]],
    sampling: Sampling,
    scorers: Mapping[str, Scorer],
    *,
    seed: int,
    events: Events = SILENT,
) -> PartResult:
    """Answer every prompt `(id, messages)` once and score the answers with every reward model.

    A prompt that does not fit is left out; pairs are made of what both models answered.
    """
    sampling = replace(sampling, stop=dialogue_stops(candidate.form))
    ids = [dialogue_ids(messages, candidate.vocabulary, candidate.form) for _, messages in prompts]
    keys = [(seed, _STREAM, index) for index in range(len(prompts))]
    with events.task(f"answers · {candidate.name}", total=len(prompts), unit="prompts") as task:
        found = answer(candidate, ids, sampling, keys, task.advance)
    answered = [(p, as_message(a.text)) for p, a in zip(prompts, found, strict=True) if a]
    dialogues = [[*messages, message] for (_, messages), message in answered]
    scores = {name: scorer(dialogues) for name, scorer in scorers.items()}
    rows = [
        Row(
            name,
            last_user(messages),
            message["content"],
            values={judge: scores[judge][index] for judge in scores}
            | {"words": float(len(message["content"].split()))},
        )
        for index, ((name, messages), message) in enumerate(answered)
    ]
    missing = len(prompts) - len(rows)
    measures = measures_of_scores(rows, list(scores), seed)
    return PartResult(
        part="answers",
        model=candidate.name,
        kind="answers",
        main=next(iter(measures)),
        higher_is_better=True,
        measures=measures,
        notes=[f"{missing} prompts are {TOO_LONG} and were left out."] if missing else [],
        rows=rows,
    )


def measures_of_scores(
    rows: Sequence[Row], judges: Sequence[str], seed: int
) -> dict[str, Estimate]:
    """Mean score by each judge, as a share (0-1), and the mean length in words."""
    measures = {
        judge: bootstrap_mean([_sigmoid(value) for value in values_of(rows, judge)], seed)
        for judge in judges
    }
    measures["words"] = bootstrap_mean(values_of(rows, "words"), seed)
    return measures


def reward_verdict(judge: str) -> Verdict:
    """A reward model as judge: sigmoid of the difference of raw scores, as it was trained on."""
    return lambda first, second: _sigmoid(first.values[judge] - second.values[judge])


def compare(first: PartResult, second: PartResult, verdict: Verdict) -> Match:
    """Judge the answers that both models gave, each pair in both orders."""
    others = {row.id: row for row in second.rows}
    wins = ties = losses = flips = 0
    for row in first.rows:
        if row.id not in others:
            continue
        other = others[row.id]
        forward, backward = _decided(verdict(row, other)), -_decided(verdict(other, row))
        wins += forward == backward == 1
        losses += forward == backward == -1
        ties += forward != backward or forward == 0
        flips += forward == -backward != 0
    return Match(first.model, second.model, wins, ties, losses, flips)


def _decided(probability: float) -> int:
    if abs(probability - 0.5) <= TIE:
        return 0
    return 1 if probability > 0.5 else -1


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, value))))
