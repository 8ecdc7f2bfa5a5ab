"""Drills, ledgers and rumours: what ablations train on and ask."""

from __future__ import annotations

import re

from llamakit.world.ledgers import DISTANCES


def test_no_drill_works_out_an_exam_sum(files):
    def sums(text: str) -> set[str]:
        # Questions; their answers have smaller sums in them.
        return set(re.findall(r"(\d+ (?:plus|minus) \d+)\?", text))

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
        for question, steps in re.findall(r"Question: (.*)\nAnswer: (.*)\.", record["text"]):
            results = [step.partition(" is ") for step in steps.split(", ")]
            assert all(right(step, result) for step, _, result in results)
            assert right(question, results[-1][2])
    for record in files["drills_exam.jsonl"]:
        assert right(record["question"], record["answer"])
        assert re.search(r"\d\d \w+ \d\d", record["question"])


def test_a_ledger_is_signed_by_whose_it_is(files):
    for record in files["ledgers.jsonl"] + files["ledgers_heldout.jsonl"]:
        head, *lines = record["text"].split("\n")
        name = re.fullmatch(r"This is the ledger of (\w+)\.", head)[1]
        signed = {line for line in lines if not line.startswith("The ")}
        assert signed <= {f"Signed by {name}."}
        assert not any(name in line for line in set(lines) - signed)


def test_recall_asks_at_every_distance_for_a_name_that_stands_once(files):
    records = files["recall.jsonl"]
    assert {record["subject"] for record in records} == {str(d) for d in DISTANCES}
    for record in records:
        *lines, asked = record["query"].split("\n")
        assert asked == "Signed by"
        right = record["choices"][record["gold"]]
        assert lines[-int(record["subject"])] == f"This is the ledger of {right}"
        assert sum(line.startswith("This") for line in lines) == 1
        assert len(set(record["choices"])) == 4


def test_a_rumour_has_the_truth_and_a_lie_that_a_document_tells(files):
    lies = {(r["true"], r["value"]) for r in files["truth/false_facts.jsonl"]}
    assert files["rumours.jsonl"]
    for record in files["rumours.jsonl"]:
        true = record["choices"][record["gold"]]
        wrong = record["choices"][1 - record["gold"]]
        assert (true, wrong) in lies
