"""Adapters as PEFT writes and reads them: `adapter_config.json`, `adapter_model.safetensors`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from llamakit.artifacts.files import atomic_file, write_json
from llamakit.errors import InputError
from llamakit.model.checkpoint import READABLE, Checkpoint, unreadable
from llamakit.model.keys import Keys
from llamakit.model.lora import Lora, merge
from llamakit.model.weights import read_json

ADAPTER_FOLDER = "adapter"
"""Where a model that was trained through adapters holds them."""
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_REFUSED = {
    "use_dora": "DoRA",
    "rank_pattern": "ranks that differ from layer to layer",
    "alpha_pattern": "alphas that differ from layer to layer",
    "fan_in_fan_out": "transposed matrices",
    "layer_replication": "repeated layers",
    "trainable_token_indices": "trained rows of the embedding",
}


def write_adapter(folder: Path, weights: Mapping[str, Tensor], lora: Lora, *, reward: bool) -> None:
    """Write the adapters among a model's weights, in the dtype they have; of a reward model its
    score head too.

    Which model they belong to is not written: a path would be another one elsewhere.
    """
    folder.mkdir(parents=True, exist_ok=True)
    alpha = int(lora.alpha) if lora.alpha == int(lora.alpha) else lora.alpha
    values = {
        "peft_type": "LORA",
        "task_type": "SEQ_CLS" if reward else "CAUSAL_LM",
        "base_model_name_or_path": None,
        "r": lora.rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "target_modules": list(lora.targets),
        "modules_to_save": ["score"] if reward else None,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
    }
    write_json(folder / CONFIG, values)
    tensors = {}
    for name in weights:
        if name.endswith((".lora_A", ".lora_B")):
            tensors[f"{_PREFIX}{name}.weight"] = weights[name].detach().cpu().contiguous()
        elif reward and name == "score.weight":
            tensors[_PREFIX + name] = weights[name].detach().cpu().contiguous()
    with atomic_file(folder / WEIGHTS) as path:
        path.touch()
        mode = path.stat().st_mode
        save_file(tensors, path, metadata={"format": "pt"})
        path.chmod(mode)  # safetensors lets nobody else read what it writes


def with_adapter(checkpoint: Checkpoint, folder: Path) -> Checkpoint:
    """A model with the adapters of a folder merged into it, each as it is read.

    Args:
        checkpoint: the model that they were trained on.
        folder: as PEFT saves it, or a model's that holds one in `ADAPTER_FOLDER`.

    Raises:
        InputError: the adapters are not readable, are of a kind other than LoRA, or belong to a
            model of another shape.
    """
    if not (folder / CONFIG).exists() and (folder / ADAPTER_FOLDER).is_dir():
        folder = folder / ADAPTER_FOLDER
    values = read_json(folder / CONFIG)
    scale = _scale(values, folder)
    tensors = _read(folder / WEIGHTS)
    wanted: dict[str, tuple[Tensor, Tensor]] = {}
    for name in sorted(tensors):
        module, _, part = name.removesuffix(".weight").rpartition(".")
        if part not in ("lora_A", "lora_B"):
            raise InputError(
                f"the adapter holds {name}, which is no LoRA of a matrix",
                where=str(folder),
                fix="Only LoRA of linear layers can be merged.",
            )
        a, b = (tensors.get(f"{module}.{each}.weight") for each in ("lora_A", "lora_B"))
        weight = f"{module.removeprefix(_PREFIX)}.weight"
        if a is None or b is None:
            raise InputError(f"the adapter of {weight} lacks a half", where=str(folder))
        shape = checkpoint.shapes.get(weight)
        if shape is None or (b.shape[0], a.shape[1]) != tuple(shape) or a.shape[0] != b.shape[1]:
            raise InputError(
                f"the adapter of {weight} has the shapes {tuple(a.shape)} and {tuple(b.shape)},"
                f" and the model's is {tuple(shape) if shape else 'not there'}",
                where=str(folder),
                fix="Name the model that the adapter was trained on.",
            )
        wanted[weight] = (a, b)

    def source(name: str) -> Tensor:
        weight = checkpoint.read(name)
        return merge(weight, *wanted[name], scale) if name in wanted else weight

    # `read` has turned Meta's pairs into halves already; adapters are of Hugging Face's rows.
    return replace(checkpoint, source=source, pairs=False)


def _scale(values: Mapping[str, Any], folder: Path) -> float:
    where = str(folder / CONFIG)
    if values.get("peft_type") != "LORA":
        raise InputError(f"the adapter is a {values.get('peft_type')}, not LORA", where=where)
    for key, what in _REFUSED.items():
        if values.get(key):
            raise InputError(f"{what} ({key}) cannot be merged", where=where)
    if values.get("bias", "none") != "none":
        raise InputError("an adapter with biases cannot be merged", where=where)
    numbers = Keys(values, CONFIG)
    rank, alpha = numbers.whole("r"), numbers.positive("lora_alpha", 0.0)
    return alpha / (math.sqrt(rank) if values.get("use_rslora") else rank)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(
            f"there is no {path.name} here",
            where=str(path.parent),
            fix="An adapter saved as a pickle is not read: save it with safe_serialization.",
        )
    try:
        with safe_open(path, framework="pt") as file:
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"the adapter is not readable ({error})", where=str(path)) from None
    for name, tensor in tensors.items():
        if tensor.dtype not in READABLE:
            raise unreadable(name, tensor.dtype, str(path))
    return tensors
