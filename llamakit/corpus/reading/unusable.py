"""The reason a row cannot be used, and checks that all kinds of rows share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class UnusableRowError(Exception):
    """A row is left out. `reason` is one word; `broken` is False for rows that are in order but
    carry nothing to learn from (a tie, an empty answer), which do not count against the limit."""

    def __init__(self, reason: str, *, broken: bool = True) -> None:
        self.reason = reason
        self.broken = broken
        super().__init__(reason)


def as_record(value: Any) -> dict[str, Any]:
    """The row as an object, or UnusableRowError."""
    if not isinstance(value, dict):
        raise UnusableRowError("not_an_object")
    return value


def as_text(value: Any, name: str) -> str:
    """The value as text that UTF-8 can hold, or UnusableRowError."""
    if not isinstance(value, str):
        raise UnusableRowError(f"no_{name}" if value is None else f"{name}_not_text")
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise UnusableRowError("half_a_character") from None
    return value


def as_label(value: Any, name: str) -> str | None:
    """A short value (id, source, language …) as text; None when absent or empty."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return as_text(value, name)
    if isinstance(value, (dict, list)):
        raise UnusableRowError(f"{name}_not_text")
    return as_text(str(value), name)


def pick(record: Mapping[str, Any], field: str | None, usual: Sequence[str], name: str) -> Any:
    """The value of `field` when one is named (absent: UnusableRowError), else of a usual one."""
    return pick_with_key(record, field, usual, name)[1]


def pick_with_key(
    record: Mapping[str, Any], field: str | None, usual: Sequence[str], name: str
) -> tuple[str | None, Any]:
    """As `pick`, and the key it stands under: (None, None) when there is none."""
    if field is not None:
        if field not in record:
            raise UnusableRowError(f"no_{name}")
        return field, record[field]
    for key in usual:
        value = record.get(key)
        if value is not None:
            return key, value
    return None, None


def pick_first(record: Mapping[str, Any], *usual: str) -> Any:
    """The value of the first of the keys that is there and not null."""
    return pick(record, None, usual, "")
