"""Numbers in compiled loops: how they are stored, and an exponential that vectors can compute."""

from __future__ import annotations

from typing import Any

import numpy as np

from llamakit.engine.intrinsics import is_short
from llamakit.engine.native import helper

LOOSE = {"reassoc", "contract", "nsz"}
"""Sums may be taken in another order than they are written: the compiler's, always the same one."""
FASTMATH = LOOSE
_LOG2E = np.float32(1.4426950408889634)
_LN2 = np.float32(0.6931471805599453)
_SMALLEST = np.float32(-87.0)


@helper
def number(word: Any, shift: Any) -> Any:
    """A stored number; `shift` is 16 for bf16, else 0."""
    # Not to shift costs nothing only where the compiler knows it.
    up = np.uint32(shift if is_short(word) else 0)
    return np.uint32(np.uint32(word) << up).view(np.float32)


@helper
def word(value: Any, shift: Any) -> Any:
    """A number as it is stored, rounded to the nearest, halves to even."""
    bits = np.uint32(np.float32(value).view(np.uint32))
    if shift > 0:
        odd = np.uint32((bits >> np.uint32(16)) & np.uint32(1))
        bits = np.uint32(np.uint32(bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))
    return bits


@helper
def exp(x: Any) -> Any:
    """e^x for x up to 0, in operations that vectors have: to 4e-7 of it, and to 6e-6 where it is of
    no weight any more."""
    x = max(x, _SMALLEST)
    power = np.int32(x * _LOG2E - np.float32(0.5))
    r = x - np.float32(power) * _LN2
    series = np.float32(1 / 5040)
    series = series * r + np.float32(1 / 720)
    series = series * r + np.float32(1 / 120)
    series = series * r + np.float32(1 / 24)
    series = series * r + np.float32(1 / 6)
    series = series * r + np.float32(0.5)
    series = series * r + np.float32(1)
    series = series * r + np.float32(1)
    return series * np.int32(np.int32(power + np.int32(127)) << np.int32(23)).view(np.float32)
