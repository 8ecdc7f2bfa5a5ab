"""Meta's own release of Llama: `params.json` and `consolidated.00.pth`, `consolidated.01.pth`, ….

Each file holds a part of most matrices, as one device of tensor parallelism had it: rows of those
that widen (queries, keys, values, gate and up, output), columns of those that narrow again and of
the embedding, and all of the norms.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from llamakit.artifacts.files import write_json
from llamakit.errors import InputError, UsageError
from llamakit.model.checkpoint import Checkpoint, check_size, common_dtype, weight_shapes
from llamakit.model.config import ModelConfig, ffn_dim_for
from llamakit.model.exchange.names import meta_name
from llamakit.model.exchange.pickled import read_pickled
from llamakit.model.keys import Keys
from llamakit.model.rotary import pairs_from_halves, rotated_heads
from llamakit.wording import counted

PARAMS_FILE = "params.json"
_SHARD = re.compile(r"consolidated\.(\d+)\.pth")
_COLUMNS = ("attention.wo.weight", "feed_forward.w2.weight", "tok_embeddings.weight")
_IGNORED = "rope.freqs"
"""The rotary angles, which follow from the shape."""


def open_meta(files: Mapping[str, Path], pieces: int, seq_len: int) -> Checkpoint:
    """The model in a folder of Meta's.

    Args:
        files: by name.
        pieces: size of the vocabulary, for a `vocab_size` of -1.
        seq_len: its context length, which `params.json` does not tell.

    Raises:
        InputError: a file is missing or broken, or they do not belong together.
    """
    where = str(files[PARAMS_FILE])
    paths = _shards(files, where)
    config = read_params(files[PARAMS_FILE], pieces, seq_len)
    check_size(config, sum(path.stat().st_size for path in paths), where, PARAMS_FILE)
    shards = [read_pickled(path) for path in paths]
    names = {meta_name(name): name for name in weight_shapes(config)}
    for path, shard in zip(paths, shards, strict=True):
        _check_names(set(shard) - {_IGNORED}, set(names), str(path))
    dtype = common_dtype(shards[0][name].dtype for name in names)

    rows = sum(len(shard["output.weight"]) for shard in shards)
    if rows < config.vocab_size:
        raise InputError(
            f"{counted(len(shards), 'shard')} hold {rows:,} of the {config.vocab_size:,} rows of"
            " output.weight",
            where=where,
            fix="Get the other consolidated.*.pth files, or the vocabulary of this model.",
        )

    def read(name: str) -> Tensor:
        told = meta_name(name)
        return _merged(told, [shard[told] for shard in shards], config, where)

    return Checkpoint(config, dtype, read, where, pairs=True)


def read_params(path: Path, pieces: int, seq_len: int) -> ModelConfig:
    """The shape that a `params.json` tells.

    Raises:
        InputError: it is not JSON, lacks a key, has one of a wrong type, or is of a later Llama
            with scaled rotary positions.
    """
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"not valid JSON ({error})", where=str(path)) from None
    if not isinstance(values, dict):
        raise InputError("not a JSON object", where=str(path))
    if values.get("use_scaled_rope") or "moe" in values or "lora" in values:
        raise InputError(
            "params.json describes a later Llama (scaled rotary positions, experts or adapters)",
            where=str(path),
            fix="Only the architecture of Llama 1 and 2 is supported.",
        )
    if values.get("vocab_size") == -1:
        values["vocab_size"] = pieces
    keys = Keys(values, PARAMS_FILE)
    try:
        dim, n_heads = keys.whole("dim"), keys.whole("n_heads")
        multiplier = keys.positive("ffn_dim_multiplier", 1.0)
        return ModelConfig(
            dim=dim,
            n_layers=keys.whole("n_layers"),
            n_heads=n_heads,
            n_kv_heads=keys.whole("n_kv_heads", n_heads),
            ffn_dim=ffn_dim_for(
                dim,
                keys.whole("multiple_of", 256),
                multiplier if "ffn_dim_multiplier" in keys else None,
            ),
            vocab_size=keys.whole("vocab_size", pieces),
            max_seq_len=seq_len,
            rope_theta=keys.positive("rope_theta", 10_000.0),
            norm_eps=keys.positive("norm_eps", 1e-5),
        )
    except (InputError, UsageError) as error:
        raise InputError(error.what, where=str(path)) from None


def write_meta(folder: Path, checkpoint: Checkpoint, written: Callable[[], None]) -> None:
    """Write `params.json` and `consolidated.00.pth`.

    Args:
        folder: where to.
        checkpoint: of a language model. A tied output layer is written as a matrix of its own,
            since Meta's models have two.
        written: called after each weight.

    Raises:
        UsageError: the heads have a width of their own, for which Meta's format has no key.
    """
    config = checkpoint.config
    if config.head_width is not None:
        raise UsageError(
            "Meta's params.json has no key for heads of another width than dim / n_heads"
        )
    tensors: dict[str, Tensor] = {}
    for name in checkpoint.shapes:
        tensor = checkpoint.read(name)
        heads = rotated_heads(name, config)
        tensors[meta_name(name)] = (
            tensor if heads is None else pairs_from_halves(tensor, heads)
        ).contiguous()
        written()
    if config.tie_embeddings:
        tensors["output.weight"] = tensors["tok_embeddings.weight"].clone()
    torch.save(tensors, folder / "consolidated.00.pth")
    write_json(folder / PARAMS_FILE, params_of(config))


def params_of(config: ModelConfig) -> dict[str, Any]:
    """The keys of `params.json` for a shape; `read_params` gives the shape back."""
    values = {
        "dim": config.dim,
        "n_layers": config.n_layers,
        "n_heads": config.n_heads,
        "n_kv_heads": config.n_kv_heads,
        "norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "vocab_size": config.vocab_size,
    }
    for multiple_of, multiplier in ((256, None), (256, 1.0), (4096, 1.3), (32, None)):
        if ffn_dim_for(config.dim, multiple_of, multiplier) == config.ffn_dim:
            break
    else:
        # Any width is a multiple of itself, once the formula's own number is no more than it.
        multiple_of = config.ffn_dim
        multiplier = min(1.0, config.ffn_dim / ffn_dim_for(config.dim, 1))
    values["multiple_of"] = multiple_of
    return values if multiplier is None else {**values, "ffn_dim_multiplier": multiplier}


def _shards(files: Mapping[str, Path], where: str) -> list[Path]:
    numbers = {int(match[1]): name for name in files if (match := _SHARD.fullmatch(name))}
    if not numbers:
        raise InputError("there is no consolidated.00.pth beside params.json", where=where)
    missing = sorted(set(range(max(numbers) + 1)) - set(numbers))
    if missing:
        raise InputError(f"consolidated.{missing[0]:02d}.pth is missing", where=where)
    return [files[numbers[number]] for number in sorted(numbers)]


def _check_names(found: set[str], wanted: set[str], where: str) -> None:
    if lacking := sorted(wanted - found):
        raise InputError(f"the weights lack {_some(lacking)}", where=where)
    if others := sorted(found - wanted):
        raise InputError(
            f"params.json gives no place to {_some(others)}",
            where=where,
            fix="The two files do not belong together, or the model is of another architecture.",
        )


def _some(names: Sequence[str]) -> str:
    more = len(names) - 1
    return f"{names[0]} and {more:,} more" if more else names[0]


def _merged(name: str, parts: Sequence[Tensor], config: ModelConfig, where: str) -> Tensor:
    """One matrix out of its parts."""
    if len(parts) == 1:
        return parts[0]
    if parts[0].ndim == 1:
        if not all(torch.equal(part, parts[0]) for part in parts[1:]):
            raise InputError(
                f"the shards hold different {name}", where=where, fix="They are of several models."
            )
        return parts[0]
    axis = 1 if name.endswith(_COLUMNS) else 0
    if name.startswith("tok_embeddings") and parts[0].shape[1] == config.dim:
        axis = 0  # Llama 3 gives each shard some of the tokens
    try:
        return torch.cat(list(parts), dim=axis)
    except RuntimeError:
        shapes = ", ".join(str(tuple(part.shape)) for part in parts)
        raise InputError(
            f"the shards' parts of {name} do not fit together: {shapes}", where=where
        ) from None
