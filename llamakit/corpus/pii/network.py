"""IP addresses: valid ones that can be somebody's, and that no version or section number is."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

_IPV4 = re.compile(r"(?<![\w.\-])(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d|-\d)")
_IPV6 = re.compile(
    r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}(?:(?:\d{1,3}\.){3}\d{1,3}|[0-9A-Fa-f]{0,4})"
    r"(?![\w:]|\.\d)(?:%[A-Za-z0-9]{1,15}(?!\w))?"
)
_VERSION = re.compile(
    r"(?:\bv(?:er(?:sion)?s?)?|\brelease|\brv|\bsections?|\bsec|\bchapters?|\bbuild|\brev(?:ision)?"
    r"|\bfirmware|§|\bclause|\bfigure|\btable|\bappendix|\brule|\barticle|\bpart|\bupdate"
    r"|\bdriver"
    r"|\bkernel|\bsdk|\bapi|\boid|[=<>~^]=|[A-Za-z]/|\bto version|\bversion is)[.:= \"'v]{0,3}\Z",
    re.IGNORECASE,
)
_HEADING = re.compile(r"[ \t]+[A-Z]")


def find_ipv4(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Four numbers to 255 with dots, perhaps before a port or a prefix length."""
    for match in _IPV4.finditer(text, start, min(len(text), end + 2)):
        first, last = match.span()
        if not _is_somebodys(match[0]) or _VERSION.search(text, max(0, first - 20), first):
            continue
        low = all(len(part) < 2 for part in match[0].split("."))
        begins_line = not text[max(0, first - 1) : first].strip(" \t")
        if low and begins_line and first == _line_start(text, first) and _HEADING.match(text, last):
            continue
        yield first, last


def _line_start(text: str, at: int) -> int:
    """Where the line's first word begins, if that is at most eight blanks before `at`; else 0."""
    blank = at
    while blank > max(0, at - 8) and text[blank - 1] in " \t":
        blank -= 1
    return at if blank == 0 or text[blank - 1] == "\n" else -1


def find_ipv6(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Groups of hexadecimal digits, compressed or not, with a zone or an IPv4 tail."""
    for match in _IPV6.finditer(text, max(0, start - 1), min(len(text), end + 40)):
        bare = match[0].partition("%")[0]
        groups = [group for group in bare.split(":") if group]
        # `a::b` is a name in several programming languages, `00:1b:…` a hardware address.
        told = len(groups) >= 3 or (groups and _ROUTED.match(groups[0])) or "." in bare
        hardware = len(groups) == 8 and all(len(group) == 2 for group in groups)
        if told and not hardware and any(c.isdigit() for c in bare) and _is_somebodys(bare):
            yield match.span()


_ROUTED = re.compile(r"(?:[23][0-9a-f]{3}|f[cd][0-9a-f]{2}|fe[89ab][0-9a-f])\Z", re.IGNORECASE)


def _is_somebodys(text: str) -> bool:
    """A valid address that is not this machine, nobody, everybody or a mask."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        return False
    return not text.startswith(("0.", "255."))
