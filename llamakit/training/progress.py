"""Where a run stands, and how fast it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Progress:
    """Where a run stands: everything about it that is no tensor. Saved with each checkpoint."""

    step: int = 0
    """Steps done; the next one has this number, counted from 0."""
    updates: int = 0
    """Of these, steps that changed the weights."""
    tokens: int = 0
    """Real tokens trained on since the beginning."""
    sums: dict[str, float] = field(default_factory=dict)
    """Sums since the last row of the log: of the updates' means, and their number as `updates`."""
    last: dict[str, float] = field(default_factory=dict)
    """The newest value of every figure in the log."""
    losses: list[float] = field(default_factory=list)
    """Losses of the last updates, by which a spike is known."""
    anomalies: list[dict[str, Any]] = field(default_factory=list)
    """What went wrong, in order: the rows of `anomalies.jsonl` but for the ids of texts."""
    passed_over: list[list[int]] = field(default_factory=list)
    """Ranges (begin, end) of steps whose batches are not trained on."""

    def passes_over(self, step: int) -> bool:
        """Whether the batch of `step` is not to be trained on."""
        return any(begin <= step < end for begin, end in self.passed_over)

    def add(self, tokens: int, figures: Mapping[str, float]) -> None:
        """Count an update: its tokens and the means over its batch."""
        self.updates += 1
        self.tokens += tokens
        for name, value in {**figures, "updates": 1.0}.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def row(self, lr: float, evaluation: Mapping[str, float]) -> dict[str, float | int]:
        """The next row of the log: means over the updates since the last one, which it ends."""
        updates = self.sums.pop("updates", 0.0)
        means = {name: value / updates for name, value in self.sums.items()}
        self.sums = {}
        figures = {"loss": means.pop("loss"), "lr": lr, **means} if updates else {"lr": lr}
        figures |= {name: float(value) for name, value in evaluation.items()}
        self.last |= figures
        return {"step": self.step, **figures, "tokens": self.tokens}


@dataclass
class Pace:
    """Work since the last row of the log."""

    tokens: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    """Of these seconds, those in which the next batch was not there yet."""

    def add(self, tokens: int, seconds: float, waited: float) -> None:
        """Count a step."""
        self.tokens += tokens
        self.seconds += seconds
        self.waited += waited

    def figures(
        self, utilisation: Callable[[float], float] | None, devices: int
    ) -> dict[str, float]:
        """Tokens a second, the share of the devices' peak that this is (where it is known), and the
        share of the time that went into waiting for batches. Nothing before there was work.
        """
        if not self.seconds:
            return {}
        rate = self.tokens / self.seconds
        used = {} if utilisation is None else {"mfu": round(utilisation(rate / devices), 4)}
        return {
            "tokens_per_s": round(rate, 1),
            **used,
            "wait_share": round(self.waited / self.seconds, 5),
        }
