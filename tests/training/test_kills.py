"""A run survives SIGKILL at any moment: it ends with the bytes of one that nobody touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = 20


@pytest.mark.slow
def test_twenty_kills_change_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("kills.py"), tmp_path, "1", str(KILLS)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["kills"] == KILLS
    assert found["half_saved"] > 0  # some of them fell into the writing of a checkpoint
    assert found["runs"] >= 2
    assert len(found["weights"]) == 1
    assert len(found["anomalies"]) == 1
    assert '"step": 22' in found["anomalies"][0]
    assert found["leftovers"] == []
