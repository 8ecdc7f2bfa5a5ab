"""Winners of earlier rounds are candidates: dealt to their prompts, scored anew, kept if best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from llamakit.alignment.models import open_judges
from llamakit.alignment.pool import deal, lone_prompts, prompt_key
from llamakit.alignment.sampling_report import best_by_temperature, best_temperature
from llamakit.artifacts.frames import read_all, read_table
from llamakit.artifacts.store import Store
from llamakit.model.weights import load_vocabulary
from llamakit.stages.produce import produce
from llamakit.stages.rejection import Rejection
from llamakit.text.dialogue import render
from tests.alignment.given import keep_table, message


def dialogue(question: str, answer: str = "", **more: Any) -> dict[str, Any]:
    answers = [message("assistant", answer)] if answer else []
    return {
        "id": question,
        "messages": [message("user", question), *answers],
        "train_on": "last",
        "source": "helpfulness",
        "safety": False,
    } | more


def test_dialogues_are_dealt_to_the_shards_of_their_prompts(tmp_path: Path) -> None:
    prompts = [dialogue(text) for text in "abcde"]
    pooled = [dialogue("d", "1"), dialogue("a", "2"), dialogue("d", "3"), dialogue("z", "4")]
    lone = lone_prompts(prompts, [*pooled, dialogue("z", "5")])
    assert [row["messages"][-1]["content"] for row in lone] == ["4"]
    tables = deal([*prompts, *lone], pooled, tmp_path, 2)
    held = [
        [row["messages"][-1]["content"] for row in read_table(path).to_dicts()] for path in tables
    ]
    assert held == [["2"], ["1", "3"], ["4"]]


def test_a_prompt_is_told_by_its_messages_and_not_by_its_answer() -> None:
    asked = dialogue("a")["messages"]
    assert prompt_key(asked) == prompt_key(dialogue(" a ", "yes")["messages"])
    assert prompt_key(asked) != prompt_key([message("system", "x"), *asked])


def rejection(**changes: Any) -> Rejection:
    settings: dict[str, Any] = {
        "prompts": ("prompts",),
        "model": "chat",
        "helpfulness": "helpfulness",
        "k": 2,
        "max_new_tokens": 30,
        "shard_prompts": 4,
        "device": "cpu",
    }
    return Rejection(**(settings | changes))


def scores(store: Store, rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """The helpfulness of dialogues, read one by one."""
    folder = store.resolve("helpfulness").path
    vocabulary = load_vocabulary(folder)
    judges = open_judges(folder, None, 0.15, vocabulary, dtype="fp32", device="cpu")
    return [
        float(judges([render(row["messages"], vocabulary).ids], [False]).combined_B[0])
        for row in rows
    ]


@pytest.mark.parametrize("shard_prompts", [2, 3, 64])
def test_the_best_of_all_rounds_is_kept(stocked: Store, tmp_path: Path, shard_prompts: int) -> None:
    # Questions that the model learned: their answers are tokens of their texts.
    known = [dialogue(text) for text in ("Tell me 0.", "What is 1?", "Please help.", "A story?")]
    keep_table(stocked, "known", "dialogues", tmp_path / "known", known)
    settings: dict[str, Any] = {
        "prompts": ("known",),
        "temperatures": [0.5],
        "shard_prompts": shard_prompts,
    }
    fresh = read_all(
        produce(rejection(**settings), stocked, name="fresh").version.path / "data"
    ).to_dicts()
    asked = [row["messages"][0]["content"] for row in fresh]
    texts = ["Yes, I can help you.", "No.", "A whale is blue.", "12 and 30 make 42."]
    pooled = [dialogue(text, texts[n % 4]) for n, text in enumerate(asked)]
    pooled += [dialogue("Who else?", text) for text in texts[:3]]
    keep_table(stocked, "earlier", "dialogues", tmp_path / "earlier", pooled)
    stage = rejection(pool=("earlier",), **settings)
    version = produce(stage, stocked, name="pooled").version
    found = read_all(version.path / "data").to_dicts()
    # By hand: the higher score of the new winner and the pooled answer, the new one of equals.
    new, old = scores(stocked, fresh), scores(stocked, pooled)
    wanted = {
        text: (fresh if new[n] >= old[n] else pooled)[n]["messages"][-1]["content"]
        for n, text in enumerate(asked)
    }
    best = max(range(3), key=lambda n: old[len(asked) + n])
    wanted["Who else?"] = texts[best]
    assert {
        row["messages"][0]["content"]: row["messages"][-1]["content"] for row in found
    } == wanted
    counts = version.record.counts
    won = sum(old[n] > new[n] for n in range(len(asked))) + 1
    assert won > 1
    assert (counts["pooled"], counts["won_by_pool"]) == (len(pooled), won)
    assert counts["candidates"] == 2 * len(known)


def test_answers_that_do_not_fit_are_counted(stocked: Store, tmp_path: Path) -> None:
    pooled = [dialogue("What is 1 and 1?", "Yes. " * 90), dialogue("What is 2 and 2?")]
    keep_table(stocked, "earlier", "dialogues", tmp_path / "earlier", pooled)
    version = produce(rejection(pool=("earlier",)), stocked, name="pooled").version
    assert version.record.counts["pool_dropped"] == 2
    assert "won_by_pool" not in version.record.counts


def test_the_best_temperature_may_change_with_n() -> None:
    results = [
        {
            "scores": [[1.0, 0.0, 1.0, 4.0], [1.0, -2.0, 1.0, 4.0]],
            "temperatures": [[0.7, 1.3, 0.7, 1.3]] * 2,
        }
    ]
    curves = best_by_temperature(results)
    assert curves == {0.7: [1.0, 1.0], 1.3: pytest.approx([1.5, 4.0])}
    assert best_temperature({0.7: [1.0, 1.0], 1.3: [0.5, 4.0]}, 1) == 0.7
    assert best_temperature({0.7: [1.0, 1.0], 1.3: [0.5, 4.0]}, 2) == 1.3
