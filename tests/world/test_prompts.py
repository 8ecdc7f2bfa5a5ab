from __future__ import annotations

from collections import Counter

from llamakit.world.hazards import ATTACKS


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
