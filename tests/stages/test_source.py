from __future__ import annotations

from pathlib import Path

import pytest

from llamakit.artifacts.frames import read_all
from llamakit.artifacts.store import Store
from llamakit.errors import InputError
from llamakit.stages.ingest import Ingest
from llamakit.stages.produce import produce
from llamakit.stages.source import find_sources
from llamakit.stages.world import World


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("en/b.jsonl", "en/deep/a.jsonl", "de/a.jsonl", "de/note.txt", ".x/a.jsonl"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{{"text": "{name}"}}\n')
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("**/*.jsonl", ["de/a.jsonl", "en/b.jsonl", "en/deep/a.jsonl"]),
        ("en/*.jsonl", ["b.jsonl"]),
        ("*/a.json?", ["de/a.jsonl"]),
        ("[de]*/*", ["de/a.jsonl", "de/note.txt", "en/b.jsonl"]),
    ],
)
def test_a_pattern_names_files_below_its_fixed_folder(
    folder: Path, tmp_path: Path, pattern: str, names: list[str]
) -> None:
    found = find_sources(f"{folder}/{pattern}", Store(tmp_path / "artifacts"))
    assert [source.name for source in found] == names


def test_a_pattern_without_a_match_is_named(folder: Path, tmp_path: Path) -> None:
    for pattern in (f"{folder}/*.parquet", "nothing/*.jsonl"):
        with pytest.raises(InputError, match="no file matches the pattern") as error:
            find_sources(pattern, Store(tmp_path / "artifacts"))
        assert error.value.where == pattern


def test_a_file_that_is_called_like_a_pattern_wins(tmp_path: Path) -> None:
    (tmp_path / "a[1].txt").write_text("x")
    (tmp_path / "a1.txt").write_text("y")
    (source,) = find_sources(str(tmp_path / "a[1].txt"), Store(tmp_path / "artifacts"))
    assert source.name == "a[1].txt"


def test_a_pattern_within_a_raw_artifact(store: Store) -> None:
    produce(World(docs=60), store, name="raw")
    found = find_sources("raw/prompts*.jsonl", store)
    assert len(found) >= 2
    assert all(source.name.startswith("prompts") and source.artifact for source in found)
    with pytest.raises(InputError, match="holds no file"):
        find_sources("raw/*.parquet", store)


def test_ingest_of_a_pattern_reuses_moved_files_and_sees_new_ones(
    folder: Path, store: Store, tmp_path: Path
) -> None:
    stage = Ingest(files=(f"{folder}/**/*.jsonl",), as_="documents")
    version = produce(stage, store).version
    assert read_all(version.path / "data")["id"].to_list() == [
        "de/a.jsonl:1",
        "en/b.jsonl:1",
        "en/deep/a.jsonl:1",
    ]
    folder.rename(tmp_path / "moved")
    moved = Ingest(files=(f"{tmp_path}/moved/**/*.jsonl",), as_="documents")
    assert produce(moved, store).reused
    (tmp_path / "moved/en/c.jsonl").write_text('{"text": "new"}\n')
    assert not produce(moved, store).reused
