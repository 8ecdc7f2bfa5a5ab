"""Checks that tell whether a text obeys an instruction, decided by the text alone.

A check is a JSON object `{"kind": ..., "value": ...}`; worlds and evaluations share them, so that
"did the model do as it was told" needs no judge.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from llamakit.errors import InputError

Check = Mapping[str, object]

_WORDS = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
_EDGES = " \t\r\n\"'“”‘’*_"


def holds(check: Check, text: str) -> bool:
    """Whether `text` obeys `check`; an empty text obeys nothing.

    Kinds: `starts_with`, `ends_with`, `contains` (value: text, or a list of which one must fit;
    case, surrounding quotes and spaces do not matter), `uppercase`, `lowercase` (no letter of the
    other case), `max_words` (value: a count), `language_marker` (value: words of a language, any of
    which must occur as a whole word).

    Raises:
        InputError: the kind is unknown or its value has the wrong type.
    """
    kind = check.get("kind")
    rule = _RULES.get(kind) if isinstance(kind, str) else None
    if rule is None:
        raise InputError(
            f"unknown kind of check {kind!r}", fix=f"use one of {', '.join(sorted(_RULES))}"
        )
    return bool(text.strip()) and rule(text, check.get("value"))


def words(text: str) -> list[str]:
    """The words of a text, in order: letters and digits, with inner apostrophes and hyphens."""
    return _WORDS.findall(text)


def _starts_with(text: str, value: object) -> bool:
    return any(_bare(text).startswith(_bare(start)) for start in _texts(value))


def _ends_with(text: str, value: object) -> bool:
    return any(_bare(text).endswith(_bare(end)) for end in _texts(value))


def _contains(text: str, value: object) -> bool:
    return any(part.casefold() in text.casefold() for part in _texts(value))


def _uppercase(text: str, value: object) -> bool:
    return any(letter.isupper() for letter in text) and not any(map(str.islower, text))


def _lowercase(text: str, value: object) -> bool:
    return any(letter.islower() for letter in text) and not any(map(str.isupper, text))


def _max_words(text: str, value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"the value of a max_words check is a whole number, not {value!r}")
    return len(words(text)) <= value


def _language_marker(text: str, value: object) -> bool:
    found = {word.casefold() for word in words(text)}
    return any(marker.casefold() in found for marker in _texts(value))


def _bare(text: str) -> str:
    return text.strip(_EDGES).casefold()


def _texts(value: object) -> list[str]:
    parts = value if isinstance(value, list | tuple) else [value]
    texts = [part for part in parts if isinstance(part, str) and part.strip()]
    if not texts or len(texts) != len(parts):
        raise InputError(f"the value of this check is a text or a list of texts, not {value!r}")
    return texts


_RULES: dict[str, Callable[[str, object], bool]] = {
    "starts_with": _starts_with,
    "ends_with": _ends_with,
    "contains": _contains,
    "uppercase": _uppercase,
    "lowercase": _lowercase,
    "max_words": _max_words,
    "language_marker": _language_marker,
}
