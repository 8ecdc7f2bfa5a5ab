"""Choosing tokens as one compiled function: no copy of the logits, no sort of the vocabulary.

It follows `sampling.choose`, number by number; of equal logits the lower token goes first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from llamakit.engine.native import helper, kernel
from llamakit.model.arithmetic import LOOSE, exp

FASTMATH = LOOSE

_SPAN = 256
"""Tokens whose shares are summed before the one that is drawn is looked for among them."""
_FIRST_CANDIDATES = 64
_SMALLEST = np.float32(-87.0)


@helper
def _share(logit: Any, largest: Any, colder: Any) -> Any:
    """A token's share of the likeliest one's probability; 0 below 1e-37."""
    x = (logit - largest) * colder
    return exp(x) if x > _SMALLEST else np.float32(0)


@helper
def _largest(row_V: Any) -> Any:
    """Eight at a time: comparing one after the other is slow."""
    size = len(row_V)
    a = b = c = d = e = f = g = h = row_V[0]
    for v in range(0, size // 8 * 8, 8):
        a, b, c, d = (
            max(a, row_V[v]), max(b, row_V[v + 1]), max(c, row_V[v + 2]), max(d, row_V[v + 3])
        )  # fmt: skip
        e, f, g, h = (
            max(e, row_V[v + 4]), max(f, row_V[v + 5]), max(g, row_V[v + 6]), max(h, row_V[v + 7])
        )  # fmt: skip
    for v in range(size // 8 * 8, size):
        a = max(a, row_V[v])
    return max(a, b, c, d, e, f, g, h)


@helper
def _place_of(row_V: Any, value: Any) -> Any:
    for v in range(len(row_V)):
        if row_V[v] == value:
            return v
    return 0


@helper
def _penalise(row_V: Any, seen_V: Any, penalty: Any, out_V: Any) -> Any:
    for v in range(len(row_V)):
        logit = row_V[v]
        changed = logit / penalty if logit > 0 else logit * penalty
        out_V[v] = changed if seen_V[v] else logit


@helper
def _from_all(row_V: Any, largest: Any, colder: Any, uniform: Any, spans: Any) -> Any:
    """A token drawn from the whole distribution; `colder` is 1 / temperature."""
    size = len(row_V)
    count = (size + _SPAN - 1) // _SPAN
    total = np.float32(0)
    for span in range(count):
        mass = np.float32(0)
        for v in range(span * _SPAN, min(size, (span + 1) * _SPAN)):
            mass += _share(row_V[v], largest, colder)
        spans[span] = mass
        total += mass
    point, before = uniform * total, np.float32(0)
    for span in range(count):
        if before + spans[span] <= point:
            before += spans[span]
            continue
        for v in range(span * _SPAN, min(size, (span + 1) * _SPAN)):
            before += _share(row_V[v], largest, colder)
            if before > point:
                return v
        break
    # Sums in two orders differ by their rounding: the point lies at the end of its span.
    return _last_before(row_V, largest, colder, min(size, (span + 1) * _SPAN))


@helper
def _last_before(row_V: Any, largest: Any, colder: Any, end: Any) -> Any:
    for v in range(end - 1, -1, -1):
        if _share(row_V[v], largest, colder) > 0:
            return v
    return _place_of(row_V, largest)


@helper
def _worse(row_V: Any, one: Any, other: Any) -> Any:
    return row_V[one] < row_V[other] or (row_V[one] == row_V[other] and one > other)


@helper
def _sink(row_V: Any, heap: Any, place: Any, size: Any) -> Any:
    """Put heap[place] where no worse token is below it: the worst of all is heap[0]."""
    token = heap[place]
    child = 2 * place + 1
    while child < size:
        if child + 1 < size and _worse(row_V, heap[child + 1], heap[child]):
            child += 1
        if not _worse(row_V, heap[child], token):
            break
        heap[place] = heap[child]
        place = child
        child = 2 * place + 1
    heap[place] = token


@helper
def _best(row_V: Any, count: Any, heap: Any) -> Any:
    """The likeliest tokens, in their order, into heap[:count]."""
    for v in range(count):
        heap[v] = v
    for place in range(count // 2 - 1, -1, -1):
        _sink(row_V, heap, place, count)
    threshold = row_V[heap[0]]
    for v in range(count, len(row_V)):
        if row_V[v] > threshold:
            heap[0] = v
            _sink(row_V, heap, 0, count)
            threshold = row_V[heap[0]]
    for size in range(count - 1, 0, -1):
        heap[0], heap[size] = heap[size], heap[0]
        _sink(row_V, heap, 0, size)


@helper
def _from_best(
    row_V: Any, largest: Any, colder: Any, top_p: Any, top_k: Any, uniform: Any, shares_V: Any,
    heap: Any,
) -> Any:  # fmt: skip
    """A token drawn from the likeliest ones: `top_k` of them, and of those as hold `top_p`."""
    total = np.float32(0)
    for v in range(len(row_V)):
        share = _share(row_V[v], largest, colder)
        shares_V[v] = share
        total += share
    count = min(top_k if top_k > 0 else _FIRST_CANDIDATES, len(row_V))
    _best(row_V, count, heap)
    held = np.float32(0)
    for place in range(count):
        held += shares_V[heap[place]]
    if top_k > 0:
        total = held
    elif held <= top_p * total and count < len(row_V):
        return _from_many(shares_V, top_p * total, uniform)
    kept, mass = 0, np.float32(0)
    while kept < count and mass <= top_p * total and shares_V[heap[kept]] > 0:
        mass += shares_V[heap[kept]]
        kept += 1
    point, before = uniform * mass, np.float32(0)
    for place in range(kept):
        before += shares_V[heap[place]]
        if before > point:
            return heap[place]
    return heap[kept - 1]


@helper
def _above(shares_V: Any, border: Any) -> Any:
    """What tokens hold whose share is greater."""
    mass = np.float32(0)
    for v in range(len(shares_V)):
        share = shares_V[v]
        mass += share if share > border else np.float32(0)
    return mass


@helper
def _from_many(shares_V: Any, enough: Any, uniform: Any) -> Any:
    """A token drawn from the smallest set of the likeliest that holds more than `enough`.

    The share where that set ends is found by bisecting the numbers themselves (as integers, floats
    are in the same order): to sort the vocabulary would take thirty times as long.
    """
    low, high = np.int32(0), np.float32(1).view(np.int32)
    while low < high:
        middle = np.int32((low + high) // 2)
        if _above(shares_V, middle.view(np.float32)) <= enough:
            high = middle
        else:
            low = np.int32(middle + 1)
    border = np.int32(high).view(np.float32)
    mass = _above(shares_V, border)
    # Of equal shares the first ones, as many as are needed.
    equals = 0
    for v in range(len(shares_V)):
        if shares_V[v] == border and mass <= enough:
            mass += border
            equals += 1
    point, before, last = uniform * mass, np.float32(0), 0
    for v in range(len(shares_V)):
        share = shares_V[v]
        if share < border or (share == border and equals == 0):
            continue
        if share == border:
            equals -= 1
        before += share
        last = v
        if before > point:
            break
    return last


@kernel("f32[] i64 i64 f32[] i64 f32[] bool[,] f32[] f32[] i64[] i64[]")
def choose_rows(
    flat: Any, stride: Any, size: Any, numbers: Any, top_k: Any, uniforms_B: Any, seen_BV: Any,
    penalised_V: Any, shares_V: Any, heap: Any, tokens_B: Any,
) -> Any:  # fmt: skip
    """A token for each row of logits.

    Args:
        flat: the logits, row b from `b · stride` on, `size` of them.
        numbers: temperature, top_p, repetition penalty.
        seen_BV: read where the penalty is not 1.
        penalised_V, shares_V, heap: work space, `size` each (of the first, 0 without penalty).
        tokens_B: the result.
    """
    temperature, top_p, penalty = numbers[0], numbers[1], numbers[2]
    for row in range(len(tokens_B)):
        row_V = flat[row * stride : row * stride + size]
        if penalty != 1:
            _penalise(row_V, seen_BV[row], penalty, penalised_V)
            row_V = penalised_V
        largest = _largest(row_V)
        if temperature == 0:
            tokens_B[row] = _place_of(row_V, largest)
        elif top_p == 1 and top_k == 0:
            colder = np.float32(1) / temperature
            tokens_B[row] = _from_all(row_V, largest, colder, uniforms_B[row], shares_V)
        else:
            colder = np.float32(1) / temperature
            tokens_B[row] = _from_best(
                row_V, largest, colder, top_p, top_k, uniforms_B[row], shares_V, heap
            )
