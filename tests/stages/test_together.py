"""What a follower does with the orders of the process that leads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Tokens
from llamakit.artifacts.store import Store
from llamakit.engine.ranks import Ranks
from llamakit.errors import InputError
from llamakit.stages.fields import Identity
from llamakit.stages.produce import produce
from llamakit.stages.stage import Outcome, Stage
from llamakit.stages.together import produce_together


@dataclass(frozen=True, kw_only=True)
class Part(Stage):
    """Writes what the draft's folder is called into its scratch."""

    number: Identity[int] = 1
    """Anything."""
    makes: ClassVar = Tokens
    revision: ClassVar = 1
    many_processes: ClassVar = True
    panel: ClassVar = "Training"

    def run(self, draft: Draft[Tokens]) -> Outcome:
        (draft.work / "seen").write_text(draft.folder.name)
        (draft.path / "tokens.bin").write_bytes(b"12")
        return Outcome()


class Orders:
    """Stands for a team in which another process leads."""

    def __init__(self, *orders: dict[str, Any]) -> None:
        self.ranks = Ranks(rank=1, world=2, local_rank=1, local_world=2)
        self._orders: Iterator[dict[str, Any]] = iter(orders)

    def hear(self) -> dict[str, Any]:
        return next(self._orders)


def test_a_follower_works_in_the_draft_it_is_told_of_and_makes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    led = produce(Part(), store).version
    draft = tmp_path / "draft"
    for name in ("version", "work"):
        (draft / name).mkdir(parents=True)
    orders = Orders({"work": str(draft), "inputs": {}}, {"made": str(led.path), "reused": False})
    made = produce_together(Part(number=2), store, orders)  # type: ignore[arg-type]
    assert (draft / "work" / "seen").read_text() == "draft"
    assert made.version.reference == "part:v1"
    assert not made.reused
    assert store.numbers("part") == [1]


def test_a_follower_reuses_what_it_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    led = produce(Part(), store).version
    orders = Orders({"made": str(led.path), "reused": True})
    made = produce_together(Part(), store, orders)  # type: ignore[arg-type]
    assert made.reused
    assert made.version.digest == led.digest


def test_a_node_that_does_not_see_the_store_is_named(tmp_path: Path) -> None:
    orders = Orders({"work": str(tmp_path / "elsewhere"), "inputs": {}})
    with pytest.raises(InputError, match="does not see what rank 0 works with") as error:
        produce_together(Part(), Store(tmp_path), orders)  # type: ignore[arg-type]
    assert error.value.where == str(tmp_path / "elsewhere")
