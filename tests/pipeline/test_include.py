"""Pipelines that build on others."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamakit.errors import InputError, UsageError
from llamakit.pipeline.include import read_tables
from llamakit.pipeline.spec import read_pipeline

START = """
[params]
docs = 40
seed = 3

[stages.raw]
uses = "world"
docs = "{docs}"
seed = "{seed}"

[stages.documents]
uses = "ingest"
files = ["raw/documents.jsonl"]
as = "documents"
"""
STUDY = """
include = "start.toml"

[params]
docs = 50

[stages.clean]
uses = "dedup"
documents = "documents"

[stages.raw]
entities = 40
"""


def _write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)
    return folder / "study.toml"


def test_included_stages_come_first_and_are_laid_over(tmp_path: Path) -> None:
    spec = read_pipeline(_write(tmp_path, start=START, study=STUDY))
    assert spec.names() == ["raw", "documents", "clean"]
    assert spec.stages[0].config == {"docs": 50, "seed": 3, "entities": 40}


def test_settings_reach_what_is_included(tmp_path: Path) -> None:
    path = _write(tmp_path, start=START, study=STUDY)
    spec = read_pipeline(path, ["params.seed=4", "stages.raw.entities=60"])
    assert spec.stages[0].config == {"docs": 50, "seed": 4, "entities": 60}


def test_paths_start_at_the_file_that_includes(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "one.toml").write_text('include = ["two.toml"]\n[params]\na = 1\nb = 1\n')
    (tmp_path / "parts" / "two.toml").write_text("[params]\nb = 2\nc = 2\n")
    path = _write(tmp_path, study='include = ["parts/one.toml"]\n[params]\nd = 3\n')
    assert read_tables(path) == {"params": {"b": 1, "c": 2, "a": 1, "d": 3}}


def test_a_stages_own_tables_are_replaced_whole(tmp_path: Path) -> None:
    start = '[stages.x]\nuses = "mix"\nupsample = { a = 2.0, b = 2.0 }\n'
    study = 'include = "start.toml"\n[stages.x]\nupsample = { a = 3.0 }\n'
    tables = read_tables(_write(tmp_path, start=start, study=study))
    assert tables["stages"]["x"] == {"uses": "mix", "upsample": {"a": 3.0}}


def test_the_same_file_twice_is_no_circle(tmp_path: Path) -> None:
    files = {"start": START, "a": 'include = "start.toml"\n', "b": 'include = "start.toml"\n'}
    path = _write(tmp_path, **files, study='include = ["a.toml", "b.toml"]\n')
    assert read_pipeline(path).names() == ["raw", "documents"]


@pytest.mark.parametrize(
    ("start", "study", "kind", "says"),
    [
        (START, 'include = "strat.toml"', InputError, "strat.toml: cannot be read"),
        (START, "include = 3", UsageError, "include must name TOML files"),
        (START, "include = [3]", UsageError, "include must name TOML files"),
        ("docs = ", STUDY, UsageError, "start.toml: not TOML"),
        ('include = "study.toml"', STUDY, UsageError, "study.toml: this file includes itself"),
    ],
)
def test_mistakes_name_the_file(
    tmp_path: Path, start: str, study: str, kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says):
        read_pipeline(_write(tmp_path, start=start, study=study))
