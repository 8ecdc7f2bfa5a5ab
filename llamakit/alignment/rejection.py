"""Rejection sampling: K answers a prompt, the best one by the reward models kept (paper §3.2.3)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from llamakit.alignment.answerer import Answerer
from llamakit.alignment.pool import Key, judged, prompt_key
from llamakit.alignment.prompts import Prompt, tokenise_prompts
from llamakit.alignment.rollout import rollout
from llamakit.alignment.scoring import Judges
from llamakit.alignment.served import Server
from llamakit.alignment.tables import write_dialogues
from llamakit.artifacts.frames import read_table
from llamakit.model.transformer import Transformer
from llamakit.text.vocabulary import Vocabulary

_STREAM = 20  # stream of random numbers
SAMPLES_PER_SHARD = 2


@dataclass(frozen=True)
class Sampler:
    """What a shard needs to sample and judge; small and picklable."""

    answerer: Answerer
    helpfulness: Path | None
    safety: Path | None
    k: int
    temperatures: tuple[float, ...]
    """Answer j of a prompt is sampled at temperature j modulo their number."""
    threshold: float
    sampled: int
    """Prompts to sample for; those after them have winners of earlier rounds only."""


@dataclass(frozen=True)
class Shard:
    """Some prompts, where they stand among all, and the table their winners go to."""

    prompts: Path
    first: int
    answers: Path
    sampler: Sampler
    pool: Path | None = None
    """Dialogues of earlier rounds that answer the same prompts."""


@dataclass(frozen=True)
class Candidate:
    """One answer to one prompt."""

    text: str
    score: float
    gated: bool
    temperature: float | None
    """What it was sampled at; None of the winner of an earlier round."""
    usable: bool
    """It ended by itself, is not empty, and holds no chat tag."""


def sample_shard(shard: Shard) -> dict[str, Any]:
    """Sample, judge and write the winners of one shard.

    Returns:
        counts, and for the report every candidate's score and temperature by prompt.
    """
    sampler = shard.sampler
    answerer = sampler.answerer
    model, vocabulary = answerer.opened()
    judges = answerer.judges(sampler.helpfulness, sampler.safety, sampler.threshold)
    rows = read_table(shard.prompts).to_dicts()
    prompts, counts = tokenise_prompts(rows, vocabulary, answerer.max_prompt_tokens)
    places = [shard.first + prompt.row for prompt in prompts]
    asked = sum(place < sampler.sampled for place in places)
    candidates = sample_candidates(
        model, judges, vocabulary, prompts[:asked], places=places[:asked], sampler=sampler
    )
    none_new: list[list[Candidate]] = [[]] * (len(prompts) - asked)
    pooled = _pooled(shard, judges, vocabulary, counts)
    won_temperatures: list[float] = []
    winners, samples = [], []
    for prompt, new in zip(prompts, [*candidates, *none_new], strict=True):
        counts["candidates"] += len(new)
        counts["candidates_unusable"] += sum(not one.usable for one in new)
        counts["candidates_gated"] += sum(one.gated for one in new)
        # New answers stand first: of equals they win.
        held = [*new, *pooled.get(prompt_key(rows[prompt.row]["messages"]), [])]
        best = best_of(held)
        if best is None:
            counts["dropped_no_usable_answer"] += 1
            continue
        if best.temperature is None:
            counts["won_by_pool"] += 1
        else:
            won_temperatures.append(best.temperature)
        winners.append(
            {
                "id": prompt.id,
                "messages": [*prompt.messages, {"role": "assistant", "content": best.text}],
                "train_on": "last",
                "source": prompt.source,
                "safety": prompt.safety,
            }
        )
        worst = min(held, key=lambda one: one.score)
        samples.append(
            {
                "prompt": prompt.messages[-1]["content"],
                "best": [best.score, best.text],
                "worst": [worst.score, worst.text],
            }
        )
    write_dialogues(shard.answers, winners)
    return {
        "counts": {
            **{n: c for n, c in counts.items() if c},
            "prompts": len(rows),
            "dialogues": len(winners),
        },
        "scores": [[one.score for one in held] for held in candidates],
        "temperatures": [[one.temperature for one in held] for held in candidates],
        "won_temperatures": won_temperatures,
        "samples": list(islice(samples, SAMPLES_PER_SHARD)),
    }


def _pooled(
    shard: Shard, judges: Judges, vocabulary: Vocabulary, counts: Counter[str]
) -> dict[Key, list[Candidate]]:
    """Winners of earlier rounds by prompt, scored by the reward models of this one."""
    if shard.pool is None:
        return {}
    answerer = shard.sampler.answerer
    room = answerer.max_prompt_tokens + answerer.max_new_tokens
    found = judged(shard.pool, judges, vocabulary, room, counts)
    counts["pooled"] = sum(map(len, found.values()))
    return {
        key: [Candidate(text, score, gated, None, usable=True) for text, score, gated in answers]
        for key, answers in found.items()
    }


def sample_candidates(
    model: Transformer | Server,
    judges: Judges,
    vocabulary: Vocabulary,
    prompts: Sequence[Prompt],
    *,
    places: Sequence[int],
    sampler: Sampler,
) -> list[list[Candidate]]:
    """K judged answers for each prompt, in the order they were sampled.

    Args:
        places: a number for each prompt that seeds its answers: its place among all prompts.
    """
    found: list[list[Candidate | None]] = [[None] * sampler.k for _ in prompts]
    for turn, temperature in enumerate(sampler.temperatures):
        slots = range(turn, sampler.k, len(sampler.temperatures))
        if not slots or not prompts:
            continue
        rollouts = rollout(
            model,
            vocabulary,
            [prompt.ids for prompt in prompts],
            len(slots),
            sampler.answerer.sampling(temperature),
            keys=[(sampler.answerer.seed, _STREAM, place, turn) for place in places],
        )
        owners = rollouts.prompt_B.tolist()
        scores = judges(rollouts.rows(), [prompts[owner].safety for owner in owners])
        usable = rollouts.usable()
        for row, owner in enumerate(owners):
            found[owner][slots[row % len(slots)]] = Candidate(
                text=rollouts.texts[row].strip(),
                score=float(scores.combined_B[row]),
                gated=bool(scores.gate_B[row]),
                temperature=temperature,
                usable=usable[row],
            )
    return [[one for one in held if one is not None] for held in found]


def best_of(candidates: Sequence[Candidate]) -> Candidate | None:
    """The usable answer with the highest score, the first of equals; None when none is usable."""
    usable = [one for one in candidates if one.usable]
    return max(usable, key=lambda one: one.score) if usable else None


def order_statistic(sorted_scores: Sequence[float], n: int, rank: int) -> float:
    """The expected `rank`-th smallest (from 1) of n scores drawn without repetition from K.

    Exact over all subsets, so that a curve over n needs no more samples than K:
    P(i-th of K is the rank-th of n) = C(i-1, rank-1) C(K-i, n-rank) / C(K, n).
    """
    k = len(sorted_scores)
    ways = math.comb(k, n)
    return sum(
        score * (math.comb(i - 1, rank - 1) * math.comb(k - i, n - rank) / ways)
        for i, score in enumerate(sorted_scores, start=1)
    )


def reward_curves(scores: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    """Expected maximum and median of n = 1..K answers, averaged over prompts (paper figure 7).

    Over all answers, also those that were cut off: what the sampler and the judges do together.
    """
    k = min(map(len, scores))
    ordered = [sorted(one) for one in scores]
    maxima, medians = [], []
    for n in range(1, k + 1):
        low, high = (n + 1) // 2, n // 2 + 1
        maxima.append(float(np.mean([order_statistic(one, n, n) for one in ordered])))
        medians.append(
            float(
                np.mean(
                    [
                        (order_statistic(one, n, low) + order_statistic(one, n, high)) / 2
                        for one in ordered
                    ]
                )
            )
        )
    return maxima, medians


def gain(results: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Expected best and median of K raw scores, averaged over prompts; empty without any."""
    scores = [held for result in results for held in result["scores"]]
    if not scores:
        return {}
    best, median = reward_curves(scores)
    return {"best": best[-1], "median": median[-1], "gain": best[-1] - median[-1]}
