"""Ghost attention's four steps, on a dialogue answered by hand."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from llamakit.alignment.answerer import Answerer
from llamakit.alignment.constraints import Constraint, Instruction, combine, read_constraints
from llamakit.alignment.ghost import Session, Synthesis, begin, training_rows
from llamakit.errors import InputError

SHOUT = Constraint("a", "Always shout.", "Style: shout", "style", {"kind": "uppercase"})
AHOY = Constraint(
    "b", "End with ahoy.", "Ending: ahoy", "ending", {"kind": "ends_with", "value": "ahoy"}
)
ROWING = Constraint("c", "You enjoy rowing.", "Hobby: rowing", "hobby", None)


def synthesis(**changes: object) -> Synthesis:
    answerer = Answerer(
        model=Path("-"), top_p=1.0, max_new_tokens=8, max_prompt_tokens=120, seed=0, dtype="fp32",
        device="cpu",
    )  # fmt: skip
    settings: dict[str, object] = {
        "answerer": answerer, "constraints": (), "min_turns": 1, "max_turns": 4,
        "max_constraints": 2, "shorten_prob": 0.0, "plain_share": 0.0, "remind": "every",
        "keep": "none", "cut": "end", "temperature": 1.0,
    }  # fmt: skip
    return Synthesis(**(settings | changes))  # type: ignore[arg-type]


def session(answers: list[str], *constraints: Constraint) -> Session:
    return Session(
        id="talk",
        source="chat",
        safety=False,
        system=[],
        users=["Who?", "Where?", "When?"],
        instruction=Instruction(constraints) if constraints else None,
        place=0,
        answers=answers,
    )


def contents(messages: list[dict[str, str]]) -> list[str]:
    return [one["content"] for one in messages]


def test_while_sampling_every_user_turn_has_the_instruction() -> None:
    prompt = session(["I.", "HERE."], SHOUT).sampling_prompt()
    assert contents(prompt) == [  # type: ignore[arg-type]
        "Always shout.\nWho?", "I.", "Always shout.\nWhere?", "HERE.", "Always shout.\nWhen?",
    ]  # fmt: skip


def test_the_control_reads_the_instruction_once_and_is_trained_alike() -> None:
    talk = session(["I.", "here."], SHOUT)
    assert contents(talk.sampling_prompt("first")) == [  # type: ignore[arg-type]
        "Always shout.\nWho?", "I.", "Where?", "here.", "When?",
    ]  # fmt: skip
    talk.answers.append("now.")
    assert training_rows(talk, synthesis()) == training_rows(talk, synthesis(remind="first"))


def test_in_the_data_only_the_first_user_turn_has_it() -> None:
    talk = session(["I.", "HERE.", "NOW."], SHOUT, AHOY)
    (row,) = training_rows(talk, synthesis())
    assert contents(row["messages"]) == [
        "Always shout. End with ahoy.\nWho?", "I.", "Where?", "HERE.", "When?", "NOW.",
    ]  # fmt: skip
    assert row["train_on"] == "last"


def test_half_of_the_instructions_are_shortened() -> None:
    talks = [session(["I."], SHOUT) for _ in range(200)]
    for place, talk in enumerate(talks):
        talk.place = place
    rows = [training_rows(talk, synthesis(shorten_prob=0.5))[0] for talk in talks]
    short = [row["messages"][0]["content"] == "Style: shout\nWho?" for row in rows]
    assert 70 < sum(short) < 130
    assert short == [row["shortened"] for row in rows]


@pytest.mark.parametrize(
    ("keep", "answers", "kept"),
    [
        ("none", ["no", "no"], True),
        ("last", ["no", "YES"], True),
        ("last", ["YES", "no"], False),
        ("all", ["no", "YES"], False),
        ("all", ["YES", "YES"], True),
    ],
)
def test_the_filter_looks_at_the_answers_it_names(
    keep: str, answers: list[str], kept: bool
) -> None:
    assert bool(training_rows(session(answers, SHOUT), synthesis(keep=keep))) == kept


def test_a_constraint_without_a_check_cannot_fail() -> None:
    assert training_rows(session(["no"], ROWING), synthesis(keep="all"))
    assert session(["no"], ROWING).obeyed(0) == []


def test_every_beginning_is_a_dialogue_of_its_own() -> None:
    rows = training_rows(session(["A", "B", "C"], SHOUT), synthesis(cut="every", min_turns=2))
    assert [len(row["messages"]) for row in rows] == [4, 6]


def test_dialogues_with_too_few_turns_are_left_out() -> None:
    row = {
        "id": "x", "source": "s", "safety": False, "messages": [{"role": "user", "content": "?"}]
    }  # fmt: skip
    assert begin(row, 0, [SHOUT], synthesis(min_turns=2)) is None
    begun = begin(row, 0, [SHOUT], synthesis())
    assert begun is not None
    assert begun.instruction == Instruction((SHOUT,))
    plain = begin(row, 0, [SHOUT], synthesis(plain_share=1.0))
    assert plain is not None
    assert plain.instruction is None


def test_combinations_take_one_of_a_family() -> None:
    other = Constraint("d", "Whisper.", "Style: whisper", "style", None)
    chance = random.Random(0)
    sizes = set()
    for _ in range(50):
        drawn = combine([SHOUT, AHOY, ROWING, other], 3, chance).constraints
        families = [one.family for one in drawn]
        assert len(set(families)) == len(families)
        sizes.add(len(drawn))
    assert sizes == {1, 2, 3}


def test_constraints_held_out_for_evaluation_are_not_read(tmp_path: Path) -> None:
    line = '{"id": "%s", "instruction": "i", "short": "s", "family": "f"%s}\n'
    path = tmp_path / "c.jsonl"
    path.write_text(line % ("a", "") + "\n" + line % ("b", ', "split": "heldout"'))
    assert [one.id for one in read_constraints([path])] == ["a"]


def test_only_a_line_feed_ends_a_constraint(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"id": "a", "instruction": "i\u2028j", "short": "s", "family": "f"}\n')
    assert read_constraints([path])[0].instruction == "i\u2028j"


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        '{"id": "a"}',
        "[" * 100_000,
        '{"id": "a", "instruction": "", "short": "s", "family": "f"}',
        '{"id": "a", "instruction": "i", "short": "s", "family": "f", "check": {"kind": "?"}}',
        '{"id": "a", "instruction": "i", "short": "s", "family": "f", "check": "?"}',
    ],
)
def test_a_broken_constraint_names_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text("\n" + line + "\n")
    with pytest.raises(InputError, match=r"c\.jsonl:2"):
        read_constraints([path])


def test_no_constraint_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text("")
    with pytest.raises(InputError, match="no constraint"):
        read_constraints([tmp_path / "c.jsonl"])
    with pytest.raises(InputError, match="cannot be read"):
        read_constraints([tmp_path / "absent.jsonl"])
    (tmp_path / "latin.jsonl").write_bytes(b'{"id": "caf\xe9"}')
    with pytest.raises(InputError, match="UTF-8 is needed"):
        read_constraints([tmp_path / "latin.jsonl"])
