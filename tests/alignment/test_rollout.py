"""The sampler's own log-probabilities are those that the update computes of the same tokens."""

from __future__ import annotations

from contextlib import closing

import pytest
import torch

from llamakit.alignment.response import logprobs_and_entropy, response_logprobs
from llamakit.alignment.rollout import rollout, seeds_for
from llamakit.model.decoding import CompiledReader, reader_for
from llamakit.model.generation import Sampling, generate
from llamakit.model.lora import Lora, adapted, add_lora
from llamakit.model.transformer import Transformer
from llamakit.text.vocabulary import Vocabulary
from tests.alignment.small import prompts


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probabilities_of_the_sampler_and_recomputed_ones(
    policy: Transformer, vocabulary: Vocabulary, temperature: float
) -> None:
    """To 1e-4. PPO takes the recomputed ones: a ratio of 1 must be 1 to the last digits."""
    asked = [prompt.ids for prompt in prompts(vocabulary, 6)]
    keys = [(3, place) for place in range(6)]
    sampling = Sampling(max_new_tokens=20, temperature=temperature, top_p=1.0, top_k=0)
    with closing(reader_for(policy)) as reader:
        assert isinstance(reader, CompiledReader)
    rollouts = rollout(policy, vocabulary, asked, 2, sampling, keys=keys)
    seeds = [seed for key in keys for seed in seeds_for(key, 2)]
    repeated = [ids for ids in asked for _ in range(2)]
    said = generate(policy, vocabulary, repeated, sampling, seeds, logprobs=True)
    assert [one.ids for one in said] == [
        row[len(prompt) :] for row, prompt in zip(rollouts.rows(), repeated, strict=True)
    ]
    sampled = torch.tensor([p for one in said for p in one.logprobs])
    with torch.no_grad():
        found_BT = response_logprobs(policy, rollouts, temperature)
    read_BT, _ = logprobs_and_entropy(policy, rollouts, temperature)
    assert torch.equal(read_BT, found_BT)
    assert (found_BT[rollouts.response_mask] - sampled).abs().max() < 1e-4


def test_a_policy_with_adapters_is_sampled_from_as_it_is_trained(
    policy: Transformer, vocabulary: Vocabulary
) -> None:
    """Merged for the compiled kernel, and as it was afterwards."""
    add_lora(policy, Lora(2, 8.0, ("q_proj", "up_proj")), seed=1)
    with torch.no_grad():
        for module in adapted(policy):
            module.lora_B.normal_(0, 0.5, generator=torch.Generator().manual_seed(5))
    before = {name: weight.clone() for name, weight in policy.state_dict().items()}
    sampling = Sampling(max_new_tokens=20, temperature=1.0, top_p=1.0, top_k=0)
    asked = [prompt.ids for prompt in prompts(vocabulary, 4)]
    seeds = [seeds_for((3, place), 1)[0] for place in range(4)]
    rollouts = rollout(
        policy, vocabulary, asked, 1, sampling, keys=[(3, place) for place in range(4)]
    )
    assert all(torch.equal(weight, before[name]) for name, weight in policy.state_dict().items())
    assert all(module.active for module in adapted(policy))
    # Unmerged, by the model's own forward pass: the same words.
    said = generate(policy, vocabulary, asked, sampling, seeds, logprobs=True)
    assert [one.text for one in said] == list(rollouts.texts)
    with torch.no_grad():
        found_BT = response_logprobs(policy, rollouts, 1.0)
    sampled = torch.tensor([p for one in said for p in one.logprobs])
    assert (found_BT[rollouts.response_mask] - sampled).abs().max() < 1e-4
