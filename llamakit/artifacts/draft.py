"""A version in the making: a locked folder that becomes the version by one rename.

    ROOT/.drafts/FINGERPRINT/version/   the payload and logs, renamed to ROOT/NAME/vN when whole
    ROOT/.drafts/FINGERPRINT/work/      scratch a rerun continues from: shard results, checkpoints
    ROOT/.drafts/FINGERPRINT.lock       held by the process that works on it

A crash leaves only the draft; the same run started again has the same fingerprint, finds it and
continues.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from llamakit.artifacts import lock
from llamakit.artifacts.files import atomic_file, sync_file, sync_folder
from llamakit.artifacts.kinds import Kind
from llamakit.artifacts.record import LOG_FOLDER, RECORD_FILE, Record, list_files, payload_digest
from llamakit.artifacts.store import DRAFTS, Store, Version
from llamakit.events import Events

DISCARDED = "discarded-"

K = TypeVar("K", bound=Kind)
K2 = TypeVar("K2", bound=Kind)


@dataclass(frozen=True)
class SourceFile:
    """A file or folder a run reads that is no typed artifact. `artifact` is the raw artifact it
    lies in, or None for a path on disk."""

    path: Path
    name: str
    digest: str
    artifact: Version[Kind] | None = None


class Draft(Generic[K]):
    """What a stage's `run` works with: where to write, what to read, whom to tell."""

    def __init__(
        self,
        folder: Path,
        events: Events,
        inputs: Mapping[str, Version[Kind]] | None = None,
        sources: Mapping[str, Sequence[SourceFile]] | None = None,
    ) -> None:
        self.folder = folder
        self.path = folder / "version"
        """Becomes the version's folder; payload goes here."""
        self.work = folder / "work"
        """Scratch that survives a kill and is gone once the version is made."""
        self.log = self.path / LOG_FOLDER
        """Kept with the version, outside its content digest: metrics, reports, timings."""
        self.events = events
        self._inputs = inputs or {}
        self._sources = sources or {}

    def input(self, reference: str | Version[K2]) -> Version[K2]:
        """The version that an input field's value names."""
        if isinstance(reference, Version):
            return reference
        return self._inputs[reference]  # type: ignore[return-value]

    def inputs(self, references: Sequence[str | Version[K2]]) -> list[Version[K2]]:
        """The versions that a field of several inputs names."""
        return [self.input(reference) for reference in references]

    def files(self, references: Sequence[str]) -> list[SourceFile]:
        """The files and folders that a `Files` field names, those of a pattern one by one."""
        return [source for reference in references for source in self._sources[reference]]

    def writing(self, relative: str) -> AbstractContextManager[Path]:
        """A temporary path that becomes `relative` in the version when the block succeeds."""
        return atomic_file(self.path / relative)


@contextmanager
def drafting(
    store: Store,
    fingerprint: str,
    events: Events,
    inputs: Mapping[str, Version[Kind]],
    sources: Mapping[str, Sequence[SourceFile]],
) -> Iterator[Draft[Kind]]:
    """Hold the draft of `fingerprint`; waits while another process works on it."""
    drafts = store.root / DRAFTS
    drafts.mkdir(parents=True, exist_ok=True)
    waiting = "another process is making this version: waiting for it"
    with lock.held(drafts / f"{fingerprint}.lock", on_wait=lambda: events.note(waiting)):
        draft: Draft[Kind] = Draft(drafts / fingerprint, events, inputs, sources)
        yield draft


def open_draft(draft: Draft[K]) -> bool:
    """Make the draft's folders; returns whether an earlier attempt left something to continue."""
    for aside in draft.folder.glob(f"{DISCARDED}*"):
        shutil.rmtree(aside, ignore_errors=True)
    continued = draft.work.exists()
    for folder in (draft.path, draft.work):
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.rglob(".*.tmp"):
            leftover.unlink()
    return continued


def discard(draft: Draft[K]) -> None:
    """Remove the draft's folder, if any.

    What a rerun would continue from is moved aside first: half of it, left by a kill, would say
    that more is done than there is.
    """
    for folder in (draft.work, draft.path):
        if folder.exists():
            aside = draft.folder / f"{DISCARDED}{folder.name}"
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
    shutil.rmtree(draft.folder, ignore_errors=True)


def clear_made(store: Store, fingerprint: str, events: Events) -> None:
    """Remove what a kill between the rename of a version and the end of `commit` left of its draft;
    a draft that is still to become a version stays."""
    folder = store.root / DRAFTS / fingerprint
    draft: Draft[Kind] = Draft(folder, events)
    if not folder.exists() or draft.path.exists():
        return
    with lock.held_if_free(folder.with_name(f"{fingerprint}.lock")) as free:
        if free and not draft.path.exists():
            discard(draft)


def commit(store: Store, draft: Draft[K], record: Record) -> Version[Kind]:
    """Make the draft a version: digest and fsync its files, write the record, rename once.

    `record` comes with `version`, `files` and `digest` not yet known; they are filled in here.
    """
    files = list_files(draft.path, skip={RECORD_FILE})
    for entry in files:
        sync_file(draft.path / entry.path)
    for folder in [draft.path, *(p for p in draft.path.rglob("*") if p.is_dir())]:
        sync_folder(folder)
    home = store.root / record.name
    home.mkdir(parents=True, exist_ok=True)
    # The number is taken under a lock of the name: two different drafts may finish at once.
    with lock.held(store.root / DRAFTS / f"{record.name}.name.lock"):
        number = max(store.taken(record.name), default=0) + 1
        whole = replace(record, version=number, files=files, digest=payload_digest(files))
        whole.write(draft.path)
        target = home / f"v{number}"
        draft.path.rename(target)
        sync_folder(home)
    discard(draft)
    return Version(path=target, record=whole)
