"""Cards, licences and use policies: what travels with a model besides its weights."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

from llamakit.artifacts.files import atomic_file
from llamakit.model.weights import CARD_FILE

POLICY_FILE = "USE_POLICY.md"
_KEPT = ("LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*")


def policy_template() -> bytes:
    """The use policy that a model without one is exported with."""
    return Path(__file__).with_name("use_policy.md").read_bytes()


def legal_files(files: Mapping[str, Path]) -> dict[str, Path]:
    """The licences, notices and policies among a model's files, which have to stay with it. The
    template as `export` writes it says nothing of this model, so it is none."""
    return {
        name: path
        for name, path in sorted(files.items())
        if any(fnmatch(name.upper(), pattern) for pattern in _KEPT)
        and not (name == POLICY_FILE and path.read_bytes() == policy_template())
    }


def copy_legal_files(files: Mapping[str, Path], folder: Path) -> None:
    """Copy what `legal_files` finds."""
    for name, path in legal_files(files).items():
        with atomic_file(folder / name) as temporary:
            shutil.copyfile(path, temporary)


def card_of(files: Mapping[str, Path]) -> str | None:
    """The model's own card, if it has one that can be read."""
    if CARD_FILE not in files:
        return None
    try:
        return files[CARD_FILE].read_bytes().decode()
    except UnicodeDecodeError:
        return None
