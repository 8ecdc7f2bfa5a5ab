from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from llamakit.world.copies import DISTINCT, NEAR, shingles, similarity
from llamakit.world.personal import PII_KINDS


@pytest.fixture(scope="module")
def texts(files):
    return {record["id"]: record["text"] for record in files["documents.jsonl"]}


@pytest.fixture(scope="module")
def genres(files):
    return {record["id"]: record["genre"] for record in files["truth/documents.jsonl"]}


@pytest.mark.parametrize("file", ["truth/pii.jsonl", "truth/decoys.jsonl"])
def test_spans_are_exact(files, texts, file):
    assert files[file]
    for row in files[file]:
        assert texts[row["id"]][row["start"] : row["end"]] == row["text"]


def test_personal_data_of_every_kind_on_heavy_and_ordinary_sites(files, genres):
    assert {row["kind"] for row in files["truth/pii.jsonl"]} == set(PII_KINDS)
    counts = Counter(row["id"] for row in files["truth/pii.jsonl"])
    heavy = {row["site"] for row in files["truth/sites.jsonl"] if row["heavy"]}
    assert heavy
    for record in files["truth/documents.jsonl"]:
        if record["site"] in heavy:
            assert counts[record["id"]] >= 6
        elif record["genre"] not in ("notice",):
            assert counts[record["id"]] == 0


def test_copies_come_after_their_original_and_are_as_similar_as_said(files, texts):
    assert files["truth/duplicates.jsonl"]
    kinds = Counter(row["kind"] for row in files["truth/duplicates.jsonl"])
    assert min(kinds["exact"], kinds["near"]) > 5
    for row in files["truth/duplicates.jsonl"]:
        assert row["original"] < row["id"]
        measured = similarity(texts[row["original"]], texts[row["id"]])
        assert measured == pytest.approx(row["similarity"], abs=1e-4)
        assert measured >= NEAR
        assert (texts[row["original"]] == texts[row["id"]]) == (row["kind"] == "exact")


def test_nothing_else_is_a_near_duplicate(files, texts):
    copies = {row["id"] for row in files["truth/duplicates.jsonl"]}
    parts = {name: shingles(text) for name, text in texts.items() if name not in copies}
    holders = defaultdict(list)
    for name, grams in parts.items():
        for gram in grams:
            holders[gram].append(name)
    shared: Counter[tuple[str, str]] = Counter()
    for names in holders.values():
        shared.update((a, b) for i, a in enumerate(names) for b in names[i + 1 :])
    worst = max(n / (len(parts[a]) + len(parts[b]) - n) for (a, b), n in shared.items())
    assert worst < DISTINCT


def test_false_facts_are_false_and_in_the_text(files, texts, genres):
    facts = {(row["entity"], row["attribute"]): row["value"] for row in files["truth/facts.jsonl"]}
    assert files["truth/false_facts.jsonl"]
    for row in files["truth/false_facts.jsonl"]:
        assert facts[row["entity"].removeprefix("the "), row["attribute"]] == row["true"]
        assert row["value"] != row["true"]
        assert row["value"].lower() in texts[row["id"]].lower()
        assert genres[row["id"]] in ("thread", "report")


def test_the_encyclopedia_never_lies(files, world):
    sources = {record["id"]: record["source"] for record in files["documents.jsonl"]}
    liars = {row["id"] for row in files["truth/false_facts.jsonl"]}
    assert not any(sources[name] == "encyclopedia" for name in liars)
    text = " ".join(
        record["text"] for record in files["documents.jsonl"] if record["source"] == "encyclopedia"
    )
    told = sum(
        any(statement in text for statement in fact.statements()) for fact in world.all_facts()
    )
    assert told == sum(1 for _ in world.all_facts())


def test_unseen_wordings_stay_unseen(files, world):
    text = " ".join(record["text"] for record in files["documents.jsonl"])
    unseen = [fact.unseen_statement() for fact in world.all_facts()]
    assert not any(statement in text for statement in unseen)
    held = " ".join(
        record["text"] for record in files["heldout.jsonl"] if record["source"] == "paraphrase"
    )
    assert any(statement in held for statement in unseen)


def test_every_genre_has_its_share(files):
    genres = Counter(record["genre"] for record in files["truth/documents.jsonl"])
    assert genres["article"] + genres["survey"] > 0.4 * len(files["documents.jsonl"])
    assert {"foreign", "spam", "directory", "notice", "mischief"} < set(genres)


def test_languages_are_identified(files):
    langid = pytest.importorskip("py3langid")
    found = [
        langid.classify(record["text"])[0] == record["language"]
        for record in files["documents.jsonl"]
        if record["language"] != "en"
    ]
    assert len(found) > 20
    assert sum(found) >= 0.95 * len(found)
