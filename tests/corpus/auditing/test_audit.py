"""Planted faults are found, each where it was planted, and good dialogues have none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llamakit.corpus.auditing.audit import Audit, Rules, audit, flagged, report
from llamakit.corpus.auditing.faults import KINDS
from llamakit.corpus.auditing.page import audit_page
from llamakit.text.vocabulary import Vocabulary, train_vocabulary

GOOD = "The river Alder runs north from the hills and passes three old towns before the sea."
SONG = "Row the boat along the river and sing with us tonight, my friend. "


def row(name: str, *texts: str, source: str = "s", roles: str = "ua") -> dict[str, Any]:
    spoken = {"u": "user", "a": "assistant", "s": "system"}
    order = roles if len(roles) >= len(texts) else roles * len(texts)
    return {
        "id": name,
        "messages": [
            {"role": spoken[role], "content": text}
            for role, text in zip(order, texts, strict=False)
        ],
        "train_on": "all",
        "source": source,
        "safety": False,
        "artifact": "talks:v1",
    }


def found_in(*rows: dict[str, Any], **settings: Any) -> list[set[str]]:
    return [{name for name, _ in own} for own in looked_at(*rows, **settings).faults]


def looked_at(*rows: dict[str, Any], **settings: Any) -> Audit:
    rules = Rules(lambda text: text.startswith("I cannot"), **settings)
    return audit(rows, rules, lambda _: None)


@pytest.mark.parametrize(
    ("fault", "planted"),
    [
        ("roles", row("x", "hello", "there", roles="uu")),
        ("roles", row("x", "hello there", roles="a")),
        ("roles", row("x", "a", "b", "c", roles="usa")),
        ("roles", row("x")),
        ("chat_tags", row("x", "what is [INST] for?", GOOD)),
        ("chat_tags", row("x", "what is it for?", f"{GOOD} <</SYS>>")),
        ("no_answer", row("x", "Where does the river run?")),
        ("empty_answer", row("x", "Where does the river run?", " \n")),
        ("empty_request", row("x", "\t", GOOD)),
        ("repeats_request", row("x", "So it  Runs where?", f"so it runs where? {GOOD}")),
        ("loops", row("x", "Sing!", SONG * 6)),
        ("cut_off", row("x", "Tell me.", f"{GOOD} {GOOD} And then it")),
        ("cut_off", row("x", "Code?", "Here it is:\n```python\nprint(1)\n")),
        ("template_left", row("x", "Hi, what now?", "I do not know.<|im_end|>")),
        ("template_left", row("x", "Hi, what now?", "It is so.\n### Response: no")),
        ("template_left", row("x", "Hi, what now?", "It is so. </s>")),
        ("broken_text", row("x", "Where?", "In the cafÃ© by the river, they say.")),
        ("broken_text", row("x", "Where?", "In the caf\ufffd by the river, they say.")),
        ("short_answer", row("x", "Where does it run?", "North.")),
        ("refusal", row("x", "Where does it run?", "I cannot say where it runs.")),
        ("speaks_of_itself", row("x", "Who are you?", "I'm an AI that answers questions.")),
        (
            "other_language",
            row(
                "x",
                "Please tell me in a few words where the river runs and which towns it passes.",
                "Der Fluss fließt von den Hügeln nach Norden und an drei alten Städten vorbei.",
            ),
        ),
    ],
)  # fmt: skip
def test_a_planted_fault_is_found(fault: str, planted: dict[str, Any]) -> None:
    (found,) = found_in(planted)
    assert fault in found
    # Nothing else that calls for a look is found with it.
    assert {name for name in found if KINDS[name].weight != "remark"} <= {fault}


def test_good_dialogues_have_no_fault() -> None:
    rows = [
        row("1", "Where does the Alder run?", GOOD),
        row("2", "Be brief.", "And the Birk?", "It runs south, past two mills.", roles="sua"),
        row("3", "List three.", "1. Alder, the longest river of the north and its many arms\n"
            "2. Birk, which has two mills and a bridge of stone\n3. Cam"),
        row("4", "Tweet it!", f"{GOOD} Come and see it with us next week #river #north"),
        row("5", "Code?", "Here it is:\n```python\nprint('north')\n```\nIt prints a word"),
        row("6", "Où coule la rivière?", "Elle coule vers le nord à côté de São João, l'Âge d'or."),
    ]  # fmt: skip
    assert found_in(*rows) == [set()] * len(rows)


def test_copies_name_the_earlier_dialogue() -> None:
    longer = " ".join(f"Word{n} stands beside the river." for n in range(30))
    rows = [
        row("first", "Where does the Alder run?", GOOD),
        row("copy", "where does the  ALDER run?", GOOD.upper()),
        row("same request", "Where does the Alder run?", "To the sea, as all of them do."),
        row("same answer", "Which way does it go?", GOOD),
        row("long", "Tell me all.", longer),
        row("near", "Tell me all.", f"{longer} And one more."),
        row("not near", "Tell me all of it.", longer[: len(longer) // 2]),
        row("tagged", "Where does the Alder run?", f"{GOOD} [INST]"),
    ]
    found = looked_at(*rows)
    assert [
        (name, own) for name, own in zip([r["id"] for r in rows], found.faults, strict=True)
    ] == [
        ("first", []),
        ("copy", [("copy", 0)]),
        ("same request", [("same_request", 0)]),
        ("same answer", [("same_answer", 0)]),
        ("long", []),
        ("near", [("near_copy", 4)]),
        ("not near", [("cut_off", None)]),
        ("tagged", [("chat_tags", None)]),
    ]
    (like,) = [one["like"] for one in flagged(found) if one["fault"] == "copy"]
    assert like == "first"


def test_dialogues_longer_than_a_row(tmp_path: Path) -> None:
    vocabulary: Vocabulary = train_vocabulary([GOOD] * 30, tmp_path, 300)
    rows = [row("1", "Where?", GOOD), row("2", "Where?", f"{GOOD} " * 9), row("3", "A prompt")]
    found = looked_at(*rows, vocabulary=vocabulary, seq_len=100)
    assert [("too_long", None) in own for own in found.faults] == [False, True, False]
    lengths = report(found)["lengths"]
    assert lengths["tokens of a dialogue"]["n"] == 3
    assert lengths["tokens trained on"]["n"] == 2


def test_the_numbers_add_up_and_the_page_holds_them() -> None:
    rows = [
        row("1", "Where does the Alder run?", GOOD, source="a"),
        row("2", "Where does the Alder run?", GOOD, source="b"),
        row("3", "Why?", "No.", source="b"),
        row("4", "<script>alert(1)</script>", "I cannot run it. [/INST]", source="b"),
    ]
    found = looked_at(*rows)
    numbers = report(found)
    assert (numbers["dialogues"], numbers["messages"], numbers["clean"]) == (4, 8, 2)
    assert numbers["with"] == {"error": 1, "doubt": 1, "remark": 1}
    assert list(numbers["faults"]) == list(KINDS)
    assert numbers["faults"]["copy"]["share"] == 0.25
    assert numbers["sources"]["b"]["dialogues"] == 3
    assert sum(one["dialogues"] for one in numbers["faults"].values()) == len(list(flagged(found)))
    html = audit_page("talks:v1", found, numbers).html()
    assert "<script>alert" not in html
    assert "without error or doubt" in html
