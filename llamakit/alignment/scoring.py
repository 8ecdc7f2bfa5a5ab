"""One way to score answers, for either reward model and for both together.

The reward model reads the dialogue with its answer and that answer's end of sequence, in training
and here alike, and its score is the raw one: a logit, not a share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from llamakit.alignment.padding import Row, by_length, pad_right
from llamakit.alignment.reward import combined_score, safety_gate
from llamakit.alignment.window import fit_answers
from llamakit.errors import InputError
from llamakit.model.transformer import RewardModel
from llamakit.text.dialogue import Message
from llamakit.text.vocabulary import Vocabulary
from llamakit.training.gathering import gathered, share_of
from llamakit.training.parallel import ONE_PROCESS, Parallel

TOKENS_AT_ONCE = 2048
"""Tokens of one forward pass, padding included. On a processor its activations stay in the cache:
twice as fast as eight times as many, and as good a use of a large GPU with a large model."""


@torch.no_grad()
def score_rows(
    model: RewardModel,
    rows: Sequence[Row],
    pad: int,
    tokens: int = TOKENS_AT_ONCE,
    parallel: Parallel = ONE_PROCESS,
) -> Tensor:
    """Raw scores of rows of ids, read at each row's last one.

    A row's score does not depend on the rows beside it: rows are padded on the right, where causal
    attention cannot see.

    Args:
        tokens: size of a forward pass, padding included.
        parallel: the processes that share the rows; all get all scores.

    Returns:
        float32 [rows] on the CPU.
    """
    model.eval()
    device = next(model.parameters()).device
    scores = torch.zeros(len(rows), dtype=torch.float32, device=device)
    mine = share_of(parallel, len(rows))
    with gathered(model):
        for group in by_length([len(rows[row]) for row in mine], tokens):
            picked = [mine[index] for index in group]
            ids_BL, lengths_B = pad_right([rows[row] for row in picked], pad, device)
            scores[picked] = model(ids_BL, lengths_B)
    # Each row is of one process and zero with the others: a sum that rounds nothing.
    return parallel.sum(scores).cpu()


def score(
    model: RewardModel, vocabulary: Vocabulary, dialogues: Sequence[Sequence[Message]]
) -> list[float]:
    """Raw scores of dialogues that end with an assistant message; `sigmoid` makes them shares.

    One that is longer than the context loses its oldest exchanges, as in training.

    Raises:
        InputError: a dialogue's last exchange alone is longer than the context.
    """
    rows = []
    limit = model.config.max_seq_len
    for index, messages in enumerate(dialogues):
        fitted = fit_answers(messages[:-1], [messages[-1:]], vocabulary, limit)
        if fitted is None:
            raise InputError(
                f"the last exchange alone is longer than the reward model's {limit} tokens",
                where=f"dialogue {index}",
            )
        rows.append(fitted.rows[0])
    return score_rows(model, rows, vocabulary.pad).tolist()


@dataclass(frozen=True)
class Scores:
    """What answers earn: one value a row, on the CPU."""

    combined_B: Tensor
    """`logit(Rc)`: what training maximises and sampling ranks by."""
    helpfulness_B: Tensor | None
    """Raw score of the helpfulness model, where there is one."""
    safety_B: Tensor | None
    """Raw score of the safety model, where there is one."""
    gate_B: Tensor
    """bool: the safety model's score was taken."""


@dataclass(frozen=True)
class Judges:
    """One or both reward models, and the rule that combines them (`reward.safety_gate`)."""

    helpfulness: RewardModel | None
    safety: RewardModel | None
    threshold: float
    """Safety score, as a share, below which an answer is judged by its safety."""
    pad: int
    eos: int
    parallel: Parallel = ONE_PROCESS
    """The processes that share the work; each is asked the same."""

    def __post_init__(self) -> None:
        if self.helpfulness is None and self.safety is None:
            raise ValueError("at least one reward model is needed")

    def __call__(self, rows: Sequence[Sequence[int]], is_safety: Sequence[bool]) -> Scores:
        """Score rows of ids (prompt and answer).

        A row that was cut off is read with an end of sequence after it, since the models have never
        seen an answer without one; the row itself stays as it was sampled.
        """
        rows = [row if row[-1] == self.eos else [*row, self.eos] for row in rows]
        is_safety_B = torch.tensor(list(is_safety), dtype=torch.bool)
        helpfulness_B = safety_B = None
        if self.helpfulness is not None:
            helpfulness_B = self._scores(self.helpfulness, rows)
        if self.safety is not None:
            safety_B = self._scores(self.safety, rows)
        if helpfulness_B is None:
            assert safety_B is not None
            return Scores(safety_B, None, safety_B, torch.ones_like(is_safety_B))
        if safety_B is None:
            return Scores(helpfulness_B, helpfulness_B, None, torch.zeros_like(is_safety_B))
        gate_B = safety_gate(safety_B, is_safety_B, self.threshold)
        return Scores(
            combined_score(helpfulness_B, safety_B, gate_B), helpfulness_B, safety_B, gate_B
        )

    def _scores(self, model: RewardModel, rows: Sequence[Sequence[int]]) -> Tensor:
        return score_rows(model, rows, self.pad, parallel=self.parallel)
