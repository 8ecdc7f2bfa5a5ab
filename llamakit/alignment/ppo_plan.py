"""The settings of a PPO run, and of its relatives without a value model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from llamakit.model.generation import Sampling
from llamakit.training.plan import Precision

Whitening = Literal["scale", "full", "none"]
WhitenBy = Literal["batch", "running"]
Estimator = Literal["gae", "rloo", "grpo"]


@dataclass(frozen=True, kw_only=True)
class PpoPlan:
    """Settings of a PPO run; defaults are the paper's, where it gives any."""

    iterations: int
    batch: int = 512
    """Answers an iteration."""
    mini_batch: int = 64
    """Answers an optimizer step."""
    estimator: Estimator = "gae"
    """Where advantages come from (`estimators.py`)."""
    answers: int = 1
    """Answers to each prompt of a batch."""
    tokens_at_once: int = 2048
    """Size of one forward pass, padding included."""
    lr: float = 1e-6
    value_lr: float = 1e-6
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-5
    weight_decay: float = 0.1
    clip_norm: float = 1.0
    ratio_clip: float = 0.2
    kl_weight: float = 0.01
    """Weight of the KL to the reference, or with a target the one to begin with."""
    kl_target: float | None = None
    """KL to the reference, in nats an answer, that the weight is steered to."""
    kl_horizon: int = 10_000
    """Answers over which a KL a fifth or more off its target moves the weight by a fifth."""
    max_kl: float = math.inf
    """KL to the reference, in nats an answer, from which the policy takes no further step."""
    gamma: float = 1.0
    lam: float = 0.95
    temperature: float = 1.0
    max_new_tokens: int = 512
    whitening: Whitening = "scale"
    whiten_by: WhitenBy = "batch"
    """Whose mean and deviation scores are whitened by: the batch's, or those of all so far."""
    unfinished_penalty: float = 1.0
    critic_warmup: int = 0
    """First iterations in which only the value model learns."""
    dtype: Precision = "fp32"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch % self.answers:
            raise ValueError(f"{self.answers} answers a prompt do not divide {self.batch}")
        if self.estimator != "gae" and self.answers < 2:
            raise ValueError(f"{self.estimator} compares the answers to a prompt: 2 or more")

    @property
    def sampling(self) -> Sampling:
        """The whole distribution: cut off by top-k or top-p it would not be the policy's."""
        return Sampling(
            max_new_tokens=self.max_new_tokens, temperature=self.temperature, top_p=1.0, top_k=0
        )

    @property
    def has_critic(self) -> bool:
        """Whether a value model is trained beside the policy."""
        return self.estimator == "gae"
