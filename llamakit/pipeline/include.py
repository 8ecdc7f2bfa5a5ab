"""Tables of a pipeline file that builds on others.

    include = ["start.toml"]      # or one name; paths start at the file that says so

The stages of the included files come first. Tables are laid over them key by key: a parameter or a
key of a stage that is given again replaces the included one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llamakit.errors import InputError, UsageError


def read_tables(path: Path) -> dict[str, Any]:
    """A file's tables over those of the files it includes, without the `include`.

    Raises:
        InputError: a file cannot be read.
        UsageError: a file is not TOML, includes itself, or its `include` names no files.
    """
    return _read(path, ())


def _read(path: Path, readers: tuple[Path, ...]) -> dict[str, Any]:
    where = str(path)
    if path.resolve() in readers:
        raise UsageError("this file includes itself", where=where)
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        fix = f"{readers[-1]} includes it." if readers else None
        raise InputError(f"cannot be read ({error.strerror})", where=where, fix=fix) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"not TOML ({error})", where=where) from None
    included = tables.pop("include", [])
    names = [included] if isinstance(included, str) else included
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError('include must name TOML files: include = "start.toml"', where=where)
    merged: dict[str, Any] = {}
    for name in names:
        merged = _over(merged, _read(path.parent / name, (*readers, path.resolve())))
    return _over(merged, tables)


def _over(below: Mapping[str, Any], above: Mapping[str, Any], depth: int = 3) -> dict[str, Any]:
    """Tables, tables of tables and a stage's keys are joined; a key's own value is replaced."""
    joined = dict(below)
    for key, value in above.items():
        known = joined.get(key)
        if depth > 1 and isinstance(known, dict) and isinstance(value, dict):
            joined[key] = _over(known, value, depth - 1)
        else:
            joined[key] = value
    return joined
