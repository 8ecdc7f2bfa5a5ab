from __future__ import annotations

import json
import re
from itertools import groupby
from operator import itemgetter

import pytest

from llamakit.errors import UsageError
from llamakit.text.instruction import detach
from llamakit.world.generate import CHATS_FILE, FILES, Sizes, generate_world

FIELDS = {
    "documents.jsonl": {"id", "text", "source", "url", "language"},
    "heldout.jsonl": {"id", "text", "source", "url", "language"},
    "dialogues.jsonl": {"id", "messages", "source", "safety"},
    "dialogues_noisy.jsonl": {"id", "messages", "source", "safety", "faults"},
    "preferences.jsonl": {
        "id", "prompt", "chosen", "rejected", "grade", "safety", "source", "batch",
    },
    "preprompts.jsonl": {"id", "category", "preprompt", "adjectives", "answer"},
    "preprompted.jsonl": {"id", "messages", "source", "safety"},
    "prompts.jsonl": {"id", "messages", "source", "safety", "label", "category", "vector"},
    "exam.jsonl": {
        "id", "question", "choices", "gold", "answer", "subject", "entity", "attribute", "wording",
    },
    "sums.jsonl": {"id", "question", "answer"},
    "rumours.jsonl": {"id", "question", "choices", "gold", "subject"},
    "ledgers.jsonl": {"id", "text", "source", "url", "language"},
    "recall.jsonl": {"id", "query", "choices", "gold", "subject"},
    "drills.jsonl": {"id", "text", "source", "url", "language"},
    "drills_exam.jsonl": {"id", "question", "answer", "subject"},
    "constraints.jsonl": {"id", "instruction", "short", "check", "family", "split"},
    "adherence.jsonl": {"id", "instruction", "check", "turns", "family", "split"},
    "truth/facts.jsonl": {"entity", "kind", "attribute", "value", "split"},
    "truth/unsafe_prompts.jsonl": {"text", "category", "vector", "split", "demonstrated"},
    "truth/documents.jsonl": {"id", "genre", "source", "site", "language", "subjects"},
    "truth/duplicates.jsonl": {"id", "original", "cluster", "kind", "similarity"},
    "truth/pii.jsonl": {"id", "start", "end", "kind", "text"},
    "truth/decoys.jsonl": {"id", "start", "end", "kind", "text"},
    "truth/false_facts.jsonl": {"id", "entity", "attribute", "value", "true"},
    "truth/sites.jsonl": {"site", "heavy"},
}  # fmt: skip
FIELDS["preferences_heldout.jsonl"] = FIELDS["preferences.jsonl"]
FIELDS["ledgers_heldout.jsonl"] = FIELDS["ledgers.jsonl"]
FIELDS["prompts_heldout.jsonl"] = FIELDS["prompts.jsonl"]
FIELDS["borderline.jsonl"] = FIELDS["prompts.jsonl"]
FIELDS["exam_shots.jsonl"] = FIELDS["exam.jsonl"]
FIELDS["sums_shots.jsonl"] = FIELDS["sums.jsonl"]


def lines(sizes: Sizes, seed: int) -> dict[str, str]:
    return {
        name: "".join(json.dumps(record) for _, record in group)
        for name, group in groupby(generate_world(sizes, seed), key=itemgetter(0))
    }


def test_every_record_has_its_fields(files):
    assert set(FIELDS) == set(FILES) == set(files)
    for name, records in files.items():
        assert all(set(record) == FIELDS[name] for record in records), name


def test_files_stand_together_in_the_declared_order():
    names = [name for name, _ in groupby(generate_world(Sizes(docs=400), 0), key=itemgetter(0))]
    assert names == list(FILES)


def test_same_seed_same_bytes_and_another_seed_others():
    sizes = Sizes(docs=150)
    assert lines(sizes, 1) == lines(sizes, 1)
    assert lines(sizes, 1)["documents.jsonl"] != lines(sizes, 2)["documents.jsonl"]


def test_the_size_of_one_file_leaves_the_others_alone():
    few, many = lines(Sizes(docs=150), 1), lines(Sizes(docs=150, dialogues=77), 1)
    changed = {name for name in few if few[name] != many[name]}
    assert changed == {"dialogues.jsonl"}


def test_chats_are_written_where_they_are_asked_for_and_leave_the_others_alone():
    without, with_them = lines(Sizes(docs=150), 1), lines(Sizes(docs=150, chats=30), 1)
    assert CHATS_FILE not in without
    assert with_them.pop(CHATS_FILE)
    assert with_them == without


def test_sizes_follow_docs_unless_given(files):
    assert len(files["documents.jsonl"]) == 900
    assert len(files["dialogues.jsonl"]) == 900
    assert len(files["preferences.jsonl"]) == 675
    given = Sizes(docs=100, dialogues=5, preferences=6, prompts=7, exam=8, sums=9, adherence=10)
    made = {
        name: len(list(group))
        for name, group in groupby(generate_world(given, 0), key=itemgetter(0))
    }
    assert [
        made[f"{name}.jsonl"]
        for name in ("dialogues", "preferences", "prompts", "exam", "sums", "adherence")
    ] == [5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize("docs", [1, 2, 10, 33])
def test_tiny_worlds_are_whole(docs):
    made = [name for name, _ in generate_world(Sizes(docs=docs), 0)]
    assert made.count("documents.jsonl") == docs


def test_identifiers_are_unique(files):
    for name, records in files.items():
        if not name.startswith("truth/"):
            assert len({record["id"] for record in records}) == len(records), name


def test_too_few_entities_are_refused():
    with pytest.raises(UsageError, match="30 to 240"):
        next(generate_world(Sizes(docs=10, entities=5), 0))


def asked(records, key):
    return {
        detach(message["content"])[1]
        for record in records
        for message in record[key]
        if message["role"] == "user"
    }


def test_no_exam_question_is_asked_elsewhere(files):
    exam = {record["question"] for record in files["exam.jsonl"] + files["sums.jsonl"]}
    for name, key in (
        ("dialogues.jsonl", "messages"),
        ("dialogues_noisy.jsonl", "messages"),
        ("preferences.jsonl", "prompt"),
        ("preferences_heldout.jsonl", "prompt"),
        ("prompts.jsonl", "messages"),
        ("prompts_heldout.jsonl", "messages"),
    ):
        assert not exam & asked(files[name], key), name
    pages = "\n".join(record["text"] for record in files["documents.jsonl"])
    assert not [question for question in exam if question in pages]
    shots = {(shot["entity"], shot["attribute"]) for shot in files["exam_shots.jsonl"]}
    assert not shots & {(item["entity"], item["attribute"]) for item in files["exam.jsonl"]}


def test_no_answer_tells_what_exams_ask(files, world):
    told = {
        sentence
        for record in files["dialogues.jsonl"]
        for message in record["messages"]
        if message["role"] == "assistant"
        for sentence in re.split(r"(?<=[.!?])\s+", message["content"])
    }
    for fact in (*world.exam, *world.heldout):
        assert not told & set(fact.statements())


def test_an_entity_is_in_one_split_with_all_its_facts(world):
    for split in (world.training, world.heldout, world.exam):
        names = {fact.entity.name for fact in split}
        assert len(split) == sum(len(world.facts[name]) for name in names)


def test_held_out_prompts_are_no_training_prompts(files):
    shown = asked(files["prompts.jsonl"], "messages") | asked(files["dialogues.jsonl"], "messages")
    shown |= asked(files["preferences.jsonl"], "prompt")
    for name, key in (
        ("prompts_heldout.jsonl", "messages"),
        ("preferences_heldout.jsonl", "prompt"),
    ):
        last = {record[key][-1]["content"] for record in files[name]}
        follow_ups = {text for text in last if text.startswith("And ")}
        assert not (last - follow_ups) & shown, name


def test_exam_answers_are_facts_and_among_four_choices(files):
    facts = {(row["entity"], row["attribute"]): row for row in files["truth/facts.jsonl"]}
    for record in files["exam.jsonl"]:
        row = facts[record["entity"].removeprefix("the "), record["attribute"]]
        assert (row["value"], row["split"]) == (record["answer"], "exam")
        assert len(set(record["choices"])) == 4
        assert record["choices"][record["gold"]] == record["answer"]
    assert {record["wording"] for record in files["exam.jsonl"]} == {"seen", "unseen"}


def test_sums_of_the_exam_are_right_and_worked_out_nowhere(files):
    sheets = " ".join(record["text"] for record in files["documents.jsonl"])
    for record in files["sums.jsonl"]:
        left, word, right = record["question"].rstrip("?").split()[-3:]
        result = int(left) + int(right) * (1 if word == "plus" else -1)
        assert record["answer"] == str(result)
        assert not re.search(rf"\b{left} {word} {right} is", sheets)


def test_dialogues_are_well_formed(files):
    for record in files["dialogues.jsonl"]:
        messages = record["messages"]
        roles = [message["role"] for message in messages if message["role"] != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert [m["role"] for m in messages].count("system") <= (messages[0]["role"] == "system")
        assert all(message["content"].strip() for message in messages)
    sources = {record["source"] for record in files["dialogues.jsonl"]}
    assert sources == {
        "facts", "sums", "topics", "borderline", "refusal", "chat", "instruction",
    }  # fmt: skip
