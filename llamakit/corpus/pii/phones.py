"""Telephone numbers: candidates by pattern, decided by the numbering plans and by how and near
what words they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from llamakit.corpus.pii import numbering
from llamakit.corpus.pii.context import names_other_number, words

_NEAR = 48
_GAP = r"[ .\-/\u00a0\u2010-\u2015\u202f]"
# Digits in up to eight groups, each perhaps in brackets; what follows the number may be taken in
# and is given back group by group.
_CANDIDATE = re.compile(
    r"(?<![\w$€£#@+])(?<!\d[,./-])(?<!\d )(?:\+ ?|\(\+|00(?=[1-9]))?"
    rf"\(?\d{{1,12}}\)?(?:{_GAP}{{0,3}}\(?\d{{1,12}}\)?){{0,7}}"
)
_GROUP = re.compile(r"\d+")
_NANP = re.compile(
    r"(?:\+?1[ .\-]?)?(?:\([2-9]\d{2}\)[ .\-]?|[2-9]\d{2}[ .\-/\u2011\u2013]{1,2})"
    r"[2-9]\d{2}[ .\-\u2011\u2013]\d{4}"
)
_DATE = re.compile(
    r"(?:1[5-9]|20)\d\d[./ -][01]?\d[./ -][0-3]?\d(?!\d)|[0-3]?\d[./ -][0-3]?\d[./ -](?:1[5-9]|20)\d\d(?!\d)"
    r"|(?:1[5-9]|20)\d\d ?[-/\u2013] ?(?:1[5-9]|20)\d\d\Z"
    r"|\d{5}-\d{4}\Z"  # a ZIP code with its four
)
_DECIMAL = re.compile(r"\d+\.\d+(?:[ /-]+\d+\.\d+)?\Z")
_WORDS = words(
    r"(?:tele)?(?:phone|fon)(?:s|e?n?ummer| numbers?| no)?\b", r"tel(?:efax|ex)?\b", r"call(?:s|ing|er)?\b",
    r"mobile?\b", r"cell(?:ular)?\b", r"fax\b", r"whats ?app\b", r"dial(?:l?ing)?\b", r"ring\b", r"pager\b",
    r"(?:reach|contact|answer|registered|text|messag|subscri)\w*", r"t[eé]l[eé][fp]h?on[eo]?\w*", r"handy\b",
    r"m[óo]vil\b", r"celular\b", r"portable\b", r"num[ée]ro de t", r"rufen\b", r"appele[zr]\b", r"ll[aá]m\w*",
    r"liga?[ur]e?\b", r"chiam\w*", r"puhelin\w*", "телефон", r"тел\b", "電話", "电话", r"hotline\b", r"helpline\b",
    r"sms\b", r"voice(?:mail)?\b", r"landline\b", r"extension\b", r"switchboard\b", r"signal\b",
    r"(?:ph|mob|t|m|f|h|w|p|o)[.:]", "[☎📞📱]",
)  # fmt: skip
_WORDS_AFTER = re.compile(
    r"[ \t]{0,2}[-,(/]?[ \t]{0,2}(?:office|mobile|home|work|fax|cell|phone|tel|desk|direct|pager|voice)\b",
    re.IGNORECASE,
)
_EXTENSION = re.compile(
    r"[ \t,;]{0,2}(?:x|ext\.?|extn\.?|extension|durchwahl|poste|anexo|ramal|#|;ext=)[ \t.:]{0,2}\d{1,6}(?!\w)",
    re.IGNORECASE,
)
_FEWEST_DIGITS, _MOST_DIGITS = 7, 15
_MOST_GROUPS = 8


def find_phones(
    text: str, start: int, end: int, regions: Sequence[str]
) -> Iterator[tuple[int, int]]:
    """Valid numbers: international ones, and those of the regions that are written like telephone
    numbers (as the country groups them, with a trunk 0, in North American groups) or stand after
    a word like "call"."""
    stop = min(len(text), end + 1)
    for match in _CANDIDATE.finditer(text, max(0, start - 3), stop):
        yield from _within(text, *match.span(), regions)


def _within(text: str, start: int, end: int, regions: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The numbers in a run of groups; a date or a house number may stand before or after one."""
    groups = [group.span() for group in _GROUP.finditer(text, start, end)]
    first = 0
    while first < len(groups):
        begin = start if first == 0 else _with_sign(text, groups[first][0], groups[first - 1][1])
        found = None
        if first == 0 or text[groups[first][0] - 1] in " \u00a0(+":
            found = _longest(text, begin, groups, first, end, regions)
        if found is None:
            first += 1
            continue
        last, finish = found
        extension = _EXTENSION.match(text, finish)
        yield begin, extension.end() if extension else finish
        first = last + 1


def _with_sign(text: str, at: int, after: int) -> int:
    """Where a number begins whose first digit stands at `at`: its bracket or plus counts."""
    while at > after and text[at - 1] in "(+":
        at -= 1
    return at


def _longest(
    text: str,
    begin: int,
    groups: Sequence[tuple[int, int]],
    first: int,
    end: int,
    regions: Sequence[str],
) -> tuple[int, int] | None:
    """The last group and the end of the longest number that begins with group `first`."""
    for last in range(min(len(groups), first + _MOST_GROUPS) - 1, first - 1, -1):
        digits = sum(stop - start for start, stop in groups[first : last + 1])
        if digits < _FEWEST_DIGITS:
            return None
        if digits > _MOST_DIGITS + 3:
            continue
        finish = groups[last][1]
        if finish < len(text) and text[finish] == ")" and "(" in text[groups[last][0] - 1 : finish]:
            finish += 1
        if _goes_on(text, finish):
            continue
        if _is_phone(text, begin, finish, regions):
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


def _is_phone(text: str, begin: int, finish: int, regions: Sequence[str]) -> bool:
    number = text[begin:finish]
    if number.count("(") != number.count(")"):
        return False
    sizes = tuple(len(group) for group in _GROUP.findall(number))
    digits = "".join(_GROUP.findall(number))
    said = _said(text, begin, finish)
    if number.lstrip("(").startswith("+") or (digits.startswith("00") and digits[2:3] != "0"):
        return _is_international(number, digits, said)
    if len(digits) >= _MOST_DIGITS or _DATE.match(number) or _DECIMAL.match(number):
        return False
    if names_other_number(text, begin):
        return False
    if _NANP.fullmatch(number) and (said or _given_out(digits)):
        return True
    plans = _plans(regions)
    if said:
        return any(known.possible(digits) for known in plans)
    trunk = number.startswith(("0", "(")) and len(sizes) > 1
    return trunk and any(known.valid(digits) and known.grouped(digits, sizes) for known in plans)


def _given_out(digits: str) -> bool:
    """Whether North America's plan gives the number out."""
    return any(known.valid(digits) for known in _plans(numbering.regions_of("1")))


def _is_international(number: str, digits: str, said: bool) -> bool:
    # After a + nothing but a telephone number is meant, so the right length is enough; two zeros
    # begin other numbers too. Where a word says so, an old or a mistyped number is one as well.
    plus = "+" in number[:3]
    bare = "".join(_GROUP.findall(number.replace("(0)", "")))
    for candidate in (digits, bare):
        possible, valid = numbering.international(candidate if plus else candidate[2:])
        if valid or (possible and plus):
            return True
    return plus and said and len(digits) <= _MOST_DIGITS and bool(numbering.split_international(digits))


def _said(text: str, begin: int, finish: int) -> bool:
    """Whether a word right before, or an office, home or fax right after, says what it is."""
    if _WORDS.search(text, max(0, begin - _NEAR), begin):
        return True
    return _WORDS_AFTER.match(text, finish) is not None


def _plans(regions: Sequence[str]) -> list[numbering.Plan]:
    return [known for region in regions if (known := numbering.plan(region)) is not None]
