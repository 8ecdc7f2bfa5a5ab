"""Preference pairs as batches of tokens, for reward models (paper §3.2.2) and for DPO."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llamakit.alignment.grades import MarginSize, margin_of, safety_labels
from llamakit.alignment.padding import pad_right, shared_groups
from llamakit.alignment.tables import told
from llamakit.alignment.window import fit_answers
from llamakit.errors import InputError
from llamakit.text.vocabulary import Vocabulary
from llamakit.training.micro_batch import MicroBatch
from llamakit.training.share import ALONE, Share
from llamakit.wording import counted

Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Pair:
    """One comparison, in tokens: the whole dialogue with either answer, end of sequence
    included.
    """

    id: str
    chosen: Ids
    rejected: Ids
    grade: str | None
    safety: str | None
    source: str
    start: int
    """Tokens of the prompt: there either answer begins."""
    reference: tuple[float, float] | None = None
    """Log-probabilities of the two answers under a reference model, where a loss asks for them."""
    row: int = 0
    """Its row among those it was made from."""
    prompt: int = 0
    """The first row with the same prompt."""


@dataclass(frozen=True, kw_only=True)
class PairBatch(MicroBatch):
    """A micro-batch of P pairs as 2P rows, chosen ones first: one forward pass scores both."""

    ids_RL: Tensor
    lengths_R: Tensor
    starts_R: Tensor
    """Where a row's answer begins."""
    reference_R: Tensor | None
    """Log-probability of each answer under a reference model."""
    margin_P: Tensor
    chosen_safe_P: Tensor
    rejected_safe_P: Tensor
    counts: bool = True
    """False of a micro-batch that only keeps step with other processes: its loss is 0."""


def tokenise_pairs(
    rows: Iterable[Mapping[str, Any]], vocabulary: Vocabulary, max_tokens: int
) -> tuple[list[Pair], Counter[str]]:
    """Render the rows of a preferences table.

    A pair that is too long loses its oldest exchanges (both sides alike); one that does not fit
    even so, or that cannot be rendered (chat tags in its text, roles out of order), is dropped.

    Returns:
        the pairs, and how many were `shortened`, `dropped_too_long` and `dropped_not_renderable`.
    """
    pairs: list[Pair] = []
    counts: Counter[str] = Counter()
    prompts: dict[str, int] = {}
    for index, row in enumerate(rows):
        prompt = prompts.setdefault(json.dumps(row["prompt"]), index)
        try:
            fitted = fit_answers(
                row["prompt"], [row["chosen"], row["rejected"]], vocabulary, max_tokens
            )
        except InputError:
            counts["dropped_not_renderable"] += 1
            continue
        if fitted is None:
            counts["dropped_too_long"] += 1
            continue
        chosen, rejected = fitted.rows
        counts["shortened"] += fitted.dropped > 0
        pairs.append(
            Pair(
                id=row["id"],
                chosen=np.asarray(chosen, dtype=np.int32),
                rejected=np.asarray(rejected, dtype=np.int32),
                grade=row["grade"],
                safety=row["safety"],
                source=row["source"],
                start=fitted.start,
                row=index,
                prompt=prompt,
            )
        )
    return pairs, counts


def training_pairs(
    rows: Sequence[Mapping[str, Any]],
    heldout_rows: Sequence[Mapping[str, Any]] | None,
    share: float,
    vocabulary: Vocabulary,
    max_tokens: int,
    *,
    seed: int,
    where: str,
) -> tuple[list[Pair], list[Pair], Counter[str]]:
    """Pairs to train on and pairs held out: those given, or a share of the first.

    Args:
        rows: of a preferences table.
        heldout_rows: of another; None to hold out `share` of the first.
        where: what asks, for an error.

    Returns:
        (training pairs, held-out pairs, how many were shortened and dropped, and why).

    Raises:
        InputError: no pair is left to train on.
    """
    pairs, dropped = tokenise_pairs(rows, vocabulary, max_tokens)
    if heldout_rows is None:
        pairs, heldout = split_pairs(pairs, share, seed)
    else:
        heldout, more = tokenise_pairs(heldout_rows, vocabulary, max_tokens)
        dropped += more
    if not pairs:
        raise InputError(
            "no pair is left to train on",
            where=where,
            fix=f"Of {counted(len(rows), 'pair')} these went: {told(dropped)}.",
        )
    return pairs, heldout, dropped


def draw_share(n_main: int, n_mix: int, share: float, seed: int) -> NDArray[np.int64]:
    """Which rows of a second set to add so that they make `share` of the whole, in their order.

    Drawn uniformly without repetition; all rows where the set is too small for its share.
    """
    wanted = min(n_mix, round(n_main * share / (1 - share)))
    picked = np.random.default_rng([seed, 0]).choice(n_mix, size=wanted, replace=False)
    return np.sort(picked)


def split_pairs(pairs: Sequence[Pair], share: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Split into (training, held-out), drawn at random, order kept.

    Pairs of one prompt stay together: they often share an answer too, and what was trained on is
    not held out. Prompts that would make it more than `share` are passed over.
    """
    by_prompt: dict[int, list[int]] = {}
    for index, pair in enumerate(pairs):
        by_prompt.setdefault(pair.prompt, []).append(index)
    prompts = list(by_prompt)
    wanted = round(len(pairs) * share)
    held: set[int] = set()
    for place in np.random.default_rng([seed, 2]).permutation(len(prompts)).tolist():
        own = by_prompt[prompts[place]]
        if len(held) + len(own) <= wanted:
            held.update(own)
    return (
        [pair for index, pair in enumerate(pairs) if index not in held],
        [pair for index, pair in enumerate(pairs) if index in held],
    )


def shuffled(pairs: Sequence[Pair], seed: int) -> list[Pair]:
    """The pairs with a coin tossed for which answer was chosen: nothing is left to learn."""
    heads = np.random.default_rng([seed, 3]).random(len(pairs)) < 0.5
    flipped_bin = {"chosen_safe": None}
    return [
        replace(
            pair,
            chosen=pair.rejected,
            rejected=pair.chosen,
            reference=pair.reference and (pair.reference[1], pair.reference[0]),
            safety=flipped_bin.get(pair.safety or "", pair.safety),
        )
        if flip
        else pair
        for pair, flip in zip(pairs, heads.tolist(), strict=True)
    ]


class PairBatches:
    """The batches of a training on pairs; a pure function of the step.

    Each epoch is a new permutation. The last batch of an epoch may be smaller: losses are divided
    by pairs, so it weighs what it holds.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        *,
        batch_pairs: int,
        tokens_at_once: int,
        epochs: int,
        seed: int,
        margin: MarginSize,
        pad: int,
        share: Share = ALONE,
    ) -> None:
        """Args:
        batch_pairs: pairs of a step.
        tokens_at_once: tokens of a micro-batch, padding included; a longer pair is one alone.
        share: which process this is; it gets its share of every batch's pairs.
        """
        self._share = share
        self._pairs = pairs
        self._batch_pairs = batch_pairs
        self._tokens_at_once = tokens_at_once
        self._seed = seed
        self._margin = margin
        self._pad = pad
        self.steps_per_epoch = -(-len(pairs) // batch_pairs)
        self.steps = epochs * self.steps_per_epoch

    def batch(self, step: int) -> list[PairBatch]:
        """The micro-batches of a step, pairs of like length together."""
        pairs = self._picked(step)
        lengths = [2 * max(len(pair.chosen), len(pair.rejected)) for pair in pairs]
        return [
            self._tensors([pairs[index] for index in group], counts=counts)
            for group, counts in shared_groups(lengths, self._tokens_at_once, self._share)
        ]

    def ids(self, step: int) -> list[str]:
        """The pairs of a step."""
        return [pair.id for pair in self._picked(step)]

    def _picked(self, step: int) -> list[Pair]:
        epoch, place = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([self._seed, 1, epoch]).permutation(len(self._pairs))
        picked = order[place * self._batch_pairs : (place + 1) * self._batch_pairs]
        return [self._pairs[index] for index in picked]

    def _tensors(self, pairs: Sequence[Pair], *, counts: bool) -> PairBatch:
        rows = [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]
        ids_RL, lengths_R = pad_right(rows, self._pad)
        labels = [safety_labels(pair.safety) for pair in pairs]
        known = [pair.reference for pair in pairs if pair.reference is not None]
        reference_R = torch.tensor([c for c, _ in known] + [r for _, r in known])
        return PairBatch(
            ids_RL=ids_RL,
            lengths_R=lengths_R,
            starts_R=torch.tensor([pair.start for pair in pairs] * 2),
            reference_R=reference_R if len(reference_R) == len(rows) else None,
            margin_P=torch.tensor([margin_of(pair.grade, self._margin) for pair in pairs]),
            chosen_safe_P=torch.tensor([chosen for chosen, _ in labels]),
            rejected_safe_P=torch.tensor([rejected for _, rejected in labels]),
            tokens=int(lengths_R.sum()) if counts else 0,
            counts=counts,
        )
