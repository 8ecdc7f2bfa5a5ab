"""A micro-batch: tensors that go to a device together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class MicroBatch:
    """What one forward pass reads. Each objective has its kind, a dataclass with tensors."""

    tokens: int
    """Real tokens read, without padding: the unit of throughput."""

    def to(self, device: str) -> Self:
        """The same on `device`; what lies there already is not copied."""
        if all(str(tensor.device) == device for tensor in self._tensors().values()):
            return self
        # From pinned memory a GPU copies while it still computes.
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=device != "cpu"))

    def pinned(self) -> Self:
        """The same in memory from which a GPU copies by itself."""
        return self._mapped(Tensor.pin_memory)

    def _tensors(self) -> dict[str, Tensor]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> Self:
        changed: dict[str, Any] = {name: change(t) for name, t in self._tensors().items()}
        return replace(self, **changed)
