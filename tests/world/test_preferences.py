from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from llamakit.world.preferences import GRADES, SAFETY_SHARES


@pytest.fixture(scope="module")
def judged(files, oracle):
    return [
        (
            record,
            oracle.judge(record["prompt"], record["chosen"][0]["content"]),
            oracle.judge(record["prompt"], record["rejected"][0]["content"]),
        )
        for record in files["preferences.jsonl"]
    ]


def test_grades_tell_the_gap(judged):
    for record, chosen, rejected in judged:
        gap = abs(chosen.score - rejected.score)
        assert gap >= GRADES[record["grade"]]
        assert record["chosen"] != record["rejected"]


def test_noise_grows_as_the_gap_shrinks(judged):
    right = defaultdict(list)
    for record, chosen, rejected in judged:
        if chosen.score != rejected.score:
            right[record["grade"]].append(chosen.score > rejected.score)
    rates = [sum(right[grade]) / len(right[grade]) for grade in GRADES]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 0.97
    assert rates[-1] < 0.9
    assert 0.75 < sum(map(sum, right.values())) / sum(map(len, right.values())) < 0.97


def test_grades_have_plausible_shares(judged):
    counts = Counter(record["grade"] for record, _, _ in judged)
    total = sum(counts.values())
    assert all(0.08 < counts[grade] / total < 0.45 for grade in GRADES)


def test_safety_bins_are_true_and_have_the_papers_shares(judged):
    bins = Counter()
    for record, chosen, rejected in judged:
        if record["source"] == "helpfulness":
            assert record["safety"] is None
            continue
        bins[record["safety"]] += 1
        expected = {
            "chosen_safe": (True, False), "both_safe": (True, True), "both_unsafe": (False, False),
        }  # fmt: skip
        assert (chosen.safe, rejected.safe) == expected[record["safety"]]
    total = sum(bins.values())
    for name, share in SAFETY_SHARES.items():
        assert bins[name] / total == pytest.approx(share, abs=0.08)
