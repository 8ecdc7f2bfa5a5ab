"""Every stage keeps the same promises: reuse, versions, kills, neighbours, bytes, records."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from worker import MICRO

import llamakit
from llamakit.artifacts.store import DRAFTS, Store
from llamakit.artifacts.upkeep import verify
from llamakit.pipeline.plan import bind
from llamakit.pipeline.spec import read_pipeline
from llamakit.stages.produce import prepare, produce
from llamakit.stages.registry import RECIPE

SPEC = read_pipeline(MICRO)
STAGES = SPEC.names()
WORKER = Path(__file__).with_name("worker.py")
SCHEMA = json.loads(
    (Path(llamakit.__file__).parent / "artifacts" / "record.schema.json").read_text()
)


def _work(store: Store, stage: str, name: str, kill_at: int | None = None) -> subprocess.Popen[str]:
    words = [sys.executable, str(WORKER), str(store.root), stage, name]
    return subprocess.Popen(
        words + ([] if kill_at is None else [str(kill_at)]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    answer: dict[str, Any] = json.loads(out.splitlines()[-1])
    return answer


def _nothing_stray(store: Store, name: str, versions: int = 1) -> None:
    assert store.numbers(name) == list(range(1, versions + 1))
    assert {p.name for p in (store.root / name).iterdir()} == {
        f"v{n}" for n in range(1, versions + 1)
    }
    assert list((store.root / DRAFTS).iterdir()) == []
    assert all(verify(version) == [] for version in store.versions(name))


def test_the_micro_pipeline_runs_every_stage() -> None:
    assert {spec.stage.command() for spec in SPEC.stages} == set(RECIPE)


@pytest.mark.parametrize("name", STAGES)
def test_same_inputs_and_config_reuse(micro: Store, name: str) -> None:
    spec = SPEC.stages[STAGES.index(name)]
    made = produce(bind(SPEC, spec, micro, {}, []), micro, name=name)
    assert made.reused
    assert made.version.reference == f"{name}:v1"


@pytest.mark.parametrize("name", STAGES)
def test_the_record_validates(micro: Store, name: str) -> None:
    version = micro.resolve(f"{name}:v1")
    jsonschema.validate(json.loads((version.path / "artifact.json").read_text()), SCHEMA)
    assert version.record.headline
    assert version.record.counts
    files = {entry.path for entry in version.record.files}
    assert all(re.fullmatch("[a-z][a-z0-9_.]*", k) for k in version.record.counts if k not in files)


@pytest.mark.parametrize("name", STAGES)
def test_every_identity_key_moves_the_fingerprint(micro: Store, name: str) -> None:
    stage = bind(SPEC, SPEC.stages[STAGES.index(name)], micro, {}, [])
    before = prepare(stage, micro).fingerprint
    for key in stage.config():
        changed = bind(SPEC, SPEC.stages[STAGES.index(name)], micro, {}, [])
        object.__setattr__(changed, key if hasattr(changed, key) else f"{key}_", "other")
        assert prepare(changed, micro).fingerprint != before, key


@pytest.mark.parametrize("name", STAGES)
def test_killed_half_way_leaves_no_version_and_the_rerun_continues(micro: Store, name: str) -> None:
    whole = _answer(_work(micro, name, f"{name}.whole"))
    # The very bytes that the first run of this pipeline gave, in another process.
    assert whole["digest"] == micro.resolve(f"{name}:v1").digest
    assert whole["events"] > 0, "a stage tells how far it is"
    for at in sorted({max(1, whole["events"] // 2), whole["events"]}):
        killed = f"{name}.killed{at}"
        process = _work(micro, name, killed, kill_at=at)
        process.communicate(timeout=300)
        assert process.returncode == -9
        assert micro.numbers(killed) == []
        rerun = _answer(_work(micro, name, killed))
        assert "continuing what an earlier attempt left" in rerun["notes"]
        assert rerun["digest"] == whole["digest"]
        _nothing_stray(micro, killed)


@pytest.mark.parametrize("name", STAGES)
def test_two_processes_at_once_make_one_version(micro: Store, name: str) -> None:
    both = f"{name}.both"
    first, second = _work(micro, name, both), _work(micro, name, both)
    answers = [_answer(first), _answer(second)]
    assert {answer["reference"] for answer in answers} == {f"{both}:v1"}
    _nothing_stray(micro, both)


@pytest.mark.parametrize("name", STAGES)
def test_verify_finds_one_flipped_byte(micro: Store, name: str) -> None:
    version = micro.resolve(f"{name}:v1")
    assert verify(version) == []
    for entry in version.record.files:
        if not entry.bytes:
            continue
        path = version.path / entry.path
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        assert [damage.path for damage in verify(version)] == [entry.path]
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
