"""What each detail of PPO is worth: switched off one at a time, on a reward that can be counted.

    python -m tests.bench.ppo_details [--seeds 3] [--iterations 16] [--only 13 17]

The policy is a small model that knows a few short answers by heart. An answer earns a point for
each of its first six pieces with a number of 280 or more, and loses half a point for each piece
after the eighth. PPO is run with every detail as it is and then without one of them (its function
is exchanged for the duration), each with the same seeds. The table has the mean over seeds of the
last three iterations, with the standard deviation over seeds. Details that are no matter of
learning but of arithmetic are measured as the error that they avoid (`ppo_detail_errors.py`).
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor

from llamakit.alignment import estimators
from llamakit.alignment.objectives import clipped_policy_loss
from llamakit.alignment.ppo import Judge, Ppo
from llamakit.alignment.ppo_plan import PpoPlan
from llamakit.alignment.prompts import Prompt
from llamakit.alignment.reward import k3
from llamakit.alignment.scoring import Scores
from llamakit.model.generation import Sampling
from llamakit.model.transformer import RewardModel, Transformer
from llamakit.text.vocabulary import Vocabulary, train_vocabulary
from tests.alignment.small import SENTENCES, memorised, prompts

PLAN = {
    "batch": 32, "mini_batch": 8, "lr": 2e-3, "value_lr": 2e-3, "kl_weight": 0.05,
    "max_new_tokens": 16, "critic_warmup": 2,
}  # fmt: skip
SHOWN = ("score", "kl", "finished", "explained_variance")


@dataclass(frozen=True)
class Arm:
    """PPO without one detail."""

    detail: str
    name: str
    changes: dict[str, object] = field(default_factory=dict)
    """Settings of the plan."""
    without: Callable[[], AbstractContextManager[object]] = nullcontext
    """Exchanges a function while the arm runs."""
    spoil: Callable[[Ppo], None] = lambda ppo: None
    """Changes the run before it begins."""


def judge_of(asked: Sequence[Prompt]) -> Judge:
    """The reward that is counted: at most 6."""

    def answer_in(row: Sequence[int]) -> Sequence[int]:
        return row[max(len(p.ids) for p in asked if list(row[: len(p.ids)]) == p.ids) :]

    def judge(rows: Sequence[Sequence[int]], is_safety: Sequence[bool]) -> Scores:
        answers = [answer_in(row) for row in rows]
        scores_B = torch.tensor(
            [
                sum(piece >= 280 for piece in answer[:6]) - 0.5 * max(0, len(answer) - 8)
                for answer in answers
            ]
        )
        return Scores(scores_B, scores_B, None, torch.zeros(len(rows), dtype=torch.bool))

    return judge


# What is put in a detail's place.


def score_after_the_end(scores_B: Tensor, kl_BT: Tensor, mask_BT: Tensor, beta: float) -> Tensor:
    """The score one place after the last token, where there is one."""
    places_B = mask_BT.sum(dim=1).clamp(max=mask_BT.shape[1] - 1)
    rewards_BT = torch.where(mask_BT, -beta * kl_BT, 0.0)
    return rewards_BT.scatter_add(1, places_B[:, None], scores_B[:, None])


def whitened_with_padding(values: Tensor, mask: Tensor, *, shift_mean: bool) -> Tensor:
    """Mean and deviation over padding too."""
    return (values - values.mean()) / (values.std() + 1e-8)


def not_whitened(values: Tensor, mask: Tensor, *, shift_mean: bool) -> Tensor:
    """Advantages as they are."""
    return values


def bootstrapped(
    rewards_BT: Tensor, values_BT: Tensor, mask_BT: Tensor, *, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """After the last token the value goes on as if the answer did."""
    lengths_B = mask_BT.sum(dim=1, keepdim=True)
    last_B1 = values_BT.gather(1, lengths_B - 1)
    ahead_BT = torch.cat([values_BT[:, 1:], last_B1], dim=1)
    places_T = torch.arange(mask_BT.shape[1])
    ahead_BT = torch.where(places_T == lengths_B - 1, last_B1, ahead_BT)
    advantages_BT, following_B = torch.zeros_like(values_BT), torch.zeros(len(values_BT))
    for t in reversed(range(values_BT.shape[1])):
        delta_B = rewards_BT[:, t] + gamma * ahead_BT[:, t] - values_BT[:, t]
        following_B = torch.where(mask_BT[:, t], delta_B + gamma * lam * following_B, 0.0)
        advantages_BT[:, t] = following_B
    return advantages_BT, torch.where(mask_BT, advantages_BT + values_BT, 0.0)


def kl_as_loss(estimate: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """The KL out of the reward and into the loss, by an estimate with a gradient."""

    def loss(
        new_BT: Tensor,
        old_BT: Tensor,
        reference_BT: Tensor,
        advantages_BT: Tensor,
        mask_BT: Tensor,
        kl_weight: float,
        plan: PpoPlan,
    ) -> Tensor:
        apart_BT = torch.where(mask_BT, estimate(reference_BT - new_BT), 0.0)
        plain = clipped_policy_loss(new_BT, old_BT, advantages_BT, mask_BT, plan.ratio_clip)
        return plain + kl_weight * apart_BT.sum()

    return loss


@contextmanager
def exchanged(*pairs: tuple[object, str, object]) -> Iterator[None]:
    """Attributes exchanged for others."""
    held = [patch.object(owner, name, other) for owner, name, other in pairs]
    for each in held:
        each.start()
    try:
        yield
    finally:
        for each in held:
            each.stop()


def no_kl_in_reward(loss: Callable[..., Tensor]) -> Callable[[], AbstractContextManager[None]]:
    plain = estimators.token_rewards

    def rewards(scores_B: Tensor, kl_BT: Tensor, mask_BT: Tensor, beta: float) -> Tensor:
        return plain(scores_B, kl_BT, mask_BT, 0.0)

    return lambda: exchanged(
        (estimators, "token_rewards", rewards), (estimators, "policy_loss", loss)
    )


def other_sampling(**changes: object) -> Callable[[], AbstractContextManager[None]]:
    """Sampling from another distribution than the one that log-probabilities are of."""
    settings = {"max_new_tokens": 16, "temperature": 1.0, "top_p": 1.0, "top_k": 0} | changes
    return lambda: exchanged((PpoPlan, "sampling", property(lambda plan: Sampling(**settings))))  # type: ignore[arg-type]


def new_head(deviation: float) -> Callable[[Ppo], None]:
    """A value model whose head is drawn anew."""

    def spoil(ppo: Ppo) -> None:
        assert ppo.value_model is not None
        assert ppo.value_optimizer is not None
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            weight = ppo.value_model.score.weight
            weight.copy_(torch.randn(weight.shape, generator=generator) * deviation)

    return spoil


STRONG = {"kl_weight": 0.5}
ARMS = (
    Arm("", "everything as it is"),
    Arm("3", "score one place after the answer", without=lambda: exchanged(
        (estimators, "token_rewards", score_after_the_end))),
    Arm("7", "value head with deviation 1", spoil=new_head(1.0)),
    Arm("7", "value head at zero", spoil=new_head(0.0)),
    Arm("7", "no critic warm-up", {"critic_warmup": 0}),
    Arm("10", "sampled at temperature 1.5", without=other_sampling(temperature=1.5)),
    Arm("10", "sampled at temperature 0.5", without=other_sampling(temperature=0.5)),
    Arm("10", "sampled with top-p 0.8", without=other_sampling(top_p=0.8)),
    Arm("12", "advantages whitened with padding", without=lambda: exchanged(
        (estimators, "whiten", whitened_with_padding))),
    Arm("12", "advantages not whitened", without=lambda: exchanged(
        (estimators, "whiten", not_whitened))),
    Arm("12", "scores not whitened", {"whitening": "none"}),
    Arm("12", "scores whitened with their mean", {"whitening": "full"}),
    Arm("12", "scores whitened by running statistics", {"whiten_by": "running"}),
    Arm("14", "nothing taken from unfinished answers", {"unfinished_penalty": 0.0}),
    Arm("15", "values go on after the answer", without=lambda: exchanged(
        (estimators, "advantages_and_returns", bootstrapped))),
    Arm("15", "lambda 1", {"lam": 1.0}),
    Arm("15", "lambda 0", {"lam": 0.0}),
    Arm("17", "one mini-batch of all answers", {"mini_batch": 32}),
    Arm("17", "ratios not clipped", {"ratio_clip": 1e9}),
    Arm("17", "learning rate times 5", {"lr": 1e-2}),
    Arm("13", "KL weight 0.5, in the reward", STRONG),
    Arm("13", "KL weight 0.5, k1 as a loss", STRONG, no_kl_in_reward(kl_as_loss(lambda r: -r))),
    Arm("13", "KL weight 0.5, k3 as a loss", STRONG, no_kl_in_reward(kl_as_loss(k3))),
    Arm("13", "KL weight 0", {"kl_weight": 0.0}),
)  # fmt: skip


def trained(
    arm: Arm, start: Transformer, vocabulary: Vocabulary, seed: int, iterations: int
) -> dict[str, float]:
    """The mean figures of the last three iterations of one run."""
    asked = prompts(vocabulary, 8)
    plan = PpoPlan(**(PLAN | {"iterations": iterations, "seed": seed} | arm.changes))  # type: ignore[arg-type]
    ppo = Ppo(
        policy=copy.deepcopy(start),
        reference=copy.deepcopy(start),
        value_model=RewardModel(start.config, seed),
        judge=judge_of(asked),
        vocabulary=vocabulary,
        plan=plan,
    )
    arm.spoil(ppo)
    with arm.without():
        rows = [ppo.step(iteration, asked) for iteration in range(iterations)]
    return {name: statistics.mean(row[name] for row in rows[-3:]) for name in SHOWN}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all arms and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=16)
    parser.add_argument("--only", nargs="+", help="numbers of details", default=None)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = train_vocabulary(SENTENCES, Path(folder), 320)
        start = memorised(vocabulary)
        print(f"| # | without it | {' | '.join(name.replace('_', ' ') for name in SHOWN)} |")
        print(f"|---|---|{'---|' * len(SHOWN)}")
        for arm in ARMS:
            if asked.only is not None and arm.detail not in ("", *asked.only):
                continue
            runs = [
                trained(arm, start, vocabulary, seed, asked.iterations)
                for seed in range(asked.seeds)
            ]
            cells = [_spread([run[name] for run in runs]) for name in SHOWN]
            print(f"| {arm.detail} | {arm.name} | {' | '.join(cells)} |", flush=True)


def _spread(values: Sequence[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.2f} ± {deviation:.2f}"


if __name__ == "__main__":
    main()
