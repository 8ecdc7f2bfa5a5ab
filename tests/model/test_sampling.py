from __future__ import annotations

import numpy as np
import pytest
import torch

from llamakit.errors import UsageError
from llamakit.model.sampling import Sampling, by_kernel, by_torch, choose, logprobs_of, uniforms

LOGITS_V = torch.tensor([2.0, 0.5, -torch.inf, 1.0, 0.0, -1.0])


@pytest.fixture(params=[by_kernel, by_torch], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test sees both ways of choosing."""
    monkeypatch.setitem(globals(), "choose", request.param)


def drawn_shares(sampling: Sampling, logits_V: torch.Tensor = LOGITS_V) -> np.ndarray:
    """How often each token is drawn, by 40,000 rows of different seeds."""
    seeds = np.arange(40_000, dtype=np.uint64)
    tokens = choose(logits_V.repeat(len(seeds), 1), sampling, torch.from_numpy(uniforms(seeds, 3)))
    return np.bincount(tokens.numpy(), minlength=len(logits_V)) / len(seeds)


SETTINGS = [
    Sampling(1, temperature=0.0),
    Sampling(1, temperature=1.0, top_p=1.0),
    Sampling(1, temperature=0.3, top_p=1.0, repetition_penalty=1.4),
    Sampling(1, temperature=0.8, top_p=0.9),
    Sampling(1, temperature=1.2, top_p=0.95),
    Sampling(1, temperature=1.5, top_p=1.0, top_k=7),
    Sampling(1, temperature=1.5, top_p=0.6, top_k=12, repetition_penalty=1.2),
]


@pytest.mark.parametrize("size", [5, 256, 1000])
@pytest.mark.parametrize("sampling", SETTINGS)
def test_the_kernel_chooses_as_torch_does(sampling: Sampling, size: int) -> None:
    """The same token but where a number falls within rounding of a border. (A nucleus of more than
    64 tokens is drawn from in another order: none here.)
    """
    generator = torch.Generator().manual_seed(1)
    logits_BV = torch.randn(4000, size + 24, generator=generator)[:, :size] * 6
    logits_BV[::3, 1] = -torch.inf
    seen_BV = torch.rand(4000, size, generator=generator) < 0.2
    numbers_B = torch.from_numpy(uniforms(np.arange(4000, dtype=np.uint64), 0))
    kernel = by_kernel(logits_BV, sampling, numbers_B, seen_BV)
    wanted = by_torch(logits_BV, sampling, numbers_B, seen_BV)
    assert (kernel != wanted).sum() <= 4
    alone = torch.cat(
        [
            by_kernel(logits_BV[n : n + 1], sampling, numbers_B[n : n + 1], seen_BV[n : n + 1])
            for n in range(50)
        ]
    )
    assert torch.equal(alone, kernel[:50])


@pytest.mark.parametrize("sampling", SETTINGS[1:])
def test_distributions_are_transformers_own(sampling: Sampling) -> None:
    from transformers import (
        LogitsProcessorList,
        RepetitionPenaltyLogitsProcessor,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    generator = torch.Generator().manual_seed(4)
    logits_V = torch.randn(40, generator=generator) * 2
    text_BL = torch.tensor([[3, 8, 8, 21]])
    steps = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty),
            TemperatureLogitsWarper(sampling.temperature),
            TopKLogitsWarper(sampling.top_k or 40),
            TopPLogitsWarper(sampling.top_p),
        ]
    )
    wanted_V = steps(text_BL, logits_V[None].clone())[0].softmax(-1)
    seeds = np.arange(40_000, dtype=np.uint64)
    seen_V = torch.zeros(40, dtype=torch.bool).scatter(0, text_BL[0], True)
    tokens = choose(
        logits_V.repeat(len(seeds), 1),
        sampling,
        torch.from_numpy(uniforms(seeds, 5)),
        seen_V.repeat(len(seeds), 1),
    )
    found_V = np.bincount(tokens.numpy(), minlength=40) / len(seeds)
    np.testing.assert_allclose(found_V, wanted_V, atol=0.01)
    assert set(np.flatnonzero(found_V)) <= set(np.flatnonzero(wanted_V))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_distribution(temperature: float) -> None:
    wanted = (LOGITS_V / temperature).softmax(-1).numpy()
    found = drawn_shares(Sampling(1, temperature=temperature, top_p=1.0))
    np.testing.assert_allclose(found, wanted, atol=0.01)
    assert found[2] == 0


def test_temperature_zero_takes_the_likeliest() -> None:
    assert drawn_shares(Sampling(1, temperature=0.0))[0] == 1


def test_top_k() -> None:
    found = drawn_shares(Sampling(1, temperature=1.0, top_p=1.0, top_k=2))
    wanted = LOGITS_V[[0, 3]].softmax(-1).numpy()
    np.testing.assert_allclose(found[[0, 3]], wanted, atol=0.01)
    assert found[[1, 2, 4, 5]].sum() == 0


@pytest.mark.parametrize("size", [6, 100, 300])
def test_top_p_keeps_the_smallest_set_that_reaches_it(size: int) -> None:
    """Against the reference implementation's own rule; 100 flat tokens need several rounds."""
    generator = torch.Generator().manual_seed(0)
    logits_V = LOGITS_V if size == 6 else torch.randn(size, generator=generator) * 0.1
    shares = logits_V.softmax(-1)
    ranked, places = shares.sort(descending=True)
    ranked[ranked.cumsum(0) - ranked > 0.8] = 0.0
    wanted = torch.zeros_like(shares).scatter(0, places, ranked / ranked.sum()).numpy()
    found = drawn_shares(Sampling(1, temperature=1.0, top_p=0.8), logits_V)
    np.testing.assert_allclose(found, wanted, atol=0.01)
    assert not found[wanted == 0].any()


def test_a_wide_nucleus_of_equal_shares_keeps_the_first_that_are_needed() -> None:
    """90 shares of 1/100 do not exceed 0.9 and 0.895 is exceeded by as many."""
    logits_V = torch.zeros(100)
    found = drawn_shares(Sampling(1, temperature=1.0, top_p=0.895), logits_V)
    assert (found > 0).sum() == 90
    np.testing.assert_allclose(found[found > 0], 1 / 90, atol=0.004)


def test_repetition_penalty_follows_its_rule() -> None:
    from transformers import RepetitionPenaltyLogitsProcessor

    generator = torch.Generator().manual_seed(0)
    logits_BV = torch.randn(200, 9, generator=generator)
    text_BL = torch.randint(0, 9, (200, 4), generator=generator)
    seen_BV = torch.zeros(200, 9, dtype=torch.bool).scatter(1, text_BL, True)
    wanted = RepetitionPenaltyLogitsProcessor(1.7)(text_BL, logits_BV.clone()).argmax(-1)
    greedy = Sampling(1, temperature=0.0, repetition_penalty=1.7)
    assert torch.equal(choose(logits_BV, greedy, torch.zeros(200), seen_BV), wanted)


def test_the_largest_number_meets_no_token_without_a_share() -> None:
    last = torch.full((1,), 1 - 2.0**-24)
    for shift in np.linspace(0, 3, 50):
        logits_BV = torch.tensor([[0.3 + float(shift), 0.2, 0.1, -torch.inf, -torch.inf]])
        assert choose(logits_BV, Sampling(1, temperature=1.0, top_p=1.0), last) == 2


def test_uniforms_are_uniform_and_independent() -> None:
    seeds = np.arange(2000, dtype=np.uint64)
    numbers = np.stack([uniforms(seeds, step) for step in range(50)])
    assert numbers.dtype == np.float32
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert np.bincount((numbers * 10).astype(int).ravel()).std() < 150
    near = np.corrcoef(numbers[:-1, :-1].ravel(), numbers[1:, 1:].ravel())[0, 1]
    across = np.corrcoef(numbers[:, :-1].ravel(), numbers[:, 1:].ravel())[0, 1]
    assert max(abs(near), abs(across)) < 0.02
    assert len(np.unique(numbers)) > 0.99 * numbers.size


def test_uniforms_do_not_depend_on_the_batch() -> None:
    seeds = np.array([7, 2**63 + 5, 7], dtype=np.uint64)
    together = uniforms(seeds, 4)
    assert together[0] == together[2] == uniforms(seeds[:1], 4)[0]
    assert together[1] == uniforms(seeds[1:2], 4)[0]


def test_logprobs_are_of_the_whole_distribution() -> None:
    wanted = (LOGITS_V / 0.6).log_softmax(-1)[3]
    torch.testing.assert_close(logprobs_of(LOGITS_V[None], torch.tensor([3]), 0.6)[0], wanted)
    greedy = logprobs_of(LOGITS_V[None], torch.tensor([3]), 0.0)[0]
    torch.testing.assert_close(greedy, LOGITS_V.log_softmax(-1)[3])


@pytest.mark.parametrize(
    "change",
    [
        {"max_new_tokens": 0},
        {"temperature": -0.1},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_k": -1},
        {"temperature": 1e-300},
        {"temperature": float("inf")},
        {"temperature": float("nan")},
        {"repetition_penalty": 0.0},
        {"stop": [""]},
    ],
)
def test_numbers_out_of_range(change: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(change))):
        Sampling(**{"max_new_tokens": 1, **change})  # type: ignore[arg-type]
