"""The shape of a model: its config, Llama 2's presets, and Hugging Face's names for both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llamakit.errors import InputError, UsageError
from llamakit.model.keys import Keys


def ffn_dim_for(dim: int, multiple_of: int = 256, multiplier: float | None = None) -> int:
    """Width of the feed-forward layer: 2/3 of 4·dim (SwiGLU has three matrices where others have
    two), times `multiplier` (1.3 at 70B, where grouped queries free parameters), rounded up.
    """
    hidden = int(2 * (4 * dim) / 3)
    if multiplier is not None:
        hidden = int(multiplier * hidden)
    return -(-hidden // multiple_of) * multiple_of


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a decoder-only Llama 2 transformer.

    Raises:
        UsageError: the numbers do not fit together.
    """

    dim: int
    """Width of the residual stream."""
    n_layers: int
    n_heads: int
    """Query heads."""
    n_kv_heads: int
    """Key and value heads: n_heads is multi-head, 1 multi-query, between is grouped-query."""
    ffn_dim: int
    """Width inside the feed-forward layer (see `ffn_dim_for`)."""
    vocab_size: int
    max_seq_len: int
    """Context length, in tokens."""
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-5
    tie_embeddings: bool = False
    """Whether the output layer is the embedding's matrix. Llama 2 has two."""
    head_width: int | None = None
    """Width of one head where it is not dim / n_heads, as in every Llama 2."""

    def __post_init__(self) -> None:
        for name in (
            "dim", "n_layers", "n_heads", "n_kv_heads", "ffn_dim", "vocab_size", "max_seq_len"
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.dim % self.n_heads:
            raise UsageError(f"n_heads {self.n_heads} does not divide dim {self.dim}")
        if self.head_dim < 1 or self.head_dim % 2:
            raise UsageError(
                f"the heads' width {self.head_dim} is not even; rotary positions turn pairs"
            )
        if self.n_heads % self.n_kv_heads:
            raise UsageError(f"n_kv_heads {self.n_kv_heads} does not divide n_heads {self.n_heads}")

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.head_width or self.dim // self.n_heads

    def parameters(self) -> int:
        """Number of weights, exactly: those of the language model, head included."""
        attention = 2 * self.dim * (self.n_heads + self.n_kv_heads) * self.head_dim
        layer = attention + 3 * self.dim * self.ffn_dim + 2 * self.dim
        embeddings = self.vocab_size * self.dim * (1 if self.tie_embeddings else 2)
        return embeddings + self.n_layers * layer + self.dim

    def kv_cache_bytes_per_token(self, bytes_per_number: int = 2) -> int:
        """Keys and values of one position in all layers; by default in 16 bits."""
        return 2 * self.n_layers * self.n_kv_heads * self.head_dim * bytes_per_number

    def flops_per_token(self, seq_len: int) -> float:
        """Arithmetic of one training token, forward and backward, as PaLM counts it (Chowdhery et
        al. 2022, appendix B): 6 a weight of a matrix, and 12·layers·heads·width·seq_len for the
        attention, its whole square, though causal attention needs half of it.

        What every utilisation (MFU) in this project is made of; other trainers count the same way.
        """
        lookup = 0 if self.tie_embeddings else self.vocab_size * self.dim
        gains = (2 * self.n_layers + 1) * self.dim
        weights = self.parameters() - lookup - gains
        return 6.0 * weights + 12.0 * self.n_layers * self.n_heads * self.head_dim * seq_len

    def to_huggingface(self) -> dict[str, Any]:
        """The keys of `config.json` that `transformers` reads for a Llama model."""
        return {
            "model_type": "llama",
            "hidden_size": self.dim,
            "intermediate_size": self.ffn_dim,
            "num_hidden_layers": self.n_layers,
            "num_attention_heads": self.n_heads,
            "num_key_value_heads": self.n_kv_heads,
            "head_dim": self.head_dim,
            "vocab_size": self.vocab_size,
            "max_position_embeddings": self.max_seq_len,
            "rope_theta": self.rope_theta,
            "rms_norm_eps": self.norm_eps,
            "tie_word_embeddings": self.tie_embeddings,
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            "attention_dropout": 0.0,
        }

    @classmethod
    def from_huggingface(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Read the contents of a `config.json`.

        Raises:
            InputError: no Llama model, a key is missing, or it needs what this transformer has not
                (scaled rotary positions, biases, another activation).
        """
        _refuse_unsupported(values)
        keys = Keys({**values, **_rope(values)}, "config.json")
        dim, n_heads = keys.whole("hidden_size"), keys.whole("num_attention_heads")
        width = keys.whole("head_dim") if "head_dim" in keys else None
        try:
            return cls(
                dim=dim,
                n_layers=keys.whole("num_hidden_layers"),
                n_heads=n_heads,
                n_kv_heads=keys.whole("num_key_value_heads", n_heads),
                ffn_dim=keys.whole("intermediate_size"),
                vocab_size=keys.whole("vocab_size"),
                max_seq_len=keys.whole("max_position_embeddings"),
                rope_theta=keys.positive("rope_theta", 10_000.0),
                norm_eps=keys.positive("rms_norm_eps", 1e-6),
                tie_embeddings=keys.truth("tie_word_embeddings"),
                head_width=None if width is None or width * n_heads == dim else width,
            )
        except UsageError as error:
            raise InputError(f"config.json: {error.what}") from None


def _rope(values: Mapping[str, Any]) -> dict[str, Any]:
    """Rotary settings, from the top (older files) and from `rope_parameters` (newer ones)."""
    theta = values.get("rope_theta")
    found = {} if theta is None else {"rope_theta": theta}
    for key in ("rope_scaling", "rope_parameters"):
        table = values.get(key) or {}
        if not isinstance(table, dict):
            raise InputError(f"config.json has {key} {table!r}; a table of keys is needed")
        found |= table
    return found


def _refuse_unsupported(values: Mapping[str, Any]) -> None:
    rope = _rope(values)
    kind = rope.get("rope_type", rope.get("type", "default"))
    problems = {
        f"model_type {values.get('model_type')!r}": values.get("model_type") != "llama",
        f"scaled rotary positions ({kind})": kind != "default",
        "attention_bias": bool(values.get("attention_bias")),
        "mlp_bias": bool(values.get("mlp_bias")),
        f"hidden_act {values.get('hidden_act')!r}": values.get("hidden_act", "silu") != "silu",
        "partial_rotary_factor": rope.get("partial_rotary_factor", 1.0) != 1.0,
        "quantized weights": "quantization_config" in values,
    }
    found = [name for name, present in problems.items() if present]
    if found:
        raise InputError(
            f"config.json describes a model with {', '.join(found)}",
            fix="Only the architecture of Llama 1 and 2 is supported.",
        )


def _llama2(dim: int, n_layers: int, n_heads: int, n_kv_heads: int, ffn_dim: int) -> dict[str, Any]:
    return {
        "dim": dim,
        "n_layers": n_layers,
        "n_heads": n_heads,
        "n_kv_heads": n_kv_heads,
        "ffn_dim": ffn_dim,
        "max_seq_len": 4096,
    }


PRESETS: dict[str, dict[str, Any]] = {
    "toy": {**_llama2(128, 4, 4, 2, ffn_dim_for(128, 32)), "max_seq_len": 1024},
    "small": {**_llama2(256, 6, 8, 4, ffn_dim_for(256, 32)), "max_seq_len": 1024},
    "base-15m": {**_llama2(288, 6, 6, 6, ffn_dim_for(288, 32)), "max_seq_len": 1024},
    "110m": {**_llama2(768, 12, 12, 12, ffn_dim_for(768, 32)), "max_seq_len": 1024},
    "llama2-7b": _llama2(4096, 32, 32, 32, ffn_dim_for(4096)),
    "llama2-13b": _llama2(5120, 40, 40, 40, ffn_dim_for(5120)),
    "llama2-34b": _llama2(8192, 48, 64, 8, ffn_dim_for(8192, multiplier=1.0)),
    "llama2-70b": _llama2(8192, 80, 64, 8, ffn_dim_for(8192, 4096, 1.3)),
}
"""Shapes by name, as `ModelConfig` fields. The vocabulary's size comes from the vocabulary (32,000
in Llama 2). Of 34B the paper gives none: these are Code Llama 34B's, which was trained from it."""
