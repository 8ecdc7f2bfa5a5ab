"""What a reward model is trained on: ranked pairs, with margins and safety labels (paper §3.2.2).

Losses are returned per pair, so that the training loop can divide by the whole batch's pairs
however they are split into micro-batches. `B` in a name is one value a pair.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from llamakit.alignment.preferences import PairBatch
from llamakit.training.accumulation import Loss, Objective


def ranking_loss(chosen_B: Tensor, rejected_B: Tensor, margin_B: Tensor) -> Tensor:
    """`-log sigmoid(chosen - rejected - margin)` of each pair.

    Raises:
        ValueError: the shapes are not all [B]. [B, 1] - [B] would broadcast to [B, B] and rank
            every answer against every other one without a word.
    """
    if not (chosen_B.ndim == 1 and chosen_B.shape == rejected_B.shape == margin_B.shape):
        shapes = [tuple(tensor.shape) for tensor in (chosen_B, rejected_B, margin_B)]
        raise ValueError(f"scores and margins must all have shape [pairs], got {shapes}")
    return -F.logsigmoid(chosen_B - rejected_B - margin_B)


def safety_loss(
    chosen_B: Tensor, rejected_B: Tensor, chosen_safe_B: Tensor, rejected_safe_B: Tensor
) -> Tensor:
    """Binary cross-entropy of each answer's safety label, averaged over a pair's two answers.

    The paper names a safety auxiliary loss without its formula; this is the reading under which
    `sigmoid(score) < 0.15` means what its gate needs: an answer that is probably unsafe. Answers
    labelled nan (unknown) add nothing.
    """
    scores_2B = torch.stack([chosen_B, rejected_B])
    labels_2B = torch.stack([chosen_safe_B, rejected_safe_B])
    known_2B = ~labels_2B.isnan()
    losses_2B = F.binary_cross_entropy_with_logits(
        scores_2B, labels_2B.nan_to_num(0.0).to(scores_2B.dtype), reduction="none"
    )
    return (losses_2B * known_2B).mean(dim=0)


def centring_loss(chosen_B: Tensor, rejected_B: Tensor) -> Tensor:
    """`(chosen + rejected)^2` of each pair: pulls the mean score to 0.

    A ranking loss sees differences only, so a reward model's mean is free to drift; means of -4 to
    -6 were measured, where `sigmoid < 0.15` holds for every answer and the safety gate always
    fires. The auxiliary loss anchors a safety model; this one anchors a helpfulness model, which
    has no labels (Eisenstein et al. 2023, as in TRL's `center_rewards_coefficient`).
    """
    return (chosen_B + rejected_B).square()


def objective(safety_aux_weight: float, centring_weight: float) -> Objective[PairBatch]:
    """What a reward model's training minimises, per pair: ranking plus the two anchors."""

    def loss_of(model: nn.Module, batch: PairBatch) -> Loss:
        chosen_P, rejected_P = model(batch.ids_RL, batch.lengths_R).float().chunk(2)
        ranking = ranking_loss(chosen_P, rejected_P, batch.margin_P).sum()
        safety = safety_loss(chosen_P, rejected_P, batch.chosen_safe_P, batch.rejected_safe_P).sum()
        centring = centring_loss(chosen_P, rejected_P).sum()
        total = ranking + safety_aux_weight * safety + centring_weight * centring
        figures = {
            "ranking_loss": ranking.detach(),
            "safety_loss": safety.detach(),
            "accuracy": (chosen_P > rejected_P).sum(),
            "score": (chosen_P + rejected_P).detach().sum() / 2,
        }
        if not batch.counts:
            return Loss(0.0 * total, 0.0, dict.fromkeys(figures, 0.0))
        return Loss(total, float(len(batch.margin_P)), figures)

    return loss_of
