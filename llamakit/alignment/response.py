"""What a model says of sampled answers: log-probabilities, entropies, values, token by token.

Only the positions that predict an answer token are projected on the vocabulary; prompt and padding
cost no logits. Names as in `rollout`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from llamakit.alignment.padding import by_length
from llamakit.alignment.rollout import Rollouts
from llamakit.model.logprobs import logprobs_and_entropies, token_logprobs
from llamakit.model.transformer import RewardModel, Transformer
from llamakit.training.gathering import share_of
from llamakit.training.parallel import ONE_PROCESS, Parallel


def response_logprobs(model: Transformer, rollouts: Rollouts, temperature: float) -> Tensor:
    """Log-probability of each answer token, float32 [B, T], zero outside the mask.

    The temperature must be the sampler's: old, new and reference log-probabilities share it, or the
    ratio compares two policies of which neither was sampled from.
    """
    hidden_ND = _at_predictors(model(rollouts.ids_BL), rollouts)
    targets_N = rollouts.responses[rollouts.response_mask]
    logprobs_N = token_logprobs(hidden_ND, model.head_weight, targets_N, temperature)
    return _scattered(logprobs_N, rollouts.response_mask)


@torch.no_grad()
def logprobs_and_entropy(
    model: Transformer, rollouts: Rollouts, temperature: float
) -> tuple[Tensor, Tensor]:
    """`response_logprobs`, and the entropy in nats of the distribution of each answer token.

    One pass for both; without gradients. Both [B, T], zero outside the mask.
    """
    mask_BT = rollouts.response_mask
    hidden_ND = _at_predictors(model(rollouts.ids_BL), rollouts)
    logprobs_N, entropies_N = logprobs_and_entropies(
        hidden_ND, model.head_weight, rollouts.responses[mask_BT], temperature
    )
    return _scattered(logprobs_N, mask_BT), _scattered(entropies_N, mask_BT)


def response_values(model: RewardModel, rollouts: Rollouts) -> Tensor:
    """The value of the text before each answer token, float32 [B, T], zero outside the mask."""
    values_N = _at_predictors(model(rollouts.ids_BL), rollouts)
    return _scattered(values_N, rollouts.response_mask)


@torch.no_grad()
def in_groups(
    function: Callable[[Rollouts], tuple[Tensor, ...]],
    rollouts: Rollouts,
    tokens: int,
    parallel: Parallel = ONE_PROCESS,
) -> tuple[Tensor, ...]:
    """Apply a function of rollouts to groups of like length, without gradients.

    Args:
        function: from rollouts to values [B, T] of their own, zero outside their mask.
        rollouts: all answers.
        tokens: size of a group, padding included.
        parallel: the processes that share the answers; all get what is found of all.

    Returns:
        What `function` returns of all at once.
    """
    mine = share_of(parallel, len(rollouts))
    lengths = (rollouts.prompt_lengths_B + rollouts.response_lengths_B).tolist()
    shape = rollouts.response_mask.shape
    found: tuple[Tensor, ...] = ()
    # Who has no answer reads one, to know what there is to be summed.
    rows = list(mine or range(1))
    for group in by_length([lengths[row] for row in rows], tokens):
        picked = [rows[index] for index in group]
        values = function(rollouts.take(picked))
        found = found or tuple(value.new_zeros(shape) for value in values)
        for whole_BT, value_BT in zip(found, values, strict=True):
            if mine:
                whole_BT[picked, : value_BT.shape[1]] = value_BT
    # Each row is of one process and zero with the others: a sum that rounds nothing.
    return tuple(parallel.sum(whole_BT) for whole_BT in found)


def _at_predictors(values: Tensor, rollouts: Rollouts) -> Tensor:
    """Of values [B, L, …] those [N, …] at the predictors of answer tokens."""
    mask_BT = rollouts.response_mask
    rows_B = torch.arange(len(rollouts), device=values.device)
    found: Tensor = values[
        rows_B[:, None].expand_as(mask_BT)[mask_BT], rollouts.predictors[mask_BT]
    ]
    return found


def _scattered(values_N: Tensor, mask_BT: Tensor) -> Tensor:
    return values_N.new_zeros(mask_BT.shape).masked_scatter(mask_BT, values_N)
