"""Whether a version still holds what its record says, asked before a run reads it."""

from __future__ import annotations

from pathlib import Path

from llamakit.artifacts.digest import file_digests
from llamakit.artifacts.kinds import Kind
from llamakit.artifacts.store import Version
from llamakit.errors import InputError

DIGESTED_BYTES = 256 * 2**20
"""Payloads up to this size are digested, in about a second; of larger ones only sizes are held
against the record. `llamakit verify` digests everything."""


def damage(version: Version[Kind]) -> str | None:
    """What is wrong with a version by a look at its payload's files and their sizes, or None.

    Quick whatever the size, for deciding whether a version can be reused; bytes that changed in
    place are found by `check_payload` when the version is read, and by `llamakit verify`.
    """
    for entry in version.record.files:
        if entry.payload and (problem := _problem(version.path / entry.path, entry.bytes)):
            return f"{entry.path}: {problem}"
    return None


def check_payload(version: Version[Kind], within: Path | None = None) -> None:
    """Raise InputError for the first payload file that is missing or not as recorded.

    A run that reads a folder with a part gone would quietly make something else of it, under the
    fingerprint of the whole.

    Args:
        within: the one file of the version, or the folder in it, that is read; None for all.
    """
    inner = within.relative_to(version.path).as_posix() if within else "."
    entries = [
        entry
        for entry in version.record.files
        if entry.payload and (inner in (".", entry.path) or entry.path.startswith(f"{inner}/"))
    ]
    paths = [version.path / entry.path for entry in entries]
    for path, entry in zip(paths, entries, strict=True):
        if problem := _problem(path, entry.bytes):
            raise _damaged(version, path, problem)
    if sum(entry.bytes for entry in entries) > DIGESTED_BYTES:
        return
    for path, entry, digest in zip(paths, entries, file_digests(paths), strict=True):
        if digest != entry.sha256:
            raise _damaged(version, path, "the file's bytes changed since it was made")


def _problem(path: Path, size: int) -> str | None:
    if not path.is_file():
        return "the file is missing"
    found = path.stat().st_size
    return None if found == size else f"the file has {found:,} bytes, not {size:,}"


def _damaged(version: Version[Kind], path: Path, problem: str) -> InputError:
    return InputError(
        f"{problem}, so {version.reference} is damaged",
        where=str(path),
        fix=f"Restore the file, or remove {version.path} and make it again.",
    )
