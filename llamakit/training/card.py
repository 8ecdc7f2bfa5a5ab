"""The model card: what a model is and how it was trained, the same text for the same run."""

from __future__ import annotations

from collections.abc import Mapping

from llamakit.model.card import shape_table, table
from llamakit.model.config import ModelConfig
from llamakit.training.plan import TrainingPlan


def model_card(
    title: str,
    about: str,
    config: ModelConfig,
    plan: TrainingPlan,
    facts: Mapping[str, str | int | float],
) -> str:
    """Markdown for a model's README.

    Args:
        title: heading.
        about: what the model is for, a paragraph or more.
        config: the model's shape.
        plan: how it was trained.
        facts: more rows of the training table: data, results.
    """
    training: dict[str, str | int | float] = {
        "steps": plan.steps,
        "peak learning rate": plan.lr,
        "schedule": _schedule(plan),
        "AdamW": f"beta {plan.betas[0]:g} / {plan.betas[1]:g}, epsilon {plan.eps:g}, "
        f"weight decay {plan.weight_decay:g}, gradient clip {plan.clip:g}",
        "precision": plan.dtype if plan.dtype == "fp32" else "bf16 with fp32 master weights",
        **facts,
    }
    return "\n\n".join(
        [
            f"# {title}",
            about.strip(),
            "## Shape\n\n" + shape_table(config),
            "## Training\n\n" + table(training),
            "Made with llamakit. `transformers` opens this folder as a Llama model.\n",
        ]
    )


def _schedule(plan: TrainingPlan) -> str:
    shape = f"cosine to {plan.min_lr_ratio:.0%}" if plan.schedule == "cosine" else plan.schedule
    return f"{shape} after {plan.warmup_steps:,} steps of warm-up"
