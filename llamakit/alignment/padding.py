"""Rows of ids as one tensor, padded on the right; what is real is told by lengths, never by ids.

Llama 2 dialogues hold the end-of-sequence id inside prompts and the unknown id doubles as padding,
so a mask made from `ids != pad` would be wrong on real text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llamakit.training.share import Share

Row = Sequence[int] | NDArray[np.int32]


def pad_right(
    rows: Sequence[Row], pad: int, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Rows as (ids_BL int64, lengths_B int64)."""
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    ids = np.full((len(rows), int(lengths.max(initial=1))), pad, dtype=np.int64)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
    return torch.from_numpy(ids).to(device), torch.from_numpy(lengths).to(device)


def by_length(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Groups of row indices, longest first, each group at most `tokens` after padding.

    Rows of like length share a group, which keeps padding low; a row longer than `tokens` is a
    group of its own.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    start = 0
    while start < len(order):
        rows = max(1, tokens // max(1, lengths[order[start]]))
        yield order[start : start + rows]
        start += rows


def shared_groups(
    lengths: Sequence[int], tokens: int, share: Share
) -> list[tuple[list[int], bool]]:
    """One process's share of rows, long and short ones alike, in groups as of `by_length`.

    Every process gets as many groups, since sharded models talk to each other in every pass: what
    is wanting is the first row once more, told not to count.

    Returns:
        indices of rows, and whether they count.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))

    def groups(rank: int) -> list[list[int]]:
        rows = order[rank :: share.world]
        return [
            [rows[index] for index in group]
            for group in by_length([lengths[row] for row in rows], tokens)
        ]

    of_all = [groups(rank) for rank in range(share.world)]
    mine, most = of_all[share.rank], max(map(len, of_all))
    return [(group, True) for group in mine] + [([0], False)] * (most - len(mine))
