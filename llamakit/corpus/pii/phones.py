"""Telephone numbers: found by how they are written, decided by the numbering plans."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate

from llamakit.corpus.pii import numbering
from llamakit.corpus.pii.checksums import weighted
from llamakit.corpus.pii.phone_words import LONGEST_PLACEHOLDER, SAID, Before

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
_AFTER_PLACEHOLDER = re.compile(r"<[A-Z_]{2,16}(?:_[0-9a-f]{4,16})?>[ .\-/()\u00a0]{0,3}\Z")
_JOINED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3]")
_MAIL = re.compile(r"[\w.+-]{0,64}@")
_VERSION = re.compile(r"\d{1,5}(?:\.\d{1,5}){2,}")
_ABROAD = re.compile(r"\(?(?:\+|00[^0])")
_HEX = re.compile(r"-(?=[a-f]*\d)[0-9a-f]{4,}")  # the rest of a UUID
_ISBN = re.compile(r"\d{1,5}-\d{1,7}-\d{1,6}-\d")
_WORDS_AFTER = re.compile(
    r"[ \t]{0,2}[-,(/]?[ \t]{0,2}(?:office|mobile|home|work|fax|cell|phone|tel|desk|direct"
    r"|pager|voice)\b",
    re.IGNORECASE,
)
_EXTENSION = re.compile(
    r"[ \t,;\u00a0]{0,2}(?:x|ext\.?|extn\.?|extension|durchwahl|poste|anexo|ramal|#"
    r"|;ext=)[ \t.:]{0,2}\d{1,6}(?!\w)",
    re.IGNORECASE,
)
# Groups that neither millions ("35 701 862") nor insurance numbers have, all set apart alike.
_STYLED = re.compile(
    r"(?!\d{1,3}([ \u00a0\u202f])(?:\d{3}\1)*\d{3}\Z)(?!\d{3}.\d{2}.\d{4}\Z)"
    r"\d{1,4}([ \-\u00a0\u202f])(?:\d{2,4}\2)+\d{2,4}|[3-9]\d{2} [2-9]\d{6}"
)
_NEAR = 12
# What llamakit writes in the place of a find had figures, or may have had.
_FIGURES = re.compile(r"\d|<(?:[A-Z_]|\Z)|(?:[A-Z]|_[0-9a-f]{1,16}|\A)>")
_FEWEST_DIGITS, _MOST_DIGITS = 7, 15
_MOST_GROUPS = 8
_MOST_NATIONAL_GROUPS = 6


class PhoneFinder:
    """Finds valid numbers: international ones, and those of the regions that are written like
    telephone numbers (as the country groups them, with a trunk 0, in North American groups), stand
    after a word like "call", or follow another one ("… or 660-5100"), which is why it remembers
    where the last one ended: give it the hits of a text in order."""

    def __init__(self, regions: tuple[str, ...]) -> None:
        self._regions = regions
        self._text, self._end = "", 0

    def __call__(self, text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The numbers between `start` and `end`, where groups of digits stand, of which some may
        be a date or a house number before or after a telephone number."""
        if text is not self._text:
            self._text, self._end = text, 0
        groups = [group.span() for group in _GROUP.finditer(text, start, end)]
        first = 0
        while first < len(groups):
            begin = _with_sign(text, groups[first][0])
            found = None
            if _may_begin(text, begin, at_start=first == 0):
                found = _longest(text, begin, groups, first, self._regions, self._end)
            if found is None:
                first += 1
                continue
            begin, last, finish = found
            extension = _EXTENSION.match(text, finish)
            self._end = extension.end() if extension else finish
            yield begin, self._end
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
    if (before.isalnum() and not _JOINED.match(before)) or before in "_$€£#@+%":
        return False
    behind = text[begin - 2 : begin - 1]
    if before == "/" and behind.isalpha() and _VERSION.match(text, begin):
        return False
    return not (before in ",./-" and (behind.isdigit() or (before == "-" and behind.isupper())))


def _longest(
    text: str,
    begin: int,
    groups: Sequence[tuple[int, int]],
    first: int,
    regions: tuple[str, ...],
    another: int,
) -> tuple[int, int, int] | None:
    """The beginning, the last group and the end of the longest number that begins with group
    `first`; before `another` ended the number found before."""
    ends = list(accumulate(stop - start for start, stop in groups[first : first + _MOST_GROUPS]))
    if ends[-1] < _FEWEST_DIGITS:
        return None
    before = Before(text, begin, another)
    alone = first == 0 and not _AFTER_PLACEHOLDER.search(
        text, max(0, begin - LONGEST_PLACEHOLDER), begin
    )
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
        around = text[begin] == "(" and ")" not in number
        number = number[around:]  # "(see 030 1234567, or …": the bracket is not the number's
        sizes = tuple(stop - start for start, stop in groups[first : last + 1])
        said_after = _WORDS_AFTER.match(text, finish)
        lonely = alone and last == len(groups) - 1
        if (
            _is_phone(number, sizes, before, regions, alone=alone)
            or (said_after and _is_phone(number, sizes, SAID, regions, alone=alone))
            or (lonely and _is_styled(text, begin + around, finish, sizes, before, regions))
        ):
            return begin + around, last, finish
    return None


def _goes_on(text: str, end: int) -> bool:
    """Whether letters, more digits or the rest of an address follow at once (an extension may)."""
    if end >= len(text):
        return False
    if text[end].isalnum() and not _JOINED.match(text, end):
        return _EXTENSION.match(text, end) is None
    if text[end] in "%°€$£":
        return True
    if text[end] in ".,:-/" and (text[end + 1 : end + 2].isdigit() or text[end : end + 2] == "-X"):
        return True
    return _MAIL.match(text, end) is not None or _HEX.match(text, end) is not None


def _is_phone(
    number: str, sizes: tuple[int, ...], before: Before, regions: tuple[str, ...], *, alone: bool
) -> bool:
    """`alone`: no other group of digits stands right before, of which this may be the end."""
    brackets = number.count("(")
    if brackets != number.count(")") or brackets > 2:
        return False
    digits = "".join(_GROUP.findall(number))
    if _ISBN.fullmatch(number) and weighted(digits, range(10, 0, -1)) % 11 == 0:
        return False
    if _ABROAD.match(number):
        if "+" not in number[:3] and not before.said and not alone:
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


def _is_styled(
    text: str,
    begin: int,
    finish: int,
    sizes: tuple[int, ...],
    before: Before,
    regions: tuple[str, ...],
) -> bool:
    """Whether a number without any word for it can hardly be something else: grouped as a country
    groups the numbers it gives out, not as amounts are, and no other figures near, as there are in
    tables, dumps and sums."""
    number = text[begin:finish]
    if (
        sum(sizes) <= _FEWEST_DIGITS
        or _STYLED.fullmatch(number) is None
        or _DATE.search(number)
        or before.other
    ):
        return False
    extension = _EXTENSION.match(text, finish)
    after = extension.end() if extension else finish
    around = text[max(0, begin - _NEAR) : begin], text[after : after + _NEAR]
    if any(_FIGURES.search(window) for window in around):
        return False
    return numbering.written_somewhere("".join(_GROUP.findall(number)), sizes, regions)


def _given_out(digits: str) -> bool:
    """Whether North America's plan gives the number out."""
    known = numbering.plans(numbering.regions_of("1"), len(digits))
    return any(one.valid(digits) for one in known)


def _is_international(number: str, digits: str, before: Before) -> bool:
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
