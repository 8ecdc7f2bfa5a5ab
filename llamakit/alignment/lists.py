"""Lists that a person edits, as JSON lines: constraints and preprompts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from llamakit.errors import InputError


def list_files(paths: Sequence[Path], name: str) -> list[Path]:
    """The files that paths name: a folder means the file `name` in it."""
    return [path / name if path.is_dir() else path for path in paths]


def read_records(
    paths: Sequence[Path], what: str, keys: Sequence[str]
) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield every line's object with where it stands; `keys` must be texts that are not empty.

    Raises:
        InputError: a file cannot be read, or a line is no such object.
    """
    for path in paths:
        try:
            # Not by splitlines(): a text may hold line separators of Unicode.
            lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"the {what}s cannot be read ({error})",
                where=str(path),
                fix="A plain text file of JSON lines in UTF-8 is needed.",
            ) from None
        for number, line in enumerate(lines, start=1):
            if line.strip():
                where = f"{path.name}:{number}"
                yield _record(line, what, keys, where), where


def require_text(record: dict[str, Any], keys: Sequence[str], where: str) -> None:
    """Check that the record's `keys`, all of which it has, are texts that are not empty.

    Raises:
        InputError: one is not.
    """
    wrong = [key for key in keys if not (isinstance(record[key], str) and record[key].strip())]
    if wrong:
        raise InputError(f"{', '.join(wrong)} must be a text that is not empty", where=where)


def _record(line: str, what: str, keys: Sequence[str], where: str) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(line)
        for key in keys:
            record[key]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"this is no {what} ({type(error).__name__}: {error})",
            where=where,
            fix=f"A line is a JSON object with {', '.join(keys[:-1])} and {keys[-1]}.",
        ) from None
    require_text(record, keys, where)
    return record
