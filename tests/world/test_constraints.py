from __future__ import annotations

from collections import Counter
from itertools import permutations

import pytest

from llamakit.text.checks import holds
from llamakit.text.instruction import detach
from llamakit.world.constraints import constraints, obeyed
from llamakit.world.dialogues import chat_records
from llamakit.world.requests import splits
from llamakit.world.sums import build_sums
from tests.world.conftest import SEED


@pytest.mark.parametrize("item", constraints(30), ids=lambda item: item.short)
def test_obeyed_answers_pass_and_plain_ones_fail(item):
    answer = "Mira lives in Falton. I hope this helps."
    assert holds(item.check, obeyed([item], answer))
    assert not holds(item.check, answer)


def test_every_family_has_both_splits():
    for per_family in (5, 9, 30):
        splits = Counter((item.family, item.heldout) for item in constraints(per_family))
        assert len(splits) == 10
        assert {n for (_, heldout), n in splits.items() if heldout} == {per_family // 5}


def test_instructions_differ_and_no_answer_obeys_two_of_a_family():
    every = constraints(30)
    assert len(every) == len({item.instruction for item in every}) == 150
    for item in every:
        answer = obeyed([item], "Mira lives in Falton. I hope this helps.")
        assert [one for one in every if holds(one.check, answer)] == [item]


@pytest.mark.parametrize(("one", "other"), list(permutations(constraints()[::5], 2)))
def test_two_instructions_are_obeyed_at_once(one, other):
    answer = obeyed([one, other], "Mira lives in Falton.")
    assert holds(one.check, answer)
    assert holds(other.check, answer)


def test_dialogues_attach_the_instruction_to_every_turn_and_obey_it(files):
    rows = files["constraints.jsonl"]
    seen = set()
    for record in files["dialogues.jsonl"]:
        wordings = {detach(m["content"])[0] for m in record["messages"] if m["role"] == "user"}
        if record["source"] != "instruction":
            assert wordings == {""}
            continue
        (wording,) = wordings
        given = [row for row in rows if row["instruction"] in wording or row["short"] in wording]
        assert {row["split"] for row in given} == {"training"}
        answers = [m["content"] for m in record["messages"] if m["role"] == "assistant"]
        assert all(holds(row["check"], answer) for answer in answers for row in given)
        seen.add((len(given), given[0]["short"] in wording))
    assert seen == {(1, True), (1, False), (2, True), (2, False)}


def test_in_long_chats_an_instruction_counts_for_its_own_message(world):
    requests, _, _ = splits(world, build_sums(SEED), SEED)
    chats = list(chat_records(world, requests, 60, 30, SEED))
    turns = Counter(len(chat["messages"]) // 2 for chat in chats)
    assert min(turns) == 2
    assert max(turns) == 20
    shown = [item for item in constraints(30) if not item.heldout]
    moves = Counter()
    for chat in chats:
        instructed = chat["source"] == "long_instruction"
        before = None
        for asked, answer in zip(chat["messages"][::2], chat["messages"][1::2], strict=True):
            wording, _ = detach(asked["content"])
            told = [one for one in shown if one.instruction in wording or one.short in wording]
            assert bool(told) == bool(wording)
            assert all(holds(one.check, answer["content"]) for one in told)
            # What nobody asks for in this message is not done, whatever was asked before.
            marks = [one for one in constraints(30) if one not in told]
            assert not any(holds(one.check, answer["content"]) for one in marks)
            assert instructed or not wording
            if instructed and before is not None:
                moves["none" if not wording else "same" if wording == before else "other"] += 1
            before = wording
    assert min(moves.values()) > 10


def test_adherence_has_twenty_turns_and_both_splits(files):
    assert {row["split"] for row in files["adherence.jsonl"]} == {"training", "heldout"}
    for row in files["adherence.jsonl"]:
        assert len(set(row["turns"])) == 20
