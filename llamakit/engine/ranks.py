"""Which of several processes of one command this is, as `torchrun` tells each of them.

The only place where its environment is read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from llamakit.errors import UsageError

# All of PyTorch's contract: a scheduler that sets only some of them has started one process.
_SET_BY_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Ranks:
    """One of `world` processes that were started with the same command."""

    rank: int = 0
    """0 leads: it holds the draft, writes what there is one of, and speaks."""
    world: int = 1
    local_rank: int = 0
    """Among the processes of this machine; the number of its GPU."""
    local_world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process speaks for all."""
        return self.rank == 0


SOLO = Ranks()
"""One process, as usual."""


def here(environment: Mapping[str, str] = os.environ) -> Ranks:
    """This process's place; `SOLO` when nobody started several.

    Raises:
        UsageError: the numbers make no sense.
    """
    if any(name not in environment for name in _SET_BY_TORCHRUN):
        return SOLO
    try:
        world = int(environment["WORLD_SIZE"])
        ranks = Ranks(
            rank=int(environment["RANK"]),
            world=world,
            local_rank=int(environment["LOCAL_RANK"]),
            local_world=int(environment.get("LOCAL_WORLD_SIZE", world)),
        )
    except ValueError as error:
        raise UsageError(f"torchrun's variables are no numbers ({error})") from None
    if not 0 <= ranks.rank < world or not 0 <= ranks.local_rank < ranks.local_world:
        raise UsageError(f"torchrun's variables say rank {ranks.rank} of {world}")
    return ranks
