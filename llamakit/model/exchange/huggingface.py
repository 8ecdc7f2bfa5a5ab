"""Hugging Face folders of a Llama: safetensors or `pytorch_model.bin`, whole or in shards."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from llamakit.errors import InputError
from llamakit.model.checkpoint import (
    Checkpoint,
    check_size,
    common_dtype,
    weight_shapes,
)
from llamakit.model.config import ModelConfig
from llamakit.model.exchange.pickled import read_pickled
from llamakit.model.weights import CONFIG_FILE, INDEX_FILE, WEIGHTS_FILE, read_json

_PICKLED_FILE, _PICKLED_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
_DTYPES = {
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}
# Buffers that older versions of transformers saved; they follow from the shape.
_IGNORED = re.compile(r".*rotary_emb\.inv_freq")

Reader = Callable[[], Tensor]


def open_huggingface(files: Mapping[str, Path], *, reward: bool = False) -> Checkpoint:
    """The model in a Hugging Face folder.

    Args:
        files: by name.
        reward: whether a reward model is wanted rather than a language model.

    Raises:
        InputError: a file is missing or broken, or the model is none that llamakit can compute.
    """
    folder = str(files[CONFIG_FILE].parent)
    config = _config(files[CONFIG_FILE], folder, reward=reward)
    shards = _shards(files, folder)
    check_size(config, sum(path.stat().st_size for path in shards), folder)
    readers: dict[str, Reader] = {}
    dtypes: dict[str, torch.dtype] = {}
    for path in shards:
        found = _safetensors(path) if path.suffix == ".safetensors" else _pickled(path)
        for name, (dtype, reader) in found.items():
            readers[name], dtypes[name] = reader, dtype
    wanted = weight_shapes(config, reward=reward)
    _check_names(readers, wanted, config, folder)
    return Checkpoint(
        config,
        common_dtype(dtypes[name] for name in wanted),
        lambda name: readers[name](),
        folder,
        reward=reward,
    )


def _config(path: Path, folder: str, *, reward: bool) -> ModelConfig:
    values = read_json(path)
    found = values.get("architectures")
    wanted = "LlamaForSequenceClassification" if reward else "LlamaForCausalLM"
    if found not in (None, [wanted]):
        said = found[0] if isinstance(found, list) and found else found
        raise InputError(f"config.json is of a {said}, not a {wanted}", where=folder)
    try:
        return ModelConfig.from_huggingface(values)
    except InputError as error:
        raise InputError(error.what, where=folder, fix=error.fix) from None


def _shards(files: Mapping[str, Path], folder: str) -> list[Path]:
    """The files of weights: those of an index, or the one; safetensors before pickles."""
    for index, single in ((INDEX_FILE, WEIGHTS_FILE), (_PICKLED_INDEX, _PICKLED_FILE)):
        if index in files:
            places = read_json(files[index]).get("weight_map")
            if not isinstance(places, dict) or not all(
                isinstance(name, str) for name in places.values()
            ):
                raise InputError("weight_map is no table of files", where=str(files[index]))
            names = sorted(set(places.values()))
            # Files are looked up among those given, so an index leads nowhere else.
            if missing := [name for name in names if name not in files]:
                raise InputError(
                    f"{index} names {missing[0]!r}, which is not there",
                    where=folder,
                    fix="Get the rest of the model's files.",
                )
            return [files[name] for name in names]
        if single in files:
            return [files[single]]
    raise InputError(
        f"there is no {WEIGHTS_FILE} here, nor {INDEX_FILE} or {_PICKLED_FILE}", where=folder
    )


def _safetensors(path: Path) -> dict[str, tuple[torch.dtype, Reader]]:
    def reader(name: str) -> Reader:
        def read() -> Tensor:
            with safe_open(path, framework="pt") as file:
                tensor: Tensor = file.get_tensor(name)
                return tensor

        return read

    found: dict[str, tuple[torch.dtype, Reader]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (no mapping)
                kind: Any = file.get_slice(name).get_dtype()
                # Another type is only noted here; `Checkpoint.read` refuses it.
                found[name] = (_DTYPES.get(str(kind), torch.int8), reader(name))
    except (SafetensorError, OSError) as error:
        raise InputError(f"the weights are not readable ({error})", where=str(path)) from None
    return found


def _pickled(path: Path) -> dict[str, tuple[torch.dtype, Reader]]:
    def reader(tensor: Tensor) -> Reader:
        return lambda: tensor

    return {name: (tensor.dtype, reader(tensor)) for name, tensor in read_pickled(path).items()}


def _check_names(
    found: Iterable[str], wanted: Iterable[str], config: ModelConfig, where: str
) -> None:
    names = {name for name in found if not _IGNORED.fullmatch(name)}
    if lacking := sorted(set(wanted) - names):
        raise InputError(f"the weights lack {lacking[0]}", where=where)
    others = names - set(wanted)
    if config.tie_embeddings:
        others -= {"lm_head.weight"}  # a copy of the embedding
    if others:
        raise InputError(
            f"the weights hold {sorted(others)[0]}, for which this architecture has no place",
            where=where,
            fix="Only the architecture of Llama 1 and 2 is supported.",
        )
