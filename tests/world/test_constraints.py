from __future__ import annotations

from itertools import permutations

import pytest

from llamakit.text.checks import holds
from llamakit.text.instruction import detach
from llamakit.world.constraints import constraints, obeyed


@pytest.mark.parametrize("item", constraints(), ids=lambda item: item.short)
def test_obeyed_answers_pass_and_plain_ones_fail(item):
    answer = "Mira lives in Falton. I hope this helps."
    assert holds(item.check, obeyed([item], answer))
    assert not holds(item.check, answer)


def test_every_family_has_both_splits():
    splits = {(item.family, item.heldout) for item in constraints()}
    assert len(splits) == 10


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


def test_adherence_has_twenty_turns_and_both_splits(files):
    assert {row["split"] for row in files["adherence.jsonl"]} == {"training", "heldout"}
    for row in files["adherence.jsonl"]:
        assert len(set(row["turns"])) == 20
