"""A stage carried out by all the processes that `torchrun` started: one leads, the others follow.

Only the first process resolves references, holds the lock of the draft and commits. It tells the
others which versions it found and where the draft lies; they run the stage's `run` on the same,
each on its part, and what they return is not used.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Kind
from llamakit.artifacts.store import Store
from llamakit.engine.ranks import Ranks
from llamakit.errors import InputError, UsageError
from llamakit.events import SILENT, Events
from llamakit.stages.produce import Made, Prepared, produce
from llamakit.stages.stage import Stage

if TYPE_CHECKING:
    from llamakit.training.team import Explain, Team


@contextmanager
def meeting(ranks: Ranks, stage: type[Stage], explain: Explain) -> Iterator[Team | None]:
    """Meet the other processes of the command, if there are any; all end as one.

    Raises:
        UsageError: the stage is the work of one process.
    """
    if ranks.world == 1:
        yield None
        return
    from llamakit.training.team import joined

    with joined(ranks, explain) as team:
        if not stage.many_processes:
            raise UsageError(
                f"{stage.command()} is the work of one process, and torchrun started {ranks.world}",
                fix="Run it without torchrun.",
            )
        yield team


def produce_together(
    stage: Stage,
    store: Store,
    team: Team | None,
    *,
    name: str | None = None,
    force: bool = False,
    events: Events = SILENT,
) -> Made:
    """What `produce` does, on every process of a team; without one, just that."""
    if team is None:
        return produce(stage, store, name=name, force=force, events=events)
    if not team.ranks.leads:
        return _follow(stage, store, team, events)

    def opened(draft: Draft[Kind], prepared: Prepared) -> None:
        inputs = {given: str(found.path.resolve()) for given, found in prepared.inputs.items()}
        team.tell({"work": str(draft.folder.resolve()), "inputs": inputs})

    made = produce(stage, store, name=name, force=force, events=events, opened=opened)
    team.tell({"made": str(made.version.path.resolve()), "reused": made.reused})
    return made


def _follow(stage: Stage, store: Store, team: Team, events: Events) -> Made:
    order = team.hear()
    if "work" in order:
        folder = Path(order["work"])
        for path in (folder, *map(Path, order["inputs"].values())):
            if not path.exists():
                raise InputError(
                    f"{platform.node()} does not see what rank 0 works with",
                    where=str(path),
                    fix="Every node must see the same store at the same path.",
                )
        inputs = {given: store.resolve(path) for given, path in order["inputs"].items()}
        stage.run(Draft[Kind](folder, events, inputs))
        order = team.hear()
    return Made(store.resolve(order["made"]), reused=order["reused"], unmet=[])
