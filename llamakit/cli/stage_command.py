"""A stage becomes a command: its fields become arguments and flags, its run prints one path."""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer

from llamakit.cli.help import PanelCommand
from llamakit.cli.options import COMMON, DEFAULT_STORE, JsonOption, QuietOption, StoreOption
from llamakit.errors import GateError, InputError, UsageError
from llamakit.stages.fields import Field, fields_of, help_of
from llamakit.stages.registry import load_stage
from llamakit.stages.stage import Stage

_INPUT_PANEL = "Inputs"
_SETTINGS_PANEL = "Settings"
_EXECUTION_PANEL = "Execution (does not change the result)"


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
    parameters = [*_stage_parameters(stage), *inspect.signature(_shared).parameters.values()]

    def run(**given: Any) -> None:
        shared = {name: given.pop(name) for name in inspect.signature(_shared).parameters}
        _execute(stage, given, **shared)

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


def _stage_parameters(stage: type[Stage]) -> list[inspect.Parameter]:
    texts = help_of(stage)
    fields = fields_of(stage)
    parameters = []
    positional = [key for key, item in fields.items() if item.is_input and item.required]
    if positional:
        several = len(positional) > 1
        metavar = " ".join(
            key.upper() + ("..." if several and fields[key].many else "") for key in positional
        )
        text = "The inputs in this order; or name them with the flags below."
        argument = typer.Argument(metavar=metavar, help=text, show_default=False)
        parameters.append(_parameter("positional_", list[str] | None, argument))
    for key, item in fields.items():
        option = typer.Option(
            *_flags(item),
            help=texts.get(key, "") + _shown_default(item),
            show_default=False,
            rich_help_panel=_panel(item),
            metavar=_metavar(item),
        )
        parameters.append(_parameter(item.name, _option_type(item), option))
    return parameters


def _parameter(name: str, kind: Any, option: Any) -> inspect.Parameter:
    # Everything defaults to None, "not given": the config file and the stage's own defaults follow.
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option]
    )


def _flags(item: Field) -> list[str]:
    if _plain(item.type) is bool:
        return [f"{item.flag}/--no-{item.flag[2:]}"]
    return [item.flag]


def _panel(item: Field) -> str:
    if item.is_input:
        return _INPUT_PANEL
    return _EXECUTION_PANEL if item.role.name == "execution" else _SETTINGS_PANEL


def _metavar(item: Field) -> str | None:
    if item.role.name == "files":
        return "PATH"
    if item.is_input:
        return "REF"
    return "KEY=VALUE" if get_origin(_plain(item.type)) is dict else None


def _shown_default(item: Field) -> str:
    value = item.default
    if item.required or value is None or value in ((), [], {}, ""):
        return ""
    if isinstance(value, bool):
        shown = "on" if value else "off"
    else:
        shown = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return f"  [default: {shown}]"


def _plain(kind: Any) -> Any:
    """An annotation without constraints and without `| None`."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        options = [option for option in get_args(kind) if option is not type(None)]
        return _plain(options[0])
    return kind


def _option_type(item: Field) -> Any:
    """The type typer parses: sequences and tables are repeated flags."""
    plain = _plain(item.type)
    origin = get_origin(plain)
    if item.is_input:
        return list[str] | None if item.many else str | None
    if origin is dict:
        return list[str] | None
    if origin in (list, tuple):
        return list[_plain(get_args(plain)[0])] | None  # type: ignore[misc]
    if origin is Literal:
        return plain | None
    return plain | None


def _execute(
    stage: type[Stage],
    given: dict[str, Any],
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
    from llamakit.artifacts.store import Store
    from llamakit.cli.console import ConsoleEvents
    from llamakit.cli.failures import stoppable
    from llamakit.stages.produce import describe, prepare, produce

    values = _merge(stage, config, given)
    if show_config:
        print(_as_toml(stage, values), end="")
        return
    built = stage.from_config(values)
    place = Store(store)
    if dry_run:
        prepared = prepare(built, place)
        found = place.find(name or stage.command(), prepared.fingerprint)
        plan = {**describe(prepared), "would": f"reuse {found.reference}" if found else "run"}
        print(json.dumps(plan, indent=2, ensure_ascii=False))
        return
    with ConsoleEvents(quiet=quiet) as events, stoppable(events):
        made = produce(built, place, name=name, force=force, events=events)
        if not made.reused:
            record = made.version.record
            events.note(
                f"made {made.version.reference} in {record.elapsed_seconds:.1f} s"
                + (f": {record.headline}" if record.headline else "")
            )
    if json_:
        print(json.dumps(made.version.record.to_json(), indent=2, ensure_ascii=False))
    else:
        print(made.version.path)
    if made.unmet:
        raise GateError("; ".join(made.unmet), where=made.version.reference)


def _merge(stage: type[Stage], config: Path | None, given: dict[str, Any]) -> dict[str, Any]:
    """Flags over file: the values that were given, by key."""
    fields = fields_of(stage)
    values: dict[str, Any] = _read_toml(config) if config else {}
    positional = given.pop("positional_", None) or []
    for key, item in fields.items():
        value = given.get(item.name)
        if value is None or value == []:
            continue
        values[key] = _table(item, value) if get_origin(_plain(item.type)) is dict else value
    inputs = [key for key, item in fields.items() if item.is_input and item.required]
    open_keys = [key for key in inputs if key not in values]
    values.update(_assign(stage, {key: fields[key] for key in open_keys}, positional))
    return values


def _assign(
    stage: type[Stage], fields: Mapping[str, Field], words: list[str]
) -> dict[str, str | list[str]]:
    """Give positional words to input fields in order; one field of several takes what is left."""
    if not words:
        return {}
    keys = list(fields)
    many = next((i for i, key in enumerate(keys) if fields[key].many), None)
    usage = " ".join(key.upper() + ("..." if fields[key].many else "") for key in keys) or "none"
    if len(words) < len(keys) or (many is None and len(words) > len(keys)):
        raise UsageError(
            f"{len(words)} inputs given, wanted: {usage}",
            where=stage.command(),
            fix=f"See `llamakit {stage.command()} --help`.",
        )
    if many is None:
        return dict(zip(keys, words, strict=True))
    after = len(keys) - many - 1
    taken: dict[str, str | list[str]] = dict(zip(keys[:many], words[:many], strict=True))
    taken[keys[many]] = words[many : len(words) - after]
    taken.update(zip(keys[many + 1 :], words[len(words) - after :], strict=True))
    return taken


def _table(item: Field, pairs: list[str]) -> dict[str, Any]:
    """`KEY=VALUE` flags as a table."""
    kind = get_args(_plain(item.type))[1]
    table: dict[str, Any] = {}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign or not key:
            raise UsageError(f"{item.flag} {pair!r}: KEY=VALUE is needed")
        try:
            table[key] = kind(text)
        except ValueError:
            raise UsageError(f"{item.flag} {pair!r}: {text!r} is no {kind.__name__}") from None
    return table


def _read_toml(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("no such config file", where=str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"not TOML ({error})", where=str(path)) from None
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path)) from None


def _as_toml(stage: type[Stage], values: Mapping[str, Any]) -> str:
    """The whole config, defaults and preset filled in; keys still to be given as comments."""
    fields = fields_of(stage)
    missing = [key for key, item in fields.items() if item.required and key not in values]
    built = stage.from_config({**values, **{key: _stand_in(fields[key]) for key in missing}})
    lines = []
    for key, item in fields.items():
        value = getattr(built, item.name)
        if key in missing:
            lines.append(f"# {key} = must be given")
        elif value is None:
            lines.append(f"# {key} is not set")
        else:
            lines.append(f"{key} = {toml_value(value)}")
    return "\n".join(lines) + "\n"


def _stand_in(item: Field) -> Any:
    """Any valid value for a required field, so that the rest of a config can be filled in."""
    if item.is_input:
        return ["-"] if item.many else "-"
    plain = _plain(item.type)
    return get_args(plain)[0] if get_origin(plain) is Literal else plain()


def toml_value(value: Any) -> str:
    """One value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(one) for one in value) + "]"
    if isinstance(value, dict):
        pairs = (f"{json.dumps(k)} = {toml_value(v)}" for k, v in value.items())
        return "{ " + ", ".join(pairs) + " }" if value else "{}"
    return json.dumps(str(value), ensure_ascii=False)
