"""One query's attention over what its row's cache holds.

Keys stand position by position. Values do too, or, where bf16 is multiplied in pairs, two positions
at a time: [T/2, K, 2], since sums go over positions. T positions, K numbers of a head, X threads.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from llamakit.engine.native import helper
from llamakit.engine.vectors import by_pairs
from llamakit.model.arithmetic import LOOSE, exp, number, word
from llamakit.model.pairs_kernel import AHEAD, mix_by_pairs, one_by_pairs

FASTMATH = LOOSE


@helper
def attend(
    heads_NE: Any, mixed_NE: Any, n: Any, at: Any, keys_TK: Any, values_TK: Any, seen: Any,
    scores_XT: Any, shares_XT: Any, thread: Any, shift: Any,
) -> Any:  # fmt: skip
    """One query, `heads_NE[n, at:]`, over the first `seen` positions, into `mixed_NE[n, at:]`.

    The query's place in `heads_NE` is used too.
    """
    width = keys_TK.shape[1]
    if by_pairs(keys_TK):
        for k in range(at, at + width):
            mixed_NE[n, k] = word(heads_NE[n, k], shift)
        one_by_pairs(
            mixed_NE, n, at, keys_TK, 0, seen, width, AHEAD, scores_XT, thread, 0, False
        )  # fmt: skip
        total = _softmax(scores_XT, thread, seen, width)
        for t in range(seen):
            shares_XT[thread, t] = word(scores_XT[thread, t], shift)
        if seen % 2 == 1:
            shares_XT[thread, seen] = 0
        mix_by_pairs(shares_XT, thread, values_TK, seen, heads_NE, n, at, width)
    else:
        _score_by_loops(heads_NE[n, at : at + width], keys_TK, seen, scores_XT[thread], shift)
        total = _softmax(scores_XT, thread, seen, width)
        _mix_by_loops(scores_XT[thread], values_TK, seen, heads_NE[n, at : at + width], shift)
    for k in range(at, at + width):
        mixed_NE[n, k] = word(heads_NE[n, k] / total, shift)


@helper
def _score_by_loops(q_K: Any, keys_TK: Any, seen: Any, scores_T: Any, shift: Any) -> Any:
    whole = seen // 4 * 4
    for t in range(0, whole, 4):
        s0 = s1 = s2 = s3 = np.float32(0)
        for k in range(len(q_K)):
            q = q_K[k]
            s0 += q * number(keys_TK[t, k], shift)
            s1 += q * number(keys_TK[t + 1, k], shift)
            s2 += q * number(keys_TK[t + 2, k], shift)
            s3 += q * number(keys_TK[t + 3, k], shift)
        scores_T[t], scores_T[t + 1], scores_T[t + 2], scores_T[t + 3] = s0, s1, s2, s3
    for t in range(whole, seen):
        s0 = np.float32(0)
        for k in range(len(q_K)):
            s0 += q_K[k] * number(keys_TK[t, k], shift)
        scores_T[t] = s0


@helper
def _softmax(scores_XT: Any, thread: Any, seen: Any, width: Any) -> Any:
    """Shares of the largest one's weight, in place; their sum. Scores are of heads so wide."""
    scale = np.float32(1) / np.float32(math.sqrt(np.float32(width)))
    a = b = c = d = scores_XT[thread, 0]
    whole = seen // 4 * 4
    for t in range(0, whole, 4):
        a, b = max(a, scores_XT[thread, t]), max(b, scores_XT[thread, t + 1])
        c, d = max(c, scores_XT[thread, t + 2]), max(d, scores_XT[thread, t + 3])
    for t in range(whole, seen):
        a = max(a, scores_XT[thread, t])
    largest = max(a, b, c, d)
    total = np.float32(0)
    for t in range(seen):
        share = exp((scores_XT[thread, t] - largest) * scale)
        scores_XT[thread, t] = share
        total += share
    return total


@helper
def _mix_by_loops(shares_T: Any, values_TK: Any, seen: Any, out_K: Any, shift: Any) -> Any:
    width, whole = len(out_K), seen // 4 * 4
    for k in range(width):
        out_K[k] = np.float32(0)
    for t in range(0, whole, 4):
        p0, p1, p2, p3 = shares_T[t], shares_T[t + 1], shares_T[t + 2], shares_T[t + 3]
        for k in range(width):
            out_K[k] += (
                p0 * number(values_TK[t, k], shift)
                + p1 * number(values_TK[t + 1, k], shift)
                + p2 * number(values_TK[t + 2, k], shift)
                + p3 * number(values_TK[t + 3, k], shift)
            )
    for t in range(whole, seen):
        for k in range(width):
            out_K[k] += shares_T[t] * number(values_TK[t, k], shift)
