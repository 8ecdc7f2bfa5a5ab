"""What details of reward models and PPO keep from going wrong, where that is arithmetic.

    python -m tests.bench.ppo_detail_errors

Each row is the error of reading or computing something the way that a known fault does, on a small
model and answers of its own: in standard deviations of the scores, nats, or as a share. The details
that change what is learned are measured by `ppo_details.py`.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from llamakit.alignment.padding import pad_right
from llamakit.alignment.ppo import Ppo
from llamakit.alignment.ppo_plan import PpoPlan
from llamakit.alignment.ranking import ranking_loss
from llamakit.alignment.response import response_logprobs
from llamakit.alignment.reward import SAFETY_THRESHOLD, safety_gate
from llamakit.alignment.rollout import rollout, seeds_for
from llamakit.alignment.scoring import score_rows
from llamakit.model.generation import Sampling, generate
from llamakit.model.transformer import RewardModel, Transformer
from llamakit.text.dialogue import render
from llamakit.text.vocabulary import Vocabulary, train_vocabulary
from tests.alignment.small import SENTENCES, counting, memorised, prompts, sharpened

Row = tuple[str, str, str]


def dialogues(vocabulary: Vocabulary, count: int = 64) -> list[list[int]]:
    """Dialogues of two exchanges: an end of sequence stands in their middle too."""
    rows = []
    for index in range(count):
        turns = [SENTENCES[(index * 7 + turn * 3) % len(SENTENCES)] for turn in range(4)]
        cut = [text[: 12 + (index * 5 + turn * 11) % 40] for turn, text in enumerate(turns)]
        rows.append(
            render(
                [
                    {"role": ("user", "assistant")[turn % 2], "content": text.strip()}
                    for turn, text in enumerate(cut)
                ],
                vocabulary,
            ).ids
        )
    return rows


def misread_scores(vocabulary: Vocabulary, model: RewardModel) -> Iterator[Row]:
    """Details 1, 2, 4 and 6: the score read elsewhere, or of another text."""
    rows, pad, eos = dialogues(vocabulary), vocabulary.pad, vocabulary.eos
    right = score_rows(model, rows, pad)
    alone = torch.cat([score_rows(model, [row], pad) for row in rows])
    yield "1", "in a batch against alone, as it is", _apart(right, alone, right)
    first = [row[: row.index(eos)] for row in rows]
    yield (
        "1",
        "padding is EOS: read before the first one",
        _apart(score_rows(model, first, pad), right, right),
    )
    last = [row[:-1] for row in rows]
    yield (
        "1, 4",
        "padding is EOS, or scored without it: read before the last one",
        _apart(score_rows(model, last, pad), right, right),
    )
    ids_BL, _ = pad_right(rows, pad)
    with torch.no_grad():
        widest = model(ids_BL, torch.full((len(rows),), ids_BL.shape[1]))
    yield "6", "read at the end of the padding", _apart(widest, right, right)
    left = [[pad] * (ids_BL.shape[1] - len(row)) + row for row in rows]
    yield (
        "9",
        "padding on the left is attended to",
        _apart(score_rows(model, left, pad), right, right),
    )
    masked = sum(row.count(eos) for row in rows) / sum(map(len, rows))
    yield "2", "mask by ids, padding is EOS: real tokens lost", f"{masked:.1%}, each answer's end"


def broadcast_margins() -> Iterator[Row]:
    """Detail 5."""
    chosen, rejected = torch.randn((2, 64), generator=torch.Generator().manual_seed(0))
    margins = torch.tensor([1.0, 2 / 3, 1 / 3, 0.0]).repeat(16)
    right = ranking_loss(chosen, rejected, margins).mean()
    wide = -torch.nn.functional.logsigmoid(chosen[:, None] - rejected - margins).mean()
    yield "5", "[B, 1] scores less [B]: loss", f"{float(wide):.3f} for {float(right):.3f}"


def ratios(vocabulary: Vocabulary, model: Transformer) -> Iterator[Row]:
    """Details 8, 10 and 11: ratios of a policy that has not moved."""
    asked = [prompt.ids for prompt in prompts(vocabulary, 32)]
    keys = [(3, index) for index in range(len(asked))]
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        policy = copy.deepcopy(model).to(dtype)
        sampling = Sampling(max_new_tokens=24, temperature=1.0, top_p=1.0)
        sampled = rollout(policy, vocabulary, asked, 1, sampling, keys=keys)
        seeds = [seed for key in keys for seed in seeds_for(key, 1)]
        told = generate(policy, vocabulary, asked, sampling, seeds, logprobs=True)
        mask_BT = sampled.response_mask
        with torch.no_grad():
            new_BT = response_logprobs(policy, sampled, 1.0)
            again_BT = response_logprobs(policy, sampled, 1.0)
        own_BT = torch.zeros_like(new_BT)
        for row, answer in enumerate(told):
            assert answer.logprobs is not None
            own_BT[row, : len(answer.logprobs)] = torch.tensor(answer.logprobs)
        yield (
            "8",
            f"old log-probabilities recomputed, as it is ({name})",
            _ratio(new_BT, again_BT, mask_BT),
        )
        yield "8", f"the sampler's own, {name}", _ratio(new_BT, own_BT, mask_BT)
    with torch.no_grad():
        warm_BT = response_logprobs(model, sampled, 0.7)
        plain_BT = response_logprobs(model, sampled, 1.0)
        yield "10", "old ones at temperature 0.7, new ones at 1", _ratio(plain_BT, warm_BT, mask_BT)
        torch.manual_seed(0)
        dropped = model.body.norm.register_forward_hook(
            lambda module, given, out: torch.nn.functional.dropout(out, 0.1)
        )
        yield (
            "11",
            "dropout of 0.1 before the head",
            _ratio(response_logprobs(model, sampled, 1.0), plain_BT, mask_BT),
        )
        dropped.remove()


def mean_of_means(vocabulary: Vocabulary, model: Transformer) -> Iterator[Row]:
    """Detail 16: micro-batches of one answer each."""
    rows = dialogues(vocabulary, 16)

    def gradient(weights: Sequence[float]) -> Tensor:
        model.zero_grad()
        for row, weight in zip(rows, weights, strict=True):
            ids = torch.tensor([row])
            logits = model.logits(model(ids))[0, :-1]
            torch.autograd.backward(
                torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum") * weight
            )
        return torch.cat([w.grad.flatten() for w in model.parameters() if w.grad is not None])

    tokens = [len(row) - 1 for row in rows]
    right = gradient([1 / sum(tokens)] * len(rows))
    other = gradient([1 / (len(rows) * count) for count in tokens])
    off = float((other - right).norm() / right.norm())
    yield "16", "mean of the micro-batches' means: gradient off by", f"{off:.0%}"


def resumed(vocabulary: Vocabulary, model: Transformer, critic: RewardModel) -> Iterator[Row]:
    """Detail 18: three iterations, then two more with and without the optimizers' moments."""

    def run(*, moments: bool) -> Ppo:
        plan = PpoPlan(
            iterations=5, batch=16, mini_batch=8, lr=1e-3, value_lr=1e-3, max_new_tokens=8
        )
        ppo = Ppo(
            policy=copy.deepcopy(model), reference=copy.deepcopy(model),
            value_model=copy.deepcopy(critic), judge=counting(), vocabulary=vocabulary, plan=plan,
        )  # fmt: skip
        for iteration in range(5):
            if iteration == 3 and not moments:
                for optimizer in (ppo.policy_optimizer, ppo.value_optimizer):
                    assert optimizer is not None
                    state = optimizer.tensors()
                    fresh = {n: t if n.startswith("master.") else 0 * t for n, t in state.items()}
                    optimizer.load({n: t.clone() for n, t in fresh.items()}, 0)
            ppo.step(iteration, prompts(vocabulary))
        return ppo

    whole, again, cut = run(moments=True), run(moments=True), run(moments=False)
    start = torch.cat([w.detach().flatten() for w in model.parameters()])
    ends = [torch.cat([w.detach().flatten() for w in ppo.policy.parameters()])
            for ppo in (whole, again, cut)]  # fmt: skip
    moved = float((ends[0] - start).norm())
    for name, end in (("as it is", ends[1]), ("without moments", ends[2])):
        share = float((end - ends[0]).norm()) / moved
        yield "18", f"resumed {name}: weights off, of their way", f"{share:.0%}"


def packed(vocabulary: Vocabulary, model: Transformer) -> Iterator[Row]:
    """Detail 19: dialogues in one row, with and without walls between them."""
    rows = dialogues(vocabulary, 3)
    joined = torch.tensor([[piece for row in rows for piece in row]])
    segments = torch.tensor([[i for i, row in enumerate(rows) for _ in row]])
    places = torch.tensor([[place for row in rows for place in range(len(row))]])
    with torch.no_grad():
        alone = torch.cat([model(torch.tensor([row]))[0] for row in rows])
        walls = model(joined, positions_BL=places, segments_BL=segments)[0]
        none = model(joined)[0]

    def loss(hidden: Tensor) -> float:
        targets = joined[0].roll(-1)
        ends = torch.tensor([len(row) for row in rows]).cumsum(0) - 1
        kept = torch.ones(len(targets), dtype=torch.bool)
        kept[ends] = False
        logits = model.logits(hidden)[kept].detach()
        return float(torch.nn.functional.cross_entropy(logits, targets[kept]))

    yield "19", "packed, as it is: loss off by", f"{abs(loss(walls) - loss(alone)):.1e} nats"
    yield "19", "packed without walls: loss off by", f"{abs(loss(none) - loss(alone)):.1e} nats"


def drifted_gate() -> Iterator[Row]:
    """Detail 20: a ranking loss leaves the mean of scores free; here it stands at -5."""
    scores = torch.randn(4096, generator=torch.Generator().manual_seed(0)) * 1.5
    none = torch.zeros(len(scores), dtype=torch.bool)
    for name, mean in (("around 0", 0.0), ("around -5", -5.0)):
        share = safety_gate(scores + mean, none, SAFETY_THRESHOLD).float().mean()
        yield "20", f"scores {name}: the gate fires on", f"{float(share):.0%}"


def _apart(found: Tensor, right: Tensor, scores: Tensor) -> str:
    off = (found - right).abs() / scores.std()
    return f"{float(off.mean()):.2g} deviations, at most {float(off.max()):.2g}"


def _ratio(new_BT: Tensor, old_BT: Tensor, mask_BT: Tensor) -> str:
    off = ((new_BT - old_BT)[mask_BT].exp() - 1).abs()
    return f"ratio off 1 by {float(off.mean()):.1e}, at most {float(off.max()):.1e}"


def main() -> None:
    """Measure all and print the table."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = train_vocabulary(SENTENCES, Path(folder), 320)
        start = memorised(vocabulary)
        critic = sharpened(RewardModel(start.config, 2)).eval()
        print("| # | what is done | error |\n|---|---|---|")
        for rows in (
            misread_scores(vocabulary, critic),
            broadcast_margins(),
            ratios(vocabulary, start),
            mean_of_means(vocabulary, copy.deepcopy(start)),
            resumed(vocabulary, start, critic),
            packed(vocabulary, start),
            drifted_gate(),
        ):
            for detail, done, error in rows:
                print(f"| {detail} | {done} | {error} |", flush=True)


if __name__ == "__main__":
    main()
