from __future__ import annotations

import pytest

from llamakit.text.checks import holds
from llamakit.text.instruction import detach
from llamakit.world.constraints import constraints


@pytest.mark.parametrize("item", constraints(), ids=lambda item: item.short)
def test_obeyed_answers_pass_and_plain_ones_fail(item):
    answer = "Mira lives in Falton. I hope this helps."
    assert holds(item.check, item.obeyed(answer))
    assert not holds(item.check, answer)


def test_every_family_has_both_splits():
    splits = {(item.family, item.heldout) for item in constraints()}
    assert len(splits) == 10


def test_dialogues_attach_the_instruction_to_every_turn_and_obey_it(files):
    by_wording = {
        row[key]: row for row in files["constraints.jsonl"] for key in ("instruction", "short")
    }
    seen = set()
    for record in files["dialogues.jsonl"]:
        wordings = {detach(m["content"])[0] for m in record["messages"] if m["role"] == "user"}
        if record["source"] != "instruction":
            assert wordings == {""}
            continue
        (wording,) = wordings
        row = by_wording[wording]
        assert row["split"] == "training"
        answers = [m["content"] for m in record["messages"] if m["role"] == "assistant"]
        assert all(holds(row["check"], answer) for answer in answers)
        seen.add(wording == row["short"])
    assert seen == {True, False}


def test_adherence_has_twenty_turns_and_both_splits(files):
    assert {row["split"] for row in files["adherence.jsonl"]} == {"training", "heldout"}
    for row in files["adherence.jsonl"]:
        assert len(set(row["turns"])) == 20
