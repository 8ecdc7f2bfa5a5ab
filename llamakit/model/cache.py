"""Keys and values of the positions a model has already read, in buffers allocated once.

Shape suffixes as in `transformer`: B rows, G key-value heads, T positions, K head width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from llamakit.model.config import ModelConfig


class KVCache:
    """Room for `capacity` positions of `rows` rows; `length` of them are filled.

    Sized by key-value heads, so grouped queries make it smaller by n_heads / n_kv_heads.
    """

    def __init__(
        self,
        config: ModelConfig,
        rows: int,
        capacity: int,
        *,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
        starts_B: Tensor | None = None,
    ) -> None:
        """Allocate. `starts_B` is the index of each row's first real token where rows are padded
        on the left (int64).
        """
        shape = (rows, config.n_kv_heads, capacity, config.head_dim)
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(config.n_layers)]
        self.values = [torch.zeros_like(keys) for keys in self.keys]
        self.capacity = capacity
        self.length = 0
        self.starts_B = starts_B

    @classmethod
    def for_model(
        cls,
        model: torch.nn.Module,
        config: ModelConfig,
        rows: int,
        capacity: int,
        starts_B: Tensor | None = None,
    ) -> KVCache:
        """A cache in the dtype and on the device of a model's weights."""
        weight = next(model.parameters())
        return cls(
            config, rows, capacity, dtype=weight.dtype, device=weight.device, starts_B=starts_B
        )

    def write(self, layer: int, k_BGLK: Tensor, v_BGLK: Tensor) -> tuple[Tensor, Tensor]:
        """Store one layer's new keys and values behind the filled ones.

        Returns:
            Views [B, G, T, K] of all of that layer's, the new ones included.

        Raises:
            ValueError: no room is left.
        """
        end = self.length + k_BGLK.shape[2]
        if end > self.capacity:
            raise ValueError(f"{end} positions in a cache with room for {self.capacity}")
        self.keys[layer][:, :, self.length : end] = k_BGLK
        self.values[layer][:, :, self.length : end] = v_BGLK
        return self.keys[layer][:, :, :end], self.values[layer][:, :, :end]

    def advance(self, positions: int) -> None:
        """Count positions as filled, once all layers have written them."""
        self.length += positions

    def truncate(self, length: int) -> None:
        """Forget all but the first `length` positions."""
        self.length = min(self.length, length)

    def select(self, rows_B: Tensor, capacity: int | None = None) -> KVCache:
        """A new cache of the given rows, which may repeat: samples that share a prompt, answers
        that share a question, or what is left of a batch.
        """
        taken = KVCache.__new__(KVCache)
        taken.capacity = capacity or self.capacity
        taken.length = self.length
        taken.starts_B = None if self.starts_B is None else self.starts_B[rows_B]
        taken.keys = [self._taken(keys, rows_B, taken.capacity) for keys in self.keys]
        taken.values = [self._taken(values, rows_B, taken.capacity) for values in self.values]
        return taken

    def _taken(self, buffer_BGTK: Tensor, rows_B: Tensor, capacity: int) -> Tensor:
        _, heads, _, width = buffer_BGTK.shape
        taken = buffer_BGTK.new_zeros((len(rows_B), heads, capacity, width))
        taken[:, :, : self.length] = buffer_BGTK[rows_B, :, : self.length]
        return taken
