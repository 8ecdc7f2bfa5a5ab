from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llamakit.artifacts.frames import read_all
from llamakit.artifacts.store import Store, Version
from llamakit.errors import UsageError
from llamakit.stages.filter import Filter
from llamakit.stages.ingest import Ingest
from llamakit.stages.produce import produce

GERMAN = "Der Markt öffnet früh, und die Leute kommen aus allen Dörfern der Umgebung hierher."
ENGLISH = "The market opens early, and people come from all the villages around to this place."


@pytest.fixture
def documents(store: Store, tmp_path: Path) -> Version[Any]:
    rows = [
        {"id": "en", "text": ENGLISH},
        {"id": "de", "text": GERMAN},
        {"id": "said", "text": ENGLISH, "language": "de"},
        {"id": "short", "text": "Hello there"},
        {"id": "numbers", "text": "1 2 3 4 5 6 7 8 9"},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return produce(Ingest(files=(str(path),), as_="documents"), store).version


def test_languages_are_written_and_reasons_counted(store: Store, documents: Version[Any]) -> None:
    version = produce(Filter(documents=documents), store).version
    kept = read_all(version.path / "data")
    assert dict(kept.select("id", "language").iter_rows()) == {"en": "en", "de": "de", "said": "de"}
    rejected = read_all(version.path / "rejected")
    assert dict(rejected.select("id", "reason").iter_rows()) == {
        "short": "too_few_words",
        "numbers": "short_words",
    }
    assert version.record.counts["rejected_too_few_words"] == 1


def test_only_the_languages_asked_for(store: Store, documents: Version[Any]) -> None:
    stage = Filter(documents=documents, languages=["de"], preset="off", relabel=True)
    version = produce(stage, store).version
    assert read_all(version.path / "data")["id"].to_list() == ["de"]
    assert version.record.counts["rejected_language"] == 4


def test_one_threshold_can_be_switched_off(store: Store, documents: Version[Any]) -> None:
    version = produce(Filter(documents=documents, min_words=0), store).version
    assert "short" in read_all(version.path / "data")["id"].to_list()


def test_off_keeps_all_but_other_languages(store: Store, tmp_path: Path) -> None:
    texts = ["", "\n", "lorem ipsum", "x x x x x x x"]
    path = tmp_path / "rows.jsonl"
    rows = [{"id": str(n), "text": text} for n, text in enumerate(texts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    read = produce(Ingest(files=(str(path),), as_="documents"), store).version
    kept = produce(Filter(documents=read, preset="off"), store).version
    assert kept.record.counts["documents"] == read.record.counts["documents"]
    assert kept.record.counts["rejected"] == 0


def test_shares_are_checked() -> None:
    with pytest.raises(UsageError, match="max_top_ngram"):
        Filter(documents="x", max_top_ngram=[2.0])
