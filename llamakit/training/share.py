"""The share of one process in work that several processes split evenly."""

from __future__ import annotations

from typing import NamedTuple


class Share(NamedTuple):
    """Process `rank` of `world`: its rows of a batch, its file of a checkpoint."""

    rank: int
    """0 is the first."""
    world: int
    """How many processes share the work."""

    def micro_batches(self, rows: int, micro_rows: int) -> list[range]:
        """The rows of `rows` that this process reads, in micro-batches of at most `micro_rows`.

        All processes together read each row once, neighbouring rows in the same process. Each has
        the same number of micro-batches, since sharded models talk to each other in every one of
        them: where rows do not suffice, the last ones are empty.
        """
        begin, end = (rows * rank // self.world for rank in (self.rank, self.rank + 1))
        most = -(-rows // self.world)
        return [
            range(min(begin + done, end), min(begin + done + micro_rows, end))
            for done in range(0, most, micro_rows)
        ]


ALONE = Share(0, 1)
"""One process does all."""
