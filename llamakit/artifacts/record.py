"""The record, `artifact.json`: what a version is, what made it, and what it holds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from llamakit.artifacts.digest import content_digest, file_digests
from llamakit.artifacts.files import write_json
from llamakit.errors import InputError

RECORD_FILE = "artifact.json"
SCHEMA = "llamakit/artifact/1"
LOG_FOLDER = "log"

E = TypeVar("E")


@dataclass(frozen=True)
class FileEntry:
    """One file of a version. `payload` is False for logs: kept and verified, but outside the
    content digest, since they hold timings."""

    path: str
    bytes: int
    sha256: str
    payload: bool


@dataclass(frozen=True)
class InputEntry:
    """One input of the run: its role in the config, the reference as resolved, its digest."""

    role: str
    reference: str
    digest: str


@dataclass(frozen=True)
class Record:
    """Everything `artifact.json` holds; its published form is `record.schema.json`."""

    kind: str
    name: str
    version: int
    stage: str
    revision: int
    config: dict[str, Any]
    inputs: list[InputEntry]
    fingerprint: str
    digest: str
    files: list[FileEntry]
    counts: dict[str, int]
    metrics: dict[str, float | None]
    headline: str
    seed: int | None
    elapsed_seconds: float
    peak_memory_bytes: int
    provenance: dict[str, str | None]
    execution: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, float | str | None] = field(default_factory=dict)
    schema: str = SCHEMA

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON values, the schema first."""
        values = asdict(self)
        return {"schema": values.pop("schema"), **values}

    def write(self, folder: Path) -> None:
        """Write `artifact.json` into `folder`, atomically."""
        write_json(folder / RECORD_FILE, self.to_json())

    @staticmethod
    def read(folder: Path) -> Record:
        """Read a version's record.

        Raises:
            InputError: the record is missing, is not JSON, or lacks a field.
        """
        path = folder / RECORD_FILE
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            files = [_typed(FileEntry(**entry)) for entry in values.pop("files")]
            inputs = [_typed(InputEntry(**entry)) for entry in values.pop("inputs")]
            record = _typed(Record(files=files, inputs=inputs, **values))
        except FileNotFoundError:
            raise InputError(
                "no artifact.json here, so this is no artifact", where=str(folder)
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                f"the record cannot be read ({error})",
                where=str(path),
                fix="Restore the file, or remove the version's folder and make it again.",
            ) from None
        if record.schema != SCHEMA:
            raise InputError(
                f"the record has schema {record.schema!r}, this llamakit reads {SCHEMA!r}",
                where=str(path),
            )
        return record


def _typed(entry: E) -> E:
    """Return `entry`, whose values come from a file, or raise TypeError for one of another type."""
    kind: Any = type(entry)  # mypy does not take a class for hashable
    for name, kinds in _kinds(kind).items():
        if not isinstance(getattr(entry, name), kinds):
            raise TypeError(f"{name} is {type(getattr(entry, name)).__name__}")
    return entry


@cache
def _kinds(entry: Any) -> dict[str, tuple[type, ...]]:
    hints = get_type_hints(entry)
    kinds = {name: get_args(h) if isinstance(h, UnionType) else (h,) for name, h in hints.items()}
    return {
        # JSON writes a whole float as it likes.
        name: tuple(get_origin(kind) or kind for kind in some) + ((int,) if float in some else ())
        for name, some in kinds.items()
    }


def list_files(folder: Path, skip: set[str]) -> list[FileEntry]:
    """Digest every file under `folder` except those at the relative paths in `skip`."""
    names = {path: path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*"))}
    paths = [path for path, name in names.items() if name not in skip and path.is_file()]
    # Of a large version this is most of what is left to do when its shards are done.
    digests = file_digests(paths)
    return [
        FileEntry(
            path=names[path],
            bytes=path.stat().st_size,
            sha256=digest,
            payload=not names[path].startswith(f"{LOG_FOLDER}/"),
        )
        for path, digest in zip(paths, digests, strict=True)
    ]


def payload_digest(files: list[FileEntry]) -> str:
    """The content digest of a version: over its payload files only."""
    return content_digest((entry.path, entry.sha256) for entry in files if entry.payload)
