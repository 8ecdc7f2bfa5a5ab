"""Credentials: keys and tokens of known form, private key blocks, passwords."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

_END = r"(?![A-Za-z0-9_-])"
_TOKENS = re.compile(
    r"(?<![A-Za-z0-9_])(?:"
    r"(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA|ABIA|ACCA)[0-9A-Z]{16}"  # Amazon Web Services
    r"|gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255}"
    r"|gl(?:pat|ptt|dt|rt|cbt|ft|soat)-[A-Za-z0-9_.-]{20,64}"  # GitLab
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,250}|xapp-\d-[A-Za-z0-9-]{20,200}"  # Slack
    r"|[spr]k_(?:live|test)_[A-Za-z0-9]{10,247}|whsec_[A-Za-z0-9]{20,64}"  # Stripe
    r"|AIza[0-9A-Za-z_-]{35}|ya29\.[0-9A-Za-z_-]{20,250}|GOCSPX-[A-Za-z0-9_-]{28}"  # Google
    r"|sk-(?:proj-|ant-|or-|svcacct-|admin-|live-|test-)?[A-Za-z0-9_-]{20,250}"  # OpenAI …
    r"|hf_[A-Za-z0-9]{30,50}|r8_[A-Za-z0-9]{30,50}|gsk_[A-Za-z0-9]{40,64}"
    r"|npm_[A-Za-z0-9]{36}|pypi-AgE[A-Za-z0-9_-]{50,250}|dop_v1_[a-f0-9]{64}"
    r"|SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}|key-[0-9a-f]{32}"  # SendGrid, Mailgun
    r"|(?:SK|AC)[0-9a-f]{32}|sq0(?:atp|csp)-[A-Za-z0-9_-]{22,43}"
    r"|EAACEdEose0cBA[0-9A-Za-z]{10,200}"
    r"|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|lin_api_[A-Za-z0-9]{40}|dckr_pat_[A-Za-z0-9_-]{20,40}"
    r"|AGE-SECRET-KEY-1[0-9A-Z]{58}|PMAK-[a-f0-9]{24}-[a-f0-9]{34}|rubygems_[a-f0-9]{48}"
    r"|eyJ[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,4000}(?:\.[A-Za-z0-9_-]{0,1000})?"  # JWT
    r"|\d{8,10}:AA[A-Za-z0-9_-]{33}"  # Telegram
    r"|ssh-(?:rsa|dss|ed25519) AAAA[A-Za-z0-9+/=]{40,1500}"
    r"|hooks\.slack\.com/(?:services|workflows|triggers)/[A-Z0-9]{8,12}/[A-Za-z0-9/]{20,80}"
    rf"){_END}"
)
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?)-----")
_LONGEST_BLOCK = 16_384
_USERINFO = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]{0,20}://([^\s/@:\"'<>]{1,64}:[^\s/@\"'<>]{1,128})@(?=[\w\[])"
)
_VALUE = (
    r"(?:\"([^\"\s]{4,200})\"|'([^'\s]{4,200})'|`([^`\s]{4,200})`|([^\s\"'<>(){}\[\],;]{6,200}))"
)
KEYS = (
    r"(?:api|secret|access|private|account|auth|encryption|signing|master|shared|license|consumer"
    r"|client|app|subscription|storage|service)[_ -]?key"
)
NAMES = (
    r"(?:pass(?:word|wd|phrase|code|wort)?|pwd|kennwort|mot de passe|contraseña|senha|wachtwoord"
    r"|парол[ья]|hasło|lösenord|salasana|parola|şifre|密码|密碼|パスワード|비밀번호"
    r"|secret(?:[_-]access[_-]key)?|token|bearer|credentials?"
    rf"|{KEYS})"
)
"""What a value that must stay secret is called."""
GIVEN = r"[\"']?[ \t\u00a0]{0,4}(?:=>|:=|=|:|：)[ \t\u00a0]{0,4}"
_ASSIGNED = re.compile(NAMES + GIVEN + _VALUE, re.IGNORECASE)
_SPOKEN = re.compile(
    rf"{NAMES}(?: (?:for|of|your|my|the|his|her|login|account|this|set|here)){{0,3}} (?:is"
    rf"|was|to|now):? {{1,2}}" + _VALUE,
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"(?<![A-Za-z0-9])(?:Authorization[\"']?[ \t]*[:=][ \t]*[\"']?)(?:Bearer|Basic|Token) "
    r"([A-Za-z0-9+/=._~-]{8,2000})",
    re.IGNORECASE,
)
_STANDS_FOR = re.compile(
    r"[*•x.]+\Z|[$%<{\[^]|(?:your|my|the|an?|some|new|old)[_-]|.*(?:example|placeholder"
    r"|changeme|redacted|xxxx|\.\.\.)"
    r"|(?:none|null|nil|true|false|undefined|required|optional|string|str|bytes|password"
    r"|passwd|secret"
    r"|token|value|default|empty|disabled|enabled|hidden|forgot(?:ten)?|protected|correct"
    r"|incorrect"
    r"|invalid|expired|hashed|encrypted|stored|needed|u?int\d*|bytes\d*|float\d*|varchar\d*)\W?\Z"
    r"|[a-z_]+:[a-z_:]+\Z",
    re.IGNORECASE,
)


def find_tokens(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A key or token of known form that begins at the trigger (Telegram's: before its colon)."""
    first = start
    if text[start] == ":":
        while first > max(0, start - 10) and text[first - 1].isdigit():
            first -= 1
    match = _TOKENS.match(text, first)
    if match is None or len(set(match[0])) <= 8:
        return
    # Some have no digit by chance, or by their form: then letters of both cases, in no order.
    turns = sum(a.islower() and b.isupper() for a, b in pairwise(match[0]))
    if turns >= 4 or any(c.isdigit() for c in match[0]):
        yield match.span()


def find_key_blocks(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A private key in PEM or PGP armour; without its end the header's line stands for it."""
    begin = _BLOCK.match(text, start)
    if begin is None:
        return
    ending = f"-----END {begin[1]}-----"
    at = text.find(ending, begin.end(), begin.end() + _LONGEST_BLOCK)
    again = text.find("-----BEGIN", begin.end(), begin.end() + _LONGEST_BLOCK)
    whole = at >= 0 and not 0 <= again < at
    yield start, at + len(ending) if whole else begin.end()


def find_logins(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """`user:password` before the @ of a web address; the trigger is its `://`."""
    low = max(0, start - 21)
    for match in _USERINFO.finditer(text, low, min(len(text), end + 260)):
        if match.start() > start:
            return
        if not _STANDS_FOR.match(match[1].partition(":")[2]):
            yield match.span(1)


def find_passwords(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The value that is assigned to a name like `password` or `api_key`, or told in prose; the
    trigger is the name's last word."""
    if not _is_name(text, start):
        return
    match = _ASSIGNED.match(text, start) or _SPOKEN.match(text, start)
    if match is None:
        return
    group = next(index for index, value in enumerate(match.groups(), 1) if value)
    value, first = match[group], match.start(group)
    quoted = text[first - 1] in "\"'`"
    if not quoted:
        if text[match.end() : match.end() + 1] == "(" or "::" in value or value[0] == ":":
            return  # a call, or a path of code
        value = value.rstrip(".!?:`")
    if _is_secret(value, quoted=quoted and match.re is _ASSIGNED):
        yield first, first + len(value)


def _is_name(text: str, start: int) -> bool:
    """Whether a name's last word begins here: `db_password`, `dbPassword`, no `compass`."""
    if start == 0 or not text[start - 1].isalnum():
        return True
    if text[start].isupper() and text[start - 1].islower():
        return True
    return text[start : start + 5].lower() in ("passw", "passp", "passc")


def find_headers(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The token after `Authorization: Bearer` or `Basic`."""
    match = _HEADER.match(text, start)
    if match is not None and _is_secret(match[1], quoted=False):
        yield match.span(1)


def _is_secret(value: str, *, quoted: bool) -> bool:
    """Whether a value can be a secret itself rather than its name, its place or its absence."""
    if len(value) < 4 or _STANDS_FOR.match(value) or "://" in value:
        return False
    if quoted and not value.isalpha():
        return True
    digits = any(c.isdigit() for c in value)
    letters = any(c.isalpha() for c in value)
    signs = any(not c.isalnum() and c not in "._-/" for c in value)
    return (digits and letters and len(value) >= 6) or (letters and signs and len(value) >= 6)
