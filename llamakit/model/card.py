"""Tables of a model card: what every card tells, however the model came to be."""

from __future__ import annotations

from collections.abc import Mapping

from llamakit.model.config import ModelConfig

Cell = str | int | float


def shape_table(config: ModelConfig) -> str:
    """A model's shape as a Markdown table."""
    return table(
        {
            "parameters": config.parameters(),
            "layers": config.n_layers,
            "width": config.dim,
            "query / key-value heads": f"{config.n_heads} / {config.n_kv_heads}",
            "feed-forward width": config.ffn_dim,
            "vocabulary": config.vocab_size,
            "context": f"{config.max_seq_len:,} tokens",
        }
    )


def imported_card(title: str, config: ModelConfig, facts: Mapping[str, Cell]) -> str:
    """The card of a model that was trained elsewhere and came without one."""
    return "\n\n".join(
        [
            f"# {title}",
            "A language model that was trained elsewhere. What it was trained on, what it may be"
            " used for and by whom, its makers know: their terms hold.",
            "## Shape\n\n" + shape_table(config),
            "## Origin\n\n" + table(facts),
            "Imported with llamakit. `transformers` opens this folder as a Llama model.\n",
        ]
    )


def table(rows: Mapping[str, Cell]) -> str:
    """A Markdown table of two columns."""
    lines = [f"| {name} | {_shown(value)} |" for name, value in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines])


def _shown(value: Cell) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
