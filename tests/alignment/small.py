"""Models, rollouts, prompts and judges small enough to reason about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch.nn.functional import cross_entropy

from llamakit.alignment.padding import pad_right
from llamakit.alignment.ppo_plan import PpoPlan
from llamakit.alignment.prompts import Prompt
from llamakit.alignment.rollout import Rollouts
from llamakit.alignment.scoring import Scores
from llamakit.model.config import ModelConfig
from llamakit.model.transformer import Transformer
from llamakit.text.dialogue import render
from llamakit.text.vocabulary import Vocabulary

M = TypeVar("M", bound=torch.nn.Module)
Judge = Callable[[Sequence[Sequence[int]], Sequence[bool]], Scores]

SENTENCES = [
    "What is the capital of the island? The capital is Port Amber.",
    "Tell me a story about a red fox and a blue whale, please.",
    "Yes, I can help you with that: 12 and 30 make 42.",
    "No, I will not do this, it would hurt people.",
] * 4


def sharpened(model: M) -> M:
    """Weights large enough that outputs differ visibly from token to token."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(3)
    return model


def memorised(vocabulary: Vocabulary) -> Transformer:
    """A model that learned a few short answers by heart, so that its answers end."""
    config = ModelConfig(
        dim=32, n_layers=2, n_heads=4, n_kv_heads=2, ffn_dim=64,
        vocab_size=vocabulary.size, max_seq_len=128,
    )  # fmt: skip
    model = Transformer(config, seed=3)
    answers = ["Yes, I can.", "No, I will not.", "The capital is Port Amber.", "12 and 30."]
    rows = [
        render(
            [{"role": "user", "content": text}, {"role": "assistant", "content": answers[i % 4]}],
            vocabulary,
        ).ids
        for i, text in enumerate(["Tell me 0.", "What is 1?", "Please help.", "A story?"] * 2)
    ]
    ids_BL, lengths_B = pad_right(rows, vocabulary.pad)
    real_BL = torch.arange(ids_BL.shape[1])[None, :] < lengths_B[:, None]
    adam = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        logits = model.logits(model(ids_BL))[:, :-1]
        loss = cross_entropy(logits[real_BL[:, 1:]], ids_BL[:, 1:][real_BL[:, 1:]])
        torch.autograd.backward(loss)
        adam.step()
        adam.zero_grad()
    return model.eval()


def handmade(vocabulary: Vocabulary, rows: Sequence[tuple[list[int], list[int]]]) -> Rollouts:
    """Rollouts of given (prompt ids, answer ids); finished if they end with the EOS."""
    ids_BL, _ = pad_right([prompt + answer for prompt, answer in rows], vocabulary.pad)
    return Rollouts(
        ids_BL=ids_BL,
        prompt_lengths_B=torch.tensor([len(prompt) for prompt, _ in rows]),
        response_lengths_B=torch.tensor([len(answer) for _, answer in rows]),
        finished_B=torch.tensor([answer[-1] == vocabulary.eos for _, answer in rows]),
        prompt_B=torch.arange(len(rows)),
        texts=tuple(vocabulary.decode(answer) for _, answer in rows),
    )


def plan(**changes: object) -> PpoPlan:
    """A short PPO run."""
    settings: dict[str, object] = {
        "iterations": 3,
        "batch": 8,
        "mini_batch": 4,
        "lr": 1e-3,
        "value_lr": 1e-3,
        "max_new_tokens": 6,
        "seed": 5,
    }
    return PpoPlan(**(settings | changes))  # type: ignore[arg-type]


def prompts(vocabulary: Vocabulary, count: int = 6) -> list[Prompt]:
    """Short questions."""
    made = []
    for index in range(count):
        text = f"What is {index}?" + " Please." * (index % 3)
        ids = vocabulary.encode(f"[INST] {text} [/INST]", bos=True)
        messages = [{"role": "user", "content": text}]
        made.append(Prompt(f"p{index}", list(messages), ids, "test", False, index))
    return made


def counting(lowest: int = 280) -> Judge:
    """A reward that can be counted: how many of the last 6 ids are `lowest` or more."""

    def judge(rows: Sequence[Sequence[int]], is_safety: Sequence[bool]) -> Scores:
        counts = torch.tensor([float(sum(token >= lowest for token in row[-6:])) for row in rows])
        return Scores(counts, counts, None, torch.zeros(len(rows), dtype=torch.bool))

    return judge
