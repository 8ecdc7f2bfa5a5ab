"""Stages made several times: names, values, and what a reference to them means."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamakit.artifacts.store import Store
from llamakit.errors import UsageError
from llamakit.events import Events
from llamakit.pipeline.run import run_pipeline
from llamakit.pipeline.spec import PipelineSpec, read_pipeline

PIPELINE = """
[params]
seeds = [0, 1]

[stages.raw]
uses = "world"
docs = 40
each = { seed = "{seeds}" }

[stages.documents]
uses = "ingest"
files = ["raw/documents.jsonl"]
as = "documents"
each = { seed = "{seeds}" }

[stages.clean]
uses = "dedup"
documents = "documents"
each = { seed = "{seeds}", similarity = [0.7, 0.9] }

[stages.all]
uses = "mix"
documents = ["documents"]

[stages.first]
uses = "mix"
documents = ["documents-0"]
"""


def _read(folder: Path, text: str, *settings: str) -> PipelineSpec:
    path = folder / "p.toml"
    path.write_text(text)
    return read_pipeline(path, settings)


def test_each_makes_a_copy_for_every_value(tmp_path: Path) -> None:
    spec = _read(tmp_path, PIPELINE)
    configs = {one.name: one.config for one in spec.stages}
    assert list(configs) == [
        "raw-0", "raw-1", "documents-0", "documents-1",
        "clean-0-0.7", "clean-0-0.9", "clean-1-0.7", "clean-1-0.9", "all", "first",
    ]  # fmt: skip
    assert configs["raw-1"] == {"docs": 40, "seed": 1}
    # ingest has no seed: the value only says which raw files are read.
    assert configs["documents-1"] == {"files": ["raw-1/documents.jsonl"], "as": "documents"}
    assert configs["clean-1-0.9"]["documents"] == "documents-1"
    assert configs["clean-1-0.9"]["similarity"] == 0.9
    assert configs["all"]["documents"] == ["documents-0", "documents-1"]
    assert configs["first"]["documents"] == ["documents-0"]


def test_a_value_stands_for_its_name_in_texts(tmp_path: Path) -> None:
    text = PIPELINE.replace('"raw/documents.jsonl"', '"raw-{seed}/documents.jsonl"')
    configs = {one.name: one.config for one in _read(tmp_path, text).stages}
    assert configs["documents-1"]["files"] == ["raw-1/documents.jsonl"]


def test_set_changes_the_values_of_each(tmp_path: Path) -> None:
    spec = _read(tmp_path, PIPELINE, "params.seeds=[5]")
    assert spec.names()[0] == "raw-5"


def test_a_tables_name_selects_all_of_its_copies(tmp_path: Path) -> None:
    spec = _read(tmp_path, PIPELINE)
    assert [one.name for one in spec.select(only="documents")] == ["documents-0", "documents-1"]
    assert [one.name for one in spec.select(only="documents-1")] == ["documents-1"]
    assert [one.name for one in spec.select(until="clean-1-0.7")] == [
        "raw-1", "documents-1", "clean-1-0.7",
    ]  # fmt: skip
    assert spec.select(start="clean")[0].name == "clean-0-0.7"


def test_copies_are_made_and_reused(tmp_path: Path, store: Store) -> None:
    spec = _read(tmp_path, PIPELINE)
    assert not any(one.reused for one in run_pipeline(spec, spec.stages, store, events=Events()))
    assert all(one.reused for one in run_pipeline(spec, spec.stages, store, events=Events()))
    assert store.newest("raw-0") != store.newest("raw-1")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('each = { seed = "{seeds}" }', "each = 3", "each must be a table"),
        ('each = { seed = "{seeds}" }', "each = { seed = 3 }", "each must be a table"),
        ('each = { seed = "{seeds}" }', "each = { seed = [] }", "each must be a table"),
        ('each = { seed = "{seeds}" }', "each = { seed = [[1]] }", "numbers and texts only"),
        ('each = { seed = "{seeds}" }', "each = { seed = [1, 1] }", "would be called 'raw-1'"),
        (
            'each = { seed = "{seeds}", similarity = [0.7, 0.9] }',
            "similarity = 0.7",
            "'documents' is made 2 times, by seed; 2 of them fit here",
        ),
        (
            'each = { seed = "{seeds}", similarity = [0.7, 0.9] }',
            "each = { seed = [7] }",
            "'documents' is made 2 times, by seed; 0 of them fit here",
        ),
    ],
)
def test_what_cannot_be_resolved_is_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        _read(tmp_path, PIPELINE.replace(old, new, 1))
