"""A pipeline file: TOML in, checked stages out. Nothing is run or resolved here.

TOML tables --params, --set, each--> StageSpec per artifact, in order --check--> PipelineSpec
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamakit.artifacts.store import check_name
from llamakit.errors import InputError, LlamakitError, UsageError, nearest
from llamakit.pipeline.include import read_tables
from llamakit.pipeline.repeat import Copy, copies, resolved
from llamakit.stages.fields import Field, fields_of
from llamakit.stages.registry import load_stage
from llamakit.stages.stage import Stage

_PARAM = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True)
class StageSpec:
    """One `[stages.NAME]` table: the artifact's name, the stage behind it, its keys and values."""

    name: str
    stage: type[Stage]
    config: dict[str, Any]
    needs: tuple[str, ...]
    """Names of the stages above that this one reads."""
    copy: Copy
    """Which making of its table this is."""


@dataclass(frozen=True)
class PipelineSpec:
    """A whole pipeline, in the order it runs."""

    path: Path
    stages: tuple[StageSpec, ...]

    def names(self) -> list[str]:
        """The stages' names, in order."""
        return [spec.name for spec in self.stages]

    def select(
        self, *, only: str | None = None, until: str | None = None, start: str | None = None
    ) -> list[StageSpec]:
        """The stages to run: `only` one, up to and with `until`, from `start` on.

        What is left out is not made: those that run read its newest version. The name of a table
        with `each` means all of its copies.
        """
        known = list(dict.fromkeys(n for s in self.stages for n in (s.copy.family, s.name)))
        for name in (only, until, start):
            if name is not None and name not in known:
                guess = nearest(name, known)
                fix = f"Did you mean {guess!r}?" if guess else f"It has {', '.join(known)}."
                raise UsageError(f"the pipeline has no stage {name!r}", fix=fix)
        if only:
            return [spec for spec in self.stages if only in (spec.name, spec.copy.family)]
        chosen = list(self.stages)
        if until:
            wanted = self._with_ancestors(until)
            chosen = [spec for spec in chosen if spec.name in wanted]
        if start:
            places = [i for i, spec in enumerate(chosen) if start in (spec.name, spec.copy.family)]
            if not places:
                raise UsageError(f"{until!r} does not need {start!r}: nothing would run")
            chosen = chosen[places[0] :]
        return chosen

    def _with_ancestors(self, name: str) -> set[str]:
        wanted = {spec.name for spec in self.stages if name in (spec.name, spec.copy.family)}
        for spec in reversed(self.stages):
            if spec.name in wanted:
                wanted |= set(spec.needs)
        return wanted


def find_pipeline(name: str) -> Path:
    """A pipeline by path, or by name among those that ship with the package."""
    path = Path(name)
    if path.is_file():
        return path
    shipped = shipped_pipelines()
    if name in shipped:
        return shipped[name]
    if path.is_dir():
        raise InputError(
            "this is a folder, a pipeline is a TOML file",
            where=name,
            fix=f"Name the file in it. Shipped with llamakit: {', '.join(shipped)}.",
        )
    guess = nearest(name, list(shipped))
    fix = f"Did you mean {guess!r}? " if guess else ""
    raise InputError(
        f"no pipeline file {name!r}", fix=f"{fix}Shipped with llamakit: {', '.join(shipped)}."
    )


def shipped_pipelines() -> dict[str, Path]:
    """The pipelines that come with llamakit, by name: inside the package, or of the checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "pipelines", package.parent / "pipelines"):
        if folder.is_dir():
            return {
                path.relative_to(folder).with_suffix("").as_posix(): path
                for path in sorted(folder.rglob("*.toml"))
            }
    return {}


def read_pipeline(path: Path, settings: Sequence[str] = ()) -> PipelineSpec:
    """Read a pipeline file and apply `--set KEY=VALUE` settings to it.

    Raises:
        UsageError: not TOML, an unknown stage, key or parameter, a cycle, a wrong kind of input.
        InputError: the file, or one that it includes, is not there.
    """
    values = read_tables(path)
    for setting in settings:
        _apply(values, setting)
    try:
        stages = _stages(values)
    except LlamakitError as error:
        where = f"{path}: {error.where}" if error.where else str(path)
        raise type(error)(error.what, where=where, fix=error.fix) from None
    return PipelineSpec(path, tuple(stages))


def _apply(values: dict[str, Any], setting: str) -> None:
    """`stages.base.steps=200`: the value is read as TOML, and as plain text when it is none."""
    dotted, sign, text = setting.partition("=")
    keys = dotted.split(".")
    if not sign or len(keys) < 2 or keys[0] not in ("params", "stages"):
        raise UsageError(
            f"--set {setting!r} is not understood",
            fix="Write --set stages.NAME.KEY=VALUE or --set params.KEY=VALUE.",
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    table = values
    values.setdefault(keys[0], {})
    for key in keys[:-1]:
        known = list(table)
        inner: Any = table.get(key)
        if not isinstance(inner, dict):
            guess = nearest(key, known)
            fix = f"Did you mean {guess!r}?" if guess else f"There are: {', '.join(known)}."
            raise UsageError(f"--set {dotted}: there is no {key!r}", fix=fix)
        table = inner
    if keys[0] == "params" and keys[1] not in table:
        guess = nearest(keys[1], list(table))
        hint = f"Did you mean {guess!r}? " if guess else ""
        raise UsageError(
            f"--set {dotted}: there is no parameter {keys[1]!r}",
            fix=f"{hint}There are: {', '.join(table) or 'none'}.",
        )
    table[keys[-1]] = value


def _stages(values: Mapping[str, Any]) -> list[StageSpec]:
    for key in values:
        if key not in ("params", "stages"):
            raise UsageError(
                f"there is no top-level key {key!r}",
                fix="A pipeline has include, [params] and [stages.…].",
            )
    params, tables = values.get("params", {}), values.get("stages", {})
    if not isinstance(params, dict) or not isinstance(tables, dict) or not tables:
        raise UsageError("[params] and [stages.NAME] must be tables, and one stage is needed")
    found: list[Copy] = []
    for name, table in tables.items():
        if not isinstance(table, dict) or not isinstance(table.get("uses"), str):
            raise UsageError('uses = "STAGE" is needed', where=f"stages.{name}")
        for copy in copies(name, _substitute(table.get("each"), params)):
            check_name(copy.name)
            found.append(copy)
    names = [copy.name for copy in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"two stages would be called {twice[0]!r}", fix="Rename one of them.")
    specs: list[StageSpec] = []
    for copy in found:
        specs.append(_stage(copy, tables[copy.family], params, names, specs))
    return specs


def _stage(
    copy: Copy,
    table: Mapping[str, Any],
    params: Mapping[str, Any],
    names: list[str],
    above: list[StageSpec],
) -> StageSpec:
    name = copy.name
    where = f"stages.{name}"
    try:
        stage = load_stage(table["uses"])
        config = _config(stage, copy, table, {**params, **copy.values}, above)
        # Constructing it checks every key and value; references are still names here.
        references = stage.from_config(config).references()
    except LlamakitError as error:
        raise type(error)(error.what, where=where, fix=error.fix) from None
    needs: list[str] = []
    for key, (item, values) in references.items():
        for value in values:
            needed = stage_named(str(value), item, names)
            if needed is None:
                continue
            made = next((spec for spec in above if spec.name == needed), None)
            if made is None:
                circle = "itself" if needed == name else f"{needed!r}, which stands below it"
                raise UsageError(
                    f"{key} reads {circle}",
                    where=where,
                    fix="Stages read stages above them; a cycle cannot run.",
                )
            _check_kind(where, key, item, made)
            needs.append(needed)
    return StageSpec(name, stage, config, tuple(dict.fromkeys(needs)), copy)


def _config(
    stage: type[Stage],
    copy: Copy,
    table: Mapping[str, Any],
    params: Mapping[str, Any],
    above: Sequence[StageSpec],
) -> dict[str, Any]:
    """A copy's keys and values: parameters filled in, references to repeated stages resolved."""
    fields = fields_of(stage)
    own = {key: value for key, value in copy.values.items() if key in fields}
    config = {
        key: _substitute(v, params) for key, v in table.items() if key not in ("uses", "each")
    }
    made = [spec.copy for spec in above]
    for key, value in config.items():
        item = fields.get(key)
        if item is None or not item.is_input:
            continue
        if isinstance(value, str) and not item.many:
            config[key] = resolved(value, copy, made, many=False)[0]
        elif isinstance(value, (list, str)):
            given = [value] if isinstance(value, str) else value
            config[key] = [
                one
                for text in given
                for one in (
                    resolved(text, copy, made, many=True) if isinstance(text, str) else [text]
                )
            ]
    return {**own, **config}


def stage_named(reference: str, item: Field, names: Sequence[str]) -> str | None:
    """The stage of the pipeline that a reference names; None for a path or another artifact."""
    head = reference.partition("/")[0] if item.role.name == "files" else reference
    return head if head in names else None


def _check_kind(where: str, key: str, item: Field, made: StageSpec) -> None:
    makes = made.stage.makes
    kinds = [kind.name for kind in (makes if isinstance(makes, tuple) else (makes,))]
    wanted = item.role.kinds
    if len(kinds) > 1:
        kinds = [made.stage.from_config(made.config).output_kind().name]
    if not set(kinds) & set(wanted):
        raise UsageError(
            f"{key} must be {' or '.join(wanted)}, {made.name!r} makes {' or '.join(kinds)}",
            where=where,
        )


def _substitute(value: Any, params: Mapping[str, Any]) -> Any:
    """Put parameters in: "{docs}" alone keeps the parameter's type, inside text it is text."""
    if isinstance(value, list):
        return [_substitute(one, params) for one in value]
    if isinstance(value, dict):
        return {key: _substitute(one, params) for key, one in value.items()}
    if not isinstance(value, str):
        return value
    whole = _PARAM.fullmatch(value)
    if whole:
        return _parameter(whole[1], params)
    return _PARAM.sub(lambda match: str(_parameter(match[1], params)), value)


def _parameter(name: str, params: Mapping[str, Any]) -> Any:
    if name not in params:
        guess = nearest(name, list(params))
        fix = f"Did you mean {guess!r}?" if guess else "Add it to [params]."
        raise UsageError(f"there is no parameter {name!r}", fix=fix)
    return params[name]
