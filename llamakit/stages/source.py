"""What a `Files` field names: paths, patterns, URLs, raw artifacts or files in them; digests."""

from __future__ import annotations

import fnmatch
from glob import glob
from pathlib import Path, PurePosixPath

from llamakit.artifacts.digest import content_digest, file_digest, json_digest, named_digest
from llamakit.artifacts.draft import SourceFile
from llamakit.artifacts.kinds import Kind, Raw
from llamakit.artifacts.record import RECORD_FILE
from llamakit.artifacts.remote import Fetched, fetch, fixed_base, is_url
from llamakit.artifacts.store import Store, Version
from llamakit.errors import InputError, LlamakitError
from llamakit.events import SILENT, Events


def find_sources(
    reference: str,
    store: Store,
    events: Events = SILENT,
    kinds: tuple[str, ...] = (Raw.name,),
) -> list[SourceFile]:
    """What one value of a `Files` field names: a path, a pattern, a URL, a raw artifact (or one of
    other `kinds` that the field takes), or `RAW/FILE` in one, where FILE may be a pattern too.

    A path on disk wins. A plain file's name is part of its digest, since ids and sources are made
    from it; of a pattern, the name below the folder before its first wildcard.

    Raises:
        InputError: nothing is there, or the pattern matches nothing.
    """
    path = Path(reference)
    if is_url(reference):
        return _fetched(fetch(reference, store.root, events), reference)
    home = next((p for p in (path, *path.parents) if (p / RECORD_FILE).is_file()), None)
    if home is not None:
        return _in_version(store.open(home), path.relative_to(home).as_posix(), reference, kinds)
    if path.exists():
        return [SourceFile(path, path.name, named_digest(path.name, _path_digest(path)))]
    pattern = any(sign in reference for sign in "*?[")
    if pattern and (matches := _matches(reference)):
        return matches
    if reference.startswith(("/", ".")):
        what = "no file matches the pattern" if pattern else "no such file or folder"
        raise InputError(what, where=reference)
    head, _, inner = reference.partition("/")
    try:
        version = store.resolve(head)
    except LlamakitError as error:
        if pattern:
            raise InputError("no file matches the pattern", where=reference) from None
        raise InputError(
            f"{reference!r} is neither a file here nor a raw artifact",
            where=str(Path.cwd()),
            fix=error.fix,
        ) from None
    if pattern and version.kind not in kinds:
        raise InputError("no file matches the pattern", where=reference)
    return _in_version(version, inner or ".", reference, kinds)


def described(reference: str, found: list[SourceFile]) -> list[tuple[str, str]]:
    """How a reference stands in the record: name and digest, one pair for all files of a pattern or
    a URL; a pair for each that lies in an artifact, for its lineage."""
    artifacts = [(each.artifact.reference, each.digest) for each in found if each.artifact]
    if artifacts:
        return artifacts
    if len(found) == 1:
        shown = reference if is_url(reference) else str(found[0].path)
        return [(shown, found[0].digest)]
    return [(reference, json_digest([each.digest for each in found]))]


def _fetched(found: Fetched, url: str) -> list[SourceFile]:
    """As if the files lay on disk: the digest of content and name, not of the URL."""
    if found.whole:
        name = PurePosixPath(url).name
        return [SourceFile(found.folder, name, named_digest(name, content_digest(found.files)))]
    return [
        SourceFile(found.folder / name, name, named_digest(name, sha256))
        for name, sha256 in found.files
    ]


def _matches(pattern: str) -> list[SourceFile]:
    """The files a pattern matches (`**` for folders of any depth), sorted by name; hidden ones are
    left."""
    base = fixed_base(pattern)
    root = Path(base or ("/" if pattern.startswith("/") else "."))
    names = glob(pattern[len(base) :].lstrip("/"), root_dir=root, recursive=True)
    found = []
    for name in sorted(set(names)):
        if (path := root / name).is_file():
            found.append(SourceFile(path, name, named_digest(name, _path_digest(path))))
    return found


def _in_version(
    version: Version[Kind], inner: str, reference: str, kinds: tuple[str, ...]
) -> list[SourceFile]:
    if version.kind not in kinds:
        raise InputError(
            f"{version.reference} is {version.kind}; files or a {' or '.join(kinds)} artifact are"
            " needed here",
            where=reference,
        )
    if inner == ".":
        return [SourceFile(version.path, version.name, version.digest, version)]
    entries = {entry.path: entry for entry in version.record.files}
    chosen = [inner] if inner in entries else fnmatch.filter(sorted(entries), inner)
    if not chosen:
        raise InputError(
            f"{version.reference} holds no file {inner!r}",
            where=reference,
            fix=f"It holds {', '.join(sorted(entries))}.",
        )
    return [
        SourceFile(version.path / each, name, named_digest(name, entries[each].sha256), version)
        for each in chosen
        for name in [Path(each).name]
    ]


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
