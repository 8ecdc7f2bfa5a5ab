"""A vocabulary and models small enough for a test."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch.nn.functional import cross_entropy

from llamakit.alignment.padding import pad_right
from llamakit.alignment.ppo import Ppo
from llamakit.model.config import ModelConfig
from llamakit.model.transformer import RewardModel, Transformer
from llamakit.text.dialogue import render
from llamakit.text.vocabulary import Vocabulary, train_vocabulary
from tests.alignment.small import SENTENCES, Judge, counting, plan, sharpened


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    return train_vocabulary(SENTENCES, tmp_path_factory.mktemp("vocabulary"), 320)


@pytest.fixture
def config(vocabulary: Vocabulary) -> ModelConfig:
    return ModelConfig(
        dim=32,
        n_layers=2,
        n_heads=4,
        n_kv_heads=2,
        ffn_dim=64,
        vocab_size=vocabulary.size,
        max_seq_len=128,
    )


@pytest.fixture(scope="session")
def chatting(vocabulary: Vocabulary) -> Transformer:
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


@pytest.fixture
def policy(config: ModelConfig) -> Transformer:
    return sharpened(Transformer(config, seed=1))


@pytest.fixture
def reward_model(config: ModelConfig) -> RewardModel:
    return sharpened(RewardModel(config, seed=2)).eval()


@pytest.fixture
def make_ppo(
    policy: Transformer, reward_model: RewardModel, vocabulary: Vocabulary
) -> Callable[..., Ppo]:
    """Builds a run that always starts from the same weights; `changes` go into its plan."""

    def build(judge: Judge | None = None, **changes: object) -> Ppo:
        settings = plan(**changes)
        return Ppo(
            policy=copy.deepcopy(policy),
            reference=copy.deepcopy(policy),
            value_model=copy.deepcopy(reward_model) if settings.has_critic else None,
            judge=judge or counting(),
            vocabulary=vocabulary,
            plan=settings,
        )

    return build
