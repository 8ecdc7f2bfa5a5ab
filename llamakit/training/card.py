"""The model card: what a model is and how it was trained, the same text for the same run."""

from __future__ import annotations

from collections.abc import Mapping

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
    shape: dict[str, str | int | float] = {
        "parameters": config.parameters(),
        "layers": config.n_layers,
        "width": config.dim,
        "query / key-value heads": f"{config.n_heads} / {config.n_kv_heads}",
        "feed-forward width": config.ffn_dim,
        "vocabulary": config.vocab_size,
        "context": f"{config.max_seq_len:,} tokens",
    }
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
            "## Shape\n\n" + _table(shape),
            "## Training\n\n" + _table(training),
            "Made with llamakit. `transformers` opens this folder as a Llama model.\n",
        ]
    )


def _schedule(plan: TrainingPlan) -> str:
    shape = f"cosine to {plan.min_lr_ratio:.0%}" if plan.schedule == "cosine" else plan.schedule
    return f"{shape} after {plan.warmup_steps:,} steps of warm-up"


def _table(rows: Mapping[str, str | int | float]) -> str:
    lines = [f"| {name} | {_shown(value)} |" for name, value in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines])


def _shown(value: str | int | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
