"""A changed key makes the next version, for each stage, with another value of one of its keys."""

from __future__ import annotations

import pytest
from worker import MICRO

from llamakit.artifacts.store import Store
from llamakit.pipeline.plan import bind
from llamakit.pipeline.spec import read_pipeline
from llamakit.stages.produce import produce

CHANGES = {
    "raw": "seed=1",
    "documents": 'source="elsewhere"',
    "dialogues": 'source="elsewhere"',
    "preferences": "limit=40",
    "unique": "similarity=0.9",
    "private": 'action="drop"',
    "clean": 'languages=["de"]',
    "mixed": "seed=1",
    "profile": "pii_sample=0.5",
    "vocabulary": "vocab_size=420",
    "tokens": "seed=1",
    "base": "steps=2",
    "brought": "chat=true",
    "chat": "epochs=1",
    "ghost": "seed=1",
    "helpfulness": 'margin="large"',
    "distilled": "limit=5",
    "best": "k=3",
    "policy": "iterations=1",
    "report": "shots=1",
    "study": 'title="Another"',
}


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_a_changed_key_makes_the_next_version(micro: Store, name: str) -> None:
    specs = [read_pipeline(MICRO), read_pipeline(MICRO, [f"stages.{name}.{CHANGES[name]}"])]
    for number, spec in enumerate(specs, start=1):
        stage_spec = next(each for each in spec.stages if each.name == name)
        made = produce(bind(spec, stage_spec, micro, {}, []), micro, name=f"{name}.changed")
        assert not made.reused
        assert made.version.reference == f"{name}.changed:v{number}"
