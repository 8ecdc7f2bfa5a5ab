"""National identity and social security numbers, told by check digits or by words near them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from llamakit.corpus.pii import checksums

_NEAR = 48

_SSN = re.compile(
    r"(?<![\w-])(?!000|666|9)\d{3}([- ]?)(?!00)\d{2}\1(?!0000)\d{4}(?![\w]|-\d)",
)
_SSN_WORDS = re.compile(r"\bssn|social.{0,3}security", re.IGNORECASE)
# Numbers that advertising has used and the administration has withdrawn.
_SSN_VOID = {"078051120", "219099999", "123456789"}

_UK_NINO = re.compile(
    r"(?<!\w)(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]"
    r" ?\d{2} ?\d{2} ?\d{2} ?[A-D](?!\w)"
)
_ES = re.compile(r"(?<!\w)(?:\d{8}|[XYZ]-?\d{7})[- ]?[A-Z](?!\w)")
_FR = re.compile(
    r"(?<!\w)[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}(?!\w)"
)
_IT = re.compile(
    r"(?<!\w)[A-Z]{6}[0-9LMNP-V]{2}[ABCDEHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z](?!\w)"
)
_ELEVEN = re.compile(r"(?<![\w.-])\d{2} ?\d{3} ?\d{3} ?\d{3}(?![\w]|[.-]\d)")
_NINE = re.compile(r"(?<![\w.-])\d{4}[. ]?\d{2}[. ]?\d{3}(?![\w]|[.-]\d)")
_DE_WORDS = re.compile(r"steuer|identifikationsnummer|idnr|\btax.?id", re.IGNORECASE)
_PL_WORDS = re.compile(r"pesel", re.IGNORECASE)
_NL_WORDS = re.compile(r"\bbsn|burgerservice|sofi.?nummer", re.IGNORECASE)


def find_ssns(text: str) -> Iterator[tuple[int, int]]:
    """United States social security numbers: with dashes, or with a word that says what it is."""
    for match in _SSN.finditer(text):
        dashed = match[1] == "-"
        void = re.sub(r"\D", "", match[0]) in _SSN_VOID
        if not void and (dashed or _near(_SSN_WORDS, text, match)):
            yield match.span()


def find_national_ids(text: str) -> Iterator[tuple[int, int]]:
    """British NINO, Spanish DNI and NIE, French NIR, German tax id, Italian codice fiscale, Dutch
    BSN, Polish PESEL. Those of digits alone need their check digit and a word near them."""
    for match in _UK_NINO.finditer(text):
        yield match.span()
    for match in _ES.finditer(text):
        if checksums.spanish_id(_bare(match[0])):
            yield match.span()
    for match in _FR.finditer(text):
        if checksums.french_nir(_bare(match[0])):
            yield match.span()
    for match in _IT.finditer(text):
        if checksums.italian_tax_code(match[0]):
            yield match.span()
    for match in _ELEVEN.finditer(text):
        digits = _bare(match[0])
        german = checksums.german_tax_id(digits) and _near(_DE_WORDS, text, match)
        if german or (checksums.polish_pesel(digits) and _near(_PL_WORDS, text, match)):
            yield match.span()
    for match in _NINE.finditer(text):
        if checksums.dutch_bsn(_bare(match[0])) and _near(_NL_WORDS, text, match):
            yield match.span()


def _bare(text: str) -> str:
    return re.sub(r"[ .-]", "", text)


def _near(words: re.Pattern[str], text: str, match: re.Match[str]) -> bool:
    """Whether one of the words stands shortly before the match."""
    return words.search(text, max(0, match.start() - _NEAR), match.start()) is not None
