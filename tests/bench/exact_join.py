"""All pairs of texts at or above a Jaccard similarity, with nothing probabilistic in it.

Words are `\\w+` of the lower-cased text, shingles their 5-grams, by Python's own regular
expressions and sets: nothing is shared with what is measured. Two sets of similarity s share one
of the n - ceil(s n) + 1 rarest shingles of either, so only those are looked up.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b

_WORD = re.compile(r"\w+")


def shingles(text: str, ngram: int = 5) -> frozenset[int]:
    """The set of word n-grams, hashed to 64 bits; a shorter text is one of its own."""
    words = _WORD.findall(text.lower())
    if not words:
        return frozenset()
    starts = range(max(1, len(words) - ngram + 1))
    grams = (" ".join(words[start : start + ngram]) for start in starts)
    return frozenset(
        int.from_bytes(blake2b(gram.encode(), digest_size=8).digest(), "little") for gram in grams
    )


def all_pairs(sets: Sequence[frozenset[int]], similarity: float) -> dict[tuple[int, int], float]:
    """The pairs (smaller index, larger index) and their similarities."""
    counts = Counter(value for one in sets for value in one)
    index: dict[int, list[int]] = {}
    found: dict[tuple[int, int], float] = {}
    for number, one in enumerate(sets):
        rarest = sorted(one, key=lambda value: (counts[value], value))
        seen: set[int] = set()
        for value in rarest[: len(one) - math.ceil(similarity * len(one)) + 1]:
            if counts[value] == 1:
                continue  # nobody else has it
            holders = index.setdefault(value, [])
            for other in holders:
                if other not in seen:
                    seen.add(other)
                    common = len(one & sets[other])
                    alike = common / (len(one) + len(sets[other]) - common)
                    if alike >= similarity:
                        found[other, number] = alike
            holders.append(number)
    return found
