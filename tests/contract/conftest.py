"""One store with every stage's artifact, made by a pipeline of micro settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from worker import MICRO

from llamakit.artifacts.store import Store
from llamakit.events import Events
from llamakit.pipeline.run import run_pipeline
from llamakit.pipeline.spec import read_pipeline


@pytest.fixture(scope="session")
def micro(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The store after the micro pipeline has run."""
    store = Store(tmp_path_factory.mktemp("micro") / "artifacts")
    spec = read_pipeline(Path(MICRO))
    run_pipeline(spec, spec.stages, store, events=Events())
    return store
