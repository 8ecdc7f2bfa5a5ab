"""What annotators said of a pair, as numbers: margins of grades, labels of safety bins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

MarginSize = Literal["none", "small", "large"]

MARGINS: Mapping[MarginSize, Mapping[str, float]] = {
    "none": {},
    "small": {"significantly": 1.0, "better": 2 / 3, "slightly": 1 / 3, "negligible": 0.0},
    "large": {"significantly": 3.0, "better": 2.0, "slightly": 1.0, "negligible": 0.0},
}
"""How far apart two answers of a grade should score (paper §3.2.2, appendix A.3.3)."""

SAFETY_LABELS: Mapping[str, tuple[float, float]] = {
    "both_safe": (1.0, 1.0),
    "chosen_safe": (1.0, 0.0),
    "both_unsafe": (0.0, 0.0),
}
"""Safety bin of a pair to the labels of (chosen, rejected): 1 is safe."""

UNLABELLED = float("nan")


def margin_of(grade: str | None, size: MarginSize) -> float:
    """The margin of one pair; 0 where the grade is missing, as open preference sets have none."""
    return MARGINS[size].get(grade or "", 0.0)


def safety_labels(bin_name: str | None) -> tuple[float, float]:
    """Labels of (chosen, rejected), both `UNLABELLED` where the pair has no safety bin."""
    return SAFETY_LABELS.get(bin_name or "", (UNLABELLED, UNLABELLED))
