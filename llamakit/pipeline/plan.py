"""What running a pipeline would do, stage by stage, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from llamakit.artifacts.kinds import Kind
from llamakit.artifacts.record import Record
from llamakit.artifacts.store import DRAFTS, Store, Version
from llamakit.errors import InputError, LlamakitError
from llamakit.pipeline.spec import PipelineSpec, StageSpec, stage_named
from llamakit.stages.fields import fields_of
from llamakit.stages.produce import Prepared, prepare, reusable
from llamakit.stages.stage import Stage

Verdict = Literal["reuse", "run", "wait"]


@dataclass(frozen=True)
class Step:
    """One stage of a plan. `wait` means it depends on a stage that runs first: should that give
    the same bytes as before, it is reused."""

    spec: StageSpec
    verdict: Verdict
    why: str
    version: Version[Kind] | None


def plan(spec: PipelineSpec, chosen: Sequence[StageSpec], store: Store) -> list[Step]:
    """Hold each chosen stage against the store; runs nothing.

    Raises:
        InputError: an input from outside the pipeline is missing or of the wrong kind.
    """
    steps: list[Step] = []
    made: dict[str, Version[Kind]] = {}
    pending: set[str] = set()
    for stage_spec in chosen:
        try:
            step = _step(spec, stage_spec, chosen, store, made, pending)
        except LlamakitError as error:
            place = f"{spec.path}: stages.{stage_spec.name}"
            where = f"{place}: {error.where}" if error.where else place
            raise type(error)(error.what, where=where, fix=error.fix) from None
        steps.append(step)
        if step.version and step.verdict == "reuse":
            made[stage_spec.name] = step.version
        else:
            pending.add(stage_spec.name)
    return steps


def _step(
    spec: PipelineSpec,
    stage_spec: StageSpec,
    chosen: Sequence[StageSpec],
    store: Store,
    made: Mapping[str, Version[Kind]],
    pending: set[str],
) -> Step:
    newest = store.newest(stage_spec.name)
    first = [name for name in stage_spec.needs if name in pending]
    if first:
        return Step(stage_spec, "wait", f"after {', '.join(first)}", newest)
    names = [each.name for each in chosen]
    prepared = prepare(bind(spec, stage_spec, store, made, names), store)
    found, hindrance = reusable(prepared, store, stage_spec.name)
    if found:
        return Step(stage_spec, "reuse", f"{found.reference} has the same config and inputs", found)
    why = hindrance or _reason(prepared, newest)
    if (store.root / DRAFTS / prepared.fingerprint).is_dir():
        why += "; continues an unfinished attempt"
    return Step(stage_spec, "run", why, newest)


def bind(
    spec: PipelineSpec,
    stage_spec: StageSpec,
    store: Store,
    made: Mapping[str, Version[Kind]],
    running: Sequence[str],
) -> Stage:
    """The stage with references to stages of the pipeline replaced by versions.

    A stage that runs in this run gives the version it made; one left out gives its newest.
    """
    fields = fields_of(stage_spec.stage)
    config: dict[str, Any] = dict(stage_spec.config)
    for key, item in fields.items():
        if not item.is_input or config.get(key) is None:
            continue
        value = config[key]
        references = [value] if isinstance(value, str) else list(value)
        bound = []
        for reference in references:
            needed = stage_named(reference, item, spec.names())
            if needed is None:
                bound.append(reference)
                continue
            version = made.get(needed) or (None if needed in running else store.newest(needed))
            if version is None:
                raise InputError(
                    f"{stage_spec.name} reads {needed!r}, which has no version yet",
                    where=str(spec.path),
                    fix=f"Run the pipeline without leaving {needed!r} out.",
                )
            inner = reference[len(needed) :] if item.role.name == "files" else ""
            bound.append(f"{version.path}{inner}")
        config[key] = bound if item.many else bound[0]
    return stage_spec.stage.from_config(config)


def _reason(prepared: Prepared, newest: Version[Kind] | None) -> str:
    if newest is None:
        return "no version yet"
    changes = _changes(prepared, newest.record)
    return "; ".join(changes) if changes else f"{newest.reference} differs in its fingerprint"


def _changes(prepared: Prepared, record: Record) -> list[str]:
    stage = prepared.stage
    if record.stage != stage.command():
        return [f"the stage was {record.stage}"]
    changes = []
    if record.revision != stage.revision:
        changes.append(f"the stage's revision {record.revision} → {stage.revision}")
    config = stage.config()
    for key in [*config, *(key for key in record.config if key not in config)]:
        before, after = record.config.get(key), config.get(key)
        if before != after:
            changes.append(f"{key}: {before!r} → {after!r}")
    before_inputs = [(entry.role, entry.digest) for entry in record.inputs]
    for entry in prepared.entries:
        if (entry.role, entry.digest) not in before_inputs:
            changes.append(f"input {entry.role} is now {entry.reference}")
    if not changes and [(e.role, e.digest) for e in prepared.entries] != before_inputs:
        changes.append("its inputs are others, or in another order")
    return changes
