"""What stands in a find's place: its kind, or a pseudonym that the same value keeps.

A pseudonym is a keyed hash (BLAKE2b, RFC 7693) of the kind and the value in its bare form. Without
the key nobody can try values against it, which a plain hash of a telephone number would allow.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable
from typing import Literal

from llamakit.corpus.pii.spans import Span, placeholder

Style = Literal["placeholder", "pseudonym", "linked"]
_SHORT, _LONG = 4, 12
_TITLES = re.compile(
    r"(?:mr|mrs|ms|miss|dr|prof|sir|herr|frau|mme|mlle|sr|sra|signor|signora)\.?\s+", re.IGNORECASE
)
_SPELLED_AT = re.compile(r"\s*[\[({<]?\s*\b(?:at|arroba)\b\s*[\])}>]?\s*", re.IGNORECASE)
_SPELLED_DOT = re.compile(
    r"\s*[\[({<]?\s*\b(?:dot|punkt|punto|point)\b\s*[\])}>]?\s*", re.IGNORECASE
)


def writer(style: Style, key: bytes, document: str, text: str) -> Callable[[Span], str]:
    """What is put in place of the spans of one document, called in their order.

    Args:
        style: `placeholder` gives `<EMAIL>`; `pseudonym` `<EMAIL_3f9a>`, the same for the same
            value inside the document and unrelated to other documents'; `linked` a longer one,
            the same in all documents under this key.
        document: the document's id.
    """
    if style == "placeholder":
        return placeholder
    return _Pseudonyms(key, None if style == "linked" else document, text)


class _Pseudonyms:
    def __init__(self, key: bytes, document: str | None, text: str) -> None:
        self._text = text
        master = hashlib.blake2b(key, digest_size=32, person=b"llamakit-pii").digest()
        scope = b"all" if document is None else b"one:" + document.encode()
        self._key = hashlib.blake2b(scope, key=master, digest_size=32).digest()
        self._size = _LONG if document is None else _SHORT
        self._owner: dict[str, str] = {}
        self._people: list[tuple[str, ...]] = []

    def __call__(self, span: Span) -> str:
        value = bare(span.kind, self._text[span.start : span.end])
        if span.kind == "person":
            value = self._whole_name(value)
        digest = hashlib.blake2b(
            f"{span.kind}\0{value}".encode(), key=self._key, digest_size=16
        ).hexdigest()
        size = self._size
        # Two values of one document never share a pseudonym; the later one's is longer.
        while self._owner.setdefault(digest[:size], value) != value:
            size += _SHORT
        return f"<{span.kind.upper()}_{digest[:size]}>"

    def _whole_name(self, name: str) -> str:
        """The longest name seen before that holds these words: "Doe" after "Jane Doe" is her."""
        words = tuple(name.split())
        known = [person for person in self._people if set(words) <= set(person)]
        if len(set(known)) == 1:
            return " ".join(known[0])
        if words not in self._people:
            self._people.append(words)
        return name


def bare(kind: str, value: str) -> str:
    """The value without the ways of writing it: case, separators, a country's prefix."""
    if kind == "email":
        if "@" not in value:
            value = _SPELLED_DOT.sub(".", _SPELLED_AT.sub("@", value))
        return value.casefold()
    if kind == "phone":
        # The same number with and without its country ends in the same nine digits.
        return re.sub(r"\D", "", value)[-9:]
    if kind == "ip":
        return ipaddress.ip_address(value).compressed
    if kind in ("card", "iban", "ssn", "national_id"):
        return re.sub(r"[\W_]", "", value).upper()
    if kind == "person":
        return " ".join(_TITLES.sub("", value).casefold().replace(".", " ").split())
    return value


def masked(value: str) -> str:
    """The value's shape: every letter an x, every digit a 9, in at most 40 signs."""
    shape = "".join("9" if c.isdigit() else "x" if c.isalpha() else c for c in value[:41])
    return " ".join((shape[:40] + "…" if len(shape) > 40 else shape).split())
