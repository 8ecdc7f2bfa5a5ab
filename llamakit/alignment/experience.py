"""A batch of answers with all that an update and a log need of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from llamakit.alignment.advantages import masked_mean
from llamakit.alignment.estimators import Credit
from llamakit.alignment.objectives import explained_variance
from llamakit.alignment.reward import k3, kl_k1, kl_k3
from llamakit.alignment.rollout import Rollouts
from llamakit.alignment.scoring import Scores
from llamakit.training.parallel import Parallel

_FAR = 20.0
"""A log-ratio beyond this counts as this: a measured KL must stay a number."""


@dataclass(frozen=True)
class Experience:
    """Answers, what the models said of them, and what they earned. `B` answers, `T` tokens."""

    rollouts: Rollouts
    old_BT: Tensor
    """Log-probabilities under the policy that sampled."""
    reference_BT: Tensor
    entropy_BT: Tensor
    values_BT: Tensor | None
    """None without a value model."""
    scores: Scores
    shaped_B: Tensor
    """Whitened scores, less penalties."""
    credit: Credit
    kl_weight: float
    """The weight that the KL had in this batch."""

    def figures(self) -> dict[str, float]:
        """What the batch looked like, before the update."""
        mask_BT, scores = self.rollouts.response_mask, self.scores
        k1_BT = kl_k1(self.old_BT, self.reference_BT)
        k3_BT = torch.where(mask_BT, kl_k3(self.old_BT, self.reference_BT), 0.0)
        figures = {
            "score": float(scores.combined_B.mean()),
            "score_std": float(scores.combined_B.std(correction=0)),
            "shaped_score": float(self.shaped_B.mean()),
            "gated": float(scores.gate_B.float().mean()),
            "kl": float(torch.where(mask_BT, k1_BT, 0.0).sum(dim=1).mean()),
            "kl_k3": float(k3_BT.sum(dim=1).mean()),
            "kl_weight": self.kl_weight,
            "entropy": float(masked_mean(self.entropy_BT, mask_BT)),
            "response_tokens": float(self.rollouts.response_lengths_B.float().mean()),
            "finished": float(self.rollouts.finished_B.float().mean()),
        }
        for name, raw_B in (("helpfulness", scores.helpfulness_B), ("safety", scores.safety_B)):
            if raw_B is not None:
                figures[name] = float(raw_B.mean())
        if self.values_BT is None or self.credit.returns_BT is None:
            return figures | {"flat_groups": self.credit.flat}
        fit = explained_variance(self.values_BT, self.credit.returns_BT, mask_BT)
        return figures | {"explained_variance": fit}


@dataclass
class Movement:
    """How far a policy has moved from the one that sampled, over the parts of a mini-batch."""

    by_answer: bool
    """Whether ratios are those of whole answers rather than of tokens."""
    answers: float = 0
    tokens: float = 0
    ratios: float = 0
    ratio: float = 0.0
    """Sum of the ratios."""
    clipped: float = 0
    """Ratios beyond the clip."""
    k3: float = 0.0
    """KL from the one that sampled, summed over tokens."""
    apart: float = 0.0
    """Log-ratios to the reference, weighted by the tokens' ratios and summed: the KL of the policy
    as it is now, from answers of the one that sampled."""
    least: float = 1.0
    most: float = 1.0

    def see(
        self, new_BT: Tensor, old_BT: Tensor, reference_BT: Tensor, mask_BT: Tensor, clip: float
    ) -> None:
        """Count in some answers' log-probabilities."""
        moved_BT = torch.where(mask_BT, new_BT - old_BT, 0.0)
        moved_N = moved_BT[mask_BT].clamp(-_FAR, _FAR)
        ratio = (moved_BT.sum(dim=1).clamp(-_FAR, _FAR) if self.by_answer else moved_N).exp()
        self.answers += len(mask_BT)
        self.tokens += len(moved_N)
        self.ratios += len(ratio)
        self.ratio += float(ratio.sum())
        self.clipped += int(((ratio - 1).abs() > clip).sum())
        self.k3 += float(k3(moved_N).sum())
        self.apart += float((moved_N.exp() * (new_BT - reference_BT)[mask_BT]).sum())
        self.least = min(self.least, float(ratio.min()))
        self.most = max(self.most, float(ratio.max()))

    def join(self, parallel: Parallel, device: torch.device) -> None:
        """Count in what other processes have seen of the same mini-batch."""
        names = ("answers", "tokens", "ratios", "ratio", "clipped", "k3", "apart")
        own = torch.tensor([getattr(self, n) for n in names], dtype=torch.float64, device=device)
        for name, total in zip(names, parallel.sum(own).tolist(), strict=True):
            setattr(self, name, total)
        ends = torch.tensor([self.most, -self.least], dtype=torch.float64, device=device)
        self.most, least = parallel.greatest(ends).tolist()
        self.least = -least

    def figures(self) -> dict[str, float]:
        """Means and extremes of ratios, and KL: to the sampler a token, to the reference an
        answer.
        """
        return {
            "ratio_mean": self.ratio / self.ratios,
            "ratio_max": self.most,
            "ratio_deviation": max(self.most - 1, 1 - self.least),
            "clip_fraction": self.clipped / self.ratios,
            "update_kl": self.k3 / self.tokens,
            "kl_updating": self.apart / self.answers,
        }
