"""Products of activations with a matrix, each number made in the same way in any company.

Activations and weights are both stored in the weights' type, sums are fp32. bf16 is multiplied in
pairs where the processor can, else it is widened on the way. N tokens in whole blocks of 4, D
numbers of a token, E outputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from llamakit.engine.native import helper
from llamakit.engine.vectors import by_pairs, fetch
from llamakit.model.arithmetic import LOOSE, number
from llamakit.model.pairs_kernel import AHEAD, one_by_pairs, product_by_pairs

FASTMATH = LOOSE

BLOCK = 4
"""Tokens that share a pass over a matrix."""


@helper
def product(
    x_ND: Any, w_ED: Any, first: Any, last: Any, out_NE: Any, at: Any, tokens: Any, add: Any,
    shift: Any,
) -> Any:  # fmt: skip
    """Outputs first to last of a matrix for all tokens: out[n, at + e] (+)= x[n] · w[e].

    `tokens` is 1, or memory has room for whole blocks of them.
    """
    if by_pairs(w_ED):
        if tokens == 1:
            one_by_pairs(x_ND, 0, 0, w_ED, first, last, x_ND.shape[1], AHEAD, out_NE, 0, at, add)
        else:
            product_by_pairs(x_ND, w_ED, first, last, out_NE, at, tokens, add)
    else:
        _by_loops(x_ND, w_ED, first, last, out_NE, at, tokens, add, shift)


@helper
def _by_loops(
    x_ND: Any, w_ED: Any, first: Any, last: Any, out_NE: Any, at: Any, tokens: Any, add: Any,
    shift: Any,
) -> Any:  # fmt: skip
    """The compiler makes vectors of sixteen sums that run side by side."""
    width = x_ND.shape[1]
    keep = np.float32(1 if add else 0)
    whole = first + (last - first) // 4 * 4
    for e in range(first, whole, 4):
        o = at + e
        for d in range(AHEAD, AHEAD + 4 * width, 16):
            fetch(w_ED, e, d)
        for n in range(0, tokens, 4):
            a00 = a01 = a02 = a03 = np.float32(0)
            a10 = a11 = a12 = a13 = np.float32(0)
            a20 = a21 = a22 = a23 = np.float32(0)
            a30 = a31 = a32 = a33 = np.float32(0)
            for d in range(width):
                w0 = number(w_ED[e, d], shift)
                w1 = number(w_ED[e + 1, d], shift)
                w2 = number(w_ED[e + 2, d], shift)
                w3 = number(w_ED[e + 3, d], shift)
                x0 = number(x_ND[n, d], shift)
                x1 = number(x_ND[n + 1, d], shift)
                x2 = number(x_ND[n + 2, d], shift)
                x3 = number(x_ND[n + 3, d], shift)
                a00 += x0 * w0
                a01 += x0 * w1
                a02 += x0 * w2
                a03 += x0 * w3
                a10 += x1 * w0
                a11 += x1 * w1
                a12 += x1 * w2
                a13 += x1 * w3
                a20 += x2 * w0
                a21 += x2 * w1
                a22 += x2 * w2
                a23 += x2 * w3
                a30 += x3 * w0
                a31 += x3 * w1
                a32 += x3 * w2
                a33 += x3 * w3
            _put(out_NE, n, o, keep, a00, a01, a02, a03)
            _put(out_NE, n + 1, o, keep, a10, a11, a12, a13)
            _put(out_NE, n + 2, o, keep, a20, a21, a22, a23)
            _put(out_NE, n + 3, o, keep, a30, a31, a32, a33)
    for e in range(whole, last):
        for n in range(tokens):
            a = np.float32(0)
            for d in range(width):
                a += number(x_ND[n, d], shift) * number(w_ED[e, d], shift)
            out_NE[n, at + e] = a + (out_NE[n, at + e] if add else np.float32(0))


@helper
def _put(out_NE: Any, n: Any, o: Any, keep: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    if keep > 0:
        out_NE[n, o] += a
        out_NE[n, o + 1] += b
        out_NE[n, o + 2] += c
        out_NE[n, o + 3] += d
    else:
        out_NE[n, o] = a
        out_NE[n, o + 1] = b
        out_NE[n, o + 2] = c
        out_NE[n, o + 3] = d
