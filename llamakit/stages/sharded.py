"""The fields of stages that work shard by shard, declared once."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from llamakit.stages.fields import Execution
from llamakit.stages.stage import Stage

if TYPE_CHECKING:
    from llamakit.engine.shards import Engine


@dataclass(frozen=True, kw_only=True)
class Sharded(Stage):
    """A stage whose work is one pure function per shard, wherever it runs."""

    workers: Execution[Annotated[int, Ge(1)] | None] = None
    """Shards at once; by default one a processor."""
    engine: Execution[Literal["local", "ray"]] = "local"
    """Where shards are worked on: processes of this machine, or tasks of the Ray cluster that
    RAY_ADDRESS names (without it, of one on this machine)."""

    def runs_on(self) -> "Engine":
        """The engine its shards run on."""
        from llamakit.engine.shards import Engine

        return Engine(self.workers, self.engine)
