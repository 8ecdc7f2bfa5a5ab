"""What a `Files` field names: a path on disk, a raw artifact, or a file in one, with its digest."""

from __future__ import annotations

from pathlib import Path

from llamakit.artifacts.digest import content_digest, file_digest, named_digest
from llamakit.artifacts.draft import SourceFile
from llamakit.artifacts.kinds import Kind, Raw
from llamakit.artifacts.record import RECORD_FILE
from llamakit.artifacts.store import Store, Version
from llamakit.errors import InputError, LlamakitError


def find_source(reference: str, store: Store) -> SourceFile:
    """What one value of a `Files` field names: a path, a raw artifact, or `RAW/FILE` in one.

    A path on disk wins. A plain file's name is part of its digest, since ids and sources are made
    from it.
    """
    path = Path(reference)
    home = next((p for p in (path, *path.parents) if (p / RECORD_FILE).is_file()), None)
    if home is not None:
        return _in_version(store.open(home), path.relative_to(home).as_posix(), reference)
    if path.exists():
        return SourceFile(path, path.name, named_digest(path.name, _path_digest(path)))
    if reference.startswith(("/", ".")):
        raise InputError("no such file or folder", where=reference)
    head, _, inner = reference.partition("/")
    try:
        version = store.resolve(head)
    except LlamakitError as error:
        raise InputError(
            f"{reference!r} is neither a file here nor a raw artifact",
            where=str(Path.cwd()),
            fix=error.fix,
        ) from None
    return _in_version(version, inner or ".", reference)


def _in_version(version: Version[Kind], inner: str, reference: str) -> SourceFile:
    if version.kind != Raw.name:
        raise InputError(
            f"{version.reference} is {version.kind}; files or a raw artifact are needed here",
            where=reference,
        )
    if inner == ".":
        return SourceFile(version.path, version.name, version.digest, version)
    entries = {entry.path: entry for entry in version.record.files}
    if inner not in entries:
        raise InputError(
            f"{version.reference} holds no file {inner!r}",
            where=reference,
            fix=f"It holds {', '.join(sorted(entries))}.",
        )
    name = Path(inner).name
    digest = named_digest(name, entries[inner].sha256)
    return SourceFile(version.path / inner, name, digest, version)


def _path_digest(path: Path) -> str:
    if not path.is_file() and not path.is_dir():
        raise InputError(
            "a pipe or a device is neither a file nor a folder",
            where=str(path),
            fix="Save what comes out of it to a file: an input is digested, then read.",
        )
    try:
        if path.is_file():
            _check_name(path)
            return file_digest(path)
        files = sorted(p for p in path.rglob("*") if p.is_file())
        for file in files:
            _check_name(file)
        return content_digest((p.relative_to(path).as_posix(), file_digest(p)) for p in files)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path)) from None


def _check_name(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = str(path).encode(errors="backslashreplace").decode()
        raise InputError("the name is not UTF-8", where=shown, fix="Rename the file.") from None
