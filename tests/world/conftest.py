"""One small world for all tests of this room."""

from __future__ import annotations

from collections import defaultdict

import pytest

from llamakit.world.entities import World, build_world
from llamakit.world.generate import Sizes, generate_world
from llamakit.world.oracle import Oracle
from llamakit.world.truth import Record

Files = dict[str, list[Record]]
SEED = 3


@pytest.fixture(scope="session")
def files() -> Files:
    """Every file of a world of 900 documents."""
    made: Files = defaultdict(list)
    for name, record in generate_world(Sizes(docs=900, entities=48), SEED):
        made[name].append(record)
    return made


@pytest.fixture(scope="session")
def world() -> World:
    """The entities and facts of that world."""
    return build_world(48, SEED)


@pytest.fixture(scope="session")
def oracle(world: World) -> Oracle:
    """The judge of that world."""
    return Oracle(world)
