"""Personal data in text: find spans, put placeholders in their place.

Every pattern has bounded repetitions and may only start where a word does, so that a hostile text
costs linear time; what a pattern finds counts only if its checksum or format holds.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from llamakit.corpus.pii import checksums
from llamakit.corpus.pii.national_ids import find_national_ids, find_ssns
from llamakit.corpus.pii.phones import find_phones


class Span(NamedTuple):
    """`text[start:end]` (characters) is personal data of a kind."""

    start: int
    end: int
    kind: str


KINDS = ("email", "iban", "card", "ip", "ssn", "national_id", "phone")
"""In order of preference: where two finds overlap, the earlier kind stands."""

SUSPICIOUS = (
    r"@"
    r"|(?:\d[ ().\-/]{0,3}){6}"  # any number long enough
    r"|\d\.\d{1,3}\.\d{1,3}\.\d"  # IPv4
    r"|[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{0,4}:"  # IPv6
    r"|[A-Za-z]{2}\d{2}"  # IBAN, and ids that mix letters and digits
)
"""A text in which this (RE2 syntax) finds nothing holds no personal data that we know of."""

_EMAIL = re.compile(
    r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[^\W_][\w-]{0,62}\.){1,8}[^\W\d_]{2,24}(?![\w-])"
)
_FILE_ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".css", ".js")
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){11,18}(?![\w]|[.-]\d)")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?=[ -]?[A-Za-z0-9])")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
_VERSION = re.compile(
    r"(?:\bv(?:er(?:sion)?s?)?|\brelease|\bsection|\bsec|\bchapter|\bbuild|\brev(?:ision)?"
    r"|\bfirmware|§|\bclause|\bfigure|\btable)[.: ]{0,3}\Z",
    re.IGNORECASE,
)


def find_pii(text: str, kinds: Sequence[str], regions: Sequence[str]) -> list[Span]:
    """Spans of the kinds, in order and without overlaps.

    Args:
        regions: countries (ISO 3166) whose way of writing telephone numbers is read where a number
            does not begin with +.
    """
    finders: dict[str, Callable[[str], Iterator[tuple[int, int]]]] = {
        "email": _emails,
        "iban": _ibans,
        "card": _cards,
        "ip": _addresses,
        "ssn": find_ssns,
        "national_id": find_national_ids,
        "phone": lambda t: find_phones(t, regions),
    }
    found: list[Span] = []
    for kind in KINDS:
        if kind not in kinds:
            continue
        taken = found
        fresh = [Span(start, end, kind) for start, end in finders[kind](text)]
        found = _merged(taken, fresh)
    return found


def redact(text: str, spans: Sequence[Span]) -> str:
    """The text with `<EMAIL>`, `<PHONE>` … in place of the spans."""
    pieces = []
    at = 0
    for span in spans:
        pieces += [text[at : span.start], f"<{span.kind.upper()}>"]
        at = span.end
    return "".join([*pieces, text[at:]])


def _merged(taken: list[Span], fresh: list[Span]) -> list[Span]:
    """Both in order; of the fresh only those that overlap nothing before them."""
    kept = list(taken)
    index, end = 0, 0
    for span in sorted(fresh):
        while index < len(taken) and taken[index].end <= span.start:
            index += 1
        free = index == len(taken) or span.end <= taken[index].start
        if free and span.start >= end:
            kept.append(span)
            end = span.end
    return sorted(kept)


def _emails(text: str) -> Iterator[tuple[int, int]]:
    if "@" in text:
        for match in _EMAIL.finditer(text):
            if not match[0].lower().endswith(_FILE_ENDINGS):
                yield match.span()


def _cards(text: str) -> Iterator[tuple[int, int]]:
    for match in _CARD.finditer(text):
        groups = re.split(r"[ -]", match[0])
        one_way = len(set(match[0]) & {" ", "-"}) <= 1
        if one_way and min(map(len, groups)) >= 3 and checksums.issued_card("".join(groups)):
            yield match.span()


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    for match in _IBAN.finditer(text):
        length = checksums.IBAN_LENGTHS.get(match[0][:2].upper(), 0)
        account, end = "", match.start()
        # Groups may be set apart by single blanks; words may follow. The country's length decides.
        while len(account) < length and end < len(text):
            letter = text[end]
            if letter.isascii() and letter.isalnum():
                account += letter
            elif letter not in " -" or text[end - 1] in " -":
                break
            end += 1
        cut = end < len(text) and text[end].isalnum()
        if length and len(account) == length and not cut and checksums.iban(account):
            yield match.start(), end


def _addresses(text: str) -> Iterator[tuple[int, int]]:
    for match in _IPV4.finditer(text):
        before = text[max(0, match.start() - 16) : match.start()]
        if _is_address(match[0]) and not _VERSION.search(before):
            yield match.span()
    if ":" in text:
        for match in _IPV6.finditer(text):
            groups = [group for group in match[0].split(":") if group]
            # `a::b` is a name in several programming languages.
            if len(groups) >= 3 and any(c.isdigit() for c in match[0]) and _is_address(match[0]):
                yield match.span()


def _is_address(text: str) -> bool:
    """A valid address that can be somebody's: not this machine, nobody or everybody."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or address.is_multicast) and (
        text != "255.255.255.255" and not text.startswith("0.")
    )
