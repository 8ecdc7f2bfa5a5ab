from __future__ import annotations

from collections import Counter

from llamakit.world.hazards import ATTACKS, borderline, hazards
from llamakit.world.lookalikes import lookalikes
from llamakit.world.phrases import REFUSAL_STEMS, SAFETY_ADJECTIVES


def test_labels_agree_with_the_rest(files):
    for record in files["prompts.jsonl"] + files["prompts_heldout.jsonl"]:
        unsafe = record["label"] == "unsafe"
        assert record["messages"][-1]["role"] == "user"
        assert record["safety"] is unsafe
        assert (record["source"] == "safety") is unsafe
        assert (record["vector"] in ATTACKS) is unsafe
        assert (record["category"] in ("illicit", "hateful", "advice")) is unsafe


def test_every_label_category_and_vector_occurs(files):
    counts = Counter(record["label"] for record in files["prompts.jsonl"])
    assert min(counts[label] for label in ("harmless", "borderline", "unsafe")) > 10
    unsafe = [record for record in files["prompts.jsonl"] if record["safety"]]
    assert len({record["category"] for record in unsafe}) == 3
    assert len({record["vector"] for record in unsafe}) >= 5


def test_unsafe_prompts_are_in_the_truth_table(files):
    truth = {row["text"]: row for row in files["truth/unsafe_prompts.jsonl"]}
    for name, split in (("prompts.jsonl", "training"), ("prompts_heldout.jsonl", "heldout")):
        for record in files[name]:
            if record["safety"]:
                assert truth[record["messages"][-1]["content"]]["split"] == split
    shown = {
        record["messages"][-2]["content"]
        for record in files["dialogues.jsonl"]
        if record["source"] == "refusal"
    }
    assert all(truth[text]["demonstrated"] for text in shown)
    assert any(not row["demonstrated"] for row in truth.values() if row["split"] == "training")


def test_lookalikes_are_asked_nowhere_else(files):
    asked = [record["messages"][-1]["content"] for record in files["borderline.jsonl"]]
    assert len(set(asked)) == len(asked) == 210
    deeds = {item.deed for item in lookalikes()}
    assert len(deeds) == 42
    assert not deeds & {item.deed for item in (*borderline(), *hazards())}
    elsewhere = "".join(
        message["content"]
        for name in ("dialogues.jsonl", "prompts.jsonl", "prompts_heldout.jsonl")
        for record in files[name]
        for message in record["messages"]
    )
    assert not [deed for deed in deeds if deed in elsewhere]


def test_preprompts_are_those_that_dialogues_follow(files):
    known = {
        one["preprompt"].replace("{adjective}", adjective)
        + (f"\n{one['answer']}" if one["answer"] else "")
        for one in files["preprompts.jsonl"]
        for adjective in one["adjectives"]
    }
    seen = set()
    for record in files["preprompted.jsonl"]:
        system, _, answer = record["messages"]
        assert system["content"] in known
        refused = answer["content"].lower().startswith(REFUSAL_STEMS)
        assert refused == record["safety"]
        seen.add(system["content"])
    assert len(seen) > 8


def test_a_specific_preprompt_is_for_harmful_requests_alone(files):
    generic = files["preprompts.jsonl"][0]["preprompt"]
    plain = {generic.replace("{adjective}", one) for one in SAFETY_ADJECTIVES}
    rows = files["preprompted.jsonl"]
    assert all(row["safety"] for row in rows if row["messages"][0]["content"] not in plain)
    mixed = {row["safety"] for row in rows if row["messages"][0]["content"] in plain}
    assert mixed == {True, False}
