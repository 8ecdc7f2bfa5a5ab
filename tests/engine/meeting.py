"""Kernels that use what `intrinsics` and other modules lend them."""

from __future__ import annotations

from typing import Any

import numpy as np

from llamakit.engine.intrinsics import array_at, meet
from llamakit.engine.native import helper, kernel
from llamakit.model.arithmetic import LOOSE, number

FASTMATH = LOOSE


@helper
def _row_sum(row: Any) -> Any:
    total = np.int64(0)
    for value in row:
        total += np.int64(value)
    return total


@kernel("i64[] i64[] i64 i64 i64")
def waves(board: Any, arrivals: Any, rounds: Any, thread: Any, threads: Any) -> Any:
    """Each thread writes what it finds all others to have written in the round before."""
    for _ in range(rounds):
        found = np.int64(0)
        for other in range(threads):
            found += board[other]
        meet(arrivals, thread, threads)
        board[thread] = found % 1_000_003 + thread
        meet(arrivals, thread, threads)


def _sum_at(address: Any, rows: Any, columns: Any, like: Any, out: Any) -> Any:
    table = array_at(address, rows, columns, like)
    for row in range(rows):
        out[row] = _row_sum(table[row])


sum_bytes = kernel("i64 i64 i64 u8[] i64[]", "sum_bytes")(_sum_at)
sum_numbers = kernel("i64 i64 i64 i64[] i64[]", "sum_numbers")(_sum_at)


@kernel("u16[] f32[]")
def widen(words: Any, out: Any) -> Any:
    """By another module's helper."""
    for index in range(len(words)):
        out[index] = number(words[index], 16)
