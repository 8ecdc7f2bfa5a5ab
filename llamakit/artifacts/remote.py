"""Files behind URLs (s3://, gs://, hf://, https:// …): copied once into the store, and digested.

    ROOT/.fetched/KEY/NAME      the copies of what a URL names; KEY is a digest of the URL
    ROOT/.fetched/KEY.json      their sha256, and what the server said of the content it was

A copy is used again while the server gives the same checksum, strong ETag or generation for the
file. One that gives none is asked for the whole file each time: a size and a date are no content.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from llamakit.artifacts import lock
from llamakit.artifacts.digest import json_digest
from llamakit.artifacts.files import atomic_file, write_json
from llamakit.artifacts.store import FETCHED
from llamakit.errors import InputError, LlamakitError
from llamakit.events import Events

_BLOCK = 2**22
# What servers call a value that changes whenever the content does, surest first.
_VALIDATORS = ("sha256", "md5Hash", "md5", "content_md5", "ETag", "etag", "blob_id", "generation")


@dataclass(frozen=True)
class Fetched:
    """The copies of what a URL names: (name, sha256) of each file in `folder`, sorted. `whole` when
    the URL names a folder and not the files."""

    folder: Path
    files: list[tuple[str, str]]
    whole: bool


def is_url(reference: str) -> bool:
    """Whether the reference names a place on some server: `PROTOCOL://…`."""
    return "://" in reference


def fetch(url: str, root: Path, events: Events) -> Fetched:
    """Copy the files a URL names: one, all below a folder, or those a pattern matches.

    Args:
        root: the store's folder, which keeps the copies.

    Raises:
        InputError: nothing is there, or it cannot be read.
        LlamakitError: the library for the protocol is not installed.
    """
    system, path = _open(url)
    home = root / FETCHED / json_digest(url)[:32]
    try:
        found, whole = _list(system, path)
        if not found:
            raise InputError("nothing is there", where=url)
        with lock.held(home.with_suffix(".lock")):
            files = _copies(system, found, home, url, events)
    except LlamakitError:
        raise
    except ImportError as error:
        raise _missing(url, error) from None
    except Exception as error:  # every protocol has errors of its own
        told = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"cannot be fetched ({told})", where=url) from None
    return Fetched(home, files, whole)


def _open(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:
        system, path = url_to_fs(url)
    except ImportError as error:
        raise _missing(url, error) from None
    except ValueError:
        raise InputError("no such protocol is known", where=url) from None
    return system, str(path)


def _missing(url: str, error: ImportError) -> LlamakitError:
    return LlamakitError(
        f"the library for this protocol is not installed ({str(error).partition('.')[0]})",
        where=url,
        fix='Install it with: pip install "llamakit[remote]".',
    )


def _list(system: Any, path: str) -> tuple[list[tuple[str, str]], bool]:
    """Paths and names of the files, sorted, and whether they are a folder's. In web addresses `?`
    and `[` are no pattern."""
    protocols = system.protocol if isinstance(system.protocol, tuple) else (system.protocol,)
    web = "https" in protocols
    pattern = "*" in path or (not web and any(sign in path for sign in "?["))
    if pattern:
        base = fixed_base(path)
        found = [each for each in system.glob(path) if not system.isdir(each)]
    elif web or system.isfile(path):
        return [(path, PurePosixPath(path.partition("?")[0]).name)], False
    else:
        base = path
        found = system.find(path)
    named = [(each, each.removeprefix(base).lstrip("/")) for each in found]
    shown = [(each, name) for each, name in named if not _hidden(name)]
    return sorted(shown, key=lambda item: item[1]), not pattern


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def fixed_base(pattern: str) -> str:
    """The folder before the first part of a path that holds a wildcard; it may be empty."""
    fixed: list[str] = []
    for part in pattern.split("/")[:-1]:
        if any(sign in part for sign in "*?["):
            break
        fixed.append(part)
    return "/".join(fixed)


def _copies(
    system: Any, found: list[tuple[str, str]], home: Path, url: str, events: Events
) -> list[tuple[str, str]]:
    """Name and sha256 of each file, copied unless the copy there is known to be the content."""
    note = home.with_suffix(".json")
    held = json.loads(note.read_text(encoding="utf-8"))["files"] if note.is_file() else {}
    known: dict[str, Any] = {}
    for path, name in found:
        if ".." in PurePosixPath(name).parts:
            raise InputError(f"a file is called {name!r}", where=url)
        info = system.info(path)
        validator, copy = _validator(info), home / name
        entry = held.get(name)
        if entry is None or validator is None or entry["validator"] != validator:
            copy.unlink(missing_ok=True)
        if not copy.is_file():
            sha256 = _download(system, path, info, copy, events)
            entry = {"validator": validator, "sha256": sha256}
        known[name] = entry
        write_json(note, {"url": url, "files": {**held, **known}})
    for name in held.keys() - known.keys():
        (home / name).unlink(missing_ok=True)
    write_json(note, {"url": url, "files": known})
    return [(name, entry["sha256"]) for name, entry in known.items()]


def _validator(info: dict[str, Any]) -> list[str] | None:
    for key in _VALIDATORS:
        value = info.get(key)
        # A weak ETag (`W/"…"`) says that two contents mean the same, not that they are the same.
        if value and not str(value).startswith("W/"):
            return [key, str(value), str(info.get("size"))]
    return None


def _download(system: Any, path: str, info: dict[str, Any], copy: Path, events: Events) -> str:
    import hashlib

    size = info.get("size")
    digest, read = hashlib.sha256(), 0
    with (
        events.task(f"fetching {copy.name}", total=size, unit="bytes") as task,
        atomic_file(copy) as temporary,
    ):
        with system.open(path, "rb") as source, temporary.open("wb") as target:
            while block := source.read(_BLOCK):
                digest.update(block)
                target.write(block)
                read += len(block)
                task.advance(len(block))
        if size is not None and read != size:
            raise InputError(f"only {read:,} of {size:,} bytes came", where=path)
    return digest.hexdigest()
