"""Telephone numbers: candidates by pattern, decided by libphonenumber's numbering plans."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

_NEAR = 40

_GAP = r"[ .\-/\u00a0\u2011]"
# Digits in up to eight groups, each perhaps in brackets; what follows the number may be taken in
# and is given back group by group.
_CANDIDATE = re.compile(
    r"(?<![\w.,$€£#/:-])(?:\+ ?|\(\+|00(?=[1-9]))?"
    rf"\(?\d{{1,12}}\)?(?:{_GAP}{{0,2}}\(?\d{{1,12}}\)?){{0,7}}"
)
_NANP = re.compile(
    r"(?:\+?1[ .\-])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[ .\-/]{1,2})[2-9]\d{2}[ .\-]\d{4}"
)
_DATE = re.compile(
    r"(?:1[5-9]|20)\d\d[./ -][01]?\d[./ -][0-3]?\d|[0-3]?\d[./ -][0-3]?\d[./ -]\d{4}"
)
_WORDS = re.compile(
    r"\b(?:tel|phone|call|mobile|cell|fax|whatsapp|dial|ring|reach|contact|telefon|téléphone"
    r"|teléfono|telefono|handy|móvil|numéro)|\bph[.:]|[☎📞]",
    re.IGNORECASE,
)
_EXTENSION = re.compile(r" ?(?:x|ext\.?) ?\d{1,6}(?!\w)", re.IGNORECASE)
_FEWEST_DIGITS, _MOST_DIGITS = 7, 15


def find_phones(text: str, regions: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Spans of valid numbers: international ones, and those of the regions that are written like
    telephone numbers (in North American groups, with a leading 0, or after a word like "call")."""
    for match in _CANDIDATE.finditer(text):
        start, end = match.span()
        before = text[max(0, start - _NEAR) : start]
        while _count_digits(text[start:end]) >= _FEWEST_DIGITS:
            extension = _EXTENSION.match(text, end)
            goes_on = end < len(text) and text[end].isalnum() and not extension
            if not goes_on and _is_phone(text[start:end], regions, before):
                yield start, extension.end() if extension else end
                break
            end = start + _without_last_group(text[start:end])


def _count_digits(text: str) -> int:
    return sum(c.isdigit() for c in text)


def _without_last_group(number: str) -> int:
    """Length of the number without its last group of digits."""
    shorter = number.rstrip(" .-/()\u00a0\u2011").rstrip("0123456789")
    kept = shorter.rstrip(" .-/(\u00a0\u2011")
    return len(kept)


def _is_phone(number: str, regions: Sequence[str], before: str) -> bool:
    if _count_digits(number) > _MOST_DIGITS or number.count("(") != number.count(")"):
        return False
    if number.lstrip("(").startswith(("+", "00")):
        plain = number.replace("(0)", "")
        # After a + nothing but a telephone number is meant, so the right length is enough.
        return _fits("+" + plain[2:], None) if plain.startswith("00") else _fits(plain, None)
    if _DATE.match(number):
        return False
    said = _WORDS.search(before) is not None
    if _NANP.fullmatch(number):
        return said or any(_fits(number, region, strict=True) for region in regions)
    if said:
        return any(_fits(number, region) for region in regions)
    written = number.startswith(("0", "(0")) and len(re.findall(r"\d+", number)) > 1
    return written and any(_fits(number, region, strict=True) for region in regions)


@lru_cache(maxsize=4096)
def _fits(number: str, region: str | None, strict: bool = False) -> bool:
    """Whether the number has a possible length, or if strict is one that the plan gives out."""
    import phonenumbers

    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return False
    if strict:
        return bool(phonenumbers.is_valid_number(parsed))
    return bool(
        phonenumbers.is_possible_number_with_reason(parsed)
        == phonenumbers.ValidationResult.IS_POSSIBLE
    )
