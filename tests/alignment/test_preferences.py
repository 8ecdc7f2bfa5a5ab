"""Pairs and prompts in tokens: what fits, what is dropped, and which batch a pair is in."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.alignment.preferences import (
    PairBatch,
    PairBatches,
    draw_share,
    shuffled,
    split_pairs,
    tokenise_pairs,
)
from llamakit.alignment.prompts import draw_batch, split_heldout, tokenise_prompts
from llamakit.alignment.ranking import objective
from llamakit.alignment.window import without_oldest_exchange
from llamakit.model.transformer import RewardModel
from llamakit.text.dialogue import render_prompt
from llamakit.text.vocabulary import Vocabulary
from llamakit.training.share import ALONE, Share
from tests.alignment.small import prompts


def message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def row(prompt: list[dict[str, str]], chosen: str = "Yes.", index: int = 0) -> dict[str, object]:
    return {
        "id": f"{index}", "prompt": prompt, "chosen": [message("assistant", chosen)],
        "rejected": [message("assistant", "No.")], "grade": "better", "safety": "chosen_safe",
        "source": "test",
    }  # fmt: skip


LONG = [
    message("system", "Be kind."),
    message("user", "Tell me a story."), message("assistant", "A fox. " * 9),
    message("user", "And then?"), message("assistant", "A whale. " * 9),
    message("user", "The end?"),
]  # fmt: skip


def test_the_oldest_exchange_goes_and_the_system_message_stays() -> None:
    shorter = without_oldest_exchange(LONG)
    assert shorter == [LONG[0], *LONG[3:]]
    shortest = without_oldest_exchange(shorter)
    assert shortest == [LONG[0], LONG[5]]
    assert without_oldest_exchange(shortest) is None


def test_long_pairs_are_shortened_alike_on_both_sides_and_counted(vocabulary: Vocabulary) -> None:
    rows = [
        row(LONG),
        row([message("user", "Why?")]),
        row([message("user", "Why? " * 90)]),
        row([message("user", "Why? [INST]")]),
    ]
    pairs, counts = tokenise_pairs(rows, vocabulary, 128)
    assert counts == {"shortened": 1, "dropped_too_long": 1, "dropped_not_renderable": 1}
    assert len(pairs) == 2
    common = render_prompt([LONG[0], LONG[5]], vocabulary)
    for ids in (pairs[0].chosen, pairs[0].rejected):
        assert ids[: len(common)].tolist() == common
        assert len(ids) <= 128


def test_prompts_leave_out_the_answer_at_their_end(vocabulary: Vocabulary) -> None:
    rows = [
        {"id": "a", "messages": LONG[1:3], "source": "s", "safety": True},
        {"id": "b", "messages": [message("user", "Why? " * 90)], "source": "s", "safety": False},
        {"id": "c", "messages": LONG, "source": "s", "safety": False},
    ]
    made, counts = tokenise_prompts(rows, vocabulary, 60)
    assert [(one.id, one.row, one.safety) for one in made] == [("a", 0, True), ("c", 2, False)]
    assert made[0].ids == render_prompt(LONG[1:2], vocabulary)
    assert counts == {"shortened": 1, "dropped_too_long": 1}


@pytest.mark.parametrize(("share", "expected"), [(0.5, 90), (0.1, 10), (0.0, 0)])
def test_the_mixed_in_share_is_a_share_of_the_whole(share: float, expected: int) -> None:
    picked = draw_share(90, 500, share, seed=0)
    assert len(picked) == expected == len(set(picked.tolist()))
    assert np.array_equal(picked, draw_share(90, 500, share, seed=0))


def test_a_small_pool_is_used_whole() -> None:
    assert draw_share(90, 7, 0.5, seed=0).tolist() == list(range(7))


def test_each_epoch_holds_each_pair_once(vocabulary: Vocabulary) -> None:
    rows = [row([message("user", f"What is {i}?")], index=i) for i in range(7)]
    pairs, _ = tokenise_pairs(rows, vocabulary, 128)
    batches = PairBatches(
        pairs, batch_pairs=3, tokens_at_once=150, epochs=2, seed=0, margin="small", pad=0
    )
    assert (batches.steps_per_epoch, batches.steps) == (3, 6)
    for epoch in range(2):
        seen = []
        for step in range(3):
            for batch in batches.batch(epoch * 3 + step):
                for ids, length in zip(batch.ids_RL, batch.lengths_R, strict=True):
                    seen.append(tuple(ids[:length].tolist()))
        expected = [tuple(one.tolist()) for p in pairs for one in (p.chosen, p.rejected)]
        assert sorted(seen) == sorted(expected)


def test_processes_share_the_pairs_of_a_batch(
    vocabulary: Vocabulary, reward_model: RewardModel
) -> None:
    """Of 5 pairs each of 4 processes reads one or two; what fills up counts for nothing."""
    rows = [row([message("user", f"What is {i}?")], index=i) for i in range(5)]
    pairs, _ = tokenise_pairs(rows, vocabulary, 128)
    loss_of = objective(0.5, 0.01)

    def batches(share: Share) -> list[PairBatch]:
        return PairBatches(
            pairs, batch_pairs=5, tokens_at_once=1, epochs=1, seed=0, margin="small", pad=0,
            share=share,
        ).batch(0)  # fmt: skip

    shared = [batches(Share(rank, 4)) for rank in range(4)]
    assert [len(found) for found in shared] == [2, 2, 2, 2]
    assert sum(batch.counts for found in shared for batch in found) == 5
    whole = [loss_of(reward_model, batch) for batch in batches(ALONE)]
    parts = [loss_of(reward_model, batch) for found in shared for batch in found]
    assert sum(float(loss.count) for loss in parts) == 5
    for figure in (
        lambda loss: loss.total.detach(),
        lambda loss: loss.figures["score"],
        lambda loss: loss.figures["accuracy"],
    ):
        alone, together = (sum(float(figure(loss)) for loss in some) for some in (whole, parts))
        assert together == pytest.approx(alone, rel=1e-5)


def test_held_out_pairs_are_not_trained_on(vocabulary: Vocabulary) -> None:
    rows = [row([message("user", f"What is {i}?")], index=i) for i in range(10)]
    pairs, _ = tokenise_pairs(rows, vocabulary, 128)
    train, heldout = split_pairs(pairs, 0.3, seed=0)
    assert (len(train), len(heldout)) == (7, 3)
    assert {one.id for one in train} | {one.id for one in heldout} == {f"{i}" for i in range(10)}


def test_pairs_of_one_prompt_are_held_out_together(vocabulary: Vocabulary) -> None:
    rows = [row([message("user", f"What is {i // 3}?")], index=i) for i in range(60)]
    pairs, _ = tokenise_pairs(rows[::-1], vocabulary, 128)
    assert len({pair.prompt for pair in pairs}) == 20
    for seed in range(5):
        train, heldout = split_pairs(pairs, 0.2, seed)
        assert (len(train), len(heldout)) == (48, 12)
        assert not {pair.prompt for pair in train} & {pair.prompt for pair in heldout}
    # One prompt is most of the pairs: it is trained on, and the share is not exceeded.
    crowd, _ = tokenise_pairs(rows[:1] * 30 + rows[30:], vocabulary, 128)
    train, heldout = split_pairs(crowd, 0.2, 0)
    assert 0 < len(heldout) <= 12
    assert sum(pair.prompt == 0 for pair in train) == 30


def test_shuffled_labels_flip_about_half(vocabulary: Vocabulary) -> None:
    rows = [row([message("user", f"What is {i}?")], index=i) for i in range(60)]
    pairs, _ = tokenise_pairs(rows, vocabulary, 128)
    flipped = [
        not np.array_equal(a.chosen, b.chosen)
        for a, b in zip(pairs, shuffled(pairs, seed=0), strict=True)
    ]
    assert 15 < sum(flipped) < 45


def test_prompts_of_iterations_are_permutations_end_to_end() -> None:
    drawn = [index for i in range(6) for index in draw_batch(7, 3, i, seed=1)]
    assert sorted(drawn[:7]) == sorted(drawn[7:14]) == list(range(7))
    assert len(draw_batch(3, 8, 0, seed=1)) == 8


def test_heldout_prompts_are_split_off(vocabulary: Vocabulary) -> None:
    every = prompts(vocabulary, 10)
    train, heldout = split_heldout(every, 0.2, seed=0)
    assert len(heldout) == 2
    assert sorted(one.row for one in [*train, *heldout]) == list(range(10))
