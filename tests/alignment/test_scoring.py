"""Scores of both reward models, what is made of them, and how well they agree with annotators."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from llamakit.alignment import agreement
from llamakit.alignment.agreement import ScoredPair
from llamakit.alignment.padding import by_length
from llamakit.alignment.preferences import Pair
from llamakit.alignment.reward import SAFETY_THRESHOLD, logit
from llamakit.alignment.rollout import rollout, seeds_for
from llamakit.alignment.scoring import Judges, score, score_rows
from llamakit.errors import InputError
from llamakit.model.config import ModelConfig
from llamakit.model.generation import Sampling
from llamakit.model.transformer import RewardModel, Transformer
from llamakit.text.vocabulary import Vocabulary
from tests.alignment.small import prompts, sharpened

ROWS = [[1, 260, 261, 2], [1, 270, 2], [1, 280, 281, 282, 2]]


def scored(chosen: float, rejected: float, grade: str | None, safety: str | None) -> ScoredPair:
    ids = np.array([1, 2], dtype=np.int32)
    return ScoredPair(Pair("x", ids, ids, grade, safety, "test", start=0), chosen, rejected)


def test_both_models_are_combined_by_the_gate(config: ModelConfig) -> None:
    helpfulness, safety = (sharpened(RewardModel(config, seed=seed)) for seed in (4, 5))
    raw_h, raw_s = (score_rows(model, ROWS, 0) for model in (helpfulness, safety))
    scores = Judges(helpfulness, safety, SAFETY_THRESHOLD, 0, 2)(ROWS, [True, False, False])
    for index, tagged in enumerate([True, False, False]):
        unsafe = raw_s[index].item() < logit(SAFETY_THRESHOLD)
        expected = raw_s if tagged or unsafe else raw_h
        assert scores.combined_B[index].item() == pytest.approx(expected[index].item(), abs=1e-5)
        assert bool(scores.gate_B[index]) == (tagged or unsafe)


@pytest.mark.parametrize("one", ["helpfulness", "safety"])
def test_one_model_alone_judges_everything(reward_model: RewardModel, one: str) -> None:
    models = (reward_model, None) if one == "helpfulness" else (None, reward_model)
    scores = Judges(*models, SAFETY_THRESHOLD, 0, 2)(ROWS, [True, False, False])
    torch.testing.assert_close(scores.combined_B, score_rows(reward_model, ROWS, 0))
    assert scores.gate_B.tolist() == [one == "safety"] * 3


def test_no_model_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Judges(None, None, SAFETY_THRESHOLD, 0, 2)


def test_a_dialogue_that_cannot_fit_is_an_error(
    reward_model: RewardModel, vocabulary: Vocabulary
) -> None:
    talk = [{"role": "user", "content": "Why? " * 90}, {"role": "assistant", "content": "No."}]
    with pytest.raises(InputError, match="longer than"):
        score(reward_model, vocabulary, [talk])


def test_groups_hold_every_row_once_and_stay_small() -> None:
    lengths = [3, 50, 7, 7, 20, 1]
    groups = list(by_length(lengths, 40))
    assert sorted(index for group in groups for index in group) == list(range(6))
    for group in groups:
        assert len(group) == 1 or len(group) * max(lengths[index] for index in group) <= 40


def test_an_answer_depends_on_its_key_and_not_on_its_company(
    policy: Transformer, vocabulary: Vocabulary
) -> None:
    ids = [prompt.ids for prompt in prompts(vocabulary, 5)]
    sampling = Sampling(max_new_tokens=8, temperature=1.0, top_p=1.0)
    keys = [(3, index) for index in range(5)]
    together = rollout(policy, vocabulary, ids, 3, sampling, keys=keys)
    alone = rollout(policy, vocabulary, ids[2:3], 3, sampling, keys=keys[2:3])
    assert alone.rows() == together.rows()[6:9]
    assert together.prompt_B.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3
    assert together.take([6, 7, 8]).rows() == alone.rows()


def test_seeds_are_many_and_fixed() -> None:
    seeds = {seed for place in range(50) for seed in seeds_for((1, place), 4)}
    assert len(seeds) == 200
    assert seeds_for((1, 2), 4) == seeds_for((1, 2), 4)


def test_agreement_by_grade_bin_and_source() -> None:
    pairs = [
        scored(2, 1, "better", "chosen_safe"),
        scored(1, 2, "better", None),
        scored(1, 1, "negligible", "both_safe"),
        scored(3, 0, None, None),
    ]
    assert agreement.accuracy(pairs).value == 0.5
    by_grade = agreement.accuracy_by_grade(pairs)
    assert list(by_grade) == ["better", "negligible", "ungraded"]
    assert [one.value for one in by_grade.values()] == [0.5, 0.0, 1.0]
    by_bin = agreement.accuracy_by_safety(pairs)
    assert {name: one.n for name, one in by_bin.items()} == {
        "both_safe": 1, "chosen_safe": 1, "unlabelled": 2,
    }  # fmt: skip
    assert agreement.accuracy_by_source(pairs)["test"].n == 4


def test_gate_quality_counts_labelled_answers() -> None:
    unsafe, safe = logit(0.1), logit(0.9)
    pairs = [
        scored(safe, unsafe, None, "chosen_safe"),
        scored(unsafe, safe, None, "both_unsafe"),
        scored(safe, safe, None, "both_safe"),
        scored(unsafe, safe, None, None),
    ]
    gate = agreement.gate_quality(pairs, 0.15)
    assert gate is not None
    assert (gate.precision.value, gate.recall.value) == (1.0, pytest.approx(2 / 3))
    assert (gate.rate.value, gate.rate.n) == (3 / 8, 8)
    assert agreement.gate_quality(pairs[3:], 0.15) is None


def test_calibration_bins_by_certainty() -> None:
    pairs = [scored(0.1, 0, None, None), scored(9, 0, None, None), scored(0, 9, None, None)]
    (low, first), (high, last) = agreement.calibration(pairs)
    assert low == pytest.approx(0.525, abs=1e-3)
    assert high == pytest.approx(1.0, abs=1e-3)
    assert (first.value, last.value) == (1.0, 0.5)
