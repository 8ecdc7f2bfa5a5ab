"""A model's folder written in another program's format: all of it, or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

import torch

from llamakit.artifacts import lock
from llamakit.artifacts.files import sync_file, sync_folder
from llamakit.errors import UsageError
from llamakit.events import Events
from llamakit.model.exchange.gguf import write_gguf
from llamakit.model.exchange.huggingface import open_huggingface
from llamakit.model.exchange.legal import POLICY_FILE, policy_template
from llamakit.model.exchange.meta import write_meta
from llamakit.model.exchange.sources import named_files
from llamakit.model.weights import (
    CARD_FILE,
    CONFIG_FILE,
    INDEX_FILE,
    SHARD_BYTES,
    load_vocabulary,
    write_config,
    write_weights,
)
from llamakit.text.dialogue import chat_template
from llamakit.text.vocabulary import MODEL_FILE

Format = Literal["huggingface", "safetensors", "gguf", "meta"]
Dtype = Literal["f32", "f16", "bf16", "q8_0"]

MODEL_CARD_FILE = "MODEL_CARD.md"
_TORCH = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
_NAMES = {dtype: name for name, dtype in _TORCH.items()}
_WRITTEN = (
    "*.safetensors", "*.gguf", "consolidated.*.pth", "params.json", CONFIG_FILE, INDEX_FILE,
    "generation_config.json", "tokenizer.*", "tokenizer_config.json", "special_tokens_map.json",
    "*.md", "LICEN[CS]E*", "NOTICE*", "USE_POLICY*",
)  # fmt: skip
"""Names of files that exports consist of; a folder with others in it is never replaced."""


@dataclass(frozen=True)
class Export:
    """What is to be written, and how."""

    format: Format
    dtype: Dtype | None = None
    """Precision of the weights; None keeps theirs, and is f16 for GGUF."""
    shard_bytes: int = SHARD_BYTES
    """Largest file of weights (huggingface, safetensors)."""


def export_model(
    source: Path,
    target: Path,
    wanted: Export,
    *,
    reward: bool,
    chat: bool,
    name: str,
    card: Callable[[str], str],
    force: bool,
    events: Events,
) -> Path:
    """Write the model in `source` as the folder `target`.

    Args:
        source: a model's folder as llamakit writes it.
        target: a new folder, or with `force` one that an export wrote before.
        wanted: format and precision.
        reward: whether it is a reward model.
        chat: whether it knows the chat format.
        name: what to call it.
        card: text of the model card, from the name of the precision.
        force: whether to replace an earlier export.
        events: told of progress.

    Returns:
        The folder; of GGUF, the file in it.

    Raises:
        UsageError: the target exists, or format, precision and model do not go together.
        InputError: the model cannot be read.
    """
    _check(wanted, reward=reward)
    files = named_files([source])
    checkpoint = open_huggingface(files, reward=reward)
    vocabulary = load_vocabulary(source)
    dtype = wanted.dtype or ("f16" if wanted.format == "gguf" else _NAMES[checkpoint.dtype])
    if dtype in _TORCH and wanted.format != "gguf":
        checkpoint = checkpoint.as_dtype(_TORCH[dtype])
    result = ""
    with (
        _whole_or_nothing(target, force=force, events=events) as folder,
        events.task("export", total=len(checkpoint.shapes), unit="weights") as task,
    ):
        if wanted.format == "gguf":
            result = f"{name}-{dtype}.gguf"
            write_gguf(
                folder / result,
                checkpoint,
                vocabulary,
                dtype=dtype,
                name=name,
                chat_template=chat_template() if chat else None,
                written=task.advance,
            )
        elif wanted.format == "meta":
            write_meta(folder, checkpoint, task.advance)
            shutil.copyfile(vocabulary.model_path, folder / MODEL_FILE)
        else:
            write_config(folder, checkpoint, vocabulary)
            write_weights(folder, checkpoint, wanted.shard_bytes, task.advance)
        weights = ("*.safetensors", INDEX_FILE, CONFIG_FILE)
        for file, path in files.items():
            kept = wanted.format == "huggingface" and not any(fnmatch(file, w) for w in weights)
            if (kept or file == CARD_FILE or _legal(file)) and file != "artifact.json":
                shutil.copyfile(path, folder / file)
        if POLICY_FILE not in files:
            (folder / POLICY_FILE).write_bytes(policy_template())
        (folder / MODEL_CARD_FILE).write_text(card(dtype), encoding="utf-8")
    return target / result if result else target


def _legal(file: str) -> bool:
    return any(fnmatch(file.upper(), name) for name in ("LICEN[CS]E*", "NOTICE*", "USE_POLICY*"))


def _check(wanted: Export, *, reward: bool) -> None:
    if reward and wanted.format in ("gguf", "meta"):
        raise UsageError(
            f"a reward model has no place in {wanted.format}: it scores texts and writes none",
            fix="Export it as huggingface or safetensors.",
        )
    if wanted.dtype == "q8_0" and wanted.format != "gguf":
        raise UsageError(
            f"q8_0 is a precision of gguf, not of {wanted.format}", fix="Take f32, f16 or bf16."
        )
    if wanted.shard_bytes != SHARD_BYTES and wanted.format not in ("huggingface", "safetensors"):
        raise UsageError(f"{wanted.format} is one file: it has no shards")


@contextmanager
def _whole_or_nothing(target: Path, *, force: bool, events: Events) -> Iterator[Path]:
    """A folder beside the target that takes its place when the block succeeds, and is gone when it
    fails. A kill leaves it, under a name with a dot; the next export to the target removes it."""
    target = target.absolute()
    _check_target(target, force=force)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    aside = target.with_name(f".{target.name}.replaced")

    def waiting() -> None:
        events.note(f"another process exports to {target}: waiting for it")

    with lock.held(target.with_name(f".{target.name}.lock"), on_wait=waiting):
        for leftover in (partial, aside):
            shutil.rmtree(leftover, ignore_errors=True)
        _check_target(target, force=force)
        partial.mkdir()
        try:
            yield partial
            for path in partial.iterdir():
                sync_file(path)
            sync_folder(partial)
            if target.exists():
                target.rename(aside)
            partial.rename(target)
            sync_folder(target.parent)
        finally:
            for leftover in (partial, aside):
                shutil.rmtree(leftover, ignore_errors=True)


def _check_target(target: Path, *, force: bool) -> None:
    if not target.exists() and not target.is_symlink():
        return
    if not force:
        raise UsageError("it exists", where=str(target), fix="Name another --to, or use --force.")
    entries = list(target.iterdir()) if target.is_dir() and not target.is_symlink() else None
    strange = [
        path.name
        for path in entries or []
        if not path.is_file() or not any(fnmatch(path.name, name) for name in _WRITTEN)
    ]
    if entries is None or strange:
        raise UsageError(
            f"it holds {strange[0]}, which no export wrote" if strange else "it is no folder",
            where=str(target),
            fix="--force replaces earlier exports only: name another --to.",
        )
