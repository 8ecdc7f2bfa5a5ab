"""The benchmarks of training run, at a size at which nothing is measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TINY = [
    "--dim", "16", "--layers", "1", "--heads", "2", "--ffn", "32", "--vocab", "40",
    "--seq-len", "8", "--batch", "2", "--rounds", "1", "--steps", "1", "--threads", "1",
]  # fmt: skip


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(HERE / script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(HERE.parent.parent), "OMP_NUM_THREADS": "1"},
    )


def test_a_training_step_beside_a_peer_that_is_there_and_one_that_is_not() -> None:
    done = run("training.py", *TINY, "--peers", "nanochat", "llama2.c")
    assert done.returncode == 0, done.stderr
    assert "llama2.c is left out: llama2.c: --llama2c FOLDER" in done.stdout
    ours, peer = done.stdout.splitlines()[-2:]
    assert ours.split()[0] == "llamakit"
    assert peer.split()[0] == "nanochat"
    assert all(float(number.strip("%").replace(",", "")) >= 0 for number in ours.split()[1:])


@pytest.mark.parametrize("section", ["decoding", "resume"])
def test_the_gpu_plan_without_a_gpu(section: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    done = run(
        "training_gpu.py", "--tiny", "--device", "cpu", "--only", section, "--out", str(rows)
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    assert {row["section"] for row in found} == {"peaks", section}
    assert not [row for row in found if "failed" in row or "late" in row]
    if section == "resume":
        assert found[-2]["bit_equal"] is True
