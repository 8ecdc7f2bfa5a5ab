"""What an import is given: files by name, and the format that their names tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

from llamakit.errors import InputError, UsageError
from llamakit.model.checkpoint import Checkpoint
from llamakit.model.exchange.huggingface import open_huggingface
from llamakit.model.exchange.llama2c import open_llama2c
from llamakit.model.exchange.meta import PARAMS_FILE, open_meta
from llamakit.model.weights import CONFIG_FILE
from llamakit.text.existing import LLAMA2C_FILES

CONTEXT = 4096
"""Llama 2's context length, which `params.json` does not hold."""


def named_files(paths: Sequence[Path]) -> dict[str, Path]:
    """The files given, and those directly in the folders given, by name.

    Raises:
        InputError: two of them have one name.
    """
    found: dict[str, Path] = {}
    for path in paths:
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            if not file.is_file():
                continue
            if file.name in found:
                raise InputError(f"{file.name} is given twice", where=str(file))
            found[file.name] = file
    return found


def format_of(files: Mapping[str, Path]) -> str:
    """`huggingface`, `meta` or `llama2.c`.

    Raises:
        InputError: the names are of none.
    """
    if CONFIG_FILE in files:
        return "huggingface"
    if PARAMS_FILE in files:
        return "meta"
    if llama2c_files(files):
        return "llama2.c"
    shown = ", ".join(sorted(files)[:5]) or "nothing"
    raise InputError(
        f"there is no model among the files: {shown}",
        fix="A Hugging Face folder has config.json, Meta's has params.json, llama2.c's model is a"
        " .bin file.",
    )


def llama2c_files(files: Mapping[str, Path]) -> list[Path]:
    """The `.bin` files that are no tokenizer."""
    return [
        path
        for name, path in sorted(files.items())
        if name.endswith(".bin") and not fnmatch(name, LLAMA2C_FILES)
    ]


def open_checkpoint(
    files: Mapping[str, Path], format_: str, pieces: int, seq_len: int | None
) -> Checkpoint:
    """The model in the files.

    Args:
        files: by name.
        format_: what `format_of` tells.
        pieces: size of the vocabulary; some files leave it to the vocabulary.
        seq_len: context length, where the files do not tell it; None is Llama 2's.

    Raises:
        InputError: a file is missing or broken, or the model is none that llamakit can compute.
        UsageError: a context length is given where the files have one.
    """
    if format_ == "meta":
        return open_meta(files, pieces, seq_len or CONTEXT)
    if seq_len is not None:
        raise UsageError("seq_len is only for Meta's files: these tell their own")
    if format_ == "huggingface":
        return open_huggingface(files)
    several = llama2c_files(files)
    if len(several) > 1:
        raise InputError(
            f"{', '.join(path.name for path in several)}: which is the model?",
            where=str(several[0].parent),
            fix="Name the file itself, and its tokenizer.",
        )
    return open_llama2c(several[0])
