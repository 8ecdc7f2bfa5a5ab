from __future__ import annotations

import multiprocessing
import threading
import time
from pathlib import Path

import pytest

from llamakit.artifacts.store import DRAFTS, Store
from llamakit.errors import InputError, LlamakitError, UsageError
from llamakit.events import Events
from llamakit.pipeline.plan import plan
from llamakit.pipeline.run import run_pipeline
from llamakit.pipeline.spec import find_pipeline, read_pipeline, shipped_pipelines

PIPELINE = """
[params]
docs = 40

[stages.raw]
uses = "world"
docs = "{docs}"

[stages.documents]
uses = "ingest"
files = ["raw/documents.jsonl"]
as = "documents"

[stages.talks]
uses = "ingest"
files = ["raw"]
as = "dialogues"

[stages.clean]
uses = "dedup"
documents = "documents"
"""


def _write(folder: Path, text: str) -> Path:
    path = folder / "p.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", sorted(shipped_pipelines()))
def test_shipped_pipelines_are_sound(name: str) -> None:
    spec = read_pipeline(find_pipeline(name))
    assert spec.stages


def test_a_pipeline_runs_then_reuses_everything(tmp_path: Path, store: Store) -> None:
    spec = read_pipeline(_write(tmp_path, PIPELINE))
    first = run_pipeline(spec, spec.stages, store, events=Events())
    assert [item.reused for item in first] == [False] * 4
    again = run_pipeline(spec, spec.stages, store, events=Events())
    assert [item.reused for item in again] == [True] * 4
    assert store.names() == ["clean", "documents", "raw", "talks"]
    assert [step.verdict for step in plan(spec, spec.stages, store)] == ["reuse"] * 4


def test_side_by_side_gives_the_same_bytes(tmp_path: Path) -> None:
    spec = read_pipeline(_write(tmp_path, PIPELINE))
    one, two = Store(tmp_path / "one"), Store(tmp_path / "two")
    serial = run_pipeline(spec, spec.stages, one, events=Events())
    parallel = run_pipeline(spec, spec.stages, two, jobs=2, events=Events())
    assert [d.version.digest for d in serial] == [d.version.digest for d in parallel]


def test_a_failure_in_a_worker_keeps_its_words(
    tmp_path: Path, store: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    text = PIPELINE.replace("raw/documents.jsonl", "raw/nothing.jsonl")
    spec = read_pipeline(_write(tmp_path, text))
    with pytest.raises(InputError, match=r"holds no file 'nothing\.jsonl'"):
        run_pipeline(spec, spec.stages, store, jobs=2, events=Events())
    assert "raw" in store.names()
    assert "Traceback" not in capfd.readouterr().err


def test_a_killed_worker_ends_the_run_and_the_next_continues(tmp_path: Path, store: Store) -> None:
    text = "\n".join(
        f'[stages.raw-{seed}]\nuses = "world"\ndocs = 3000\nseed = {seed}\n' for seed in (0, 1)
    )
    spec = read_pipeline(_write(tmp_path, text))

    def kill_one() -> None:
        while not (store.root / DRAFTS).is_dir() or len(list((store.root / DRAFTS).iterdir())) < 2:
            time.sleep(0.01)
        multiprocessing.active_children()[0].kill()

    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.raises(
        LlamakitError, match="a worker process was killed while it made one of: raw"
    ):
        run_pipeline(spec, spec.stages, store, jobs=2, events=Events())
    killer.join()
    assert multiprocessing.active_children() == []
    run_pipeline(spec, spec.stages, store, jobs=2, events=Events())
    assert store.numbers("raw-0") == store.numbers("raw-1") == [1]


def test_the_plan_says_why(tmp_path: Path, store: Store) -> None:
    path = _write(tmp_path, PIPELINE)
    spec = read_pipeline(path)
    fresh = plan(spec, spec.stages, store)
    assert [(s.verdict, s.why) for s in fresh[:2]] == [
        ("run", "no version yet"),
        ("wait", "after raw"),
    ]
    run_pipeline(spec, spec.stages, store, events=Events())
    changed = read_pipeline(path, ["stages.clean.similarity=0.5"])
    step = plan(changed, changed.stages, store)[-1]
    assert (step.verdict, step.why) == ("run", "similarity: 0.8 → 0.5")
    resized = read_pipeline(path, ["params.docs=50"])
    verdicts = [s.verdict for s in plan(resized, resized.stages, store)]
    assert verdicts == ["run", "wait", "wait", "wait"]


def test_parts_of_a_pipeline(tmp_path: Path, store: Store) -> None:
    spec = read_pipeline(_write(tmp_path, PIPELINE))
    assert [s.name for s in spec.select(until="clean")] == ["raw", "documents", "clean"]
    assert [s.name for s in spec.select(start="talks")] == ["talks", "clean"]
    assert [s.name for s in spec.select(only="talks")] == ["talks"]
    with pytest.raises(InputError, match="reads 'raw', which has no version yet"):
        run_pipeline(spec, spec.select(only="talks"), store, events=Events())
    with pytest.raises(UsageError, match="Did you mean 'clean'"):
        spec.select(only="claen")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('uses = "dedup"', 'uses = "dedupe"', "stages.clean: there is no stage 'dedupe'"),
        ('documents = "documents"', 'docs = "documents"', "there is no key 'docs'"),
        ('documents = "documents"', 'documents = "clean"', "documents reads itself"),
        ('documents = "documents"', 'documents = "talks"', "must be documents, 'talks' makes dia"),
        ('"{docs}"', '"{dosc}"', "Did you mean 'docs'"),
        ('["raw"]', '["clean"]', "which stands below it"),
        ("[params]", "[parms]", "no top-level key 'parms'"),
        ("docs = 40", "docs = ", "not TOML"),
        ('uses = "world"', "", 'uses = "STAGE" is needed'),
        ('as = "dialogues"', 'as = "stories"', "as = 'stories'"),
    ],
)
def test_mistakes_are_found_before_anything_runs(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    assert old in PIPELINE
    with pytest.raises(UsageError, match=says.replace("[", r"\[")) as caught:
        read_pipeline(_write(tmp_path, PIPELINE.replace(old, new)))
    assert "p.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("stages.claen.similarity=0.5", "Did you mean 'clean'"),
        ("params.dosc=3", "Did you mean 'docs'"),
        ("similarity=0.5", "not understood"),
    ],
)
def test_settings_are_checked(tmp_path: Path, setting: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_pipeline(_write(tmp_path, PIPELINE), [setting])
