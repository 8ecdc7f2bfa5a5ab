"""What comes out of a file: rows with their line, and broken rows with a reason."""

from __future__ import annotations

from typing import Any, NamedTuple

_SHOWN = 2_000


class Row(NamedTuple):
    """One value of a file. `line` counts from 1: the line of JSON lines, else the row's number."""

    line: int
    value: Any


class BrokenRow(NamedTuple):
    """A row that cannot be read, and one word of why. `ends_file` when nothing after it can be
    read either; `broken` is False for what is in order but no text (an image among web pages)."""

    line: int
    reason: str
    raw: str
    ends_file: bool = False
    broken: bool = True


def shown(data: bytes) -> str:
    """How the bytes begin, for people: what is not UTF-8 stands as an escape."""
    return data[:_SHOWN].decode("utf-8", errors="backslashreplace")


def shown_value(value: Any) -> str:
    """How a row's value begins, for people."""
    if isinstance(value, str):
        value = value[:_SHOWN]
    elif isinstance(value, dict):
        # The first texts fill what is shown; a text of megabytes need not be written out for it.
        value = {k: v[:_SHOWN] if isinstance(v, str) else v for k, v in value.items()}
    return repr(value)[:_SHOWN].encode("utf-8", "backslashreplace").decode()
