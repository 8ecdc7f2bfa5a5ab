from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from classifier import tiny_classifier

from llamakit.artifacts.frames import read_table
from llamakit.artifacts.mixture import shard_ranges
from llamakit.artifacts.store import Store, Version
from llamakit.errors import InputError, UsageError
from llamakit.evaluation.toxicity import toxicity_scorer
from llamakit.stages.filter import Filter
from llamakit.stages.ingest import Ingest
from llamakit.stages.mix import Mix
from llamakit.stages.produce import produce
from llamakit.stages.profile import Profile
from llamakit.stages.tokenizer import Tokenizer
from llamakit.text.vocabulary import Vocabulary

LINE = "This very line is long enough to count as a line."
ROWS: list[dict[str, Any]] = [
    {"id": "a", "text": "She said it. Gay rights.", "url": "http://www.one.example/1"},
    {"id": "b", "text": f"They are American-Indian.\n{LINE}", "url": "https://one.example/2"},
    {"id": "c", "text": f"Nobody here. \n{LINE}", "url": "https://two.example/"},
    {"id": "d", "text": "she said IT.  gay rights."},
    {"id": "e", "text": "Ich bin sie, he.", "language": "de", "source": "other"},
    {"id": "f", "text": "Write to me: a@b.example", "url": "not a url at all"},
]
for row in ROWS:
    row.setdefault("language", "en")
    row.setdefault("source", "web")


def _documents(store: Store, folder: Path, rows: list[dict[str, Any]], name: str) -> Version[Any]:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return produce(Ingest(files=(str(path),), as_="documents"), store, name=name).version


@pytest.fixture
def documents(store: Store, tmp_path: Path) -> Version[Any]:
    return _documents(store, tmp_path, ROWS, "raw")


def _report(version: Version[Any]) -> Any:
    return json.loads((version.path / "report.json").read_text(encoding="utf-8"))


def _profiled(store: Store, *documents: Version[Any], **config: Any) -> Any:
    stage = Profile(documents=documents, pii_sample=1.0, workers=1, **config)
    return _report(produce(stage, store).version)


def test_counts_by_hand(store: Store, documents: Version[Any]) -> None:
    report = _profiled(store, documents)
    found = report["profiles"]["raw"]
    assert report["differences"] == []
    assert (found["documents"], found["reads"]) == (6, 6)
    assert found["bytes"] == sum(len(row["text"]) for row in ROWS)
    assert found["words"] == sum(len(row["text"].split()) for row in ROWS)
    assert {code: row["reads"] for code, row in found["languages"].items()} == {"en": 5, "de": 1}
    pronouns = found["pronouns"]
    assert pronouns["english"] == 5
    assert pronouns["any_gender"] == {"reads": 3, "share": 3 / 5}  # a, b, d
    assert pronouns["any_person"] == {"reads": 4, "share": 4 / 5}  # and f: me
    assert pronouns["genders"] == {
        "she": {"reads": 2, "share": 2 / 5, "share_within": 2 / 3},
        "he": {"reads": 0, "share": 0.0, "share_within": 0.0},
        "they": {"reads": 1, "share": 1 / 5, "share_within": 1 / 3},
    }
    assert pronouns["persons"]["third"] == {"reads": 3, "share": 3 / 5, "share_within": 3 / 4}
    assert pronouns["persons"]["first"]["reads"] == 1
    identity = found["identity"]
    assert identity["sexual_orientation"]["terms"] == {"gay": {"reads": 2, "share_within": 1.0}}
    assert identity["nationality"]["share"] == 1 / 5
    assert identity["nationality"]["terms"].keys() == {"american", "indian"}
    assert identity["race_and_ethnicity"]["terms"].keys() == {"american indian"}
    assert identity["religion"] == {"reads": 0, "share": 0.0, "terms": {}}
    copies = found["copies"]
    assert (copies["documents"]["items"], copies["documents"]["copies"]) == (6, 1)  # d is a
    assert (copies["lines"]["items"], copies["lines"]["copies"]) == (2, 1)
    assert copies["lines"]["character_share"] == 0.5
    assert found["pii"]["kinds"] == {"email": 1}
    assert (found["pii"]["sampled"], found["pii"]["hits"]) == (6, 1)
    assert found["sites"]["top"][0]["site"] == "one.example"
    assert found["sites"]["top"][0]["documents"] == 2
    assert "tokens" not in found


def test_shards_and_workers_change_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [{**row, "id": f"{row['id']}{n}", "text": f"{n} {row['text']}"} for n in range(7)
            for row in ROWS]  # fmt: skip
    whole = _documents(store, tmp_path, many, "raw")
    one = _profiled(store, whole)
    monkeypatch.setattr("llamakit.artifacts.mixture.ROWS_PER_RANGE", 10)
    assert len(shard_ranges(whole)) == 5
    for workers in (1, 3):
        stage = Profile(documents=(whole,), pii_sample=1.0, workers=workers)
        assert _report(produce(stage, store, force=True).version) == one


def test_pieces_of_a_shard_change_nothing(
    store: Store, documents: Version[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = _profiled(store, documents)
    monkeypatch.setattr("llamakit.corpus.profiling.scan._BYTES_AT_ONCE", 40)
    stage = Profile(documents=(documents,), pii_sample=1.0, workers=1)
    assert _report(produce(stage, store, force=True).version) == one


def test_a_mixture_counts_documents_as_often_as_they_are_read(
    store: Store, documents: Version[Any]
) -> None:
    mixed = produce(Mix(documents=(documents,), upsample={"other": 3.0}), store).version
    report = _profiled(store, documents, mixed)
    before, after = report["profiles"]["raw"], report["profiles"]["mix"]
    assert (after["documents"], after["reads"]) == (6, 8)
    assert after["languages"]["de"]["reads"] == 3
    assert after["bytes"] == before["bytes"] + 2 * len(ROWS[4]["text"])
    assert after["copies"] == before["copies"]
    assert after["pronouns"] == before["pronouns"]
    assert sum(after["lengths"]["words"]["buckets"].values()) == 8
    changes = {row["measure"]: row["change"] for row in report["differences"]}
    assert changes["reads"] == 2
    assert changes["english_share"] == 5 / 8 - 5 / 6


def test_tokens_are_those_of_the_vocabulary(store: Store, documents: Version[Any]) -> None:
    vocabulary = produce(Tokenizer(documents=documents, vocab_size=300), store).version
    found = _profiled(store, documents, vocabulary=vocabulary)["profiles"]["raw"]
    pieces = Vocabulary.load(vocabulary.path)
    tokens = [len(pieces.encode(row["text"])) for row in ROWS]
    assert found["tokens"] == sum(tokens)
    assert found["sources"]["other"]["tokens"] == tokens[4]
    assert found["sources"]["other"]["bytes_per_token"] == len(ROWS[4]["text"]) / tokens[4]
    assert found["lengths"]["tokens"]["quantiles"]["0.99"] == max(tokens)


def test_toxicity_by_phrases_and_what_is_shown(
    store: Store, tmp_path: Path, documents: Version[Any]
) -> None:
    (tmp_path / "bad.txt").write_text("gay rights\n")
    stage = Profile(
        documents=(documents,), toxicity=(str(tmp_path / "bad.txt"),), toxicity_sample=1.0
    )
    version = produce(stage, store).version
    report = _report(version)
    found = report["profiles"]["raw"]["toxicity"]
    assert (found["sampled"], found["toxic"], found["mean"]) == (6, 2, 2 / 6)
    assert report["settings"]["toxicity"] == "bad.txt"
    samples = read_table(version.path / "samples.parquet")
    assert samples.filter(pl.col("group") == "toxic")["id"].to_list()[:2] == ["a", "d"]
    page = (version.path / "report.html").read_text(encoding="utf-8")
    assert "Toxicity" in page
    assert "<script" not in page


def test_toxicity_by_a_classifier(store: Store, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    rows = [{"text": text} for text in ("a good day\nbad", "bad bad day", "very good", "a bad day")]
    documents = _documents(store, tmp_path, rows, "days")
    folder = tiny_classifier(tmp_path / "classifier")
    config = {"toxicity": (str(folder),), "toxicity_sample": 1.0, "device": "cpu"}
    found = _profiled(store, documents, **config)["profiles"]["days"]["toxicity"]
    score = toxicity_scorer(folder, None, "cpu")
    scores = [sum(one := score(row["text"].split("\n"))) / len(one) for row in rows]
    assert found["sampled"] == 4
    assert found["mean"] == pytest.approx(sum(scores) / 4, abs=1e-5)
    assert found["toxic"] == sum(each >= 0.5 for each in scores)
    assert sum(found["histogram"]) == 4
    other = _profiled(store, documents, **config, toxicity_label="neutral")
    assert other["profiles"]["days"]["toxicity"]["mean"] == pytest.approx(
        1 - found["mean"], abs=1e-5
    )


def test_own_terms(store: Store, tmp_path: Path, documents: Version[Any]) -> None:
    (tmp_path / "own.toml").write_text('talk = ["said", "write to"]')
    found = _profiled(store, documents, terms=(str(tmp_path / "own.toml"),))["profiles"]["raw"]
    assert found["identity"]["talk"]["reads"] == 3
    assert list(found["identity"]["talk"]["terms"]) == ["said", "write to"]


def test_no_english_document_leaves_shares_unknown(store: Store, tmp_path: Path) -> None:
    rows = [{"id": "1", "text": "Guten Tag, he.", "language": "de"}]
    found = _profiled(store, _documents(store, tmp_path, rows, "german"))["profiles"]["german"]
    assert found["pronouns"]["any_gender"] == {"reads": 0, "share": None}
    assert found["identity"]["religion"]["share"] is None


def test_an_empty_corpus_is_told(store: Store, documents: Version[Any]) -> None:
    empty = produce(Filter(documents=documents, languages=["xx"]), store).version
    with pytest.raises(InputError, match="no documents to count"):
        _profiled(store, empty)


def test_wrong_use_is_told(store: Store, tmp_path: Path, documents: Version[Any]) -> None:
    with pytest.raises(UsageError, match="at most 2"):
        Profile(documents=("a", "b", "c"))
    with pytest.raises(UsageError, match="twice"):
        produce(Profile(documents=(documents, documents)), store)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"config\.json"):
        produce(Profile(documents=(documents,), toxicity=(str(tmp_path / "empty"),)), store)
