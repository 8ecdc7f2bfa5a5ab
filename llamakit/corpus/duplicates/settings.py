"""What decides which documents are duplicates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Keep = Literal["first", "longest", "source"]


@dataclass(frozen=True)
class Settings:
    """`similarity`: Jaccard of n-grams from which two documents are duplicates (1: exact copies
    only). `bands` x `rows` of `num_perm` MinHash values find the candidates. `keep`: which document
    of a cluster survives; `sources`, the best first, where that goes by source."""

    similarity: float
    ngram: int
    num_perm: int
    bands: int
    rows: int
    seed: int = 1
    keep: Keep = "first"
    sources: tuple[str, ...] = ()

    @property
    def near(self) -> bool:
        """Whether near duplicates are looked for at all."""
        return self.similarity < 1
