"""The stages `tokenizer` and `tokenize`, from documents and from a mixture of them."""

import json
import os
import random
import shutil
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import polars as pl
import pytest

from llamakit.artifacts import mixture
from llamakit.artifacts.draft import Draft
from llamakit.artifacts.frames import DOCUMENTS, part_name, write_table
from llamakit.artifacts.kinds import Documents
from llamakit.artifacts.mixture import MIXTURE_FILE, MIXTURE_FOLDER, PICKS
from llamakit.artifacts.store import Store
from llamakit.errors import UsageError
from llamakit.stages.fields import Identity, Input
from llamakit.stages.produce import produce
from llamakit.stages.stage import Outcome, Stage
from llamakit.stages.tokenize import Tokenize
from llamakit.stages.tokenizer import Tokenizer
from llamakit.text.tokens import TokenStore
from llamakit.text.vocabulary import Vocabulary

WORDS = ["the", "river", "of", "Alder", "runs", "north", "Mira", "paid", "1984", "coins\n\n"]
N_DOCUMENTS = 60


def texts() -> list[str]:
    draws = random.Random(3)
    found = [" ".join(draws.choices(WORDS, k=30)) for _ in range(N_DOCUMENTS)]
    found[50] = found[2]
    return found


@dataclass(frozen=True, kw_only=True)
class Texts(Stage):
    """Documents in three parts."""

    parts: Identity[int] = 3

    makes: ClassVar = Documents
    revision: ClassVar = 1
    panel: ClassVar = "Corpus"

    def run(self, draft: Draft[Documents]) -> Outcome:
        size = -(-N_DOCUMENTS // self.parts)
        for index in range(self.parts):
            rows = [
                {"id": str(i), "text": text, "source": "test", "metadata": "{}"}
                for i, text in enumerate(texts())
            ][index * size : (index + 1) * size]
            write_table(draft.path / "data" / part_name(index), pl.DataFrame(rows), DOCUMENTS)
        return Outcome()


@dataclass(frozen=True, kw_only=True)
class Thrice(Stage):
    """A mixture that reads every other document of the first part three times."""

    documents: Input[Documents]

    makes: ClassVar = Documents
    revision: ClassVar = 1
    panel: ClassVar = "Corpus"

    def run(self, draft: Draft[Documents]) -> Outcome:
        rows = list(range(0, 20, 2))
        picks = {"row": rows, "id": list(map(str, rows)), "source": "test", "repeats": 3}
        name = f"{MIXTURE_FOLDER}/{part_name(0)}"
        write_table(draft.path / name, pl.DataFrame(picks), PICKS)
        shard = {"input": 0, "part": f"data/{part_name(0)}", "picks": name}
        listing = {"inputs": [draft.input(self.documents).digest], "shards": [shard]}
        (draft.path / MIXTURE_FILE).write_text(json.dumps(listing), encoding="utf-8")
        return Outcome()


@pytest.fixture
def filled(store: Store) -> Store:
    """A store with documents, a mixture of them, and a vocabulary."""
    produce(Texts(), store)
    produce(Thrice(documents="texts"), store)
    produce(Tokenizer(documents="texts", vocab_size=310), store)
    return store


def test_vocabulary(filled: Store) -> None:
    made = filled.resolve("tokenizer")
    assert Vocabulary.load(made.path).size == 310
    lines = sum(text.count("\n") + 1 for text in texts())
    assert made.record.counts["lines"] == lines
    assert made.record.counts["sentences"] <= lines  # empty lines are none
    metrics = made.record.metrics
    assert metrics["bytes_per_token_test"] == metrics["bytes_per_token"] > 1.5


def test_vocabulary_does_not_depend_on_parts(filled: Store) -> None:
    produce(Texts(parts=5), filled, name="other")
    again = produce(Tokenizer(documents="other", vocab_size=310), filled, name="again")
    assert again.version.digest == filled.resolve("tokenizer").digest


def test_vocabulary_of_some_lines(filled: Store) -> None:
    lines = filled.resolve("tokenizer").record.counts["sentences"]
    few = Tokenizer(documents="texts", vocab_size=300, input_sentences=lines // 2)
    first = produce(few, filled, name="a").version
    assert 0.3 * lines < first.record.counts["sentences"] < 0.7 * lines
    produce(Texts(parts=5), filled, name="other")
    again = replace(few, documents="other")
    assert produce(again, filled, name="b").version.digest == first.digest


def test_vocabulary_weighs_a_mixture(filled: Store) -> None:
    made = produce(Tokenizer(documents="thrice", vocab_size=290), filled, name="mixed").version
    lines = sum(texts()[row].count("\n") + 1 for row in range(0, 20, 2))
    assert made.record.counts["lines"] == 3 * lines


def test_an_existing_vocabulary_is_taken_over(filled: Store) -> None:
    learned = filled.resolve("tokenizer")
    folder = filled.root.parent / "elsewhere"
    folder.mkdir()
    shutil.copyfile(learned.path / "tokenizer.model", folder / "tokenizer.model")
    for source in (folder, folder / "tokenizer.model"):
        taken = produce(Tokenizer(from_=(str(source),)), filled, name="taken", force=True).version
        assert taken.digest == learned.digest
        assert taken.record.counts == {"pieces": 310, "joined_digits": 0}


def test_transformers_open_a_vocabulary(filled: Store) -> None:
    from transformers import AutoTokenizer

    path = filled.resolve("tokenizer").path
    found = AutoTokenizer.from_pretrained(path)
    vocabulary = Vocabulary.load(path)
    for text in [*texts(), "  1984  ж", ""]:
        assert found(text)["input_ids"] == vocabulary.encode(text, bos=True)


def test_from_or_documents() -> None:
    for wrong in ({}, {"documents": "texts", "from_": ("x",)}, {"from_": ("x", "y")}):
        with pytest.raises(UsageError, match=r"one file"):
            Tokenizer(**wrong)
    with pytest.raises(UsageError, match="vocab_size cannot be chosen"):
        Tokenizer(from_=("tokenizer.model",), vocab_size=500)


def test_too_large_a_vocabulary(filled: Store) -> None:
    with pytest.raises(UsageError, match="Lower vocab_size"):
        produce(Tokenizer(documents="texts", vocab_size=5000), filled)


def test_tokens(filled: Store) -> None:
    made = produce(Tokenize(documents="texts", vocabulary="tokenizer", workers=1), filled).version
    store, vocabulary = TokenStore.open(made.path), Vocabulary.load(made.path)
    for index, text in enumerate(texts()):
        assert store.document(index).tolist() == vocabulary.encode(text, bos=True, eos=True)
    assert sorted([*store.order, *store.validation]) == list(range(N_DOCUMENTS))
    assert store.vocab_size == 310
    assert made.record.counts["bytes"] == sum(len(text.encode()) for text in texts())


def test_equal_texts_are_on_the_same_side(filled: Store) -> None:
    stage = Tokenize(documents="texts", vocabulary="tokenizer", validation_share=0.5, workers=1)
    store = TokenStore.open(produce(stage, filled).version.path)
    assert 10 < len(store.validation) < 50
    assert (2 in store.validation) == (50 in store.validation)


def test_a_mixture_is_a_count_in_the_order(filled: Store) -> None:
    stage = Tokenize(documents="thrice", vocabulary="tokenizer", validation_share=0.0)
    made = produce(stage, filled).version
    store, vocabulary = TokenStore.open(made.path), Vocabulary.load(made.path)
    assert store.order.tolist() == np.repeat(np.arange(10), 3).tolist()
    assert vocabulary.decode(store.document(4).tolist()) == texts()[8]
    assert made.record.counts["training_tokens"] == 3 * store.n_tokens


def test_any_number_of_workers_and_ranges(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Tokenize(documents="texts", vocabulary="tokenizer", workers=1)
    two = Tokenize(documents="texts", vocabulary="tokenizer", workers=2)
    first = produce(one, filled, name="one").version
    second = produce(two, filled, name="two").version
    assert first.digest == second.digest
    assert not [path for path in first.path.rglob("*") if path.suffix == ".lengths"]
    # Cut into ranges, one part keeps several processes busy; a mixture's picks are cut likewise.
    for name in ("texts", "thrice"):
        stage = Tokenize(documents=name, vocabulary="tokenizer", workers=1)
        whole = produce(stage, filled, name="whole", force=True).version
        monkeypatch.setattr(mixture, "ROWS_PER_RANGE", 7)
        ranges = mixture.shard_ranges(filled.resolve(name))
        assert len(ranges) == {"texts": 9, "thrice": 2}[name]
        assert produce(stage, filled, name="ranges", force=True).version.digest == whole.digest
        monkeypatch.undo()
        # Long documents are fewer a range, of plain documents.
        monkeypatch.setattr("llamakit.stages.tokenize._RANGE_BYTES", 500)
        few = mixture.shard_ranges(filled.resolve(name), 500)
        assert (len(few) > 1) == (name == "texts")
        assert produce(stage, filled, name="few", force=True).version.digest == whole.digest
        monkeypatch.undo()


def test_compression_by_source(filled: Store) -> None:
    made = produce(Tokenize(documents="thrice", vocabulary="tokenizer"), filled).version
    counts, metrics = made.record.counts, made.record.metrics
    assert counts["training_tokens_test"] == counts["training_tokens"]
    assert metrics["bytes_per_token_test"] == counts["bytes"] / counts["tokens"]
    assert "test" in (made.path / "log" / "report.html").read_text(encoding="utf-8")


def test_light_to_import() -> None:
    from subprocess import run
    from sys import executable

    code = (
        "import sys, llamakit.stages.tokenize, llamakit.stages.tokenizer;"
        "sys.exit(bool({'numpy', 'polars', 'sentencepiece', 'torch'} & set(sys.modules)))"
    )
    assert run([executable, "-c", code], check=False, env=dict(os.environ)).returncode == 0
