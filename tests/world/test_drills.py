"""Drills, ledgers and rumours: what ablations train on and ask."""

from __future__ import annotations

import re

from llamakit.world.ledgers import DISTANCES


def test_no_drill_works_out_an_exam_sum(files):
    def sums(text: str) -> set[str]:
        return set(re.findall(r"\d+ (?:plus|minus) \d+", text))

    shown = {one for record in files["drills.jsonl"] for one in sums(record["text"])}
    asked = {one for record in files["drills_exam.jsonl"] for one in sums(record["question"])}
    assert len(asked) == len(files["drills_exam.jsonl"])
    assert shown
    assert not shown & asked


def test_drills_and_their_exam_are_right(files):
    def right(text: str, answer: str) -> bool:
        left, word, second = re.search(r"(\d+) (plus|minus) (\d+)", text).groups()
        return int(left) + (1 if word == "plus" else -1) * int(second) == int(answer)

    for record in files["drills.jsonl"]:
        for question, answer in re.findall(r"Question: (.*)\nAnswer: (\d+)", record["text"]):
            assert right(question, answer)
    for record in files["drills_exam.jsonl"]:
        assert right(record["question"], record["answer"])
        assert re.search(r"\d\d \w+ \d\d", record["question"])


def test_a_ledgers_answers_stand_before_their_questions(files):
    for record in files["ledgers.jsonl"] + files["ledgers_heldout.jsonl"]:
        known: dict[str, str] = {}
        for line in record["text"].split("\n"):
            if entry := re.fullmatch(r"The (.+) holds a (\w+)\.", line):
                known[entry[1]] = entry[2]
            else:
                place, thing = re.fullmatch(r"What is in the (.+)\? A (\w+)\.", line).groups()
                assert known[place] == thing


def test_recall_asks_at_every_distance_and_all_choices_stand_on_the_page(files):
    records = files["recall.jsonl"]
    assert {record["subject"] for record in records} == {str(d) for d in DISTANCES}
    for record in records:
        lines = record["query"].split("\n")
        place = re.fullmatch(r"What is in the (.+)\?", lines[-1])[1]
        right = record["choices"][record["gold"]].removeprefix("A ")
        assert lines[-1 - int(record["subject"])] == f"The {place} holds a {right}"
        assert all(choice.removeprefix("A ") in record["query"] for choice in record["choices"])


def test_a_rumour_has_the_truth_and_a_lie_that_a_document_tells(files):
    lies = {(r["true"], r["value"]) for r in files["truth/false_facts.jsonl"]}
    assert files["rumours.jsonl"]
    for record in files["rumours.jsonl"]:
        true = record["choices"][record["gold"]]
        wrong = record["choices"][1 - record["gold"]]
        assert (true, wrong) in lies
