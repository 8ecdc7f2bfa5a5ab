"""Upkeep of a store: verify, compare, trace, tag, and clean."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llamakit.artifacts import lock
from llamakit.artifacts.digest import file_digest, named_digest
from llamakit.artifacts.files import write_json
from llamakit.artifacts.kinds import Kind
from llamakit.artifacts.record import RECORD_FILE, InputEntry, payload_digest
from llamakit.artifacts.store import DRAFTS, FETCHED, NAME_PATTERN, TAGS_FILE, Store, Version
from llamakit.errors import LlamakitError, UsageError


@dataclass(frozen=True)
class Damage:
    """One thing `verify` found wrong."""

    path: str
    problem: str


def verify(version: Version[Kind]) -> list[Damage]:
    """Re-digest every file of a version and hold it against the record; empty when all is well."""
    found = []
    known = {entry.path: entry for entry in version.record.files}
    for path, entry in known.items():
        file = version.path / path
        if not file.is_file():
            found.append(Damage(path, "missing"))
        elif file.stat().st_size != entry.bytes:
            found.append(Damage(path, f"{file.stat().st_size:,} bytes, recorded {entry.bytes:,}"))
        elif file_digest(file) != entry.sha256:
            found.append(Damage(path, "its bytes changed (sha256 differs)"))
    for file in sorted(version.path.rglob("*")):
        relative = file.relative_to(version.path).as_posix()
        if file.is_file() and relative not in known and relative != RECORD_FILE:
            found.append(Damage(relative, "not in the record"))
    if payload_digest(version.record.files) != version.record.digest:
        found.append(Damage(RECORD_FILE, "its content digest does not follow from its files"))
    return found


class _Absent:
    def __repr__(self) -> str:
        return "-"


ABSENT = _Absent()
"""Stands for the value of a key that one side does not have."""


@dataclass(frozen=True)
class Difference:
    """One key in which two versions differ; `section` is config, inputs, metrics, …"""

    section: str
    key: str
    left: Any
    """`ABSENT` where the left version has no such key; likewise `right`."""
    right: Any

    def to_json(self) -> dict[str, Any]:
        """The difference as plain values, without the side that has none."""
        sides = {"left": self.left, "right": self.right}
        there = {side: value for side, value in sides.items() if value is not ABSENT}
        return {"section": self.section, "key": self.key, **there}


def differences(left: Version[Kind], right: Version[Kind]) -> list[Difference]:
    """What differs between two versions: stage, config, inputs, content, counts, metrics."""
    a, b = left.record, right.record
    found = [
        Difference("stage", key, getattr(a, key), getattr(b, key))
        for key in ("kind", "stage", "revision")
        if getattr(a, key) != getattr(b, key)
    ]
    found += _mapping_differences("config", a.config, b.config)
    found += _mapping_differences("inputs", _inputs_by_role(left), _inputs_by_role(right))
    if a.digest != b.digest:
        found.append(Difference("content", "digest", a.digest, b.digest))
    found += _mapping_differences("counts", a.counts, b.counts)
    found += _mapping_differences("metrics", a.metrics, b.metrics)
    return found


def _inputs_by_role(version: Version[Kind]) -> dict[str, str]:
    roles: dict[str, list[str]] = {}
    for entry in version.record.inputs:
        roles.setdefault(entry.role, []).append(f"{entry.reference} ({entry.digest[:12]})")
    return {role: ", ".join(values) for role, values in roles.items()}


def _mapping_differences(
    section: str, left: dict[str, Any], right: dict[str, Any]
) -> list[Difference]:
    keys = [*left, *(key for key in right if key not in left)]
    pairs = ((key, left.get(key, ABSENT), right.get(key, ABSENT)) for key in keys)
    return [Difference(section, key, a, b) for key, a, b in pairs if a != b]


@dataclass(frozen=True)
class Ancestor:
    """A node of a lineage: a version, or a file or a lost version (then `version` is None)."""

    role: str
    reference: str
    digest: str
    version: Version[Kind] | None
    file: str = ""
    """The one file of the version that was read; empty when it was read whole."""
    inputs: list[Ancestor] = field(default_factory=list)

    @property
    def shown(self) -> str:
        """`NAME:vN`, with the file that was read of it."""
        return f"{self.reference}/{self.file}" if self.file else self.reference

    def to_json(self) -> dict[str, Any]:
        """The tree as plain values."""
        record = self.version.record if self.version else None
        return {
            "role": self.role,
            "reference": self.reference,
            "digest": self.digest,
            "stage": record.stage if record else None,
            "kind": record.kind if record else "file",
            **({"file": self.file} if self.file else {}),
            "inputs": [node.to_json() for node in self.inputs],
        }


def lineage(store: Store, version: Version[Kind]) -> Ancestor:
    """The tree of what a version was made from, back to raw files."""
    return _ancestor(store, "", version.reference, version.digest, version)


def _ancestor(
    store: Store, role: str, reference: str, digest: str, version: Version[Kind] | None
) -> Ancestor:
    inputs = []
    for entry in version.record.inputs if version else []:
        parent = find_input(store, entry)
        inputs.append(_ancestor(store, entry.role, entry.reference, entry.digest, parent))
    return Ancestor(role, reference, digest, version, _file_read(version, digest), inputs)


def _file_read(version: Version[Kind] | None, digest: str) -> str:
    """The path of the version's file that an input's digest is of; empty for the whole version."""
    for entry in version.record.files if version and digest != version.digest else []:
        if named_digest(Path(entry.path).name, entry.sha256) == digest:
            return entry.path
    return ""


def find_input(store: Store, entry: InputEntry) -> Version[Kind] | None:
    """The version an input was read from; None for a file, or when it is gone.

    A reference alone proves nothing: a file may be called like an artifact, and a number be given
    again after the newest version was removed. So the content must be the recorded one.
    """
    try:
        version = store.resolve(entry.reference)
    except LlamakitError:
        return None
    return version if entry.digest in _input_digests(version) else None


def _input_digests(version: Version[Kind]) -> Iterator[str]:
    """The digests an input has that is this version, or one file of it."""
    yield version.digest
    for file in version.record.files:
        yield named_digest(Path(file.path).name, file.sha256)


def tag(store: Store, version: Version[Kind], label: str) -> None:
    """Let `NAME:label` mean this version from now on."""
    if not NAME_PATTERN.fullmatch(label) or (label[0] == "v" and label[1:].isdigit()):
        raise UsageError(
            f"{label!r} cannot be a tag",
            fix="Use letters, digits, '.', '_' and '-'; v1, v2, … are versions.",
        )
    with lock.held(store.root / DRAFTS / f"{version.name}.name.lock"):
        tags = {**store.tags(version.name), label: f"v{version.record.version}"}
        write_json(store.root / version.name / TAGS_FILE, dict(sorted(tags.items())))


@dataclass(frozen=True)
class Garbage:
    """One folder or lock `gc` would remove, why, and its size in bytes."""

    path: Path
    reason: str
    bytes: int


def find_garbage(store: Store) -> list[Garbage]:
    """Drafts nobody works on, locks nobody holds, copies of remote files, folders left of removed
    versions, and versions that no newest or tagged version descends from."""
    found = []
    drafts = store.root / DRAFTS
    for path in sorted(drafts.iterdir()) if drafts.is_dir() else []:
        if path.is_dir() and not lock.is_held(_lock_of(path)):
            found.append(Garbage(path, "a draft nobody works on", _size(path)))
        # The lock of a draft goes with the draft.
        elif (
            path.suffix == ".lock" and not path.with_suffix("").exists() and not lock.is_held(path)
        ):
            found.append(Garbage(path, "a lock nobody holds", path.stat().st_size))
    fetched = store.root / FETCHED
    if fetched.is_dir():
        found.append(Garbage(fetched, "copies of what URLs name, fetched again", _size(fetched)))
    for name in store.folders():
        for number in sorted({*store.taken(name)} - {*store.numbers(name)}):
            path = store.root / name / f"v{number}"
            found.append(Garbage(path, f"no version: it has no {RECORD_FILE}", _size(path)))
    kept = {version.path.resolve() for version in _reachable(store)}
    for name in store.names():
        for version in store.versions(name):
            if version.path.resolve() not in kept:
                reason = "neither newest, tagged, nor an ancestor of such"
                found.append(Garbage(version.path, reason, _size(version.path)))
    return found


def _reachable(store: Store) -> Iterator[Version[Kind]]:
    pending: list[Version[Kind]] = []
    for name in store.names():
        versions = store.versions(name)
        labels = set(store.tags(name).values())
        pending.append(versions[-1])
        pending += [v for v in versions if f"v{v.record.version}" in labels]
    seen: set[Path] = set()
    while pending:
        version = pending.pop()
        if version.path in seen:
            continue
        seen.add(version.path)
        yield version
        parents = (find_input(store, entry) for entry in version.record.inputs)
        pending += [parent for parent in parents if parent]


def remove(garbage: Garbage) -> bool:
    """Remove what `find_garbage` named; False when a process has taken it up since then."""
    path = garbage.path
    if path.parent.name != DRAFTS:
        # The record goes first, so that a version half removed is no version.
        (path / RECORD_FILE).unlink(missing_ok=True)
        shutil.rmtree(path)
        return True
    with lock.held_if_free(path if path.suffix == ".lock" else _lock_of(path)) as free:
        if free and path.is_dir():
            shutil.rmtree(path)
        return free


def _lock_of(draft: Path) -> Path:
    return draft.with_name(f"{draft.name}.lock")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
