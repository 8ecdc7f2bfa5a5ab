"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llamakit.artifacts.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "artifacts")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data, found by LLAMAKIT_DATA or beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("LLAMAKIT_DATA", beside))
    if not (folder / "MANIFEST.tsv").is_file():
        pytest.skip(f"no real data: set LLAMAKIT_DATA (looked in {folder})")
    return folder
