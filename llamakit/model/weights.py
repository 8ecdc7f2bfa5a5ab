"""Models in and out of Hugging Face folders.

`transformers`, vLLM and llama.cpp open them as they are: `config.json`, `model.safetensors` (or
several and an index), tokenizer files, a model card.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from llamakit.artifacts.files import atomic_file, write_json
from llamakit.errors import InputError
from llamakit.model.checkpoint import READABLE, Checkpoint, check_size, of_module, unreadable
from llamakit.model.config import ModelConfig
from llamakit.model.transformer import RewardModel, Transformer, initialise_score
from llamakit.text.huggingface import write_tokenizer_files
from llamakit.text.vocabulary import Vocabulary

Precision = Literal["fp32", "bf16"]
DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
CARD_FILE = "README.md"
SHARD_BYTES = 5 * 10**9
"""Weights beyond this go into several files."""

M = TypeVar("M", Transformer, RewardModel)


def save_model(
    folder: Path,
    model: Transformer,
    vocabulary: Vocabulary,
    *,
    chat: bool,
    card: str,
    weights: Mapping[str, Tensor] | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write a language model as a `LlamaForCausalLM` folder, in the dtype its weights have.

    Args:
        chat: whether the model knows the chat format; then the tokenizer carries its template.
        card: text of the model card (`README.md`).
        weights: the weights by name, where the model itself does not hold all of them; each is
            asked for once.
        shard_bytes: size from which weights are split over several files.
    """
    checkpoint = of_module(model, weights)
    save_checkpoint(folder, checkpoint, vocabulary, chat=chat, card=card, shard_bytes=shard_bytes)


def save_reward_model(
    folder: Path,
    model: RewardModel,
    vocabulary: Vocabulary,
    *,
    card: str,
    weights: Mapping[str, Tensor] | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write a reward model as a `LlamaForSequenceClassification` folder with one label; arguments
    as in `save_model`.
    """
    checkpoint = of_module(model, weights)
    save_checkpoint(folder, checkpoint, vocabulary, chat=True, card=card, shard_bytes=shard_bytes)


def save_checkpoint(
    folder: Path,
    checkpoint: Checkpoint,
    vocabulary: Vocabulary,
    *,
    chat: bool,
    card: str,
    shard_bytes: int = SHARD_BYTES,
    written: Callable[[], None] = lambda: None,
) -> None:
    """Write a model of either kind from weights that lie elsewhere. Arguments as in `save_model`;
    `written` is called after each weight.
    """
    config = checkpoint.config
    if vocabulary.size != config.vocab_size:
        raise InputError(
            f"the vocabulary has {vocabulary.size:,} pieces, the model {config.vocab_size:,}"
        )
    write_config(folder, checkpoint, vocabulary)
    write_weights(folder, checkpoint, shard_bytes, written)
    write_tokenizer_files(folder, vocabulary, max_seq_len=config.max_seq_len, chat=chat)
    if not checkpoint.reward:
        write_json(
            folder / "generation_config.json",
            {
                "bos_token_id": vocabulary.bos,
                "eos_token_id": vocabulary.eos,
                "pad_token_id": vocabulary.pad,
                "do_sample": True,
                "temperature": 0.6,
                "top_p": 0.9,
                "max_length": config.max_seq_len,
            },
        )
    with atomic_file(folder / CARD_FILE) as path:
        path.write_text(card, encoding="utf-8")


def load_model(folder: Path, dtype: Precision = "fp32", device: str = "cpu") -> Transformer:
    """Read a language model, in evaluation mode.

    Raises:
        InputError: a file is missing or broken, or the model is none that llamakit can compute.
    """
    config = load_config(folder, "LlamaForCausalLM")
    _check_size(folder, config)
    with torch.device("meta"):
        model = Transformer(config)
    return _load(folder, model, dtype, device)


def load_reward_model(folder: Path, dtype: Precision = "fp32", device: str = "cpu") -> RewardModel:
    """Read a reward model, in evaluation mode. Raises as `load_model` does."""
    config = load_config(folder, "LlamaForSequenceClassification")
    _check_size(folder, config)
    with torch.device("meta"):
        model = RewardModel(config)
    return _load(folder, model, dtype, device)


def load_vocabulary(folder: Path) -> Vocabulary:
    """The vocabulary in a model's folder."""
    return Vocabulary.load(folder)


def load_config(folder: Path, architecture: str | None = None) -> ModelConfig:
    """The shape of the model in a folder.

    Raises:
        InputError: there is no readable `config.json`, it is of another architecture, or it needs
            what llamakit's transformer has not.
    """
    values = read_json(folder / CONFIG_FILE)
    found = values.get("architectures") or [architecture]
    if architecture is not None and found != [architecture]:
        said = found[0] if isinstance(found, list) else found
        raise InputError(
            f"config.json is of a {said}, not a {architecture}",
            where=str(folder),
            fix="A language model and a reward model are different kinds.",
        )
    try:
        return ModelConfig.from_huggingface(values)
    except InputError as error:
        raise InputError(error.what, where=str(folder), fix=error.fix) from None


def reward_from_model(transformer: Transformer, seed: int) -> RewardModel:
    """A reward model that starts from a language model: its decoder, and a new scalar head drawn
    from `seed` with standard deviation 1/sqrt(dim + 1). The language model is left as it is.
    """
    weight = next(transformer.parameters())
    with torch.device("meta"):
        reward = RewardModel(transformer.config)
    reward.score = reward.score.to_empty(device=weight.device).to(weight.dtype)
    reward.model.load_state_dict(
        {name: value.detach().clone() for name, value in transformer.body.state_dict().items()},
        assign=True,
    )
    for parameter in reward.parameters():
        parameter.requires_grad_(True)
    initialise_score(reward, seed)
    return reward


def write_config(folder: Path, checkpoint: Checkpoint, vocabulary: Vocabulary) -> None:
    """Write `config.json`."""
    head: dict[str, Any] = {"architectures": ["LlamaForCausalLM"]}
    if checkpoint.reward:
        head = {
            "architectures": ["LlamaForSequenceClassification"],
            "id2label": {"0": "score"},
            "label2id": {"score": 0},
        }
    values = {
        **head,
        **checkpoint.config.to_huggingface(),
        "torch_dtype": str(checkpoint.dtype).removeprefix("torch."),
        "bos_token_id": vocabulary.bos,
        "eos_token_id": vocabulary.eos,
        "pad_token_id": vocabulary.pad,
        "use_cache": True,
    }
    write_json(folder / CONFIG_FILE, values)


def write_weights(
    folder: Path,
    checkpoint: Checkpoint,
    shard_bytes: int = SHARD_BYTES,
    written: Callable[[], None] = lambda: None,
) -> None:
    """Write `model.safetensors`, or several files of at most `shard_bytes` each (one weight is
    never split) and their index. No more than one file's weights are in memory.
    """
    width = checkpoint.dtype.itemsize
    sizes = {name: shape.numel() * width for name, shape in checkpoint.shapes.items()}
    shards: list[list[str]] = [[]]
    size = 0
    for name, nbytes in sizes.items():
        if shards[-1] and size + nbytes > shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append(name)
        size += nbytes
    files = [
        WEIGHTS_FILE if len(shards) == 1 else f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        for i in range(len(shards))
    ]
    for file, shard in zip(files, shards, strict=True):
        tensors = {}
        for name in shard:
            tensors[name] = checkpoint.read(name).contiguous()
            written()
        with atomic_file(folder / file) as path:
            path.touch()
            mode = path.stat().st_mode
            save_file(tensors, path, metadata={"format": "pt"})
            path.chmod(mode)  # safetensors lets nobody else read what it writes
    if len(shards) > 1:
        places = {name: file for file, shard in zip(files, shards, strict=True) for name in shard}
        write_json(
            folder / INDEX_FILE,
            {"metadata": {"total_size": sum(sizes.values())}, "weight_map": places},
        )


def _check_size(folder: Path, config: ModelConfig) -> None:
    files = [path for path in _weight_files(folder) if path.is_file()]
    if files:
        check_size(config, sum(path.stat().st_size for path in files), str(folder))


def _load(folder: Path, model: M, dtype: Precision, device: str) -> M:
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    tensors: dict[str, Tensor] = {}
    for path in _weight_files(folder):
        try:
            with safe_open(path, framework="pt", device=device) as file:
                for name in file.keys():  # noqa: SIM118 (no mapping)
                    if name in expected:
                        tensor = file.get_tensor(name)
                        if tensor.dtype not in READABLE:
                            raise unreadable(name, tensor.dtype, str(path))
                        tensors[name] = tensor.to(DTYPES[dtype])
        except (SafetensorError, OSError) as error:
            raise InputError(f"the weights are not readable ({error})", where=str(path)) from None
    for name, shape in expected.items():
        if name not in tensors:
            raise InputError(f"the weights lack {name}", where=str(folder))
        if tensors[name].shape != shape:
            raise InputError(
                f"{name} has the shape {tuple(tensors[name].shape)} where config.json asks for"
                f" {tuple(shape)}",
                where=str(folder),
            )
    model.load_state_dict(tensors, assign=True)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return model.eval()


def _weight_files(folder: Path) -> list[Path]:
    if (folder / INDEX_FILE).exists():
        places = read_json(folder / INDEX_FILE).get("weight_map")
        if not isinstance(places, dict) or not all(
            isinstance(name, str) and Path(name).name == name for name in places.values()
        ):
            raise InputError(
                "weight_map is no table from weights to files beside it",
                where=str(folder / INDEX_FILE),
            )
        return [folder / name for name in sorted(set(places.values()))]
    return [folder / WEIGHTS_FILE]


def read_json(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds; InputError where it is missing, broken, or none."""
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"there is no {path.name} here", where=str(path.parent)) from None
    except (ValueError, RecursionError) as error:  # not JSON, or not UTF-8
        raise InputError(f"not valid JSON ({error})", where=str(path)) from None
    if not isinstance(values, dict):
        raise InputError("not a JSON object", where=str(path))
    return values
