"""A field's value against its type: coerced where that is safe, else an error that teaches."""

from __future__ import annotations

import json
from typing import Any

from llamakit.artifacts.store import Version
from llamakit.errors import UsageError
from llamakit.stages.fields import Field


def validated(command: str, item: Field, value: Any) -> Any:
    """Return `value` as the field's type, or raise UsageError naming the command and the key."""
    if item.is_input:
        return _references(command, item, value)
    if value is item.default:
        return value
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    if isinstance(value, tuple):
        value = list(value)
    # Infinity and NaN have no place in JSON, so none in a fingerprint.
    adapter: TypeAdapter[Any] = TypeAdapter(item.type, config=ConfigDict(allow_inf_nan=False))
    try:
        return _storable(command, item, adapter.validate_python(value, strict=True))
    except ValidationError as error:
        if isinstance(value, float) and value.is_integer():
            # TOML reads 4e6 as a float; for a count it is meant as a whole number.
            try:
                return adapter.validate_python(int(value), strict=True)
            except ValidationError:
                pass
        first = error.errors()[0]
        # Of a union's complaints the last is about None; the first is about the real type.
        place = "".join(f"[{step!r}]" for step in first["loc"] if not isinstance(step, str))
        raise UsageError(
            f"{item.key}{place} = {value!r}: {first['msg'][0].lower()}{first['msg'][1:]}",
            where=command,
        ) from None


def _storable(command: str, item: Field, value: Any) -> Any:
    # TOML's integers have 64 bits, and so have the seeds and sizes of the libraries below.
    if isinstance(value, int) and abs(value) >= 2**63:
        raise UsageError(f"{item.key} = {value}: input should be less than 2^63", where=command)
    try:
        # Bytes of a command line that are no UTF-8 come as lone surrogates.
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise UsageError(f"{item.key} = {value!r}: input should be UTF-8", where=command) from None
    return value


def _references(command: str, item: Field, value: Any) -> Any:
    if not item.many:
        if value is None and not item.required:
            return None
        return _reference(command, item, value)
    if isinstance(value, (str, Version)):
        value = (value,)
    if not isinstance(value, (list, tuple)):
        raise UsageError(f"{item.key} = {value!r}: a list of references is needed", where=command)
    if item.required and not value:
        raise UsageError(f"{item.key}: at least one is needed", where=command)
    return tuple(_reference(command, item, one) for one in value)


def _reference(command: str, item: Field, value: Any) -> Any:
    if isinstance(value, Version) or (isinstance(value, str) and value):
        return value
    raise UsageError(
        f"{item.key} = {value!r}: a reference is needed (NAME, NAME:v3, NAME:TAG or a path)",
        where=command,
    )
