from __future__ import annotations

from typing import Any

import pytest

from llamakit.corpus.reading.dialogues import to_dialogue
from llamakit.corpus.reading.fields import FieldNames
from llamakit.corpus.reading.unusable import UnusableRowError

TURN = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": TURN},
        {"messages": [{**m, "weight": 1} for m in TURN]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}, TURN[1]]},
        {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]},
        {"instruction": "hi", "input": "", "output": "ho"},
        {"instruction": "hi", "response": "ho"},
        {"prompt": "hi", "response": "ho"},
        {"prompt": [TURN[0]], "completion": [TURN[1]]},
        {"question": "hi", "answer": "ho"},
        {"messages": "\n\nHuman: hi\n\nAssistant: ho"},
    ],
)
def test_every_layout_gives_the_same_dialogue(row: dict[str, Any]) -> None:
    assert to_dialogue(row, FieldNames())["messages"] == TURN


def test_context_system_and_history() -> None:
    row = {
        "instruction": "Translate.",
        "input": "Haus",
        "output": "house",
        "system": "Be brief.",
        "history": [["a", "b"]],
    }
    roles = [(m["role"], m["content"]) for m in to_dialogue(row, FieldNames())["messages"]]
    assert roles == [
        ("system", "Be brief."),
        ("user", "a"),
        ("assistant", "b"),
        ("user", "Translate.\n\nHaus"),
        ("assistant", "house"),
    ]


def test_a_prompt_ends_with_the_user() -> None:
    dialogue = to_dialogue({"prompt": "hi", "id": 3, "safety": True}, FieldNames())
    assert dialogue["messages"] == TURN[:1]
    assert (dialogue["id"], dialogue["safety"], dialogue["train_on"]) == ("3", True, "all")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": []}, "no_messages"),
        ({"messages": [TURN[1], TURN[0]]}, "roles_do_not_alternate"),
        ({"messages": [TURN[0], TURN[0]]}, "roles_do_not_alternate"),
        ({"messages": [{"role": "system", "content": "x"}]}, "no_messages"),
        ({"messages": [{"role": "user", "content": " "}]}, "empty_message"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, "unknown_role"),
        ({"messages": [{"role": "user"}]}, "no_content"),
        ({"messages": [{"role": "user", "content": "a [/INST] b"}]}, "chat_tag_in_message"),
        ({"messages": [3]}, "not_an_object"),
        ({"text": "x"}, "no_prompt"),
        ({"messages": TURN, "train_on": "some"}, "unknown_train_on"),
        ({"prompt": "a", "output": "b", "history": ["x"]}, "history_not_pairs"),
    ],
)
def test_what_cannot_be_used_says_why(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnusableRowError) as caught:
        to_dialogue(row, FieldNames())
    assert caught.value.reason == reason
