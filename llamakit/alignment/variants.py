"""Two answers to each prompt, by two variants of a model at varied temperatures (paper §3.2.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from llamakit.alignment.models import open_model, open_shared_judges
from llamakit.alignment.prompts import Prompt, tokenise_prompts
from llamakit.alignment.rollout import rollout, writable
from llamakit.artifacts.frames import MESSAGES, Schema, read_table, write_table
from llamakit.model.generation import Sampling
from llamakit.model.weights import load_vocabulary
from llamakit.text.vocabulary import Vocabulary
from llamakit.training.plan import Precision

COMPARISONS: Schema = {
    "id": pl.String(),
    "prompt": MESSAGES,
    "source": pl.String(),
    "safety": pl.Boolean(),
    "place": pl.Int64(),
    "answers": pl.List(pl.String()),
    "models": pl.List(pl.String()),
    "temperatures": pl.List(pl.Float64()),
    "scores": pl.List(pl.Float64()),
    "safety_scores": pl.List(pl.Float64()),
}
"""Two of each list. `scores` are the reward models' combined raw scores, `safety_scores` the safety
model's; null without them. `place` is the prompt's among all."""

_STREAM = 24  # stream of random numbers

Variant = tuple[int, float]
"""A model, by its place among those given, and a sampling temperature."""


@dataclass(frozen=True)
class Variants:
    """What answers are sampled from and scored by; small and picklable."""

    models: tuple[Path, ...]
    names: tuple[str, ...]
    temperatures: tuple[float, ...]
    top_p: float
    max_new_tokens: int
    max_prompt_tokens: int
    helpfulness: Path | None
    safety: Path | None
    threshold: float
    seed: tuple[int, ...]
    dtype: Precision
    device: str

    def drawn(self, place: int) -> tuple[Variant, Variant]:
        """Which two variants answer the prompt at a place.

        Two models, drawn in random order, if there are several; temperatures differ where one
        model answers twice and several are given.
        """
        chance = np.random.default_rng([*self.seed, _STREAM, place])
        several = len(self.models) > 1
        models = chance.choice(len(self.models), 2, replace=False) if several else (0, 0)
        again = several or len(self.temperatures) == 1
        first, second = chance.choice(self.temperatures, 2, replace=again).tolist()
        return (int(models[0]), first), (int(models[1]), second)


@dataclass(frozen=True)
class Shard:
    """Some prompts, the place of the first among all, and the table their answers go to."""

    prompts: Path
    first: int
    found: Path
    variants: Variants


def compare_shard(shard: Shard) -> dict[str, Any]:
    """Sample two answers to each prompt of a shard, score them if there are reward models, and
    write the pairs that differ; returns counts."""
    variants = shard.variants
    vocabulary = load_vocabulary(variants.models[0])
    rows = read_table(shard.prompts).to_dicts()
    prompts, counts = tokenise_prompts(rows, vocabulary, variants.max_prompt_tokens)
    found = _pairs(prompts, shard.first, variants, vocabulary, counts)
    write_table(shard.found, pl.DataFrame(found, schema=dict(COMPARISONS)), COMPARISONS)
    told = {name: count for name, count in counts.items() if count}
    return {"counts": {"prompts": len(rows), **told}}


def _pairs(
    prompts: Sequence[Prompt],
    first: int,
    variants: Variants,
    vocabulary: Vocabulary,
    counts: Counter[str],
) -> list[dict[str, Any]]:
    """The rows of `COMPARISONS` that are worth judging."""
    drawn = [variants.drawn(first + prompt.row) for prompt in prompts]
    answers = _sampled(prompts, first, drawn, variants, vocabulary)
    found: list[dict[str, Any]] = []
    read: list[list[int]] = []
    for prompt, pair, given in zip(prompts, drawn, answers, strict=True):
        texts = [text.strip() for text, _ in given]
        if not all(map(writable, texts)):
            counts["dropped_unusable_answer"] += 1
            continue
        if texts[0] == texts[1]:
            counts["dropped_equal_answers"] += 1
            continue
        found.append(
            {
                "id": prompt.id,
                "prompt": prompt.messages,
                "source": prompt.source,
                "safety": prompt.safety,
                "place": first + prompt.row,
                "answers": texts,
                "models": [variants.names[model] for model, _ in pair],
                "temperatures": [temperature for _, temperature in pair],
            }
        )
        read += [ids for _, ids in given]
    if found and (variants.helpfulness is not None or variants.safety is not None):
        _score(found, read, variants)
    return found


def _score(found: list[dict[str, Any]], read: Sequence[list[int]], variants: Variants) -> None:
    """Write the reward models' scores into rows; `read` has two rows of ids for each."""
    judges = open_shared_judges(
        variants.helpfulness,
        variants.safety,
        variants.threshold,
        variants.models[0],
        variants.dtype,
        variants.device,
    )
    scores = judges(read, [row["safety"] for row in found for _ in range(2)])
    for index, row in enumerate(found):
        both = slice(2 * index, 2 * index + 2)
        row["scores"] = scores.combined_B[both].tolist()
        if scores.safety_B is not None:
            row["safety_scores"] = scores.safety_B[both].tolist()


def _sampled(
    prompts: Sequence[Prompt],
    first: int,
    drawn: Sequence[tuple[Variant, Variant]],
    variants: Variants,
    vocabulary: Vocabulary,
) -> list[list[tuple[str, list[int]]]]:
    """Each prompt's two answers as (text, ids of prompt and answer), a variant's all at once."""
    found: list[dict[int, tuple[str, list[int]]]] = [{} for _ in prompts]
    wanted: dict[Variant, list[tuple[int, int]]] = {}
    for index, pair in enumerate(drawn):
        for slot, variant in enumerate(pair):
            wanted.setdefault(variant, []).append((index, slot))
    for (model, temperature), tasks in sorted(wanted.items()):
        rollouts = rollout(
            open_model(variants.models[model], variants.dtype, variants.device),
            vocabulary,
            [prompts[index].ids for index, _ in tasks],
            1,
            Sampling(
                max_new_tokens=variants.max_new_tokens,
                temperature=temperature,
                top_p=variants.top_p,
                top_k=0,
            ),
            keys=[
                (*variants.seed, _STREAM, first + prompts[index].row, slot) for index, slot in tasks
            ],
        )
        for (index, slot), text, ids in zip(tasks, rollouts.texts, rollouts.rows(), strict=True):
            found[index][slot] = text, ids
    return [[pair[0], pair[1]] for pair in found]
