"""Carry a stage out: resolve its inputs, fingerprint it, reuse or run, commit.

stage + store --prepare--> Prepared (inputs resolved, fingerprint) --produce--> Made
"""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from llamakit import __version__
from llamakit.artifacts.digest import json_digest
from llamakit.artifacts.draft import (
    Draft,
    SourceFile,
    clear_made,
    commit,
    discard,
    drafting,
    open_draft,
)
from llamakit.artifacts.integrity import check_payload, damage
from llamakit.artifacts.kinds import Kind
from llamakit.artifacts.record import InputEntry, Record
from llamakit.artifacts.store import DRAFTS, Store, Version, check_name
from llamakit.errors import InputError
from llamakit.events import SILENT, Events
from llamakit.stages.source import described, find_sources
from llamakit.stages.stage import Answer, Outcome, Stage

_CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Prepared:
    """A stage with its inputs found: all that decides what it would make."""

    stage: Stage
    fingerprint: str
    inputs: dict[str, Version[Kind]]
    """Versions by reference as given."""
    sources: dict[str, list[SourceFile]]
    """Files and folders by reference as given; a pattern or a URL may name several."""
    entries: list[InputEntry]


@dataclass(frozen=True)
class Made:
    """What `produce` hands back."""

    version: Version[Kind]
    reused: bool
    unmet: list[str]


def prepare(stage: Stage, store: Store, events: Events = SILENT) -> Prepared:
    """Resolve and check the stage's inputs, and compute its fingerprint.

    Raises:
        InputError: an input is missing, broken, or of the wrong kind.
    """
    inputs: dict[str, Version[Kind]] = {}
    sources: dict[str, list[SourceFile]] = {}
    entries: list[InputEntry] = []
    for key, (item, references) in stage.references().items():
        for reference in references:
            if item.role.name == "files":
                found = find_sources(str(reference), store, events, item.role.kinds)
                sources[str(reference)] = found
                entries += [InputEntry(key, *each) for each in described(str(reference), found)]
                continue
            version = store.resolve(reference)
            if version.kind not in item.role.kinds:
                raise InputError(
                    f"{key} must be {' or '.join(item.role.kinds)}, "
                    f"{version.reference} is {version.kind}",
                    where=stage.command(),
                )
            inputs[str(reference)] = version
            entries.append(InputEntry(key, version.reference, version.digest))
    identity: dict[str, Any] = {
        "stage": stage.command(),
        "revision": stage.revision,
        "config": stage.config(),
        "inputs": [[entry.role, entry.digest] for entry in entries],
    }
    if stage.names_inputs():
        identity["names"] = [entry.reference.partition(":")[0] for entry in entries]
    fingerprint = json_digest(identity)
    return Prepared(stage, fingerprint, inputs, sources, entries)


def produce(
    stage: Stage,
    store: Store,
    *,
    name: str | None = None,
    force: bool = False,
    events: Events = SILENT,
    opened: Callable[[Draft[Kind], Prepared], None] | None = None,
) -> Made:
    """Make the stage's artifact, or reuse the version that has its fingerprint.

    Killed at any point, it leaves no version; called again, it continues. Of two processes that
    make the same version, one works and the other waits and reuses.

    Args:
        opened: called with the draft before the work begins, if there is work to do.
    """
    label = check_name(stage.command() if name is None else name)
    prepared = prepare(stage, store, events)
    if not force and (found := reusable(prepared, store, label)[0]):
        clear_made(store, prepared.fingerprint, events)
        return _reused(stage, found, events)
    with drafting(store, prepared.fingerprint, events, prepared.inputs, prepared.sources) as draft:
        found, hindrance = reusable(prepared, store, label)
        if found and not force:
            discard(draft)
            return _reused(stage, found, events)
        if hindrance:
            events.warn(f"{hindrance}: making it again")
        _check_inputs(prepared)
        if open_draft(draft):
            events.note("continuing what an earlier attempt left")
        if opened:
            opened(draft, prepared)
        version = _run(prepared, store, label, draft)
    return Made(version, reused=False, unmet=stage.unmet(version))


def reusable(prepared: Prepared, store: Store, name: str) -> tuple[Version[Kind] | None, str]:
    """The version of `name` that is what would be made, if any; and what keeps such a version from
    being reused, or an empty text."""
    found = store.find(name, prepared.fingerprint)
    if found and (problem := damage(found)):
        return None, f"{found.reference} is damaged ({problem})"
    return found, ""


def _check_inputs(prepared: Prepared) -> None:
    for version in prepared.inputs.values():
        check_payload(version)
    for found in prepared.sources.values():
        for source in found:
            if source.artifact:
                check_payload(source.artifact, within=source.path)


def _reused(stage: Stage, version: Version[Kind], events: Events) -> Made:
    events.note(f"reused {version.reference}: same config, same inputs")
    return Made(version, reused=True, unmet=stage.unmet(version))


def _run(prepared: Prepared, store: Store, name: str, draft: Draft[Kind]) -> Version[Kind]:
    stage = prepared.stage
    started = time.monotonic()
    outcome: Outcome = stage.run(draft)
    record = Record(
        kind=stage.output_kind().name,
        name=name,
        version=0,
        stage=stage.command(),
        revision=stage.revision,
        config=stage.config(),
        inputs=prepared.entries,
        fingerprint=prepared.fingerprint,
        digest="",
        files=[],
        counts=outcome.counts,
        metrics={k: _finite(v) for k, v in outcome.metrics.items()},
        headline=outcome.headline,
        seed=getattr(stage, "seed", None),
        elapsed_seconds=round(time.monotonic() - started, 3),
        peak_memory_bytes=_peak_memory(),
        provenance=_provenance(),
        execution=stage.execution(),
        usage=outcome.usage,
    )
    return commit(store, draft, record)


def _finite(value: float) -> float | None:
    """JSON knows no NaN; a metric that has no value is null."""
    number = float(value)
    return number if number - number == 0 else None


def _peak_memory() -> int:
    """Bytes: the peak of this process or of its largest finished worker."""
    scale = 1 if sys.platform == "darwin" else 1024
    peaks = (
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return max(peaks) * scale


def _provenance() -> dict[str, str | None]:
    return {
        "llamakit": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": _installed("torch"),
        "polars": _installed("polars"),
        "host": platform.node(),
        "platform": platform.platform(),
        "processors": str(os.cpu_count()),
    }


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the checkout llamakit runs from, with `-dirty` when the code in it has changed
    since; None when it is installed from a package."""
    if not (_CHECKOUT / ".git").exists():
        return None
    try:
        commit = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--", "llamakit")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}-dirty" if changed else commit


def _git(*words: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(_CHECKOUT), *words]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    return answer.stdout.strip()


def forecast(prepared: Prepared, store: Store, events: Events = SILENT) -> Answer | None:
    """What the stage can tell of its result without making it; None where it tells nothing."""
    folder = store.root / DRAFTS / prepared.fingerprint
    draft: Draft[Kind] = Draft(folder, events, prepared.inputs, prepared.sources)
    return prepared.stage.forecast(draft)


def describe(prepared: Prepared) -> dict[str, Any]:
    """What a dry run shows: stage, fingerprint, config, inputs."""
    return {
        "stage": prepared.stage.command(),
        "fingerprint": prepared.fingerprint,
        "config": prepared.stage.config(),
        "execution": prepared.stage.execution(),
        "inputs": [
            {"role": e.role, "reference": e.reference, "digest": e.digest} for e in prepared.entries
        ],
    }
