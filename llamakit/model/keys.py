"""Values out of a JSON file that somebody else wrote, checked one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llamakit.errors import InputError

# Whatever file stands behind a number, no tensor of a greater size is asked for.
LARGEST = 2**31


class Keys:
    """The keys of a file; null counts as a key left out."""

    def __init__(self, values: Mapping[str, Any], file: str) -> None:
        self.values = {key: value for key, value in values.items() if value is not None}
        self.file = file

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def whole(self, key: str, default: int | None = None) -> int:
        """A whole number from 1.

        Raises:
            InputError: it is something else, or it is missing and there is no default.
        """
        value = self.values.get(key, default)
        if value is None:
            raise InputError(f"{self.file} lacks the key {key!r}")
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < LARGEST:
            raise InputError(f"{self.file} has {key} {value!r}; a whole number from 1 is needed")
        return value

    def positive(self, key: str, default: float) -> float:
        """A finite number above 0; InputError for anything else."""
        value = self.values.get(key, default)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not 0 < value < float("inf"):
            raise InputError(f"{self.file} has {key} {value!r}; a number above 0 is needed")
        return float(value)

    def truth(self, key: str) -> bool:
        """True or false, false by default; InputError for anything else."""
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            raise InputError(f"{self.file} has {key} {value!r}; true or false is needed")
        return value
