from __future__ import annotations

from typing import Any

import pytest

from llamakit.corpus.reading.fields import FieldNames
from llamakit.corpus.reading.preferences import to_preference
from llamakit.corpus.reading.unusable import UnusableRowError

USER = {"role": "user", "content": "hi"}
GOOD = {"role": "assistant", "content": "good"}
BAD = {"role": "assistant", "content": "bad"}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "hi", "chosen": "good", "rejected": "bad"},
        {"prompt": [USER], "chosen": [GOOD], "rejected": [BAD]},
        {"prompt": "hi", "chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {"chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {
            "chosen": "\n\nHuman: hi\n\nAssistant: good",
            "rejected": "\n\nHuman: hi\n\nAssistant: bad",
        },
        {"prompt": "hi", "response 1": "bad", "response 2": "good", "label": 1},
        {"prompt": "hi", "response_a": "good", "response_b": "bad", "winner": "model_a"},
    ],
)
def test_every_layout_gives_the_same_comparison(row: dict[str, Any]) -> None:
    found = to_preference(row, FieldNames())
    assert (found["prompt"], found["chosen"], found["rejected"]) == ([USER], [GOOD], [BAD])


def test_dialogues_that_part_early_keep_the_common_beginning_as_prompt() -> None:
    more = {"role": "user", "content": "more"}
    row = {"chosen": [USER, GOOD, more, GOOD], "rejected": [USER, BAD, more, BAD]}
    found = to_preference(row, FieldNames())
    assert found["prompt"] == [USER]
    assert found["chosen"] == [GOOD, more, GOOD]


@pytest.mark.parametrize(
    ("given", "grade"),
    [
        ("significantly_better", "significantly"),
        ("Slightly better", "slightly"),
        ("negligibly better / unsure", "negligible"),
        ("better", "better"),
        (None, None),
    ],
)
def test_grades_under_all_their_names(given: str | None, grade: str | None) -> None:
    row = {"prompt": "hi", "chosen": "a", "rejected": "b", "degree": given}
    assert to_preference(row, FieldNames())["grade"] == grade


@pytest.mark.parametrize(
    ("chosen", "rejected", "safety"),
    [(True, True, "both_safe"), (True, False, "chosen_safe"), (False, False, "both_unsafe")],
)
def test_safety_of_the_two_answers(chosen: bool, rejected: bool, safety: str) -> None:
    row = {
        "prompt": "hi",
        "chosen": "a",
        "rejected": "b",
        "chosen_safe": chosen,
        "rejected_safe": rejected,
    }
    assert to_preference(row, FieldNames())["safety"] == safety


@pytest.mark.parametrize(
    ("change", "reason", "broken"),
    [
        ({"chosen": None}, "no_chosen", True),
        ({"chosen": False}, "chosen_not_text", True),
        ({"rejected": ""}, "empty_message", False),
        ({"chosen": "b"}, "answers_equal", False),
        ({"grade": "great"}, "unknown_grade", True),
        ({"safety": "maybe"}, "unknown_safety", True),
        ({"chosen_safe": False, "rejected_safe": True}, "chosen_unsafe_rejected_safe", False),
        ({"prompt": None}, "no_prompt", True),
        ({"batch": "x"}, "batch_not_a_number", True),
        ({"batch": 10**30}, "batch_not_a_number", True),
        ({"chosen": [GOOD, USER]}, "answer_does_not_end_with_assistant", True),
    ],
)
def test_what_cannot_be_used_says_why(change: dict[str, Any], reason: str, broken: bool) -> None:
    row = {"prompt": "hi", "chosen": "a", "rejected": "b", **change}
    with pytest.raises(UnusableRowError) as caught:
        to_preference(row, FieldNames())
    assert (caught.value.reason, caught.value.broken) == (reason, broken)


def test_a_tie_teaches_nothing() -> None:
    with pytest.raises(UnusableRowError, match="tie"):
        to_preference(
            {"prompt": "a", "response_a": "b", "response_b": "c", "winner": "tie"}, FieldNames()
        )
