"""`torchrun … -m llamakit pretrain`: one run of several processes, through a store, with its end in
every way that it can have."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from llamakit.artifacts.integrity import check_payload
from llamakit.artifacts.store import Store
from llamakit.engine.ranks import SOLO, Ranks, here
from llamakit.errors import UsageError
from llamakit.stages.produce import produce
from llamakit.training.metrics import read_metrics
from tests.training.launch import TIMEOUT_S, end, torchrun
from tests.training.test_stages import Sounds

SHAPE = [
    "--dim", "32", "--n-layers", "1", "--n-heads", "2", "--n-kv-heads", "1", "--ffn-dim", "48",
    "--seq-len", "48", "--batch-tokens", "192", "--micro-batch", "2", "--lr", "1e-2",
    "--validation-tokens", "0", "--threads", "1", "--log-every", "10",
]  # fmt: skip


def wait_for(condition: Callable[[], bool], run: subprocess.Popen[str]) -> None:
    until = time.monotonic() + TIMEOUT_S
    while not condition():
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


def ranks_of(run: subprocess.Popen[str]) -> list[int]:
    """The processes that a torchrun has started."""
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    return [int(child) for child in children]


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_stopped_killed_and_continued_on_other_numbers_of_processes(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    produce(Sounds(), store, name="tokens")
    words = ["pretrain", "tokens", *SHAPE, "--steps", "150", "--checkpoint-every", "10"]

    def checkpoints() -> set[str]:
        return {p.name for p in store.root.glob(".drafts/*/work/checkpoints/step-*")}

    # torchrun is asked to stop: what is done is saved, and nothing is made.
    run = torchrun(store.root, *words, "--parallel", "fsdp")
    wait_for(lambda: bool(checkpoints()), run)
    run.send_signal(signal.SIGTERM)
    status, out, errors = end(run)
    assert status != 0
    assert out == ""
    assert errors.count("stopped by SIGTERM; the same command continues where it was") == 1
    assert store.numbers("pretrain") == []
    before = checkpoints()
    assert before

    # One process is killed: the other ends too, and says what it knows.
    run = torchrun(store.root, *words)
    wait_for(lambda: checkpoints() - before != set(), run)
    os.kill(ranks_of(run)[1], signal.SIGKILL)
    status, out, errors = end(run)
    assert (status, out) == (1, "")
    assert store.numbers("pretrain") == []

    # The same command continues: one version, one line on stdout.
    status, out, errors = end(torchrun(store.root, *words, "--parallel", "fsdp"))
    assert status == 0, errors
    assert out.splitlines() == [str(store.root / "pretrain" / "v1")]
    assert "continuing after step" in errors
    assert errors.count("made pretrain:v1") == 1
    version = store.resolve("pretrain:v1")
    check_payload(version)
    assert version.record.execution["parallel"] == "fsdp"
    assert list((store.root / ".drafts").glob("*/*")) == []

    # It is the run that one process makes, which is no reason to make it again.
    from llamakit.stages.pretrain import Pretrain

    values = dict(zip(SHAPE[::2], SHAPE[1::2], strict=True))
    config = {
        key.removeprefix("--").replace("-", "_"): float(value) if key == "--lr" else int(value)
        for key, value in values.items()
    }
    stage = Pretrain.from_config({"tokens": "tokens", **config, "steps": 150})
    assert produce(stage, store).reused
    alone = produce(stage, store, name="alone").version
    rows, expected = (
        read_metrics(path / "log" / "metrics.jsonl") for path in (version.path, alone.path)
    )
    assert [row["step"] for row in rows] == [row["step"] for row in expected]
    for row, wanted in zip(rows, expected, strict=True):
        assert row["loss"] == pytest.approx(wanted["loss"], abs=1e-4)

    # And under torchrun too it is reused.
    status, out, errors = end(torchrun(store.root, *words))
    assert status == 0, errors
    assert out.splitlines() == [str(version.path)]
    assert errors.count("reused pretrain:v1") == 1


def test_what_goes_wrong_is_said_once(tmp_path: Path) -> None:
    status, out, errors = end(torchrun(tmp_path / "store", "dedup", "raw"))
    assert (status, out) == (1, "")  # torchrun's own; its report names the 2 of the processes
    assert errors.count("dedup is the work of one process, and torchrun started 2") == 1
    assert "exitcode  : 2" in errors


def test_torchruns_variables() -> None:
    said = {
        "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "node", "MASTER_PORT": "1",
    }  # fmt: skip
    assert here(said) == Ranks(rank=3, world=4, local_rank=1, local_world=2)
    assert here({k: v for k, v in said.items() if k != "LOCAL_RANK"}) is SOLO
    for wrong in ({"RANK": "4"}, {"LOCAL_RANK": "-1"}, {"WORLD_SIZE": "many"}):
        with pytest.raises(UsageError, match="torchrun's variables"):
            here({**said, **wrong})
