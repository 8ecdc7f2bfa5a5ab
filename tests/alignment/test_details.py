"""The details that make or break reward models and PPO, each as a measurement.

One of the list stands elsewhere: that packed loss equals unpacked loss is a test of training.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch

from llamakit.alignment.advantages import advantages_and_returns, whiten
from llamakit.alignment.distillation import Answer, verdict
from llamakit.alignment.grades import SAFETY_LABELS
from llamakit.alignment.padding import pad_right
from llamakit.alignment.ppo import Ppo
from llamakit.alignment.ppo_plan import PpoPlan
from llamakit.alignment.preferences import PairBatches, tokenise_pairs
from llamakit.alignment.ranking import centring_loss, objective, ranking_loss, safety_loss
from llamakit.alignment.response import in_groups, logprobs_and_entropy, response_logprobs
from llamakit.alignment.reward import SAFETY_THRESHOLD, kl_k1, kl_k3, safety_gate, token_rewards
from llamakit.alignment.rollout import rollout, seeds_for
from llamakit.alignment.scoring import Judges, score, score_rows
from llamakit.model.generation import Sampling, generate
from llamakit.model.transformer import RewardModel, Transformer
from llamakit.model.weights import reward_from_model
from llamakit.text.dialogue import render
from llamakit.text.vocabulary import Vocabulary
from llamakit.training.accumulation import accumulate
from tests.alignment.small import handmade, plan, prompts

Rows = list[list[int]]


@pytest.fixture
def rows(vocabulary: Vocabulary) -> Rows:
    """Rows of ids that hold the EOS, the padding id and the BOS in their middle."""
    generator = torch.Generator().manual_seed(3)
    lengths = [5, 17, 9, 1, 30]
    made = [
        torch.randint(0, vocabulary.size, (length,), generator=generator).tolist()
        for length in lengths
    ]
    made[1][4] = vocabulary.eos
    made[4][7] = vocabulary.pad
    return made


def preference(index: int, grade: str | None, safety: str | None) -> dict[str, object]:
    return {
        "id": f"pair-{index}",
        "prompt": [{"role": "user", "content": f"What is {index}?" + " Please" * (index % 4)}],
        "chosen": [{"role": "assistant", "content": "Yes, " + "12 and " * (index % 5) + "30."}],
        "rejected": [{"role": "assistant", "content": "No." + " I will not." * (index % 3)}],
        "grade": grade,
        "safety": safety,
        "source": "test",
    }


def test_01_a_reward_in_a_batch_equals_the_reward_alone(
    reward_model: RewardModel, vocabulary: Vocabulary, rows: Rows
) -> None:
    together = score_rows(reward_model, rows, vocabulary.pad)
    alone = [score_rows(reward_model, [row], vocabulary.pad).item() for row in rows]
    assert together.tolist() == pytest.approx(alone, abs=1e-5)
    # Padding on the left, made by hand: the score does not know on which side it stood.
    width = max(map(len, rows)) + 3
    starts = torch.tensor([width - len(row) for row in rows])
    ids_BL = torch.tensor([[vocabulary.pad] * (width - len(row)) + row for row in rows])
    with torch.no_grad():
        hidden_BLD = reward_model.body(ids_BL, starts_B=starts)
        left = reward_model.score(hidden_BLD[:, -1])[:, 0]
    assert left.tolist() == pytest.approx(alone, abs=1e-5)


def test_01_padding_is_never_the_end_of_sequence(vocabulary: Vocabulary) -> None:
    assert vocabulary.pad != vocabulary.eos


def test_02_masks_come_from_lengths_and_not_from_ids(
    policy: Transformer, reward_model: RewardModel, vocabulary: Vocabulary, rows: Rows
) -> None:
    # Whatever id fills the padding, scores and log-probabilities are the same.
    for filler in (vocabulary.pad, vocabulary.eos, 300):
        found = score_rows(reward_model, rows, filler)
        torch.testing.assert_close(found, score_rows(reward_model, rows, 0), rtol=0, atol=1e-6)
    # A prompt with EOS and padding ids in it keeps its length, and the answer its mask.
    prompt = [vocabulary.bos, 260, vocabulary.eos, vocabulary.bos, vocabulary.pad, 261]
    rollouts = handmade(vocabulary, [(prompt, [270, vocabulary.pad, 271]), ([1, 262], [263])])
    assert rollouts.response_mask.tolist() == [[True, True, True], [True, False, False]]
    assert rollouts.responses[0].tolist() == [270, vocabulary.pad, 271]


def test_03_the_score_lands_on_the_last_response_token(vocabulary: Vocabulary) -> None:
    rollouts = handmade(vocabulary, [([1, 260, 261], [270, 271, 2]), ([1, 260], [270])])
    mask = rollouts.response_mask
    rewards = token_rewards(torch.tensor([5.0, 7.0]), torch.zeros(mask.shape), mask, beta=0.1)
    assert rewards.tolist() == [[0.0, 0.0, 5.0], [7.0, 0.0, 0.0]]
    assert rollouts.responses[0, 2] == vocabulary.eos


def test_04_training_and_scoring_read_the_same_end_of_sequence(
    reward_model: RewardModel, vocabulary: Vocabulary
) -> None:
    pairs, _ = tokenise_pairs([preference(1, None, None)], vocabulary, 128)
    row = preference(1, None, None)
    messages = [*row["prompt"], *row["chosen"]]  # type: ignore[misc]
    assert pairs[0].chosen.tolist() == render(messages, vocabulary).ids
    assert pairs[0].chosen[-1] == pairs[0].rejected[-1] == vocabulary.eos
    scored = score(reward_model, vocabulary, [messages])
    assert scored == pytest.approx(
        score_rows(reward_model, [pairs[0].chosen], vocabulary.pad).tolist(), abs=1e-5
    )


def test_04_no_end_of_sequence_is_written_into_rollouts(
    policy: Transformer, reward_model: RewardModel, vocabulary: Vocabulary
) -> None:
    sampling = Sampling(max_new_tokens=3, temperature=1.0, top_p=1.0)
    ids = [prompt.ids for prompt in prompts(vocabulary)]
    rollouts = rollout(policy, vocabulary, ids, 1, sampling, keys=[(i,) for i in range(len(ids))])
    cut_off = (~rollouts.finished_B).nonzero()[:, 0].tolist()
    assert cut_off
    before = rollouts.rows()
    judges = Judges(reward_model, None, SAFETY_THRESHOLD, vocabulary.pad, vocabulary.eos)
    scores = judges(before, [False] * len(before))
    assert rollouts.rows() == before
    for row in cut_off:
        assert before[row][-1] != vocabulary.eos
        read = score_rows(reward_model, [[*before[row], vocabulary.eos]], vocabulary.pad)
        assert scores.combined_B[row].item() == pytest.approx(read.item(), abs=1e-5)


def test_05_margins_of_another_shape_are_refused() -> None:
    scores = torch.zeros(4)
    for wrong in (torch.zeros((4, 1)), torch.zeros(1), torch.zeros(())):
        with pytest.raises(ValueError, match="shape"):
            ranking_loss(scores, scores, wrong)
        with pytest.raises(ValueError, match="shape"):
            ranking_loss(wrong, scores, scores)


def test_06_no_padding_in_the_reward_models_loss(
    reward_model: RewardModel, vocabulary: Vocabulary
) -> None:
    pairs, _ = tokenise_pairs(
        [preference(i, "better", "chosen_safe") for i in range(5)], vocabulary, 128
    )
    losses = []
    for pad in (vocabulary.pad, 277):
        batches = PairBatches(
            pairs, batch_pairs=5, tokens_at_once=10**6, epochs=1, seed=0, margin="small", pad=pad
        )
        losses.append(objective(1.0, 0.01)(reward_model, batches.batch(0)[0]).total)
    torch.testing.assert_close(losses[0], losses[1], rtol=0, atol=1e-6)


def test_07_head_has_the_right_spread_and_no_bias(policy: Transformer) -> None:
    reward = reward_from_model(policy, seed=0)
    assert getattr(reward.score, "bias", None) is None
    dim = policy.config.dim
    heads = torch.cat([reward_from_model(policy, seed).score.weight for seed in range(40)])
    assert heads.std().item() == pytest.approx(1 / math.sqrt(dim + 1), rel=0.1)


def test_07_the_value_model_starts_from_the_reward_model(
    reward_model: RewardModel, make_ppo: Callable[..., Ppo], vocabulary: Vocabulary
) -> None:
    ppo = make_ppo()
    for ours, theirs in zip(ppo.value_model.parameters(), reward_model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    # So before training, the value of a whole answer is what the reward model gives it.
    answers = [[270, 271, vocabulary.eos]]
    rollouts = handmade(vocabulary, [([1, 260], [*answers[0], 265])])
    values = ppo.evaluate(rollouts, [False]).values_BT
    expected = score_rows(reward_model, [[1, 260, *answers[0]]], vocabulary.pad)
    assert values[0, 3].item() == pytest.approx(expected.item(), abs=1e-5)


def test_08_at_learning_rate_0_the_ratio_is_1_and_kl_is_0(
    make_ppo: Callable[..., Ppo], vocabulary: Vocabulary
) -> None:
    ppo = make_ppo(lr=0.0, batch=16, mini_batch=4)
    for iteration in range(2):
        figures = ppo.step(iteration, prompts(vocabulary))
        assert figures["ratio_deviation"] < 1e-5
        assert figures["clip_fraction"] == 0
        assert abs(figures["kl"]) < 1e-5
        assert abs(figures["kl_k3"]) < 1e-5


def test_09_padded_positions_equal_unpadded_ones(policy: Transformer, rows: Rows) -> None:
    width = max(map(len, rows)) + 2
    starts = torch.tensor([width - len(row) for row in rows])
    left = policy(torch.tensor([[0] * (width - len(row)) + row for row in rows]), starts_B=starts)
    right = policy(pad_right(rows, 0)[0])
    for index, row in enumerate(rows):
        alone = policy.logits(policy(torch.tensor([row])))[0]
        torch.testing.assert_close(
            policy.logits(left[index, -len(row) :]), alone, rtol=0, atol=1e-4
        )
        torch.testing.assert_close(
            policy.logits(right[index, : len(row)]), alone, rtol=0, atol=1e-4
        )


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_10_one_temperature_everywhere(
    policy: Transformer, vocabulary: Vocabulary, temperature: float
) -> None:
    sampling = PpoPlan(iterations=1, temperature=temperature, max_new_tokens=8).sampling
    assert sampling.temperature == temperature
    assert (sampling.top_k, sampling.top_p, sampling.repetition_penalty) == (0, 1.0, 1.0)
    ids = [prompt.ids for prompt in prompts(vocabulary)]
    keys = [(7, i) for i in range(len(ids))]
    rollouts = rollout(policy, vocabulary, ids, 2, sampling, keys=keys)
    sampled = generate(
        policy,
        vocabulary,
        [prompt for prompt in ids for _ in range(2)],
        sampling,
        [seed for key in keys for seed in seeds_for(key, 2)],
        logprobs=True,
    )
    recomputed, entropies = in_groups(
        lambda part: logprobs_and_entropy(policy, part, temperature), rollouts, tokens=200
    )
    torch.testing.assert_close(
        response_logprobs(policy, rollouts, temperature), recomputed, rtol=0, atol=1e-5
    )
    for row, answer in enumerate(sampled):
        own = torch.tensor(answer.logprobs)
        torch.testing.assert_close(recomputed[row, : len(own)], own, rtol=0, atol=1e-4)
    # And the same written out, a row at a time, without any padding.
    for row, length in enumerate(rollouts.prompt_lengths_B.tolist()):
        ids_L = torch.tensor(rollouts.rows()[row])
        logits = policy.logits(policy(ids_L[None]))[0] / temperature
        log_shares = logits.log_softmax(-1)[length - 1 : -1]
        answer = ids_L[length:]
        plain = log_shares.gather(1, answer[:, None])[:, 0]
        torch.testing.assert_close(recomputed[row, : len(answer)], plain, rtol=0, atol=1e-4)
        expected = torch.distributions.Categorical(logits=logits[length - 1 : -1]).entropy()
        torch.testing.assert_close(entropies[row, : len(answer)], expected, rtol=0, atol=1e-4)


def test_11_no_dropout_and_frozen_references(
    make_ppo: Callable[..., Ppo], vocabulary: Vocabulary
) -> None:
    ppo = make_ppo()
    for model in (ppo.policy, ppo.value_model, ppo.reference):
        assert not any(isinstance(part, torch.nn.Dropout) for part in model.modules())
    reference = copy.deepcopy(list(ppo.reference.parameters()))
    ppo.step(0, prompts(vocabulary))
    assert not ppo.reference.training
    assert not any(weight.requires_grad for weight in ppo.reference.parameters())
    assert all(map(torch.equal, reference, ppo.reference.parameters()))
    trained = {id(weight) for weight in ppo.policy_optimizer.masters.values()}
    trained |= {id(weight) for weight in ppo.value_optimizer.masters.values()}
    assert not trained & {id(weight) for weight in ppo.reference.parameters()}


def test_12_whitening_sees_real_tokens_only_and_leaves_the_mean_of_rewards() -> None:
    values = torch.tensor([[1.0, 2.0, 1e9], [3.0, 4.0, 5.0]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    assert whiten(values, mask, shift_mean=True)[mask].mean().item() == pytest.approx(0, abs=1e-6)
    assert whiten(values, mask, shift_mean=False)[mask].mean().item() == pytest.approx(3, rel=1e-5)
    assert plan().whitening == "scale"


def test_13_kl_penalty_is_k1_and_has_no_gradient() -> None:
    logprobs = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    reference = torch.tensor([[-1.5, -1.0]])
    assert kl_k1(logprobs, reference).tolist() == [[0.5, -1.0]]
    assert not kl_k1(logprobs, reference).requires_grad
    assert (kl_k3(logprobs, reference) >= 0).all()
    mask = torch.ones((1, 2), dtype=torch.bool)
    rewards = token_rewards(torch.zeros(1), kl_k1(logprobs, reference), mask, beta=0.1)
    torch.testing.assert_close(rewards, torch.tensor([[-0.05, 0.1]]))


def test_13_as_a_loss_k1_does_nothing_and_k3_is_another_penalty() -> None:
    """Gradients of a whole distribution, expectations written out as sums over its pieces."""
    logits, others = torch.randn((2, 20), generator=torch.Generator().manual_seed(0))
    logits.requires_grad_()
    reference = others.log_softmax(-1)

    def gradient(expected: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        (found,) = torch.autograd.grad(expected(logits.log_softmax(-1)), logits)
        return found

    kl = gradient(lambda log: (log.exp() * (log - reference)).sum())
    k1 = gradient(lambda log: (log.exp().detach() * (log - reference)).sum())
    k3 = gradient(
        lambda log: (log.exp().detach() * ((reference - log).exp() - 1 - (reference - log))).sum()
    )
    reverse = gradient(lambda log: (reference.exp() * (reference - log)).sum())
    in_reward = gradient(lambda log: (log.exp() * (log - reference).detach()).sum())
    torch.testing.assert_close(k1, torch.zeros(20), rtol=0, atol=1e-6)
    torch.testing.assert_close(in_reward, kl, rtol=0, atol=1e-6)
    torch.testing.assert_close(k3, reverse, rtol=0, atol=1e-6)
    assert (k3 - kl).norm() > 0.3 * kl.norm()


def test_14_a_missing_eos_is_told_by_the_real_stop_token(
    policy: Transformer, vocabulary: Vocabulary
) -> None:
    sampling = Sampling(max_new_tokens=40, temperature=1.0, top_p=1.0)
    ids = [prompt.ids for prompt in prompts(vocabulary)]
    rollouts = rollout(policy, vocabulary, ids, 4, sampling, keys=[(i,) for i in range(len(ids))])
    ended = [row[-1] == vocabulary.eos for row in rollouts.rows()]
    assert rollouts.finished_B.tolist() == ended
    assert 0 < sum(ended) < len(ended)
    # The EOS is an answer's last token or not in it at all.
    for row, length in zip(rollouts.rows(), rollouts.prompt_lengths_B.tolist(), strict=True):
        assert vocabulary.eos not in row[length:-1]


def test_15_advantages_equal_brute_force_and_end_with_the_answer() -> None:
    rewards, values = torch.tensor([[0.1, 0.2, 1.0, 9.0]]), torch.tensor([[0.5, 0.4, 0.3, 9.0]])
    mask = torch.tensor([[True, True, True, False]])
    found, returns = advantages_and_returns(rewards, values, mask, gamma=1.0, lam=0.95)
    deltas = [0.1 + 0.4 - 0.5, 0.2 + 0.3 - 0.4, 1.0 - 0.3]
    expected = [sum(0.95 ** (k - t) * deltas[k] for k in range(t, 3)) for t in range(3)]
    assert found[0].tolist() == pytest.approx([*expected, 0.0], abs=1e-6)
    assert returns[0, 3] == 0


def test_16_losses_are_divided_by_the_whole_batch(
    reward_model: RewardModel, vocabulary: Vocabulary
) -> None:
    rows = [preference(i, "better", [None, *SAFETY_LABELS][i % 4]) for i in range(7)]
    pairs, _ = tokenise_pairs(rows, vocabulary, 128)
    gradients, sizes = [], []
    for tokens in (10**6, 200, 1):
        model = copy.deepcopy(reward_model)
        batches = PairBatches(
            pairs, batch_pairs=7, tokens_at_once=tokens, epochs=1, seed=0, margin="large", pad=0
        ).batch(0)
        sizes.append(len(batches))
        figures = accumulate(
            model,
            objective(0.5, 0.01),
            batches,
            "cpu",
            after=lambda loss: torch.autograd.backward(loss.total),
        )
        gradients.append(
            [
                weight.grad / figures["count"]
                for weight in model.parameters()
                if weight.grad is not None
            ]
        )
    assert sizes[0] == 1 < sizes[1] < sizes[2] == 7
    for other in gradients[1:]:
        for a, b in zip(gradients[0], other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_17_the_papers_settings_are_the_defaults(
    make_ppo: Callable[..., Ppo], vocabulary: Vocabulary
) -> None:
    paper = PpoPlan(iterations=1)
    assert (paper.batch, paper.mini_batch, paper.lr, paper.ratio_clip) == (512, 64, 1e-6, 0.2)
    assert (paper.betas, paper.eps, paper.weight_decay) == ((0.9, 0.95), 1e-5, 0.1)
    assert (paper.clip_norm, paper.kl_weight, paper.temperature) == (1.0, 0.01, 1.0)
    ppo, steps = make_ppo(batch=8, mini_batch=2), []
    step = ppo.policy_optimizer.step
    ppo.policy_optimizer.step = (  # type: ignore[method-assign]
        lambda lr, scale=1.0: steps.append(lr) or step(lr, scale)  # type: ignore[func-returns-value]
    )
    ppo.step(0, prompts(vocabulary))
    assert steps == [ppo.plan.lr] * 4


def test_20_a_pure_ranking_loss_drifts_and_the_anchors_hold() -> None:
    """The gate compares scores with a fixed threshold, so their mean must not be free.

    Scores are trained directly, from a drifted start where the gate fires on every answer.
    """
    means, fires = {}, {}
    for name, aux, centring in (("ranking", 0.0, 0.0), ("aux", 1.0, 0.0), ("centred", 0.0, 0.1)):
        generator = torch.Generator().manual_seed(0)
        scores_2B = (torch.randn((2, 32), generator=generator) - 5).requires_grad_()
        safe_B = torch.ones(32)
        for _ in range(200):
            chosen_B, rejected_B = scores_2B
            loss = ranking_loss(chosen_B, rejected_B, torch.zeros(32)).sum()
            loss = loss + aux * safety_loss(chosen_B, rejected_B, safe_B, safe_B).sum()
            loss = loss + centring * centring_loss(chosen_B, rejected_B).sum()
            (gradient,) = torch.autograd.grad(loss, scores_2B)
            scores_2B = (scores_2B - 0.1 * gradient).detach().requires_grad_()
        means[name] = scores_2B.mean().item()
        gate = safety_gate(scores_2B[0], torch.zeros(32, dtype=torch.bool), SAFETY_THRESHOLD)
        fires[name] = gate.float().mean().item()
    assert means["ranking"] == pytest.approx(-5, abs=0.3)
    assert abs(means["centred"]) < 0.3
    assert (fires["ranking"], fires["aux"], fires["centred"]) == (
        pytest.approx(0.95, abs=0.06),
        0,
        0,
    )


@pytest.mark.parametrize(
    ("before", "after", "usable", "gated", "open_"),
    [
        (0.0, 0.1, True, "kept", "kept"),
        (0.1, 0.0, True, "dropped_not_safer", "kept"),
        (0.1, 0.1, True, "dropped_not_safer", "kept"),
        (0.0, 9.0, False, "dropped_unusable_answer", "dropped_unusable_answer"),
    ],
)
def test_21_a_distilled_answer_is_kept_only_if_its_safety_score_rises(
    before: float, after: float, usable: bool, gated: str, open_: str
) -> None:
    """That only adversarial prompts are distilled is a test of the whole stage (`test_stages`)."""
    old, new = Answer("old", True, before), Answer("new", usable, after)
    assert verdict(old, new, gate=True) == gated
    assert verdict(old, new, gate=False) == open_
