"""A stage becomes a command: its fields become arguments and flags, its run prints one path."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llamakit.cli.help import PanelCommand
from llamakit.cli.options import COMMON, DEFAULT_STORE, JsonOption, QuietOption, StoreOption
from llamakit.cli.stage_options import stage_parameters
from llamakit.cli.stage_values import as_toml, merged
from llamakit.errors import GateError, InputError
from llamakit.stages.registry import load_stage
from llamakit.stages.stage import Answer, Stage

if TYPE_CHECKING:
    from llamakit.training.team import Team


def add_stage(app: typer.Typer, command: str, *, full: bool) -> None:
    """Add the command of one stage to `app`; `full` also builds its flags."""
    stage = load_stage(command)
    doc = inspect.cleandoc(stage.__doc__ or "")
    function = _command_function(stage) if full else _placeholder()
    app.command(
        command,
        help=doc if full else None,
        short_help=doc.splitlines()[0],
        rich_help_panel=stage.panel,
        cls=PanelCommand,
    )(function)


def _placeholder() -> Callable[[], None]:
    def unused() -> None:
        """Stands in the list of commands; the chosen one is built in full."""

    return unused


def _command_function(stage: type[Stage]) -> Callable[..., None]:
    parameters = [*stage_parameters(stage), *inspect.signature(_shared).parameters.values()]

    def run(**given: Any) -> None:
        shared = {name: given.pop(name) for name in inspect.signature(_shared).parameters}
        asked = given.pop("explain_", None)
        if asked is not None and not any(value not in (None, []) for value in given.values()):
            _explain_newest(stage, asked, shared["store"], shared["name"], json_=shared["json_"])
            return
        from llamakit.cli.failures import explain
        from llamakit.engine.ranks import here
        from llamakit.stages.together import meeting

        with meeting(here(), stage, explain) as team:
            _execute(stage, given, asked, team, **shared)

    annotations = {p.name: p.annotation for p in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = annotations
    return run


def _shared(
    *,
    store: StoreOption = DEFAULT_STORE,
    name: Annotated[
        str | None,
        typer.Option(help="The artifact's name.", rich_help_panel=COMMON, show_default="the stage"),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="TOML file of keys; flags win over it.", rich_help_panel=COMMON, metavar="FILE"
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Make a new version even if one exists.", rich_help_panel=COMMON
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Show what would run, and run nothing.", rich_help_panel=COMMON
        ),
    ] = False,
    show_config: Annotated[
        bool,
        typer.Option(
            "--show-config",
            help="Print the whole config as TOML, and run nothing.",
            rich_help_panel=COMMON,
        ),
    ] = False,
    json_: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """The options that every stage's command has; only its signature is used."""


_shared.__annotations__ = inspect.get_annotations(_shared, eval_str=True)


def _execute(
    stage: type[Stage],
    given: dict[str, Any],
    asked: str | None,
    team: Team | None,
    *,
    store: Path,
    name: str | None,
    config: Path | None,
    force: bool,
    dry_run: bool,
    show_config: bool,
    json_: bool,
    quiet: bool,
) -> None:
    from llamakit.artifacts.store import Store, check_name
    from llamakit.cli.console import ConsoleEvents
    from llamakit.cli.failures import stoppable
    from llamakit.stages.produce import describe, forecast, prepare, reusable
    from llamakit.stages.together import produce_together

    values = merged(stage, config, given)
    if show_config:
        print(as_toml(stage, values), end="")
        return
    built = stage.from_config(values)
    place = Store(store)
    if dry_run:
        prepared = prepare(built, place)
        found, hindrance = reusable(
            prepared, place, check_name(stage.command() if name is None else name)
        )
        with ConsoleEvents(quiet=quiet) as events, stoppable(events):
            told = forecast(prepared, place, events)
            if told:
                events.note(told.text)
        would = f"reuse {found.reference}" if found else "run"
        if hindrance:
            events.warn(f"{hindrance}: it would be made again")
        plan: dict[str, Any] = {
            **describe(prepared),
            "would": would,
        }
        if told:
            plan["forecast"] = told.values
        print(json.dumps(plan, indent=2, ensure_ascii=False))
        return
    with ConsoleEvents(quiet=quiet) as events, stoppable(events, once=team is not None):
        made = produce_together(built, place, team, name=name, force=force, events=events)
        if not made.reused:
            record = made.version.record
            events.note(
                f"made {made.version.reference} in {record.elapsed_seconds:.1f} s"
                + (f": {record.headline}" if record.headline else "")
            )
    if asked is not None:
        _answer(stage.explain(made.version, asked), json_=json_)
    elif json_:
        print(json.dumps(made.version.record.to_json(), indent=2, ensure_ascii=False))
    else:
        print(made.version.path)
    if made.unmet:
        raise GateError("; ".join(made.unmet), where=made.version.reference)


def _explain_newest(
    stage: type[Stage], item: str, store: Path, name: str | None, *, json_: bool
) -> None:
    """Explain from a version that is there already: `--name` gives the reference."""
    from llamakit.artifacts.store import Store

    version = Store(store).resolve(name or stage.command())
    if version.record.stage != stage.command():
        raise InputError(
            f"{version.reference} was made by {version.record.stage}", where=stage.command()
        )
    _answer(stage.explain(version, item), json_=json_)


def _answer(answer: Answer, *, json_: bool) -> None:
    print(json.dumps(answer.values, indent=2, ensure_ascii=False) if json_ else answer.text)
