"""E-mail addresses, plain and spelled out against harvesters."""

from __future__ import annotations

import re
from collections.abc import Iterator

_LONGEST_LOCAL = 64
# Read backwards from the @. RFC 5322's atom, with letters of any alphabet (RFC 6531).
_LOCAL_BACKWARDS = re.compile(r"[\w.+%!#$&'*/=?^`{|}~-]{1,65}")
_NOT_FIRST = ".'`*/=?^{|}~!#$&%-"
_DOMAIN = re.compile(
    r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}"
    r"(?:xn--[a-z0-9-]{2,59}|[^\W\d_]{2,24})(?![\w-]|\.[^\W_]|@)"
)
_FILE_ENDINGS = (
    ".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".css", ".js", ".ts", ".json", ".html",
    ".py", ".scss", ".less", ".mjs", ".woff",
)  # fmt: skip
# What stands before a message's id; it has the form of an address and nobody reads mail there.
_MESSAGE_ID = re.compile(
    r"(?:article|message-id|references|in-reply-to|msgid)\W{0,3}<\Z", re.IGNORECASE
)

# An apostrophe inside a name belongs to it; before a name it is a quotation mark.
_IRISH = re.compile(r"[A-Za-z]{1,2}'[A-Za-z][^']*|[^']*[._-][A-Za-z]{1,2}'[A-Za-z][^']*")


def find_emails(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The address around the @ at `start`, if there is one."""
    head = _LOCAL_BACKWARDS.match(text[max(0, start - _LONGEST_LOCAL - 1) : start][::-1])
    domain = _DOMAIN.match(text, start + 1)
    if head is None or domain is None:
        return
    local = head[0][::-1]
    if len(local) > _LONGEST_LOCAL:
        return
    # Code and prose run up to an address with signs that it may hold but does not begin with.
    for sign in "=/`|{":
        local = local.rpartition(sign)[2]
    if not (_IRISH.fullmatch(local) and text[domain.end() : domain.end() + 1] != "'"):
        local = local.rpartition("'")[2]
    local = local.lstrip(_NOT_FIRST)
    if (
        not local
        or local.endswith(".")
        or ".." in local
        or domain[0].lower().endswith(_FILE_ENDINGS)
    ):
        return
    first = start - len(local)
    if local == "git" and text[domain.end() : domain.end() + 1] in (":", "/"):
        return
    if _MESSAGE_ID.search(text, max(0, first - 20), first):
        return
    yield first, domain.end()


_OPEN, _CLOSE = r"[ \t]{0,2}[\[({<][ \t]{0,2}", r"[ \t]{0,2}[\])}>][ \t]{0,2}"
_AT = rf"(?:{_OPEN}(?:at|@|arroba|ät|chez){_CLOSE}|[ \t]+(?:AT|at)[ \t]+)"
_DOT = rf"(?:{_OPEN}(?:dot|punkt|punto|point|\.){_CLOSE}|[ \t]+(?:DOT|dot)[ \t]+|\.)"
_SPELLED = re.compile(
    rf"(?<![\w.+-])[\w+-]{{1,32}}(?:(?:{_DOT})[\w+-]{{1,32}}){{0,3}}{_AT}"
    rf"[^\W_][\w-]{{0,62}}(?:{_DOT}[^\W_][\w-]{{0,62}}){{0,4}}{_DOT}[^\W\d_]{{2,24}}(?![\w-])",
    re.IGNORECASE,
)
_BRACKETED = re.compile(
    rf"{_OPEN}(?:at|@|arroba|ät|chez|dot|punkt|punto|point|\.){_CLOSE}", re.IGNORECASE
)
_SPACED = re.compile(r"[ \t]at[ \t].*[ \t]dot[ \t]", re.IGNORECASE)


def find_spelled_emails(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """`name [at] host [dot] com`, `name at host dot com`, around the trigger at `start`."""
    for match in _SPELLED.finditer(text, max(0, start - 100), min(len(text), end + 160)):
        if _BRACKETED.search(match[0]) or _SPACED.search(match[0]):
            yield match.span()
