"""The model card."""

from __future__ import annotations

from llamakit.model.config import PRESETS, ModelConfig
from llamakit.training.card import model_card
from llamakit.training.plan import TrainingPlan


def test_the_card_tells_shape_and_training() -> None:
    config = ModelConfig(**PRESETS["llama2-70b"], vocab_size=32_000)
    plan = TrainingPlan(steps=500_000, lr=1.5e-4, warmup_steps=2000, dtype="bf16")
    card = model_card("Base", "It continues text.", config, plan, {"loss": 1.5, "data": "much"})
    for line in (
        "# Base",
        "| parameters | 68,976,648,192 |",
        "| query / key-value heads | 64 / 8 |",
        "| schedule | cosine to 10% after 2,000 steps of warm-up |",
        "| peak learning rate | 0.00015 |",
        "| precision | bf16 with fp32 master weights |",
        "| loss | 1.5 |",
    ):
        assert line in card.splitlines()
    assert card.endswith("model.\n")
