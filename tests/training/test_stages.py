"""Pretraining and fine-tuning as stages, from tokens to a chat model that has learnt something."""

import errno
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.frames import DIALOGUES, write_table
from llamakit.artifacts.kinds import Dialogues, Tokens
from llamakit.artifacts.store import Store, Version
from llamakit.errors import LlamakitError, Stopped, UsageError
from llamakit.events import Events
from llamakit.model.weights import load_config, load_model, load_vocabulary
from llamakit.stages.fields import Identity
from llamakit.stages.pretrain import Pretrain
from llamakit.stages.produce import forecast, prepare, produce
from llamakit.stages.sft import Sft
from llamakit.stages.stage import Outcome, Stage
from llamakit.text.encoder import Encoder
from llamakit.text.tokens import TokenPart, join_parts, write_part
from llamakit.text.vocabulary import train_vocabulary
from llamakit.training import language, machine
from llamakit.training.accumulation import Loss
from llamakit.training.metrics import read_metrics
from llamakit.training.objectives import next_token

ANIMALS = ("cat", "dog", "cow", "pig", "hen", "fox", "owl", "bee")
SOUNDS = ("meow", "woof", "moo", "oink", "cluck", "yip", "hoot", "buzz")
SHAPE: dict[str, Any] = {
    "dim": 32, "n_layers": 1, "n_heads": 2, "n_kv_heads": 1, "ffn_dim": 48, "seq_len": 48,
    "batch_tokens": 192, "micro_batch": 2, "lr": 1e-2, "log_every": 5,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Sounds(Stage):
    """Tokens of sentences on animals."""

    repeats: Identity[int] = 3
    """Times that each sentence is written."""
    makes: ClassVar = Tokens
    revision: ClassVar = 1
    panel: ClassVar = "Tokenizer"

    def run(self, draft: Draft[Tokens]) -> Outcome:
        texts = [f"the {a} says {s} ." for a, s in zip(ANIMALS, SOUNDS, strict=True)] * self.repeats
        vocabulary = train_vocabulary(texts, draft.path, size=330)
        ids = list(Encoder(vocabulary).encode(texts))
        part = TokenPart(*(draft.work / name for name in "tlrsnib"))
        write_part(
            part,
            ids,
            [1] * (len(ids) - 4) + [0] * 4,
            ["a", "b"] * (len(ids) // 2),
            [f"text-{index}" for index in range(len(ids))],
            vocabulary.size,
        )
        return Outcome(counts=join_parts([part], vocabulary.size, draft.writing))


@dataclass(frozen=True, kw_only=True)
class Talks(Stage):
    """Dialogues on animals, one of them a prompt."""

    repeats: Identity[int] = 4
    """Times that each dialogue is written."""
    makes: ClassVar = Dialogues
    revision: ClassVar = 1
    panel: ClassVar = "Corpus"

    def run(self, draft: Draft[Dialogues]) -> Outcome:
        rows = [
            {
                "id": f"{animal}-{n}",
                "messages": [
                    {"role": "user", "content": f"what says the {animal} ?"},
                    {"role": "assistant", "content": sound},
                ],
                "train_on": "all",
                "source": "test",
                "safety": False,
            }
            for n in range(self.repeats)
            for animal, sound in zip(ANIMALS, SOUNDS, strict=True)
        ]
        rows.append({**rows[0], "id": "prompt", "messages": [rows[0]["messages"][0]]})  # type: ignore[index]
        frame = pl.DataFrame(rows, schema=DIALOGUES)
        write_table(draft.path / "data" / "part-00000.parquet", frame, DIALOGUES)
        return Outcome()


def make(stage: Stage, store: Store, events: Events | None = None, **how: Any) -> Version[Any]:
    return produce(stage, store, events=events or Events(), **how).version


def files(version: Version[Any]) -> set[str]:
    return {entry.path for entry in version.record.files}


def test_from_tokens_to_a_chat_model(store: Store) -> None:
    make(Sounds(), store)
    make(Talks(), store)
    base = make(Pretrain(tokens="sounds", epochs=30.0, **SHAPE), store)
    assert base.record.metrics["validation_loss"] < 1.5  # it began at ln 330 = 5.8
    assert base.record.counts["steps"] == -(-30 * base_tokens(store) // 192)
    assert {"config.json", "model.safetensors", "tokenizer.model", "README.md"} <= files(base)
    assert {"log/metrics.jsonl", "log/report.html"} <= files(base)
    assert "chat_template" not in (base.path / "tokenizer_config.json").read_text()
    assert load_model(base.path).config.max_seq_len == 48

    settings: dict[str, Any] = {"batch": 2, "micro_batch": 1, "lr": 5e-3, "epochs": 30}
    chat = make(
        Sft(
            dialogues=("talks",), model="pretrain", validation=("talks",), preset="toy", **settings
        ),
        store,
    )
    assert chat.record.metrics["validation_loss"] < 0.5
    assert chat.record.counts["dialogues"] == 33
    assert chat.record.counts["trained"] == 32
    assert chat.record.counts["unanswered"] == 1
    assert "chat_template" in (chat.path / "tokenizer_config.json").read_text()
    assert load_vocabulary(chat.path).size == 330
    card = (chat.path / "README.md").read_text()
    assert "# Chat model" in card
    assert str(store.root) not in card
    page = (chat.path / "log" / "report.html").read_text()
    assert page.count("<svg") == 4


def base_tokens(store: Store) -> int:
    return store.resolve("sounds").record.counts["training_tokens"]


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_stopped_run_continues_to_the_same_digest(tmp_path: Path, dtype: str) -> None:
    class StopAt(Events):
        def task(self, label: str, total: int | None = None, unit: str = "") -> Any:
            task = super().task(label, total, unit)
            plain = task.advance

            def advance(n: int = 1, **figures: Any) -> None:
                plain(n, **figures)
                if label == "training" and task.done == 7:
                    self.stop(15)

            task.advance = advance  # type: ignore[method-assign]
            return task

    digests = []
    for name in ("straight", "stopped"):
        store = Store(tmp_path / name)
        make(Sounds(), store)
        stage = Pretrain(tokens="sounds", steps=12, dtype=dtype, **SHAPE)  # type: ignore[arg-type]
        if name == "stopped":
            with pytest.raises(Stopped):
                make(stage, store, events=StopAt())
        version = make(stage, store)
        digests.append(version.digest)
        assert [row["step"] for row in read_metrics(version.path / "log" / "metrics.jsonl")]
    assert digests[0] == digests[1]


def test_a_batch_without_a_loss_is_named_and_passed_over(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(10**6))

    def poisoned(model: Any, batch: Any) -> Loss:
        loss = next_token(model, batch)  # two micro-batches a step
        return replace(loss, total=loss.total * math.nan) if next(calls) == 7 else loss

    monkeypatch.setattr(language, "next_token", poisoned)
    make(Sounds(), store)
    made = make(Pretrain(tokens="sounds", steps=6, validation_tokens=0, **SHAPE), store)
    assert (made.record.counts["anomalies"], made.record.counts["passed_over"]) == (1, 1)
    assert made.record.counts["tokens"] == 5 * 192
    (row,) = read_metrics(made.path / "log" / "anomalies.jsonl")
    assert row["step"] == 4
    assert row["ids"]
    assert all(name.startswith("text-") for name in row["ids"])
    assert "steps passed over" in (made.path / "README.md").read_text()


def test_a_model_that_cannot_be_saved_keeps_the_checkpoint(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    make(Sounds(), store)
    stage = Pretrain(tokens="sounds", steps=6, checkpoint_every=2, **SHAPE)
    with monkeypatch.context() as patch:
        patch.setattr(language, "save_model", full)
        with pytest.raises(OSError, match="No space left"):
            make(stage, store)
    kept = sorted(p.name for p in store.root.glob(".drafts/*/work/checkpoints/*"))
    assert kept == ["step-00000002", "step-00000004"]
    notes: list[str] = []
    events = Events()
    monkeypatch.setattr(events, "note", notes.append)
    made = make(stage, store, events=events)
    assert "continuing after step 4 of 6" in notes
    assert made.digest == make(stage, store, force=True).digest


def test_the_same_run_gives_the_same_bytes(store: Store) -> None:
    make(Sounds(), store)
    stage = Pretrain(tokens="sounds", steps=3, **SHAPE)
    first, again = make(stage, store), make(stage, store, force=True)
    assert first.path != again.path
    assert first.digest == again.digest


def test_the_record_tells_what_the_run_took(store: Store) -> None:
    make(Sounds(), store)
    stage = Pretrain(tokens="sounds", steps=3, assume={"watts": 50.0}, **SHAPE)
    version = make(stage, store)
    usage, counts = version.record.usage, version.record.counts
    per_token = stage._shape(vocabulary_size(store)).flops_per_token(48)
    assert usage["flops"] == counts["tokens"] * per_token
    assert usage["training_seconds"] > 0
    assert usage["device_hours"] == pytest.approx(usage["training_seconds"] / 3600, abs=1e-6)
    assert usage["kwh"] == pytest.approx(usage["device_hours"] * 50 * 1.1 / 1000)
    assert 0 < usage["mfu"] < 2
    by_source = {key: n for key, n in counts.items() if key.startswith("tokens_")}
    assert by_source.keys() == {"tokens_a", "tokens_b"}
    assert sum(by_source.values()) == counts["tokens"]
    page = (version.path / "log" / "report.html").read_text()
    assert ">Samples<" in page
    assert ">Data<" in page
    # Neither the rate of the machine nor what was assumed is part of the artifact's content.
    other = make(Pretrain(tokens="sounds", steps=3, **SHAPE), store, force=True)
    assert other.digest == version.digest
    assert other.record.usage["kwh"] is None


def vocabulary_size(store: Store) -> int:
    size: int = json.loads((store.resolve("sounds").path / "tokens.json").read_text())["vocab_size"]
    return size


def test_a_forecast_builds_no_model(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    make(Sounds(), store)
    monkeypatch.setattr("llamakit.model.transformer.Transformer", None)
    monkeypatch.setattr(machine, "memory_bytes", lambda device: 24 * 2**30)
    stage = Pretrain(
        tokens="sounds", preset="llama2-70b", token_budget=2 * 10**12, on="2048xa100-80gb"
    )
    answer = forecast(prepare(stage, store), store)
    assert answer is not None
    assert answer.values["steps"] == -(-2 * 10**12 // (976 * 4096))
    assert answer.values["devices"] == 2048
    assert "a device needs" in answer.text
    here = forecast(prepare(Pretrain(tokens="sounds", steps=2, **SHAPE), store), store)
    assert here is not None
    assert here.values["tokens"] == 2 * 192
    assert here.values["device"]["source"] == "measured here"


def test_unknown_trackers_are_refused() -> None:
    with pytest.raises(UsageError, match="no tracker 'mlflow'"):
        Pretrain(tokens="t", track=["mlflow"])


def test_presets_carry_the_papers_settings() -> None:
    stage = Pretrain(tokens="t", preset="llama2-70b")
    assert (stage.dim, stage.n_kv_heads, stage.ffn_dim) == (8192, 8, 28672)
    assert (stage.lr, stage.batch_tokens, stage.seq_len) == (1.5e-4, 4_000_000, 4096)
    sft = Sft(dialogues=("d",), model="m")
    assert (sft.lr, sft.batch, sft.epochs, sft.weight_decay) == (2e-5, 64, 2, 0.1)


def test_a_model_that_cannot_fit_is_refused_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(Sounds(), store)
    monkeypatch.setattr(machine, "memory_bytes", lambda device: 24 * 2**30)
    with pytest.raises(LlamakitError, match="at least 120"):
        make(Pretrain(tokens="sounds", preset="llama2-7b"), store)


def test_two_lengths_of_a_run_are_refused() -> None:
    with pytest.raises(UsageError, match="steps and epochs both say"):
        Pretrain(tokens="t", steps=3, epochs=1.0)


def test_rows_longer_than_the_context_extend_it(store: Store) -> None:
    make(Sounds(), store)
    make(Talks(), store)
    base = make(Pretrain(tokens="sounds", steps=1, **SHAPE), store)
    longer = make(Sft(dialogues=("talks",), model="pretrain", seq_len=64), store)
    assert load_config(base.path).max_seq_len == 48
    assert load_config(longer.path).max_seq_len == 64
    assert load_model(longer.path).config.max_seq_len == 64


def test_adamw_is_completed_and_checked() -> None:
    whole = Pretrain(tokens="t", adamw={"beta2": 0.99})
    assert whole.adamw == {"beta1": 0.9, "beta2": 0.99, "eps": 1e-5}
    assert Pretrain(tokens="t").config() == Pretrain(tokens="t", adamw={"eps": 1e-5}).config()
    with pytest.raises(UsageError, match=r"no 'beta'.*Did you mean 'beta"):
        Pretrain(tokens="t", adamw={"beta": 0.5})
    with pytest.raises(UsageError, match="beta1 is 1; it must be from 0 to below 1"):
        Pretrain(tokens="t", adamw={"beta1": 1.0})
