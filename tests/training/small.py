"""A regression small enough to watch the loop with: four targets a row, some masked."""

from __future__ import annotations

import signal
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from llamakit.events import Events
from llamakit.training.accumulation import Loss, Objective
from llamakit.training.micro_batch import MicroBatch

WIDTH = 8
MICRO_BATCHES = 3


@dataclass(frozen=True)
class Rows(MicroBatch):
    x_BD: Tensor
    y_BT: Tensor
    mask_BT: Tensor


class Net(nn.Module):
    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.inner = nn.Linear(WIDTH, 16, bias=False)
        self.gain = nn.Parameter(torch.ones(16))
        self.outer = nn.Linear(16, 4)
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.3, generator=generator)
        nn.init.zeros_(self.outer.bias)

    def forward(self, x_BD: Tensor) -> Tensor:
        hidden = torch.tanh(self.inner(x_BD.to(self.gain.dtype))) * self.gain
        return self.outer(hidden)


def squared_error(model: nn.Module, rows: Rows) -> Loss:
    errors_BT = (model(rows.x_BD).float() - rows.y_BT).square() * rows.mask_BT
    hits = (errors_BT.detach() < 0.25).float() * rows.mask_BT
    return Loss(errors_BT.sum(), rows.mask_BT.sum(), {"close": hits.sum()})


def stopping(events: Events, micro_batch: int) -> Objective[Rows]:
    """Asks for a stop during that micro-batch of the run, as a signal handler would."""
    left = iter(range(micro_batch + 1))

    def objective(model: nn.Module, rows: Rows) -> Loss:
        if next(left, None) == micro_batch:
            events.stop(signal.SIGTERM)
        return squared_error(model, rows)

    return objective


@dataclass(frozen=True)
class RandomRows:
    """`rows` a step in `MICRO_BATCHES` of at most `micro_rows`, from the step alone."""

    rows: int = 8
    micro_rows: int = 3

    def batch(self, step: int) -> list[Rows]:
        generator = torch.Generator().manual_seed(1000 + step)
        x_BD = torch.randn(self.rows, WIDTH, generator=generator)
        y_BT = torch.stack([x_BD.sum(1), x_BD[:, 0], x_BD[:, 1] * 2, x_BD.abs().sum(1)], 1)
        # Rows have very different numbers of targets, as dialogues do.
        share_B1 = x_BD.abs().clamp(0.1, 1)[:, :1]
        mask_BT = (torch.rand(self.rows, 4, generator=generator) < share_B1).float()
        return [
            Rows(
                x_BD[i : i + self.micro_rows],
                y_BT[i : i + self.micro_rows],
                mask_BT[i : i + self.micro_rows],
                tokens=len(x_BD[i : i + self.micro_rows]),
            )
            for i in range(0, self.rows, self.micro_rows)
        ]

    def ids(self, step: int) -> list[str]:
        return [f"{step}-{row}" for row in range(self.rows)]
