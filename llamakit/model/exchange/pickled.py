"""Weights in files of `torch.save`, read without running anything that is in them.

Such a file is a pickle, and a pickle is a program. Meta published Llama 2 in this form only, so it
has to be read: by torch's weights-only loader, which is no unpickler but an interpreter of its own
for the few instructions that make up a table of tensors. Names of other classes and functions are
refused, whatever they are. The data is mapped, so that only what is used gets into memory.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from llamakit.errors import InputError


def read_pickled(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, mapped into memory.

    Raises:
        InputError: it is broken, asks for anything but tensors, or is of an older form that cannot
            be mapped.
    """
    if not _plain_archive(path):
        raise InputError(
            "the file is cut off, or was not written by torch.save (of torch 1.6 or newer)",
            where=str(path),
        )
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a broken file makes it fail in any way
        # Its own text recommends to read the file without this guard.
        asked = re.search(r"GLOBAL (\S+)", str(error))
        wants = f"it asks for {asked[1]}" if asked else type(error).__name__
        raise InputError(
            f"the file holds more than tensors, or is broken ({wants})",
            where=str(path),
            fix="Nothing in it was run. Only plain weights are read: have them saved as"
            " safetensors, or as a table of tensors.",
        ) from None
    if not isinstance(found, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in found.items()
    ):
        raise InputError("the file is no table of tensors by name", where=str(path))
    return found


def _plain_archive(path: Path) -> bool:
    """Whether a file is a zip archive of plain parts, as torch's are: a compressed one could grow
    to any size while it is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return all(each.compress_type == zipfile.ZIP_STORED for each in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError):
        return False
