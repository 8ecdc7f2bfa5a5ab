"""The share of one process in work that several processes split evenly."""

from __future__ import annotations

from typing import NamedTuple


class Share(NamedTuple):
    """Process `rank` of `world`: its rows of a batch, its file of a checkpoint."""

    rank: int
    """0 is the first."""
    world: int
    """How many processes share the work."""


ALONE = Share(0, 1)
"""One process does all."""
