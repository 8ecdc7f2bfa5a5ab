"""A vocabulary and models small enough for a test."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest

from llamakit.alignment.ppo import Ppo
from llamakit.artifacts.store import Store
from llamakit.model.config import ModelConfig
from llamakit.model.transformer import RewardModel, Transformer
from llamakit.model.weights import save_model, save_reward_model
from llamakit.text.vocabulary import Vocabulary, train_vocabulary
from tests.alignment.given import keep, keep_table, message
from tests.alignment.small import SENTENCES, Judge, counting, memorised, plan, sharpened


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
    return memorised(vocabulary)


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


@pytest.fixture
def stocked(
    store: Store,
    tmp_path: Path,
    config: ModelConfig,
    vocabulary: Vocabulary,
    chatting: Transformer,
) -> Store:
    """A store with a chat model, two reward models, prompts, dialogues and preferences."""
    sources = tmp_path / "given"
    save_model(sources / "model", chatting, vocabulary, chat=True, card="-")
    keep(store, "chat", "model", sources / "model")
    for seed, name in enumerate(("helpfulness", "safety")):
        reward = sharpened(RewardModel(config, seed=seed))
        save_reward_model(sources / name, reward, vocabulary, card="-")
        keep(store, name, "reward-model", sources / name)
    prompts = [
        {
            "id": f"prompt-{index}",
            "messages": [message("user", f"What is {index} and {index % 3}?")],
            "train_on": "last",
            "source": "helpfulness",
            "safety": index % 4 == 0,
        }
        for index in range(10)
    ]
    keep_table(store, "prompts", "dialogues", sources / "prompts", prompts)
    talks = [
        {
            "id": f"talk-{index}",
            "messages": [
                message(*turn)
                for number in range(2 + index % 2)
                for turn in (("user", f"Tell me {number}."), ("assistant", "No."))
            ],
            "train_on": "all",
            "source": "chat",
            "safety": False,
        }
        for index in range(6)
    ]
    keep_table(store, "talks", "dialogues", sources / "talks", talks)
    grades = ["significantly", "better", "slightly", "negligible", None]
    bins = ["both_safe", "chosen_safe", "both_unsafe", None]
    pairs = [
        {
            "id": f"pair-{index}",
            "prompt": [message("user", f"What is {index}?")],
            "chosen": [message("assistant", "Yes, I can help you.")],
            "rejected": [message("assistant", "No, it would hurt." + " Please." * (index % 3))],
            "grade": grades[index % 5],
            "safety": bins[index % 4] if index % 2 else None,
            "source": "safety" if index % 2 else "helpfulness",
        }
        for index in range(24)
    ]
    for name in ("helpfulness", "safety"):
        own = [pair for pair in pairs if pair["source"] == name]
        keep_table(store, f"{name}-pairs", "preferences", sources / f"{name}-pairs", own)
    return store
