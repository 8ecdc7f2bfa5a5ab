"""What mixtures come out as: shares, shards, nesting, tokens of a vocabulary."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.frames import DOCUMENTS, part_name, write_table
from llamakit.artifacts.kinds import Documents
from llamakit.artifacts.mixture import MIXTURE_FILE, iter_documents
from llamakit.artifacts.store import Store, Version
from llamakit.errors import UsageError
from llamakit.events import Events
from llamakit.stages.fields import Identity
from llamakit.stages.mix import Mix
from llamakit.stages.produce import forecast, prepare, produce
from llamakit.stages.stage import Outcome, Stage
from llamakit.stages.tokenize import Tokenize
from llamakit.stages.tokenizer import Tokenizer
from llamakit.text.tokens import TokenStore

SOURCES = {"wiki": 300, "web": 900, "code": 500}


@dataclass(frozen=True, kw_only=True)
class Corpus(Stage):
    """Documents of several sources, lengths uneven, in parts of any size."""

    rows: Identity[int] = 10_000
    """Documents a part."""
    sources: Identity[dict[str, int]]

    makes: ClassVar = Documents
    revision: ClassVar = 1
    panel: ClassVar = "Corpus"

    def run(self, draft: Draft[Documents]) -> Outcome:
        draws = random.Random(1)
        documents = [
            {
                "id": f"{source}-{n}",
                "text": "The river runs. " * max(1, int(draws.lognormvariate(2, 1.2))),
                "source": source,
                "metadata": "{}",
            }
            for source, count in self.sources.items()
            for n in range(count)
        ]
        draws.shuffle(documents)
        for index, begin in enumerate(range(0, len(documents), self.rows)):
            frame = pl.DataFrame(documents[begin : begin + self.rows])
            write_table(draft.path / "data" / part_name(index), frame, DOCUMENTS)
        return Outcome()


class Listener(Events):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def note(self, text: str) -> None:
        self.told.append(text)

    warn = note


def corpus(store: Store, name: str = "corpus", rows: int = 10_000, **sources: int) -> Version[Any]:
    stage = Corpus(rows=rows, sources=sources or SOURCES)
    return produce(stage, store, name=name).version


def reads(version: Version[Any]) -> dict[str, int]:
    return {
        name: count
        for frame in iter_documents(version)
        for name, count in frame.select("id", "repeats").iter_rows()
    }


def shares(version: Version[Any]) -> dict[str, float]:
    """Measured from the mixture itself: tokens (as estimated) by source."""
    found: dict[str, float] = {}
    for frame in iter_documents(version):
        for text, source, times in frame.select("text", "source", "repeats").iter_rows():
            found[source] = found.get(source, 0) + times * -(-len(text) // 4)
    return {source: size / sum(found.values()) for source, size in found.items()}


@pytest.mark.parametrize("seed", range(3))
def test_achieved_shares_are_within_half_a_percent(store: Store, seed: int) -> None:
    weights = {"wiki": 0.31, "web": 0.27, "code": 0.42}
    stage = Mix(documents=(corpus(store),), weights=weights, max_tokens=20_000, seed=seed)
    listener = Listener()
    version = produce(stage, store, events=listener).version
    assert shares(version) == pytest.approx(weights, rel=0.005)
    for source, weight in weights.items():
        assert version.record.metrics[f"asked_share_{source}"] == pytest.approx(weight)
        assert version.record.metrics[f"share_{source}"] == pytest.approx(weight, rel=0.005)
    assert version.record.counts["tokens"] == pytest.approx(20_000, rel=0.005)
    assert not any("asked for" in line for line in listener.told)


def test_temperature(store: Store) -> None:
    version = produce(Mix(documents=(corpus(store),), temperature=2.0), store).version
    sizes = shares(produce(Mix(documents=("corpus",)), store).version)
    roots = {source: size**0.5 for source, size in sizes.items()}
    wanted = {source: root / sum(roots.values()) for source, root in roots.items()}
    assert shares(version) == pytest.approx(wanted, rel=0.005)


def test_too_few_documents_are_told(store: Store) -> None:
    mixed = corpus(store, wiki=3, web=500)
    stage = Mix(documents=(mixed,), weights={"wiki": 0.1, "web": 0.9}, max_tokens=400)
    listener = Listener()
    produce(stage, store, events=listener)
    assert any("documents are not cut" in line for line in listener.told), listener.told


def test_the_cap_is_told_with_both_shares(store: Store) -> None:
    stage = Mix(documents=(corpus(store, wiki=20, web=900),), weights={"wiki": 1, "web": 1})
    listener = Listener()
    version = produce(stage, store, events=listener).version
    share = version.record.metrics["share_wiki"]
    assert share is not None
    assert any(
        f"wiki: read 4 times, the cap (--max-epochs): {share:.2%}" in line
        and "asked for 50.00%" in line
        for line in listener.told
    )
    assert any("the other sources share what the cap leaves" in line for line in listener.told)


def test_other_parts_other_workers_same_documents(store: Store) -> None:
    wish = {"weights": {"wiki": 2.0, "web": 1.0, "code": 0.5}, "max_tokens": 30_000}
    found = []
    for rows in (10_000, 97, 300):
        name = f"corpus{rows}"
        corpus(store, name, rows)
        version = produce(Mix(documents=(name,), **wish), store, name=f"mix{rows}").version
        found.append((reads(version), version.record.counts))
    assert found[0] == found[1] == found[2]


def test_a_mixture_of_mixtures(store: Store) -> None:
    corpus(store)
    corpus(store, "books", books=200)
    inner = Mix(documents=("corpus",), upsample={"wiki": 2}, weights={})
    inner_version = produce(inner, store, name="web").version
    stage = Mix(documents=("web", "books"), by="input", weights={"web": 0.75, "books": 0.25})
    version = produce(stage, store, name="outer").version
    found = shares(version)
    assert found["books"] == pytest.approx(0.25, rel=0.005)
    # Inside, the sources keep the shares of the inner mixture.
    ratio = shares(inner_version)
    assert found["wiki"] / found["code"] == pytest.approx(ratio["wiki"] / ratio["code"], rel=0.1)
    # Repeats multiply, fractions of a reading are drawn.
    twice = produce(Mix(documents=("web",), by="input", upsample={"web": 1.5}), store).version
    times = {"wiki": {3}, "web": {1, 2}, "code": {1, 2}}
    for frame in iter_documents(twice):
        for source, count in frame.select("source", "repeats").iter_rows():
            assert count in times[source]
    # Its listing names plain documents only, by content.
    listing = json.loads((version.path / MIXTURE_FILE).read_text(encoding="utf-8"))
    assert listing["inputs"] == [store.resolve(name).digest for name in ("corpus", "books")]


def test_the_cap_counts_what_inner_mixtures_repeat(store: Store) -> None:
    corpus(store)
    produce(Mix(documents=("corpus",), upsample={"wiki": 3}), store, name="web")
    outer = produce(Mix(documents=("web",), by="input", upsample={"web": 3}), store).version
    found = reads(outer)
    assert max(found.values()) == 4
    assert {n for name, n in found.items() if name.startswith("wiki")} == {4}


def test_names_of_inputs(store: Store) -> None:
    corpus(store)
    corpus(store, "books", books=50)
    with pytest.raises(UsageError, match="inputs are weighed with --by input"):
        produce(Mix(documents=("corpus", "books"), weights={"corpus": 1}), store)
    with pytest.raises(UsageError, match=r"no input is called 'boks'.*Did you mean 'books'"):
        produce(Mix(documents=("corpus", "books"), by="input", weights={"boks": 1}), store)
    with pytest.raises(UsageError, match="two inputs are called books"):
        produce(Mix(documents=("books", "books"), by="input", weights={"books": 1}), store)
    # Names shape the result where the config speaks of them, and only there.
    store.resolve("books").path.parent.rename(store.root / "novels")
    (store.root / "novels").joinpath("v1/artifact.json").write_text(
        (store.root / "novels" / "v1" / "artifact.json")
        .read_text(encoding="utf-8")
        .replace('"name": "books"', '"name": "novels"'),
        encoding="utf-8",
    )

    def fingerprint(by: str, *names: str) -> str:
        return prepare(Mix(documents=names, by=by), store).fingerprint  # type: ignore[arg-type]

    by_source = fingerprint("source", "corpus", "novels")
    by_input = fingerprint("input", "corpus", "novels")
    (store.root / "novels").rename(store.root / "books")
    (store.root / "books").joinpath("v1/artifact.json").write_text(
        (store.root / "books" / "v1" / "artifact.json")
        .read_text(encoding="utf-8")
        .replace('"name": "novels"', '"name": "books"'),
        encoding="utf-8",
    )
    assert fingerprint("source", "corpus", "books") == by_source
    assert fingerprint("input", "corpus", "books") != by_input


def test_a_dry_run_shows_what_the_run_gives(store: Store) -> None:
    corpus(store)
    stage = Mix(documents=("corpus",), weights={"wiki": 1, "web": 2}, max_tokens=10_000)
    listener = Listener()
    answer = forecast(prepare(stage, store), store, listener)
    assert answer is not None
    assert store.numbers("mix") == []
    version = produce(stage, store, events=listener).version
    assert answer.text.splitlines() == [line for line in listener.told if "make" not in line]
    for source, row in answer.values["source"].items():
        assert row["share"] == version.record.metrics[f"share_{source}"]


def test_tokens_of_a_vocabulary_are_those_that_tokenize_stores(store: Store) -> None:
    corpus(store)
    produce(Tokenizer(documents="corpus", vocab_size=270), store)
    stage = Mix(
        documents=("corpus",),
        vocabulary="tokenizer",
        weights={"wiki": 1, "code": 3},
        max_tokens=50_000,
        workers=1,
    )
    version = produce(stage, store).version
    tokenize = Tokenize(documents="mix", vocabulary="tokenizer", validation_share=0.0, workers=1)
    tokens = produce(tokenize, store).version
    assert tokens.record.counts["training_tokens"] == version.record.counts["tokens"]
    read = {
        source: tokens.record.counts[f"training_tokens_{source}"] for source in ("wiki", "code")
    }
    assert read["code"] / sum(read.values()) == pytest.approx(0.75, rel=0.005)
    assert len(TokenStore.open(tokens.path).order) == version.record.counts["reads"]


def test_one_wish_at_a_time(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="weights or temperature, not both"):
        Mix(documents=("x",), weights={"a": 1}, temperature=2.0)
