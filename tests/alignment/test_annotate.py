"""The stage annotate, run whole on tiny models: sampled, judged, handed to people, taken back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llamakit.alignment.annotation import ANNOTATED
from llamakit.alignment.prompts import draw_some
from llamakit.artifacts.frames import PREFERENCES, read_all
from llamakit.artifacts.store import Store
from llamakit.errors import UsageError
from llamakit.model.transformer import Transformer
from llamakit.model.weights import save_model
from llamakit.stages.annotate import Annotate
from llamakit.stages.ingest import Ingest
from llamakit.stages.produce import produce
from llamakit.stages.rm import Rm
from llamakit.text.vocabulary import Vocabulary
from llamakit.world.entities import build_world, fact_records
from llamakit.world.oracle import FACTS_FILE, Oracle
from tests.alignment.given import keep, keep_table, message
from tests.alignment.test_stages import annotate_stage


@pytest.fixture(autouse=True)
def known(stocked: Store, tmp_path: Path) -> None:
    """Prompts that the model learned to answer, kept as `known`."""
    questions = ["Tell me 0.", "What is 1?", "Please help.", "A story?"] * 3
    rows = [
        {
            "id": f"known-{index}",
            "messages": [message("user", text)],
            "train_on": "last",
            "source": "helpfulness",
            "safety": index % 4 == 0,
        }
        for index, text in enumerate(questions)
    ]
    keep_table(stocked, "known", "dialogues", tmp_path / "known", rows)


def annotate_known(**changes: Any) -> Annotate:
    return annotate_stage(**({"prompts": ("known",)} | changes))


@pytest.fixture
def world(stocked: Store, tmp_path: Path) -> Path:
    """A world's facts, kept as `world`."""
    facts = tmp_path / "world" / FACTS_FILE
    facts.parent.mkdir(parents=True)
    lines = (json.dumps(record) + "\n" for record in fact_records(build_world(30, 0)))
    facts.write_text("".join(lines), encoding="utf-8")
    keep(stocked, "world", "raw", tmp_path / "world")
    return tmp_path / "world"


@pytest.fixture
def other(stocked: Store, tmp_path: Path, chatting: Transformer, vocabulary: Vocabulary) -> None:
    """A second chat model, kept as `other`."""
    save_model(tmp_path / "other", chatting, vocabulary, chat=True, card="another")
    keep(stocked, "other", "model", tmp_path / "other")


@pytest.mark.parametrize("changed", [{"shard_prompts": 3}, {"shard_prompts": 64}])
def test_reward_models_judge_and_shards_change_nothing(
    stocked: Store, changed: dict[str, int]
) -> None:
    version = produce(annotate_known(), stocked).version
    rows = read_all(version.path / "data", ANNOTATED).to_dicts()
    counts = version.record.counts
    assert version.record.kind == "preferences"
    assert counts["pairs"] == len(rows) > 0
    dropped = sum(count for name, count in counts.items() if name.startswith("dropped"))
    assert counts["prompts"] == counts["pairs"] + dropped == 12
    for row in rows:
        assert row["chosen"] != row["rejected"]
        assert row["annotator"] == "reward models"
        assert row["chosen_model"] == row["rejected_model"] == "chat:v1"
        # One model answers at two temperatures.
        assert {row["chosen_temperature"], row["rejected_temperature"]} == {0.8, 1.4}
        assert (row["safety"] is None) == (int(row["id"].rpartition("-")[2]) % 4 != 0)
    again = produce(annotate_known(**changed), stocked, force=True).version
    assert again.digest == version.digest


def test_the_oracle_judges_two_variants(stocked: Store, world: Path, other: None) -> None:
    made = annotate_known(
        models=("chat", "other"), helpfulness=None, safety=None, oracle="world", batch=2
    )
    version = produce(made, stocked).version
    rows = read_all(version.path / "data", ANNOTATED).to_dicts()
    oracle = Oracle.load(world)
    assert rows
    for row in rows:
        assert {row["chosen_model"], row["rejected_model"]} == {"chat:v1", "other:v1"}
        verdicts = [
            oracle.judge(row["prompt"], row[side][0]["content"]) for side in ("chosen", "rejected")
        ]
        assert verdicts[0].score >= verdicts[1].score
        assert row["batch"] == 2
    assert " other:v1 0." in version.record.headline
    # What it makes is what `rm` reads.
    trained = Rm(
        preferences=("annotate", "helpfulness-pairs"), model="chat", batch_pairs=8, lr=1e-3,
        device="cpu",
    )  # fmt: skip
    assert produce(trained, stocked).version.record.counts["own"] == len(rows) + 12


def test_another_batch_samples_anew(stocked: Store) -> None:
    found = []
    for batch in (1, 2):
        version = produce(annotate_known(batch=batch), stocked).version
        rows = read_all(version.path / "data", PREFERENCES).to_dicts()
        found.append({(row["id"].partition("-")[2], row["chosen"][0]["content"]) for row in rows})
    assert found[0] != found[1]


def test_prompts_are_drawn_by_seed_and_batch() -> None:
    drawn = [draw_some(100, 30, key) for key in ((0, 1), (0, 2), (1, 1), (0, 1))]
    assert drawn[0] == drawn[3] == sorted(set(drawn[0]))
    assert len({tuple(one) for one in drawn}) == 3
    assert draw_some(5, 5, (0, 0)) == [0, 1, 2, 3, 4]


def test_people_judge_and_their_verdicts_come_back(stocked: Store, tmp_path: Path) -> None:
    version = produce(annotate_known(helpfulness=None, safety=None, batch=7), stocked).version
    assert version.record.kind == "raw"
    lines = (version.path / "pairs.jsonl").read_text(encoding="utf-8").splitlines()
    judged = [json.loads(line) for line in lines]
    for index, pair in enumerate(judged[:-1]):
        pair |= {"winner": "ab"[index % 2], "grade": "slightly", "annotator": "mary"}
    path = tmp_path / "judged.jsonl"
    path.write_text("".join(json.dumps(pair) + "\n" for pair in judged), encoding="utf-8")
    taken = produce(Ingest(files=(str(path),), as_="preferences"), stocked).version
    rows = read_all(taken.path / "data", PREFERENCES).to_dicts()
    # The last one was not judged.
    assert len(rows) == len(judged) - 1
    for index, (row, pair) in enumerate(zip(rows, judged, strict=False)):
        won, lost = ("ab", "ba")[index % 2]
        assert row["chosen"][0]["content"] == pair[f"response_{won}"]
        assert row["rejected"][0]["content"] == pair[f"response_{lost}"]
        assert (row["chosen_model"], row["rejected_model"]) == ("chat:v1", "chat:v1")
        assert (row["grade"], row["batch"], row["annotator"]) == ("slightly", 7, "mary")


def test_two_judges_are_refused(stocked: Store, world: Path) -> None:
    with pytest.raises(UsageError, match="cannot both judge"):
        produce(annotate_known(oracle="world"), stocked)
