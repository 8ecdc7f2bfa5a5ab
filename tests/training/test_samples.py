"""Texts through training: deterministic, bounded, and no disturbance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from llamakit.artifacts.files import atomic_file
from llamakit.events import Events
from llamakit.model.config import ModelConfig
from llamakit.model.transformer import Transformer
from llamakit.text.encoder import Encoder
from llamakit.text.tokens import TokenPart, TokenStore, join_parts, write_part
from llamakit.text.vocabulary import Vocabulary, train_vocabulary
from llamakit.training.batches import PackedDocuments
from llamakit.training.loop import fit
from llamakit.training.metrics import read_metrics
from llamakit.training.objectives import next_token
from llamakit.training.plan import TrainingPlan
from llamakit.training.samples import Samples, beginnings

TEXTS = [f"the {a} says {b} and goes to the {a} ." * 3 for a in ("cat", "dog") for b in "uvwxyz"]
PLAN = TrainingPlan(steps=6, lr=0.01, log_every=2, eval_every=3, checkpoint_every=3)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    return train_vocabulary(TEXTS, tmp_path_factory.mktemp("v"), size=300)


@pytest.fixture(scope="module")
def tokens(vocabulary: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    folder = tmp_path_factory.mktemp("tokens")
    part = TokenPart(*(folder / name for name in "tlrsnib"))
    ids = Encoder(vocabulary).encode(TEXTS)
    sources, names = ["a"] * 8 + ["b"] * 4, [str(n) for n in range(12)]
    write_part(part, ids, [1] * 6 + [0] * 6, sources, names, vocabulary.size)
    join_parts([part], vocabulary.size, lambda name: atomic_file(folder / "store" / name))
    return TokenStore.open(folder / "store")


def train(folder: Path, tokens: TokenStore, watchers: list[Any], **how: Any) -> list[torch.Tensor]:
    config = ModelConfig(
        dim=16, n_layers=2, n_heads=2, n_kv_heads=1, ffn_dim=24, vocab_size=tokens.vocab_size,
        max_seq_len=48,
    )  # fmt: skip
    model = Transformer(config, seed=1)
    batches = PackedDocuments(tokens, tokens.order, seq_len=48, rows=2, micro_rows=1, seed=0)
    fit(
        model, next_token, batches, replace(PLAN, **how), checkpoints=folder / "checkpoints",
        log=folder / "log", events=Events(), evaluate=lambda m: {"validation_loss": 0.0},
        watchers=watchers,
    )  # fmt: skip
    return [p.detach().clone() for p in model.parameters()]


def samples(folder: Path, tokens: TokenStore, vocabulary: Vocabulary, **how: Any) -> Samples:
    chosen = beginnings(tokens, 48)
    options = {"compiled": False, "events": Events(), **how}
    return Samples(folder / "log", vocabulary, chosen, **options)


def test_beginnings_are_of_as_many_sources_as_there_are(tokens: TokenStore) -> None:
    chosen = beginnings(tokens, 48)
    assert [one.prompt for one in chosen] == [
        tuple(tokens.document(index)[:16].tolist()) for index in (6, 8, 7)
    ]
    for one, index in zip(chosen, (6, 8, 7), strict=True):
        assert list(one.truth) == tokens.document(index)[16:48].tolist()
    assert beginnings(replace(tokens, validation=np.empty(0, "<u4")), 48) == []


def test_training_ends_with_the_same_bytes(
    tmp_path: Path, tokens: TokenStore, vocabulary: Vocabulary
) -> None:
    torch.manual_seed(5)
    plain = train(tmp_path / "a", tokens, [])
    state = torch.random.get_rng_state()
    watched = train(tmp_path / "b", tokens, [samples(tmp_path / "b", tokens, vocabulary)])
    assert all(torch.equal(a, b) for a, b in zip(plain, watched, strict=True))
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_same_texts_again_at_each_evaluation(
    tmp_path: Path, tokens: TokenStore, vocabulary: Vocabulary
) -> None:
    for name in ("a", "b"):
        train(tmp_path / name, tokens, [samples(tmp_path / name, tokens, vocabulary)])
    rows, again = (read_metrics(tmp_path / n / "log" / "samples.jsonl") for n in ("a", "b"))
    assert rows == again
    assert [row["step"] for row in rows] == [3, 3, 3, 6, 6, 6]
    assert set(rows[0]) == {"step", "prompt", "truth", "greedy", "sampled"}
    whole = vocabulary.decode(tokens.document(6).tolist())
    assert whole.startswith(rows[0]["prompt"] + rows[0]["truth"])


def test_a_run_that_goes_on_keeps_the_texts_that_count(
    tmp_path: Path, tokens: TokenStore, vocabulary: Vocabulary
) -> None:
    whole = samples(tmp_path / "whole", tokens, vocabulary)
    train(tmp_path / "whole", tokens, [whole])
    again = samples(tmp_path / "again", tokens, vocabulary)
    train(tmp_path / "again", tokens, [again])
    # Killed after the last evaluation: the newest checkpoint is of step 3.
    for newer in (tmp_path / "again" / "checkpoints").glob("*06*"):
        newer.rename(tmp_path / "gone")
    train(tmp_path / "again", tokens, [samples(tmp_path / "again", tokens, vocabulary)])
    texts = [(tmp_path / n / "log" / "samples.jsonl").read_text() for n in ("whole", "again")]
    assert texts[0] == texts[1]


# torch warns of its own doings while it traces a function with a gradient of its own.
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_model_is_left_alone(
    tmp_path: Path, tokens: TokenStore, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[Any] = []

    def count(graph: Any, inputs: Any) -> Any:
        compiled.append(graph)
        return graph.forward

    monkeypatch.setattr(
        torch.nn.Module,
        "compile",
        lambda self, **_: setattr(
            self, "_compiled_call_impl", torch.compile(self._call_impl, backend=count)
        ),
    )
    train(tmp_path / "a", tokens, [], compile=True)
    alone = len(compiled)
    assert alone
    compiled.clear()
    torch._dynamo.reset()
    watcher = samples(tmp_path / "b", tokens, vocabulary, compiled=True)
    train(tmp_path / "b", tokens, [watcher], compile=True)
    assert len(compiled) == alone
    assert read_metrics(tmp_path / "b" / "log" / "samples.jsonl")
