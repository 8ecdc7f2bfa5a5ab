"""Draws that depend on a document's id alone: the same documents before and after cleaning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xxhash
from numpy.typing import NDArray

PII, TOXICITY, EXCERPTS = "pii", "toxicity", "excerpts"
"""What is drawn for, so that one draw says nothing of another."""


def draws(ids: Sequence[str], purpose: str, seed: int) -> NDArray[np.float64]:
    """A number in [0, 1) an id; a document is in a sample of share s when its number is below s."""
    keys = [xxhash.xxh3_64_intdigest(f"{purpose}:{name}".encode(), seed) for name in ids]
    # The upper 53 bits: all that a float holds, so that 1 is never reached.
    return (np.array(keys, np.uint64) >> np.uint64(11)).astype(np.float64) / 2**53
