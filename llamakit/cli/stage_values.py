"""A stage's values: flags over a config file over defaults, and the whole as TOML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from llamakit.cli.stage_options import plain
from llamakit.errors import InputError, UsageError
from llamakit.stages.fields import Field, fields_of, positional_inputs
from llamakit.stages.stage import Stage
from llamakit.wording import counted


def merged(stage: type[Stage], config: Path | None, given: dict[str, Any]) -> dict[str, Any]:
    """Flags over file: the values that were given, by key."""
    fields = fields_of(stage)
    values: dict[str, Any] = _read_toml(config) if config else {}
    positional = given.pop("positional_", None) or []
    for key, item in fields.items():
        value = given.get(item.name)
        if value is None or value == []:
            continue
        values[key] = _table(item, value) if get_origin(plain(item.type)) is dict else value
    by_words = {k: fields[k] for k in positional_inputs(stage) if not given.get(fields[k].name)}
    still_open = {key: item for key, item in by_words.items() if key not in values}
    # Words fill what is not given yet; where they are more, they win over the file as flags do.
    wanted = still_open if _fit(still_open, positional) else by_words
    values.update(_assign(stage, wanted, positional))
    return values


def _fit(fields: Mapping[str, Field], words: list[str]) -> bool:
    """Whether each field gets its word, and one that takes several the rest."""
    some = any(item.many for item in fields.values())
    return len(words) == len(fields) or (some and len(words) > len(fields))


def _assign(
    stage: type[Stage], fields: Mapping[str, Field], words: list[str]
) -> dict[str, str | list[str]]:
    """Give positional words to input fields in order; one field of several takes what is left."""
    if not words:
        return {}
    keys = list(fields)
    many = next((i for i, key in enumerate(keys) if fields[key].many), None)
    usage = " ".join(key.upper() + ("..." if fields[key].many else "") for key in keys) or "none"
    if not _fit(fields, words):
        raise UsageError(
            f"{counted(len(words), 'input')} given, wanted: {usage}",
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
    kind = get_args(plain(item.type))[1]
    table: dict[str, Any] = {}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign or not key:
            raise UsageError(f"{item.flag} {pair!r}: KEY=VALUE is needed")
        try:
            table[key] = kind(text)
        except ValueError:
            several = "," in text and "=" in text
            raise UsageError(
                f"{item.flag} {pair!r}: {text!r} is no {kind.__name__}",
                fix=f"Repeat the flag: {' '.join(f'{item.flag} {one}' for one in pair.split(','))}."
                if several
                else "",
            ) from None
    return table


def _read_toml(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError("no such config file", where=str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"not TOML ({error})", where=str(path)) from None
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path)) from None


def as_toml(stage: type[Stage], values: Mapping[str, Any]) -> str:
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
    kind = plain(item.type)
    return get_args(kind)[0] if get_origin(kind) is Literal else kind()


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
