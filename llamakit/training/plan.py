"""What a training run is to do: steps, optimizer settings, precision and cadences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from llamakit.errors import UsageError

Precision = Literal["fp32", "bf16"]
ParallelKind = Literal["ddp", "fsdp"]
ScheduleName = Literal["cosine", "constant"]
AnomalyPolicy = Literal["stop", "skip", "rollback"]


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Settings of one run of `loop.fit`. Defaults are the paper's for pretraining (§2.2)."""

    steps: int
    """Optimizer steps in all."""
    lr: float
    """Peak learning rate."""
    schedule: ScheduleName = "cosine"
    min_lr_ratio: float = 0.1
    """Where the cosine ends, as a share of the peak."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises linearly to its peak."""
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-5
    weight_decay: float = 0.1
    """Decoupled weight decay of weights with two or more dimensions; gains have none."""
    clip: float = 1.0
    """Largest global gradient norm; 0 turns clipping off."""
    dtype: Precision = "fp32"
    """What the model computes in. bf16 keeps fp32 master weights and fp32 optimizer moments."""
    on_anomaly: AnomalyPolicy = "stop"
    """What follows a loss or gradient that is not finite, or a spike: see `anomalies.py`."""
    spike: float = 0.0
    """A loss is a spike when it lies above the median of the last updates' losses by more than so
    many robust deviations; 0: no loss is."""
    spike_window: int = 128
    """So many updates; before there are as many, no loss is a spike."""
    anomaly_limit: int = 5
    """Anomalies in 200 steps that are borne; one more ends the run."""
    rollback_every: int = 100
    """A rollback goes to a step that this divides."""

    device: str = "cpu"
    compile: bool = False
    """Compile the model's blocks with torch.compile; sums are then rounded elsewhere."""
    recompute: Literal["none", "blocks"] = "none"
    """Which activations are computed again in the backward pass instead of being kept."""
    checkpoint_every: int = 250
    """Steps between checkpoints; 0 saves only when the run is stopped."""
    keep_every: int = 0
    """Checkpoints of steps that this divides are kept too; 0: none."""
    log_every: int = 10
    """Steps between rows of the metrics log; the last step always has one."""
    eval_every: int = 0
    """Steps between evaluations; 0 evaluates after the last step only."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UsageError(f"steps = {self.steps}: at least one step is needed")
        if not 0 <= self.warmup_steps <= self.steps:
            raise UsageError(
                f"warm-up of {self.warmup_steps} steps in a run of {self.steps}",
                fix="Lower the warm-up or train longer.",
            )
        if self.log_every < 1:
            raise UsageError(f"log_every = {self.log_every}: at least 1 is needed")

    def shaping(self) -> dict[str, Any]:
        """The settings that decide the result; a checkpoint continues only the same ones."""
        return {
            "steps": self.steps,
            "lr": self.lr,
            "schedule": self.schedule,
            "min_lr_ratio": self.min_lr_ratio,
            "warmup_steps": self.warmup_steps,
            "betas": list(self.betas),
            "eps": self.eps,
            "weight_decay": self.weight_decay,
            "clip": self.clip,
            "dtype": self.dtype,
            "compile": self.compile,
            "on_anomaly": self.on_anomaly,
            "spike": self.spike,
            "spike_window": self.spike_window,
            "anomaly_limit": self.anomaly_limit,
            "rollback_every": self.rollback_every,
        }
