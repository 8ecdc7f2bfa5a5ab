"""A stage's fields as typer arguments and flags."""

from __future__ import annotations

import inspect
import types
from typing import Annotated, Any, Union, get_args, get_origin

import typer

from llamakit.cli.options import COMMON
from llamakit.stages.fields import Field, fields_of, help_of, positional_inputs
from llamakit.stages.stage import Stage

_INPUT_PANEL = "Inputs"
_SETTINGS_PANEL = "Settings"
_EXECUTION_PANEL = "Execution"
_NO_CHANGE = " (does not change the result)"


def stage_parameters(stage: type[Stage]) -> list[inspect.Parameter]:
    """Positional inputs, then a flag a field, then `--explain` where the stage has answers."""
    texts = help_of(stage)
    fields = fields_of(stage)
    parameters = []
    positional = positional_inputs(stage)
    if positional:
        several = len(positional) > 1
        metavar = " ".join(
            key.upper() + ("..." if several and fields[key].many else "") for key in positional
        )
        text = "The inputs in this order; or name them with the flags below."
        argument = typer.Argument(metavar=metavar, help=text, show_default=False)
        parameters.append(_parameter("positional_", list[str] | None, argument))
    panels = _panels(stage)
    for key, item in sorted(fields.items(), key=lambda pair: pair[1].role.name == "execution"):
        option = typer.Option(
            *_flags(item),
            help=texts.get(key, "") + _shown_default(item),
            show_default=False,
            rich_help_panel=panels[key],
            metavar=_metavar(item),
        )
        parameters.append(_parameter(item.name, _option_type(item), option))
    if stage.explains:
        option = typer.Option(
            "--explain", help=stage.explains, metavar="ID", rich_help_panel=COMMON
        )
        parameters.append(_parameter("explain_", str | None, option))
    return parameters


def _parameter(name: str, kind: Any, option: Any) -> inspect.Parameter:
    # Everything defaults to None, "not given": the config file and the stage's own defaults follow.
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option]
    )


def _flags(item: Field) -> list[str]:
    if plain(item.type) is bool:
        return [f"{item.flag}/--no-{item.flag[2:]}"]
    return [item.flag]


def _panels(stage: type[Stage]) -> dict[str, str]:
    """Each field's panel: that of its role, or the last section of the stage that begins above."""
    panels = {}
    section = ""
    for key, item in fields_of(stage).items():
        section = stage.sections.get(key, section)
        if item.is_input:
            panels[key] = _INPUT_PANEL
        elif item.role.name == "execution":
            panels[key] = (section or _EXECUTION_PANEL) + _NO_CHANGE
        else:
            panels[key] = section or _SETTINGS_PANEL
    return panels


def _metavar(item: Field) -> str | None:
    if item.role.name == "files":
        return "PATH"
    if item.is_input:
        return "REF"
    return "KEY=VALUE" if get_origin(plain(item.type)) is dict else None


def _shown_default(item: Field) -> str:
    value = item.default
    if item.required or value is None or value in ((), [], {}, ""):
        return ""
    if isinstance(value, bool):
        shown = "on" if value else "off"
    else:
        shown = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return f"  [default: {shown}]"


def plain(kind: Any) -> Any:
    """An annotation without constraints and without `| None`."""
    if get_origin(kind) is Annotated:
        return plain(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        options = [option for option in get_args(kind) if option is not type(None)]
        return plain(options[0])
    return kind


def _option_type(item: Field) -> Any:
    """The type typer parses: sequences and tables are repeated flags."""
    kind = plain(item.type)
    origin = get_origin(kind)
    if item.is_input:
        return list[str] | None if item.many else str | None
    if origin is dict:
        return list[str] | None
    if origin in (list, tuple):
        return list[plain(get_args(kind)[0])] | None  # type: ignore[misc]
    return kind | None
