"""Side by side: two models answer the same prompts, a judge says whose answer is better.

Every pair is judged in both orders, and only a verdict that both orders give counts as a win; the
rest are ties (a language model as judge flips one verdict in eight when the order is swapped). A
reward model scores answers one at a time, so its two orders always agree; it ties when the scores
are closer than its judgement is fine. An outside judge (`evaluation.outside`) knows the truth, and
ties only what is worth the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from llamakit.evaluation.answers import TOO_LONG, answer
from llamakit.evaluation.candidate import Candidate
from llamakit.evaluation.outside import OUTSIDE, outside_measures, outside_values
from llamakit.evaluation.prompts import as_message, dialogue_ids, dialogue_stops, last_user
from llamakit.evaluation.results import PartResult, Row, values_of
from llamakit.evaluation.safety import Scorer
from llamakit.events import SILENT, Events
from llamakit.model.generation import Sampling
from llamakit.text.dialogue import Message
from llamakit.text.judgement import Judge
from llamakit.text.statistics import Estimate, bootstrap_mean, wilson

TIE = 0.05
"""A tie: the judge gives the better answer a chance of at most 0.55 to be the better one."""

Verdict = Callable[[Row, Row], float | None]
"""The judged probability that the first answer is the better one (0-1); None where the judge has
nothing to say of the prompt."""

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
    oracle: Judge | None = None,
    events: Events = SILENT,
) -> PartResult:
    """Answer every prompt `(id, messages)` once and have the answers judged.

    Every reward model of `scorers` scores them, and the outside judge, where there is one. A
    prompt that does not fit is left out; pairs are made of what both models answered.
    """
    sampling = replace(sampling, stop=dialogue_stops(candidate.form))
    ids = [dialogue_ids(messages, candidate.vocabulary, candidate.form) for _, messages in prompts]
    keys = [(seed, _STREAM, index) for index in range(len(prompts))]
    with events.task(f"answers · {candidate.name}", total=len(prompts), unit="prompts") as task:
        found = answer(candidate, ids, sampling, keys, task.advance)
    answered = [(p, as_message(a.text)) for p, a in zip(prompts, found, strict=True) if a]
    dialogues = [[*messages, message] for (_, messages), message in answered]
    scores = {name: scorer(dialogues) for name, scorer in scorers.items()}
    rows = []
    for index, ((name, messages), message) in enumerate(answered):
        text = message["content"]
        values = {judge: scores[judge][index] for judge in scores}
        if oracle is not None:
            values |= outside_values(oracle(messages, text))
        values["words"] = float(len(text.split()))
        rows.append(Row(name, last_user(messages), text, values=values))
    missing = len(prompts) - len(rows)
    measures = outside_measures(rows, seed) if oracle is not None else {}
    measures |= measures_of_scores(rows, list(scores), seed)
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


def outside_verdict(judge: str) -> Verdict:
    """The outside judge by one of its values (`OUTSIDE`): what is worth more wins."""

    def verdict(first: Row, second: Row) -> float | None:
        if judge not in first.values or judge not in second.values:
            return None
        gap = first.values[judge] - second.values[judge]
        # Sums of the same parts in another order differ in their last digits.
        return 0.5 if abs(gap) < 1e-9 else float(gap > 0)

    return verdict


def verdict_of(judge: str) -> Verdict:
    """The judge of that name: a value of the outside judge, or a reward model."""
    return outside_verdict(judge) if judge in OUTSIDE else reward_verdict(judge)


def compare(first: PartResult, second: PartResult, verdict: Verdict) -> Match:
    """Judge the answers that both models gave, each pair in both orders."""
    others = {row.id: row for row in second.rows}
    wins = ties = losses = flips = 0
    for row in first.rows:
        if row.id not in others:
            continue
        other = others[row.id]
        told, told_swapped = verdict(row, other), verdict(other, row)
        if told is None or told_swapped is None:
            continue
        forward, backward = _decided(told), -_decided(told_swapped)
        wins += forward == backward == 1
        losses += forward == backward == -1
        ties += forward != backward or forward == 0
        flips += forward == -backward != 0
    return Match(first.model, second.model, wins, ties, losses, flips)


def against(matches: Mapping[str, Match]) -> PartResult:
    """How a model fares against the control, as the part `win`.

    Measures of each judge: its name for the share of decided comparisons that are won, and
    `JUDGE_wins`, `JUDGE_ties` and `JUDGE_losses` as shares of all. Wilson's intervals over prompts.

    Args:
        matches: by judge, the model (first) against the control (second). The control itself, so
            that every model has the part, wins half by symmetry and ties always.
    """
    measures: dict[str, Estimate] = {}
    for judge, match in matches.items():
        n = match.wins + match.ties + match.losses
        itself = match.first == match.second
        measures[judge] = Estimate(0.5, 0.5, 0.5, n) if itself else match.win_share
        measures[f"{judge}_wins"] = wilson(match.wins, n)
        measures[f"{judge}_ties"] = wilson(match.ties, n)
        measures[f"{judge}_losses"] = wilson(match.losses, n)
    one = next(iter(matches.values()))
    return PartResult(
        part="win",
        model=one.first,
        kind="win",
        main=next(iter(matches)),
        higher_is_better=True,
        measures=measures,
    )


def _decided(probability: float) -> int:
    if abs(probability - 0.5) <= TIE:
        return 0
    return 1 if probability > 0.5 else -1


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, value))))
