"""Direct preference optimisation: a policy learns from ranked answers without a reward model.

Source: Rafailov et al. 2023. The policy itself is the reward model: an answer's reward is
`beta * (log pi - log pi0)`, and what is minimised is the ranking loss of those rewards.
Log-probabilities under pi0, the start model, are computed once, before training.

Names: `P` pairs, `R` rows (2P, chosen answers first), `L` tokens of a row, `N` answer tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from llamakit.alignment.agreement import ScoredPair
from llamakit.alignment.padding import by_length, pad_right
from llamakit.alignment.preferences import Pair, PairBatch
from llamakit.alignment.scoring import TOKENS_AT_ONCE
from llamakit.model.logprobs import token_logprobs
from llamakit.model.transformer import Transformer
from llamakit.training.accumulation import Loss, Objective
from llamakit.training.gathering import gathered
from llamakit.training.parallel import ONE_PROCESS, Parallel


def preference_loss(
    chosen_P: Tensor, rejected_P: Tensor, beta: float, label_smoothing: float
) -> Tensor:
    """`-log sigmoid(beta * (chosen - rejected))` of each pair, on log-ratios to the reference.

    Args:
        label_smoothing: the share of pairs (0-0.5) that are taken to be ranked the wrong way round:
            so much weight has the loss of the opposite ranking (Mitchell 2023).
    """
    margin_P = beta * (chosen_P - rejected_P)
    return -(
        (1 - label_smoothing) * F.logsigmoid(margin_P) + label_smoothing * F.logsigmoid(-margin_P)
    )


def answer_logprobs(model: Transformer, ids_RL: Tensor, starts_R: Tensor, ends_R: Tensor) -> Tensor:
    """Log-probability of each row's answer, the sum over its tokens from `starts_R` to `ends_R`.

    Only positions that predict an answer token are projected on the vocabulary.
    """
    places_L = torch.arange(ids_RL.shape[1] - 1, device=ids_RL.device)
    predicts_RL = (places_L >= starts_R[:, None] - 1) & (places_L < ends_R[:, None] - 1)
    hidden_ND = model(ids_RL)[:, :-1][predicts_RL]
    logprobs_N = token_logprobs(hidden_ND, model.head_weight, ids_RL[:, 1:][predicts_RL])
    logprobs_RL = logprobs_N.new_zeros(predicts_RL.shape).masked_scatter(predicts_RL, logprobs_N)
    return logprobs_RL.sum(dim=1)


def objective(beta: float, label_smoothing: float) -> Objective[PairBatch]:
    """What DPO minimises, per pair; its figures are rewards, in nats times beta."""

    def loss_of(model: nn.Module, batch: PairBatch) -> Loss:
        assert isinstance(model, Transformer)
        assert batch.reference_R is not None
        logprobs_R = answer_logprobs(model, batch.ids_RL, batch.starts_R, batch.lengths_R)
        chosen_P, rejected_P = (logprobs_R - batch.reference_R).chunk(2)
        total = preference_loss(chosen_P, rejected_P, beta, label_smoothing).sum()
        figures = {
            "accuracy": (chosen_P > rejected_P).sum(),
            "margin": beta * (chosen_P - rejected_P).detach().sum(),
            "chosen_reward": beta * chosen_P.detach().sum(),
            "rejected_reward": beta * rejected_P.detach().sum(),
        }
        if not batch.counts:
            return Loss(0.0 * total, 0.0, dict.fromkeys(figures, 0.0))
        return Loss(total, float(len(chosen_P)), figures)

    return loss_of


def with_reference(
    model: Transformer, pairs: Sequence[Pair], pad: int, parallel: Parallel = ONE_PROCESS
) -> list[Pair]:
    """The pairs with the log-probabilities of their answers under a model, each process computing
    its share.
    """
    rank, world = parallel.rows
    found_P2 = torch.zeros((len(pairs), 2), device=next(model.parameters()).device)
    found_P2[rank::world] = _both(model, pairs[rank::world], pad)
    both = parallel.sum(found_P2).tolist()
    return [
        replace(pair, reference=(chosen, rejected))
        for pair, (chosen, rejected) in zip(pairs, both, strict=True)
    ]


def implicit_rewards(
    model: Transformer, pairs: Sequence[Pair], pad: int, beta: float
) -> list[ScoredPair]:
    """Pairs, which know their reference, with the rewards `beta * (log pi - log pi0)`."""
    scored = []
    for pair, (chosen, rejected) in zip(pairs, _both(model, pairs, pad).tolist(), strict=True):
        assert pair.reference is not None
        rewards = beta * (chosen - pair.reference[0]), beta * (rejected - pair.reference[1])
        scored.append(ScoredPair(pair, *rewards))
    return scored


@torch.no_grad()
def _both(model: Transformer, pairs: Sequence[Pair], pad: int) -> Tensor:
    """Log-probabilities [P, 2] of chosen and rejected answers, on the model's device."""
    device = next(model.parameters()).device
    rows = [row for pair in pairs for row in (pair.chosen, pair.rejected)]
    logprobs_R = torch.zeros(len(rows), device=device)
    with gathered(model):
        for group in by_length([len(row) for row in rows], TOKENS_AT_ONCE):
            ids_RL, ends_R = pad_right([rows[index] for index in group], pad, device)
            starts_R = torch.tensor([pairs[index // 2].start for index in group], device=device)
            logprobs_R[group] = answer_logprobs(model, ids_RL, starts_R, ends_R).float()
    return logprobs_R.view(-1, 2)
