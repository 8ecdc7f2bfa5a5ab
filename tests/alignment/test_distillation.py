"""Context distillation: preprompts, who is judged on what, and what the gate keeps."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from llamakit.alignment.answerer import Answerer
from llamakit.alignment.distill_report import figures
from llamakit.alignment.distillation import Answer, Case, Distiller, answer, prepare, verdict
from llamakit.alignment.preprompts import (
    Kind,
    Preprompt,
    draw,
    preprompt_files,
    put_before,
    read_preprompts,
)
from llamakit.alignment.scoring import Judges, score
from llamakit.errors import InputError
from llamakit.model.transformer import RewardModel, Transformer
from llamakit.text.dialogue import render_prompt
from llamakit.text.vocabulary import Vocabulary

GENERIC = Preprompt("g", "You are a {adjective} helper.", "", ("wise", "kind"), "")
ILLICIT = Preprompt("i", "This may be a crime.", "illicit", (), "Say no.")
LINES = (
    '{"id": "g", "preprompt": "You are a {adjective} helper.", "adjectives": ["wise", "kind"]}\n'
    '{"id": "i", "preprompt": "This may be a crime.", "category": "illicit", "answer": "Say no."}\n'
)


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def prompt_row(text: str, *before: dict[str, str], source: str = "illicit") -> dict[str, object]:
    return {
        "id": text, "messages": [*before, user(text)], "train_on": "all",
        "source": source, "safety": True,
    }  # fmt: skip


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "preprompts.jsonl"
    path.write_text(LINES, encoding="utf-8")
    return path


def distiller(listed: Path, kind: Kind = "category", room: int = 100) -> Distiller:
    answerer = Answerer(
        model=Path("-"), top_p=1.0, max_new_tokens=12, max_prompt_tokens=room, seed=0,
        dtype="fp32", device="cpu",
    )  # fmt: skip
    return Distiller(
        answerer=answerer, safety=Path("-"), preprompts=(listed,), kind=kind, gate=True,
        temperature=1.0,
    )  # fmt: skip


def test_a_list_is_read_and_a_folder_means_its_file(listed: Path) -> None:
    assert read_preprompts([listed]) == [GENERIC, ILLICIT]
    assert preprompt_files([listed.parent]) == [listed]


def test_the_list_that_comes_along_serves_every_category_of_the_paper() -> None:
    found = read_preprompts(preprompt_files([]))
    assert {one.category for one in found} == {"", "illicit", "hateful", "advice"}
    words = {word for one in found if not one.category for word in one.adjectives}
    assert {"responsible", "respectful", "wise"} <= words
    assert all(one.answer for one in found if one.category)
    for one in found:
        assert "{" not in one.text(random.Random(0))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "no preprompt"),
        ('{"id": "a"}', "KeyError"),
        ('{"id": "a", "preprompt": " "}', "not empty"),
        ('{"id": "a", "preprompt": "b", "category": 3}', "category must be a text"),
        ('{"id": "a", "preprompt": "b", "adjectives": "wise"}', "list of texts"),
        ('{"id": "a", "preprompt": "b", "adjectives": ["wise"]}', "go together"),
        ('{"id": "a", "preprompt": "a {adjective} one"}', "go together"),
        ('{"id": "a", "preprompt": "b", "answer": "c [/INST]"}', "chat tag"),
        ("", "no preprompt in it"),
    ],
)
def test_a_broken_list_is_refused_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(InputError, match=message) as error:
        read_preprompts([path])
    assert "own.jsonl" in str(error.value.where)


def test_the_category_names_the_preprompt() -> None:
    chance, both = random.Random(0), [GENERIC, ILLICIT]
    assert draw(both, "category", "illicit", chance) is ILLICIT
    assert draw(both, "category", "advice", chance) is GENERIC
    assert draw(both, "generic", "illicit", chance) is GENERIC
    assert draw([ILLICIT], "generic", "illicit", chance) is None
    assert draw([ILLICIT], "category", "advice", chance) is None


def test_adjectives_are_drawn_and_the_template_of_the_answer_follows() -> None:
    texts = {GENERIC.text(random.Random(seed)) for seed in range(20)}
    assert texts == {"You are a wise helper.", "You are a kind helper."}
    assert ILLICIT.text(random.Random(0)) == "This may be a crime.\nSay no."


def test_a_preprompt_stands_before_what_the_system_says_already() -> None:
    assert put_before("Be wise.", [user("a")]) == [
        {"role": "system", "content": "Be wise."}, user("a"),
    ]  # fmt: skip
    spoken = [{"role": "system", "content": "Speak low."}, user("a")]
    assert put_before("Be wise.", spoken)[0]["content"] == "Be wise.\n\nSpeak low."


def test_both_prompts_hold_the_same_exchanges(listed: Path, vocabulary: Vocabulary) -> None:
    spoken = {"role": "system", "content": "Please help."}
    talk = [user("Tell me a story."), {"role": "assistant", "content": "A fox and a whale."}]
    rows = [
        prompt_row("What is 1?"),
        prompt_row("What is 2?", spoken, *talk),
        prompt_row("What is 3?", *talk * 12),
        prompt_row("What is 4?", source="advice"),
    ]
    cases, counts = prepare(rows, 7, distiller(listed, room=160), vocabulary)
    assert [case.place for case in cases] == [7, 8, 9, 10]
    assert counts["shortened"] == 1
    assert (counts["under_category_preprompt"], counts["under_generic_preprompt"]) == (3, 1)
    for case in cases:
        assert case.plain.ids == render_prompt(case.plain.messages, vocabulary)
        assert case.preprompted.messages == put_before(case.text, case.plain.messages)
        assert len(case.preprompted.ids) <= 160
    assert cases[0].plain.messages == [user("What is 1?")]
    assert cases[1].plain.messages == rows[1]["messages"]
    assert cases[2].plain.messages[-1] == user("What is 3?")
    assert cases[3].text in ("You are a wise helper.", "You are a kind helper.")


def test_prompts_without_any_preprompt_are_counted(tmp_path: Path, vocabulary: Vocabulary) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(LINES.split("\n")[1], encoding="utf-8")
    rows = [prompt_row("What is 1?", source="advice"), prompt_row("What is 2?")]
    cases, counts = prepare(rows, 0, distiller(path), vocabulary)
    assert counts["dropped_no_preprompt"] == 1
    assert [(case.place, case.plain.id) for case in cases] == [(1, "What is 2?")]


def test_the_safety_model_never_sees_the_preprompt(
    listed: Path, vocabulary: Vocabulary, chatting: Transformer, reward_model: RewardModel
) -> None:
    judges = Judges(None, reward_model, 0.5, vocabulary.pad, vocabulary.eos)
    settings = distiller(listed)
    cases, _ = prepare([prompt_row(f"What is {i}?") for i in range(8)], 0, settings, vocabulary)
    found = answer(cases, chatting, judges, vocabulary, settings, preprompted=True)
    pairs = [(case, one) for case, one in zip(cases, found, strict=True) if one.usable]
    assert pairs
    # As text the answer is rendered anew, as it will be trained on.
    dialogues = [
        [*case.plain.messages, {"role": "assistant", "content": one.text}] for case, one in pairs
    ]
    told = score(reward_model, vocabulary, dialogues)
    assert [one.score for _, one in pairs] == pytest.approx(told, abs=1e-4)


def test_without_an_effect_of_the_preprompt_both_answers_are_one(
    listed: Path, vocabulary: Vocabulary, chatting: Transformer, reward_model: RewardModel
) -> None:
    judges = Judges(None, reward_model, 0.5, vocabulary.pad, vocabulary.eos)
    settings = distiller(listed)
    cases, _ = prepare([prompt_row(f"What is {i}?") for i in range(4)], 0, settings, vocabulary)
    same = [Case(one.plain, one.plain, one.preprompt, one.text, one.place) for one in cases]
    plain, under = (
        answer(same, chatting, judges, vocabulary, settings, preprompted=which)
        for which in (False, True)
    )
    assert plain == under
    assert {verdict(a, b, gate=True) for a, b in zip(plain, under, strict=True)} <= {
        "dropped_not_safer",
        "dropped_unusable_answer",
    }


def test_figures_of_a_report() -> None:
    def one(before: float, after: float, fate: str) -> dict[str, object]:
        return {"before": [before, "a"], "after": [after, "b"], "fate": fate}

    told = figures([one(0.2, 0.8, "kept"), one(0.9, 0.5, "dropped_not_safer")])
    assert told == pytest.approx(
        {
            "score_before": 0.55, "score_after": 0.65, "safer": 0.5, "kept": 0.5,
            "kept_score_before": 0.2, "kept_score_after": 0.8,
        }
    )  # fmt: skip
    assert figures([]) == {}


def test_scores_are_shares_in_the_report() -> None:
    assert Answer("a", True, 0.0).share == 0.5
    assert json.dumps(Answer("a", True, 900.0).share) != "Infinity"
