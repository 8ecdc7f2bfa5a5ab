"""Whether a version still holds what its record says, asked before a run reads it."""

from __future__ import annotations

from pathlib import Path

from llamakit.artifacts.digest import file_digest
from llamakit.artifacts.kinds import Kind
from llamakit.artifacts.store import Version
from llamakit.errors import InputError

DIGESTED_BYTES = 256 * 2**20
"""Payloads up to this size are digested, in about a second; of larger ones only sizes are held
against the record. `llamakit verify` digests everything."""


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
    digested = sum(entry.bytes for entry in entries) <= DIGESTED_BYTES
    for entry in entries:
        path = version.path / entry.path
        if not path.is_file():
            raise _damaged(version, path, "the file is missing")
        size = path.stat().st_size
        if size != entry.bytes:
            raise _damaged(version, path, f"the file has {size:,} bytes, not {entry.bytes:,}")
        if digested and file_digest(path) != entry.sha256:
            raise _damaged(version, path, "the file's bytes changed since it was made")


def _damaged(version: Version[Kind], path: Path, problem: str) -> InputError:
    return InputError(
        f"{problem}, so {version.reference} is damaged",
        where=str(path),
        fix=f"Restore the file, or remove {version.path} and make it again.",
    )
