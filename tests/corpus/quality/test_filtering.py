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
        "short": "gopher.min_words",
        "numbers": "gopher.min_word_length",
    }
    assert version.record.counts["rejected_gopher.min_words"] == 1


def test_only_the_languages_asked_for(store: Store, documents: Version[Any]) -> None:
    stage = Filter(documents=documents, languages=["de"], preset="off", relabel=True)
    version = produce(stage, store).version
    assert read_all(version.path / "data")["id"].to_list() == ["de"]
    assert version.record.counts["rejected_language"] == 4


def test_one_rule_can_be_left_out(store: Store, documents: Version[Any]) -> None:
    version = produce(Filter(documents=documents, skip=["gopher.min_words"]), store).version
    assert "short" in read_all(version.path / "data")["id"].to_list()


def test_one_threshold_can_be_changed(store: Store, documents: Version[Any]) -> None:
    stage = Filter(documents=documents, thresholds={"gopher.min_words": 2})
    version = produce(stage, store).version
    assert "short" in read_all(version.path / "data")["id"].to_list()
    rules = json.loads((version.path / "rules.json").read_text())
    assert rules["gopher.min_words"] == {"threshold": 2, "dropped": 0, "failing": 0, "lines": 0}
    assert rules["gopher.min_word_length"]["dropped"] == 1


def test_off_keeps_all_but_other_languages(store: Store, tmp_path: Path) -> None:
    texts = ["", "\n", "lorem ipsum", "x x x x x x x"]
    path = tmp_path / "rows.jsonl"
    rows = [{"id": str(n), "text": text} for n, text in enumerate(texts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    read = produce(Ingest(files=(str(path),), as_="documents"), store).version
    kept = produce(Filter(documents=read, preset="off"), store).version
    assert kept.record.counts["documents"] == read.record.counts["documents"]
    assert kept.record.counts["rejected"] == 0


def documents_of(texts: dict[str, str], store: Store, folder: Path) -> Version[Any]:
    path = folder / "given.jsonl"
    rows = [{"id": name, "text": text} for name, text in texts.items()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return produce(Ingest(files=(str(path),), as_="documents"), store).version


def test_lines_are_taken_out_and_rejected_texts_stay_as_they_were(
    store: Store, tmp_path: Path
) -> None:
    sentences = "One came here. Two went there. Three sat down. Four stood up. Five ran off."
    read = documents_of(
        {
            "kept": f"Home | About\n{sentences}\nWe use cookies to serve you.",
            "gone": f"Menu\n{ENGLISH}",
        },
        store,
        tmp_path,
    )
    version = produce(Filter(documents=read, preset="c4"), store).version
    assert read_all(version.path / "data")["text"].to_list() == [sentences]
    rejected = read_all(version.path / "rejected")
    assert rejected.select("text", "reason").rows() == [(f"Menu\n{ENGLISH}", "c4.min_sentences")]
    counts = version.record.counts
    assert counts["lines_c4.terminal_punctuation"] == 2
    assert counts["lines_c4.policy"] == 1


ITEM = {
    "question": "Which river flows past the old market hall of the small town of Aber in Wales?",
    "answer": "the green river",
}


def protecting(store: Store, tmp_path: Path, **settings: Any) -> Version[Any]:
    task = tmp_path / "quiz.jsonl"
    task.write_text(json.dumps(ITEM) + "\n" + json.dumps({**ITEM, "question": "Why?"}) + "\n")
    question = ITEM["question"].replace("old", "OLD").replace(" Aber", ", ABER,")
    texts = {
        "holds": f"A quiz of last week. {question} Nobody knew what to say to that, so we left.",
        "hints": "We came past the old market hall of some small town of a name I have forgotten.",
        "clean": ENGLISH,
    }
    read = documents_of(texts, store, tmp_path)
    return produce(Filter(documents=read, protect=(str(task),), **settings), store).version


def test_documents_with_protected_items_go(store: Store, tmp_path: Path) -> None:
    version = protecting(store, tmp_path)
    rejected = read_all(version.path / "rejected")
    assert dict(rejected.select("id", "reason").iter_rows()) == {"holds": "contaminated"}
    assert version.record.counts["contaminated_quiz"] == 1
    found = read_all(version.path / "contaminated")
    assert found.select("id", "task", "item").rows() == [("holds", "quiz", "1")]
    # Of Q, 17 words, A and 3 words, the 17 stand there.
    assert found["share"].to_list() == pytest.approx([17 / 22], abs=0.06)


def test_how_much_of_an_item_is_too_much(store: Store, tmp_path: Path) -> None:
    version = protecting(store, tmp_path, protect_share=0.95)
    assert version.record.counts["rejected"] == 0
    stricter = protecting(store, tmp_path, protect_share=0.2, protect_length=5)
    assert stricter.record.counts["rejected_contaminated"] == 2


def test_the_report_shows_the_cases_near_a_threshold(store: Store, tmp_path: Path) -> None:
    texts = {f"d{n}": " ".join(["word"] * 3 + [f"w{i}" for i in range(n)]) for n in range(6)}
    read = documents_of(texts | {"markup": "<b>bold</b> & more words here"}, store, tmp_path)
    version = produce(Filter(documents=read), store).version
    page = (version.path / "log" / "report.html").read_text(encoding="utf-8")
    assert "gopher.min_words" in page
    assert "fails with 4: d1" in page
    assert "passes with 5: d2" in page
    assert "<b>bold" not in page


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rules": ["c4.bad_words"]}, "--bad-words FILE"),
        ({"vocabulary": "x"}, "serves --protect only"),
        ({"thresholds": {"gopher.min_wrods": 2}}, "gopher.min_words"),
        ({"preset": "goffer"}, "goffer"),
    ],
)
def test_wrong_settings_are_told_at_once(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        Filter(documents="x", **settings)
    assert message in f"{error.value} {error.value.fix}"
