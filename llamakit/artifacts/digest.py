"""Digests: of files, of a version's content, and of what a stage is about to do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

_BLOCK = 1 << 20


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes, as hex."""
    import hashlib  # slow to load, and help texts import this module

    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def file_digests(paths: Sequence[Path]) -> list[str]:
    """`file_digest` of each, by threads: digesting lets other threads run."""
    from concurrent.futures import ThreadPoolExecutor  # slow to load, for help texts

    with ThreadPoolExecutor() as pool:
        return list(pool.map(file_digest, paths))


def content_digest(files: Iterable[tuple[str, str]]) -> str:
    """sha256 over (relative path, file digest) pairs, whatever their order."""
    return json_digest(sorted(files))


def named_digest(name: str, digest: str) -> str:
    """The digest of one file as an input: its name counts, since ids and sources come from it."""
    return json_digest([name, digest])


def json_digest(value: object) -> str:
    """sha256 of a value's canonical JSON: sorted keys, no spaces, no NaN."""
    import hashlib

    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
