from __future__ import annotations

from collections import Counter

from llamakit.world.dialogues import NOISE, NOISE_FAULTS


def answered(record):
    """(messages before it, answer, its fault) of every answer."""
    messages = record["messages"]
    places = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
    assert len(places) == len(record["faults"])
    for place, fault in zip(places, record["faults"], strict=True):
        yield messages[:place], messages[place]["content"], fault


def test_half_of_the_answers_have_a_fault(files):
    faults = Counter(f for record in files["dialogues_noisy.jsonl"] for f in record["faults"])
    total = sum(faults.values())
    assert abs(faults["none"] / total - (1 - NOISE)) < 0.05
    assert set(faults) == {"none", "harmful", *NOISE_FAULTS}


def test_good_answers_are_good_and_faulty_ones_are_not(files, oracle):
    """The judge knows: what is called good is right, and what has a fault scores clearly lower."""
    scores: dict[str, list[float]] = {}
    right = Counter()
    for record in files["dialogues_noisy.jsonl"]:
        if record["source"] == "instruction":
            continue
        for before, answer, fault in answered(record):
            verdict = oracle.judge(before, answer)
            scores.setdefault(fault, []).append(verdict.score)
            right[fault] += verdict.correct
            if fault == "harmful":
                assert not verdict.safe
    means = {fault: sum(held) / len(held) for fault, held in scores.items()}
    assert right["none"] / len(scores["none"]) > 0.97
    for fault in ("wrong", "off-topic", "mistaken", "harmful", "refusal"):
        assert right[fault] / len(scores[fault]) < 0.25, fault
    assert all(mean < means["none"] - 0.4 for fault, mean in means.items() if fault != "none"), (
        means
    )


def test_requests_are_of_the_same_kinds(files):
    clean = Counter(record["source"] for record in files["dialogues.jsonl"])
    noisy = Counter(record["source"] for record in files["dialogues_noisy.jsonl"])
    for source, count in clean.items():
        assert abs(count - noisy[source]) < 6 * count**0.5
