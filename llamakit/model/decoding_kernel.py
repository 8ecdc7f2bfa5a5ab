"""The transformer as one compiled function, for reading and writing tokens on processors.

It takes any tokens of any rows together, each with its place in its own row: nothing is padded.
Each number of a token is made by the same instructions in the same order whatever else is computed
beside it and by however many threads, so a row's logits do not depend on its company, to the bit.
Weights stay where the model keeps them, in fp32 or bf16; sums are fp32.

Shape suffixes as in `transformer`; N tokens, padded to whole blocks of 4, E outputs of a matrix,
P pairs that are rotated.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from llamakit.engine.intrinsics import array_at, meet
from llamakit.engine.native import helper, kernel
from llamakit.model.arithmetic import LOOSE, exp, number, word
from llamakit.model.attention_kernel import attend
from llamakit.model.product_kernel import product

FASTMATH = LOOSE

_COLUMNS = 16
"""Outputs of a matrix that are not divided among threads."""

# Rows of the table of addresses: first the model's own, then a layer's.
EMBEDDING, FINAL_NORM, HEAD = range(3)
INPUT_NORM, QUERY, KEY, VALUE, OUTPUT, FEED_NORM, GATE, UP, DOWN = range(9)


@helper
def _from(count: Any, thread: Any, threads: Any) -> Any:
    """Where a thread's share of so many columns begins; it ends where the next one's begins."""
    groups = (count + _COLUMNS - 1) // _COLUMNS
    return min(count, _COLUMNS * (groups * thread // threads))


@helper
def _normed(x_ND: Any, weight_1D: Any, eps: Any, n: Any, out_ND: Any, to: Any, shift: Any) -> Any:
    """RMSNorm of token n, into row `to`."""
    width = x_ND.shape[1]
    squares = np.float32(0)
    for d in range(width):
        squares += x_ND[n, d] * x_ND[n, d]
    scale = np.float32(1) / np.float32(math.sqrt(squares / np.float32(width) + eps))
    for d in range(width):
        out_ND[to, d] = word(number(weight_1D[0, d], shift) * (x_ND[n, d] * scale), shift)


@helper
def _rotate(x_NE: Any, n: Any, at: Any, cos_P: Any, sin_P: Any) -> Any:
    """Turn the pairs (i, i + K/2) of one head by its position's angles."""
    pairs = len(cos_P)
    for i in range(pairs):
        first, second = x_NE[n, at + i], x_NE[n, at + pairs + i]
        x_NE[n, at + i] = first * cos_P[i] - second * sin_P[i]
        x_NE[n, at + pairs + i] = second * cos_P[i] + first * sin_P[i]


@helper
def _swiglu(
    gate_NF: Any, up_NF: Any, out_NF: Any, tokens: Any, first: Any, last: Any, shift: Any
) -> Any:
    """silu(gate) · up."""
    for n in range(tokens):
        for f in range(first, last):
            gate = gate_NF[n, f]
            small = exp(-abs(gate))
            share = (np.float32(1) if gate >= 0 else small) / (np.float32(1) + small)
            out_NF[n, f] = word(gate * share * up_NF[n, f], shift)


@helper
def _norm_all(
    x_ND: Any, address: Any, like: Any, eps: Any, tokens: Any, out_ND: Any, shift: Any,
    thread: Any, threads: Any,
) -> Any:  # fmt: skip
    """RMSNorm of a thread's tokens."""
    weight_1D = array_at(address, 1, x_ND.shape[1], like)
    for n in range(thread, tokens, threads):
        _normed(x_ND, weight_1D, eps, n, out_ND, n, shift)


@helper
def _columns(
    x_ND: Any, address: Any, like: Any, count: Any, out_NE: Any, tokens: Any, add: Any, shift: Any,
    thread: Any, threads: Any,
) -> Any:  # fmt: skip
    """A thread's share of a matrix's outputs."""
    w_ED = array_at(address, count, x_ND.shape[1], like)
    first, last = _from(count, thread, threads), _from(count, thread + 1, threads)
    product(x_ND, w_ED, first, last, out_NE, 0, tokens, add, shift)


@helper
def _head(
    x_ND: Any, address: Any, like: Any, heads: Any, head: Any, out_NE: Any, at: Any, tokens: Any,
    width: Any, shift: Any,
) -> Any:  # fmt: skip
    """One head's queries, keys or values."""
    w_ED = array_at(address, heads * width, x_ND.shape[1], like)
    first, last = head * width, (head + 1) * width
    product(x_ND, w_ED, first, last, out_NE, at - first, tokens, False, shift)


@helper
def _keep(heads_NE: Any, n: Any, at: Any, store_TK: Any, place: Any, width: Any, shift: Any) -> Any:
    """One head's key or value into the cache, where rows are of one position or of two."""
    together = store_TK.shape[1] // width
    row, first = place // together, place % together
    for k in range(width):
        store_TK[row, k * together + first] = word(heads_NE[n, at + k], shift)


@helper
def _project(
    normed_ND: Any, addresses_A: Any, slots_N: Any, places_N: Any, keys_RGTK: Any,
    values_RGTK: Any, cos_TP: Any, sin_TP: Any, heads_NE: Any, tokens: Any,
    queries: Any, shift: Any, thread: Any, threads: Any,
) -> Any:  # fmt: skip
    """A thread's heads: rotated queries into `heads_NE`, rotated keys and values to the cache."""
    _, groups, _, width = keys_RGTK.shape
    like = keys_RGTK[0, 0]
    units = queries + 2 * groups
    for unit in range(units * thread // threads, units * (thread + 1) // threads):
        at = unit * width
        if unit < queries:
            _head(
                normed_ND, addresses_A[QUERY], like, queries, unit, heads_NE, at, tokens, width,
                shift,
            )  # fmt: skip
            for n in range(tokens):
                _rotate(heads_NE, n, at, cos_TP[places_N[n]], sin_TP[places_N[n]])
        elif unit < queries + groups:
            group = unit - queries
            _head(
                normed_ND, addresses_A[KEY], like, groups, group, heads_NE, at, tokens, width, shift
            )
            for n in range(tokens):
                _rotate(heads_NE, n, at, cos_TP[places_N[n]], sin_TP[places_N[n]])
                _keep(heads_NE, n, at, keys_RGTK[slots_N[n], group], places_N[n], width, shift)
        else:
            group = unit - queries - groups
            _head(
                normed_ND, addresses_A[VALUE], like, groups, group, heads_NE, at, tokens, width,
                shift,
            )  # fmt: skip
            for n in range(tokens):
                _keep(heads_NE, n, at, values_RGTK[slots_N[n], group], places_N[n], width, shift)


@helper
def _look_back(
    heads_NE: Any, slots_N: Any, places_N: Any, keys_RGTK: Any, values_RGTK: Any, mixed_NE: Any,
    scores_XT: Any, shares_XT: Any, tokens: Any, queries: Any, shift: Any, thread: Any,
    threads: Any,
) -> Any:  # fmt: skip
    """A thread's share of the attention: one head of one token at a time."""
    _, groups, _, width = keys_RGTK.shape
    for unit in range(thread, tokens * queries, threads):
        n, head = unit // queries, unit % queries
        group = head * groups // queries
        attend(
            heads_NE, mixed_NE, n, head * width, keys_RGTK[slots_N[n], group],
            values_RGTK[slots_N[n], group], places_N[n] + 1, scores_XT, shares_XT, thread, shift,
        )  # fmt: skip


def _advance(
    ends: Any, layers_LA: Any, sizes: Any, batch: Any,
    ids_N: Any, slots_N: Any, places_N: Any, wanted_N: Any,
    keys_LRGTK: Any, values_LRGTK: Any, cos_TP: Any, sin_TP: Any,
    x_ND: Any, heads_NE: Any, gate_NF: Any, up_NF: Any,
    normed_ND: Any, mixed_NE: Any, gated_NF: Any, shares_XT: Any, scores_XT: Any,
    logits_NV: Any, eps_1: Any, arrivals: Any,
    shift: Any, thread: Any, threads: Any,
) -> Any:  # fmt: skip
    """One thread's part of reading `batch[0]` tokens, and of the logits after `batch[1]` of them.

    Token n is `ids_N[n]`, at place `places_N[n]` of the cache's row `slots_N[n]`; logits are wanted
    after tokens `wanted_N`. Tokens of one row come in their order. `ends` and `layers_LA` are
    tables of addresses, `sizes` is dim, ffn_dim, vocab_size, and what follows the rotation is work
    space, where X counts threads. All threads are called at once, and meet between the stages.
    """
    dim, ffn, vocabulary = sizes[0], sizes[1], sizes[2]
    queries = mixed_NE.shape[1] // keys_LRGTK.shape[4]
    tokens, outputs, eps = batch[0], batch[1], eps_1[0]
    like = keys_LRGTK[0, 0, 0]
    embedding_VD = array_at(ends[EMBEDDING], vocabulary, dim, like)
    for n in range(thread, tokens, threads):
        for d in range(dim):
            x_ND[n, d] = number(embedding_VD[ids_N[n], d], shift)
    for layer in range(len(layers_LA)):
        at = layers_LA[layer]
        keys_RGTK, values_RGTK = keys_LRGTK[layer], values_LRGTK[layer]
        _norm_all(x_ND, at[INPUT_NORM], like, eps, tokens, normed_ND, shift, thread, threads)
        meet(arrivals, thread, threads)
        _project(
            normed_ND, at, slots_N, places_N, keys_RGTK, values_RGTK, cos_TP, sin_TP, heads_NE,
            tokens, queries, shift, thread, threads,
        )  # fmt: skip
        meet(arrivals, thread, threads)
        _look_back(
            heads_NE, slots_N, places_N, keys_RGTK, values_RGTK, mixed_NE, scores_XT,
            shares_XT, tokens, queries, shift, thread, threads,
        )  # fmt: skip
        meet(arrivals, thread, threads)
        _columns(mixed_NE, at[OUTPUT], like, dim, x_ND, tokens, True, shift, thread, threads)
        meet(arrivals, thread, threads)
        _norm_all(x_ND, at[FEED_NORM], like, eps, tokens, normed_ND, shift, thread, threads)
        meet(arrivals, thread, threads)
        _columns(normed_ND, at[GATE], like, ffn, gate_NF, tokens, False, shift, thread, threads)
        _columns(normed_ND, at[UP], like, ffn, up_NF, tokens, False, shift, thread, threads)
        first, last = _from(ffn, thread, threads), _from(ffn, thread + 1, threads)
        _swiglu(gate_NF, up_NF, gated_NF, tokens, first, last, shift)
        meet(arrivals, thread, threads)
        _columns(gated_NF, at[DOWN], like, dim, x_ND, tokens, True, shift, thread, threads)
        meet(arrivals, thread, threads)
    if outputs == 0:
        return
    norm_1D = array_at(ends[FINAL_NORM], 1, dim, like)
    for n in range(thread, outputs, threads):
        _normed(x_ND, norm_1D, eps, wanted_N[n], normed_ND, n, shift)
    meet(arrivals, thread, threads)
    _columns(
        normed_ND, ends[HEAD], like, vocabulary, logits_NV, outputs, False, shift, thread, threads
    )


def _signature(words: str) -> str:
    """Types of `_advance`'s arguments."""
    tables = "i64[] i64[,] i64[] i64[] i64[] i64[] i64[] i64[]"
    work = f"f32[,] f32[,] f32[,] f32[,] {words}[,] {words}[,] {words}[,] {words}[,]"
    cache, rotation = f"{words}[,,,,] {words}[,,,,]", "f32[,] f32[,]"
    return f"{tables} {cache} {rotation} {work} f32[,] f32[,] f32[] i64[] i64 i64 i64"


advance_bf16 = kernel(_signature("u16"), "advance_bf16")(_advance)
advance_fp32 = kernel(_signature("u32"), "advance_fp32")(_advance)
"""`_advance` with weights, cache and activations of either type."""
