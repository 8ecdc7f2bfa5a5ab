"""AdamW over fp32 master weights, whatever precision the model computes in.

In fp32 the model's own parameters are the masters. In bf16 the model holds rounded copies: after
each backward pass its bf16 gradients are added to the masters' fp32 gradients, and after each step
the masters are rounded into the model again. Updates too small for bf16 are thus not lost, and
gradients of many micro-batches are summed in fp32.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from llamakit.errors import LlamakitError
from llamakit.training.parallel import ONE_PROCESS, Parallel
from llamakit.training.plan import Precision

_MOMENTS = ("exp_avg", "exp_avg_sq")


def decay_groups(
    parameters: Iterable[tuple[str, Tensor]], weight_decay: float
) -> list[dict[str, object]]:
    """AdamW's parameter groups: matrices and embeddings decay, gains and biases do not."""
    named = list(parameters)
    return [
        {"params": [p for _, p in named if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for _, p in named if p.ndim < 2], "weight_decay": 0.0},
    ]


class NotFiniteError(LlamakitError):
    """A loss or a gradient became NaN or infinite; the weights have not been touched."""


class Optimizer:
    """One model's optimizer: gather gradients of micro-batches, then step.

        for batch in micro_batches:
            loss_sum.backward()
            optimizer.gather()
        norm = optimizer.step(lr, scale=1 / count)

    The model is put into `dtype`; only parameters that require a gradient are trained.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        dtype: Precision,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        clip: float,
        parallel: Parallel = ONE_PROCESS,
    ) -> None:
        self._clip = clip
        self._parallel = parallel
        model.to(torch.float32)
        trained: dict[str, Tensor] = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.masters = trained
        self._sources = list(trained.values())
        self._copies: list[Tensor] = []
        if parallel.shards:
            # The shards are fp32; what the model computes with is gathered from them when needed.
            self.masters = {name: parallel.local(p.detach()) for name, p in trained.items()}
        elif dtype == "bf16":
            self.masters = {name: p.detach().clone() for name, p in trained.items()}
            model.to(torch.bfloat16)
            self._copies = self._sources
        self._gathered: dict[str, Tensor] = {}
        groups = decay_groups(self.masters.items(), weight_decay)
        self._adamw = torch.optim.AdamW(groups, lr=0.0, betas=betas, eps=eps, fused=True)

    def gather(self) -> None:
        """Take over the gradients of the backward pass just done; call after each one."""
        for (name, master), source in zip(self.masters.items(), self._sources, strict=True):
            if master is source or source.grad is None:
                continue
            gradient = self._parallel.local(source.grad)
            if master.grad is None:
                # The same memory in every step: fresh pages take longer than the copy.
                if name not in self._gathered:
                    self._gathered[name] = torch.empty_like(master)
                master.grad = self._gathered[name].copy_(gradient)
            else:
                master.grad.add_(gradient)
            source.grad = None

    def step(self, lr: float, scale: float = 1.0) -> float:
        """Update the weights with the gathered gradients and forget them.

        Args:
            lr: this step's learning rate.
            scale: what the gradients are multiplied with first: 1 / targets of the whole batch, so
                that micro-batches of different sizes weigh as their targets do.

        Returns:
            The global norm of the scaled gradients, before clipping.

        Raises:
            NotFiniteError: the norm is NaN or infinite; weights and moments are as they were.
        """
        named = {name: p.grad for name, p in self.masters.items() if p.grad is not None}
        self._parallel.reduce(named)
        norm = self._parallel.norm(named) * abs(scale)
        if not math.isfinite(norm):
            self.forget()
            raise NotFiniteError(f"the gradient norm is {norm}")
        # As torch.nn.utils.clip_grad_norm_: the small number keeps the division safe.
        factor = scale * (min(1.0, self._clip / (norm + 1e-6)) if self._clip else 1.0)
        # The fused kernel divides by it while it has the gradients at hand: one pass less.
        self._adamw.grad_scale = torch.tensor(1 / factor if factor else math.inf)  # type: ignore[attr-defined]
        for group in self._adamw.param_groups:
            group["lr"] = lr
        self._adamw.step()
        self.forget()
        self._round()
        return norm

    def forget(self) -> None:
        """Drop gathered gradients."""
        for tensor in [*self.masters.values(), *self._sources]:
            tensor.grad = None

    def tensors(self) -> dict[str, Tensor]:
        """All state for a checkpoint: `master.NAME`, `exp_avg.NAME`, `exp_avg_sq.NAME` in fp32; of
        a model that is divided, the parts that lie here.
        """
        state = {f"master.{name}": p.detach() for name, p in self.masters.items()}
        for name, master in self.masters.items():
            for moment in _MOMENTS:
                value = self._adamw.state[master].get(moment)
                state[f"{moment}.{name}"] = torch.zeros_like(master) if value is None else value
        return state

    def load(self, tensors: Mapping[str, Tensor], steps: int) -> None:
        """Take the whole tensors of a run that had made `steps` steps, or this process's part of
        them; the model's weights follow.
        """
        with torch.no_grad():
            for name, master in self.masters.items():
                master.copy_(tensors[f"master.{name}"])
                state: dict[str, Tensor] = {
                    moment: tensors[f"{moment}.{name}"].to(master.device, copy=True)
                    for moment in _MOMENTS
                }
                state["step"] = torch.tensor(float(steps), device=master.device)
                self._adamw.state[master] = state
        self._round()

    @torch.no_grad()
    def _round(self) -> None:
        if self._copies:
            torch._foreach_copy_(self._copies, list(self.masters.values()))
