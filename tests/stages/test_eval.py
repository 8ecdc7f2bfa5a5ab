"""The eval stage: from models and files to a report, resumable, repeatable, and gated."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.frames import DIALOGUES, DOCUMENTS, write_rows
from llamakit.artifacts.kinds import (
    KINDS,
    Dialogues,
    Documents,
    Kind,
    Model,
    Raw,
    RewardModel,
)
from llamakit.artifacts.store import Store, Version
from llamakit.errors import InputError, UsageError
from llamakit.evaluation.answers import Answer
from llamakit.evaluation.candidate import Candidate
from llamakit.events import Events
from llamakit.model.config import ModelConfig
from llamakit.model.transformer import Transformer
from llamakit.model.weights import reward_from_model, save_model, save_reward_model
from llamakit.stages.eval import Eval
from llamakit.stages.fields import Files, Identity
from llamakit.stages.produce import produce
from llamakit.stages.stage import Outcome, Stage
from llamakit.text.vocabulary import Vocabulary, train_vocabulary
from llamakit.world.entities import build_world, fact_records
from llamakit.world.oracle import FACTS_FILE


@dataclass(frozen=True, kw_only=True)
class Placed(Stage):
    """Puts a folder into the store as an artifact."""

    folder: Files
    kind: Identity[str]

    makes: ClassVar = (Dialogues, Documents, Model, Raw, RewardModel)
    revision: ClassVar = 1
    panel: ClassVar = "Evaluation"

    def output_kind(self) -> type[Kind]:
        return KINDS[self.kind]

    def run(self, draft: Draft[Kind]) -> Outcome:
        shutil.copytree(draft.files(self.folder)[0].path, draft.path, dirs_exist_ok=True)
        return Outcome()


class World:
    """Two models, two reward models, and files of every kind that eval reads."""

    def __init__(self, root: Path, vocabulary: Vocabulary) -> None:
        self.store = Store(root / "artifacts")
        self.files = root / "files"
        self.files.mkdir()
        for name, seed, chat in (("base", 0, False), ("sft", 1, True)):
            model = _model(vocabulary, seed)
            save_model(root / name, model, vocabulary, chat=chat, card="# tiny\n")
            self.place(root / name, "model")
        for name, seed in (("helpful", 2), ("safe", 3)):
            reward = reward_from_model(_model(vocabulary, seed), seed)
            save_reward_model(root / name, reward, vocabulary, card="# tiny\n")
            self.place(root / name, "reward-model")
        rows = [
            {"id": f"p{n}", "messages": [_user(f"hello {n}")], "train_on": "all", "source": "w",
             "safety": False}
            for n in range(5)
        ]  # fmt: skip
        write_rows(root / "prompts" / "data", rows, DIALOGUES)
        self.place(root / "prompts", "dialogues")
        facts = root / "facts" / FACTS_FILE
        facts.parent.mkdir(parents=True)
        lines = (json.dumps(record) + "\n" for record in fact_records(build_world(30, 0)))
        facts.write_text("".join(lines), encoding="utf-8")
        self.place(root / "facts", "raw")
        talk = [_user("Speak.\nhello"), _answer("the"), _user("help"), _answer("north")]
        told = [dict(row, messages=talk) for row in rows]
        write_rows(root / "told" / "data", told, DIALOGUES)
        self.place(root / "told", "dialogues")
        documents = [
            {"id": f"d{n}", "text": f"The river {n} is long.", "source": "ab"[n % 2],
             "metadata": "{}"}
            for n in range(6)
        ]  # fmt: skip
        write_rows(root / "documents" / "data", documents, DOCUMENTS)
        self.place(root / "documents", "documents")
        exam = [
            {
                "question": f"Which is {n}?",
                "choices": ["north", "lake"],
                "gold": n % 2,
                "answer": "x",
            }
            for n in range(8)
        ]
        self.exam = self._write("exam.jsonl", exam)
        sums = [{"question": f"{n} + 1?", "answer": str(n + 1)} for n in range(4)]
        self.sums = self._write("sums.jsonl", sums)
        check = {"kind": "contains", "value": "e"}
        session = {"instruction": "Speak.", "check": check, "turns": ["hello"] * 4}
        self.adherence = self._write("adherence.jsonl", [session] * 2)
        labels = ("harmless", "borderline", "unsafe")
        self.safety = self._write(
            "labelled.jsonl", [{"messages": [_user(f"help {n}")], "label": n} for n in labels]
        )

    def _write(self, name: str, rows: list[dict[str, Any]]) -> str:
        path = self.files / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    def place(self, folder: Path, kind: str) -> None:
        produce(Placed(folder=(str(folder),), kind=kind), self.store, name=folder.name)

    def everything(self, **changes: Any) -> Eval:
        settings: dict[str, Any] = {
            "models": ("base", "sft"),
            "tasks": (self.exam, self.sums),
            "documents": "documents",
            "adherence": (self.adherence,),
            "attention": "told",
            "safety_prompts": (self.safety,),
            "prompts": "prompts",
            "helpfulness": "helpful",
            "safety": "safe",
            "max_new_tokens": 6,
        }
        return Eval(**(settings | changes))


def _model(vocabulary: Vocabulary, seed: int) -> Transformer:
    model = Transformer(ModelConfig(32, 2, 4, 2, 64, vocabulary.size, 256), seed=seed).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data *= 6
    return model


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _answer(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("eval")
    sentences = ["Question: Which river is long? Answer: the north, a lake. hello help 0 1 2"] * 40
    return World(root, train_vocabulary(sentences, root / "vocabulary", 320))


@pytest.fixture(scope="module")
def report(world: World) -> Version[Kind]:
    return produce(world.everything(), world.store).version


def read(version: Version[Kind]) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((version.path / "report.json").read_text(encoding="utf-8"))
    return value


def test_every_part_of_every_model_is_measured(report: Version[Kind]) -> None:
    found = read(report)
    assert found["models"] == ["base", "sft"]
    assert found["formats"] == {"base": "plain", "sft": "chat"}
    names = ["exam", "sums", "perplexity", "adherence", "attention", "safety", "answers", "win"]
    assert list(found["parts"]) == names
    for part in names:
        for model in ("base", "sft"):
            one = found["parts"][part][model]
            main = one["measures"][one["main"]]
            assert main["low"] <= main["value"] <= main["high"]
    assert [match["first"] for match in found["wins"]["helpfulness"]] == ["base"]
    paired = {one["part"] for one in found["differences"]}
    assert paired == {"exam", "sums", "perplexity", "adherence", "attention", "safety", "answers"}


def test_the_payload_is_the_report_and_the_samples(report: Version[Kind]) -> None:
    payload = {entry.path for entry in report.record.files if entry.payload}
    assert payload == {"report.json", "report.html", "samples.parquet"}
    samples = pl.read_parquet(report.path / "samples.parquet")
    assert report.record.counts["samples"] == samples.height
    assert samples.filter(pl.col("part") == "exam").height == 16
    assert "accuracy" in json.loads(samples["values"][0])
    assert report.record.metrics["exam.base"] is not None
    assert report.record.headline.startswith("exam: base 0.")


def test_a_second_run_gives_the_same_bytes(world: World, report: Version[Kind]) -> None:
    again = produce(world.everything(), world.store, force=True).version
    assert again.record.version > report.record.version
    assert again.digest == report.digest


def test_a_stopped_run_continues_with_the_first_unfinished_part(
    world: World, report: Version[Kind], monkeypatch: pytest.MonkeyPatch
) -> None:
    from llamakit.evaluation import run

    measured: list[str] = []
    real = run.write_json

    def counting(path: Path, value: Any) -> None:
        if len(measured) == 4:
            raise KeyboardInterrupt
        measured.append(path.name)
        real(path, value)

    monkeypatch.setattr(run, "write_json", counting)
    with pytest.raises(KeyboardInterrupt):
        produce(world.everything(), world.store, name="stopped")
    monkeypatch.setattr(
        run, "write_json", lambda path, v: (measured.append(path.name), real(path, v))
    )
    made = produce(world.everything(), world.store, name="stopped")
    assert made.version.digest == report.digest
    assert len(measured) == len(set(measured)) == 14


def test_requirements_are_checked_on_reuse_too(world: World, report: Version[Kind]) -> None:
    value = read(report)["parts"]["exam"]["base"]["measures"]["accuracy"]["value"]
    met = produce(world.everything(require=[f"exam:base>={value}"]), world.store)
    assert met.reused
    assert met.unmet == []
    made = produce(world.everything(require=["exam>=1.01", "safety<=1"]), world.store)
    assert made.reused
    assert len(made.unmet) == 1
    assert made.unmet[0].startswith("exam>=1.01: base has")


def test_one_model_is_enough(world: World) -> None:
    made = produce(Eval(models=("base",), tasks=(world.exam,)), world.store, name="one")
    assert read(made.version)["differences"] == []
    assert "base" in (made.version.path / "report.html").read_text(encoding="utf-8")


def test_the_oracle_tells_who_knows_the_world(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llamakit.evaluation import judge

    facts = list(build_world(30, 0).all_facts())[:12]
    rows = [
        {"id": f"f{n}", "messages": [_user(fact.questions()[0])], "train_on": "all", "source": "w",
         "safety": False}
        for n, fact in enumerate(facts)
    ]  # fmt: skip
    write_rows(tmp_path / "questions" / "data", rows, DIALOGUES)
    world.place(tmp_path / "questions", "dialogues")

    def answer(candidate: Candidate, prompts: list[list[int]], *_: object) -> list[Answer]:
        told = [fact.statements(fact.value)[0] for fact in facts]
        # The chat model errs in the last two; the base model knows nothing.
        known = told[:-2] if candidate.name == "sft" else []
        return [
            Answer(text, finished=True)
            for text in [*known, *["Well."] * (len(prompts) - len(known))]
        ]

    monkeypatch.setattr(judge, "answer", answer)
    stage = Eval(models=("sft", "base"), prompts="questions", oracle="facts", against="base")
    made = produce(stage, world.store, name="judged", force=True)
    found = read(made.version)
    assert found["control"] == "base"
    answers = found["parts"]["answers"]
    assert answers["sft"]["main"] == "oracle"
    assert answers["sft"]["measures"]["oracle_correct"]["value"] == 10 / 12
    assert answers["base"]["measures"]["oracle_correct"]["value"] == 0.0
    win = found["parts"]["win"]
    shares = {name: one["value"] for name, one in win["sft"]["measures"].items()}
    assert shares["oracle"] == 1.0
    assert (shares["oracle_wins"], shares["oracle_ties"]) == (10 / 12, 2 / 12)
    assert win["base"]["measures"]["oracle"]["value"] == 0.5
    stage = replace(stage, require=["win.oracle:sft>=0.8", "answers.oracle_correct:base>0.5"])
    assert [line.split(":")[0] for line in stage.unmet(made.version)] == ["answers.oracle_correct"]


def test_limit_and_format(world: World) -> None:
    stage = Eval(models=("base",), tasks=(world.exam,), limit=3, shots=1, format="chat")
    found = read(produce(stage, world.store, name="limited").version)
    assert found["formats"] == {"base": "chat"}
    assert found["parts"]["exam"]["base"]["measures"]["accuracy"]["n"] == 3


def test_broken_lines_are_told(world: World, tmp_path: Path) -> None:
    told: list[str] = []

    class Listening(Events):
        def warn(self, text: str) -> None:
            told.append(text)

    path = tmp_path / "exam.jsonl"
    path.write_text(Path(world.exam).read_text() + "{broken\n", encoding="utf-8")
    stage = Eval(models=("base",), tasks=(str(path),))
    version = produce(stage, world.store, name="broken", events=Listening()).version
    assert told[0].startswith("left out exam.jsonl:9: not JSON")
    assert "1 lines were left out" in read(version)["parts"]["exam"]["base"]["notes"][0]


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"tasks": ()}, UsageError, "nothing to measure"),
        ({"models": ("base", "base")}, UsageError, "given twice"),
        ({"require": ["exam"]}, UsageError, "no requirement"),
        ({"require": ["exma>=0.1"]}, UsageError, "Did you mean 'exam'"),
        ({"require": ["exam:base>sfd"]}, UsageError, "no model 'sfd'"),
        ({"tasks": ("missing.jsonl",)}, InputError, "missing"),
        ({"oracle": "facts"}, UsageError, "no answers to judge"),
        ({"prompts": "prompts", "safety": "safe", "against": "ppo"}, UsageError, "not evaluated"),
    ],
)
def test_mistakes_are_told_before_the_work(
    world: World, changes: dict[str, Any], error: type[Exception], told: str
) -> None:
    settings: dict[str, Any] = {"models": ("base",), "tasks": (world.exam,)}
    with pytest.raises(error, match=told):
        produce(Eval(**(settings | changes)), world.store, name="wrong")


def test_two_parts_of_one_name_are_refused(world: World, tmp_path: Path) -> None:
    path = tmp_path / "adherence.jsonl"
    shutil.copy(world.exam, path)
    stage = Eval(models=("base",), tasks=(str(path),), adherence=(world.adherence,))
    with pytest.raises(UsageError, match="two parts have one name"):
        produce(stage, world.store, name="wrong")
