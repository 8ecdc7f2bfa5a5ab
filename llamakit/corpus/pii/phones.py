"""Telephone numbers: found by how they are written, decided by the numbering plans."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate

from llamakit.corpus.pii import numbering
from llamakit.corpus.pii.context import names_other_number

_NEAR = 48
_GROUP = re.compile(r"\d+")
_NANP = re.compile(
    r"(?:\+?1[ .\-]?)?(?:\([2-9]\d{2}\)[ .\-]?|[2-9]\d{2}[ .\-/\u2011\u2013]{1,2})"
    r"[2-9]\d{2}[ .\-\u2011\u2013]\d{4}"
)
_DATE = re.compile(
    r"(?<!\d)(?:1[5-9]|20)\d\d[./ -][01]?\d[./ -][0-3]?\d(?!\d)"
    r"|(?<!\d)[0-3]?\d[./ -][0-3]?\d[./ -](?:1[5-9]|20)\d\d(?!\d)"
    r"|\A(?:1[5-9]|20)\d\d ?[-/\u2013] ?(?:1[5-9]|20)\d\d\Z"
    r"|\A\d{5}-\d{4}\Z"  # a ZIP code with its four
)
_DECIMAL = re.compile(r"\d+\.\d+(?:[ /-]+\d+\.\d+)?\Z")
_WORDS = {
    "tel", "tels", "telefax", "phone", "phones", "telephone", "fon", "fone", "call", "calls",
    "calling", "caller", "mobile", "mobil", "cell", "cellular", "fax", "whatsapp", "dial",
    "dialing", "dialling", "ring", "pager", "handy", "móvil", "movil", "celular", "portable",
    "rufen", "appeler", "appelez", "ligue", "ligar", "liga", "тел", "hotline", "helpline", "sms",
    "voice", "voicemail", "landline", "extension", "switchboard", "signal", "telegram", "gsm",
    "tlf", "puh",
}  # fmt: skip
_STEMS = (
    "reach", "contact", "answer", "registered", "text", "messag", "subscri", "telefo", "teléfo",
    "téléph", "teleph", "phonen", "mobiln", "handyn", "rufnum", "llam", "llám", "chiam", "puhelin",
    "telefón", "телефон", "mobiele",
)  # fmt: skip
_SIGNS = ("☎", "📞", "📱", "電話", "电话", "전화", "whats app", "whats-app")
_LABEL = re.compile(r"(?<!\w)(?:ph|mob|[tmfhwpo])[.:]\s{0,2}\Z", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")
_WORDS_AFTER = re.compile(
    r"[ \t]{0,2}[-,(/]?[ \t]{0,2}(?:office|mobile|home|work|fax|cell|phone|tel|desk|direct"
    r"|pager|voice)\b",
    re.IGNORECASE,
)
_EXTENSION = re.compile(
    r"[ \t,;]{0,2}(?:x|ext\.?|extn\.?|extension|durchwahl|poste|anexo|ramal|#"
    r"|;ext=)[ \t.:]{0,2}\d{1,6}(?!\w)",
    re.IGNORECASE,
)
_FEWEST_DIGITS, _MOST_DIGITS = 7, 15
_MOST_GROUPS = 8
_MOST_NATIONAL_GROUPS = 6


def find_phones(
    text: str, start: int, end: int, regions: tuple[str, ...]
) -> Iterator[tuple[int, int]]:
    """Valid numbers: international ones, and those of the regions that are written like telephone
    numbers (as the country groups them, with a trunk 0, in North American groups) or stand after
    a word like "call". Between `start` and `end` stand groups of digits, of which some may be a
    date or a house number before or after a telephone number."""
    groups = [group.span() for group in _GROUP.finditer(text, start, end)]
    first = 0
    while first < len(groups):
        begin = _with_sign(text, groups[first][0])
        found = None
        if _may_begin(text, begin, at_start=first == 0):
            found = _longest(text, begin, groups, first, regions)
        if found is None:
            first += 1
            continue
        last, finish = found
        extension = _EXTENSION.match(text, finish)
        yield begin, extension.end() if extension else finish
        first = last + 1


def _with_sign(text: str, at: int) -> int:
    """Where a number begins whose first digit stands at `at`: its bracket and plus count."""
    begin = at
    if begin and text[begin - 1] == "(":
        begin -= 1
    if begin and text[begin - 1] == "+":
        return begin - 2 if text[begin - 2 : begin - 1] == "(" else begin - 1
    if text[begin - 2 : begin] == "+ ":
        return begin - 2
    return begin


def _may_begin(text: str, begin: int, *, at_start: bool) -> bool:
    """Whether what stands before lets a number begin here."""
    if begin == 0 or text[begin] == "+":
        return True
    before = text[begin - 1]
    if not at_start:
        return text[begin] == "(" or before in " \u00a0\u202f"
    if before.isalnum() or before in "_$€£#@+%":
        return False
    behind = text[begin - 2 : begin - 1]
    return not (before in ",./-" and (behind.isdigit() or (before == "-" and behind.isupper())))


def _longest(
    text: str, begin: int, groups: Sequence[tuple[int, int]], first: int, regions: tuple[str, ...]
) -> tuple[int, int] | None:
    """The last group and the end of the longest number that begins with group `first`."""
    ends = list(accumulate(stop - start for start, stop in groups[first : first + _MOST_GROUPS]))
    if ends[-1] < _FEWEST_DIGITS:
        return None
    before = _Before(text, begin)
    for ahead in range(len(ends) - 1, -1, -1):
        if ends[ahead] < _FEWEST_DIGITS:
            return None
        if ends[ahead] > _MOST_DIGITS + 3:
            continue
        last = first + ahead
        finish = groups[last][1]
        if text.startswith(")", finish) and "(" in text[groups[last][0] - 1 : finish]:
            finish += 1
        if _goes_on(text, finish):
            continue
        number = text[begin:finish]
        sizes = tuple(stop - start for start, stop in groups[first : last + 1])
        if _is_phone(number, sizes, before, regions, alone=first == 0):
            return last, finish
        said_after = _WORDS_AFTER.match(text, finish)
        if said_after and _is_phone(number, sizes, _SAID, regions, alone=first == 0):
            return last, finish
    return None


def _goes_on(text: str, end: int) -> bool:
    """Whether letters or more digits follow at once (an extension may)."""
    if end >= len(text):
        return False
    if text[end].isalnum():
        return _EXTENSION.match(text, end) is None
    if text[end] in "%°€$£":
        return True
    return text[end] in ".,:-/" and text[end + 1 : end + 2].isdigit()


class _Before:
    """What the words before a number say of it, found out when first asked."""

    def __init__(self, text: str, begin: int) -> None:
        self._text, self._begin = text, begin

    @cached_property
    def said(self) -> bool:
        """Whether a word not far before says that a telephone number follows."""
        low = max(0, self._begin - _NEAR)
        window = self._text[low : self._begin].lower()
        words = _WORD.findall(window)
        if words and low and self._text[low - 1].isalpha() and window[0].isalpha():
            del words[0]  # its beginning is cut off
        if any(word in _WORDS or word.startswith(_STEMS) for word in words):
            return True
        return any(sign in window for sign in _SIGNS) or _LABEL.search(window) is not None

    @cached_property
    def other(self) -> bool:
        """Whether the words right before call it an order, a price, a serial number …"""
        return names_other_number(self._text, self._begin)


_SAID = _Before("tel ", 4)


def _is_phone(
    number: str, sizes: tuple[int, ...], before: _Before, regions: tuple[str, ...], *, alone: bool
) -> bool:
    """`alone`: no other group of digits stands right before, of which this may be the end."""
    brackets = number.count("(")
    if brackets != number.count(")") or brackets > 2:
        return False
    digits = "".join(_GROUP.findall(number))
    if number.lstrip("(").startswith("+") or (digits.startswith("00") and digits[2:3] != "0"):
        if "+" not in number[:3] and not before.said and (not alone or number.isdigit()):
            return False
        return _is_international(number, digits, before)
    if len(digits) >= _MOST_DIGITS or len(sizes) > _MOST_NATIONAL_GROUPS or sizes.count(1) > 2:
        return False
    if _DATE.search(number) or _DECIMAL.match(number) or before.other:
        return False
    if _NANP.fullmatch(number) and (_given_out(digits) or before.said):
        return True
    if before.said:
        return numbering.possible_somewhere(digits, regions)
    if "  " in number:
        return False  # columns of a table
    trunk = number.startswith("(") or (alone and number.startswith("0") and len(sizes) > 1)
    return trunk and brackets < 2 and numbering.written_somewhere(digits, sizes, regions)


def _given_out(digits: str) -> bool:
    """Whether North America's plan gives the number out."""
    known = numbering.plans(numbering.regions_of("1"), len(digits))
    return any(one.valid(digits) for one in known)


def _is_international(number: str, digits: str, before: _Before) -> bool:
    # After a + nothing but a telephone number is meant, so the right length is enough; two zeros
    # begin other numbers too. Where a word says so, an old or a mistyped number is one as well.
    plus = "+" in number[:3]
    bare = "".join(_GROUP.findall(number.replace("(0)", "")))
    for candidate in (digits, bare):
        possible, valid = numbering.international(candidate if plus else candidate[2:])
        if valid or (possible and (plus or not number.isdigit())):
            return True
    if not plus or len(digits) > _MOST_DIGITS or not before.said:
        return False
    return numbering.split_international(digits) is not None
