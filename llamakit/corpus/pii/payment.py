"""Payment cards and international bank accounts, each held to its check digits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from llamakit.corpus.pii import checksums
from llamakit.corpus.pii.context import near, words

_GAP = r"[ \-\u00a0\u2010\u2011]"
_APART = rf"(?<!\d{_GAP})"
_END = r"(?!\w|[.,]\d|-\d)"
_CARDS = tuple(
    re.compile(rf"(?<![\w.\-,])(?:{form}){_END}")
    for form in (
        rf"\d{{12,19}}|{_APART}\d{{4}}({_GAP})\d{{4}}\1\d{{4}}\1\d{{1,4}}"
        rf"|{_APART}\d{{4}}({_GAP})\d{{6}}\2\d{{4,5}}|{_APART}\d{{8}}[ \u00a0]\d{{8}}",
        # A month or a security code may stand after sixteen digits as the last three of nineteen.
        rf"{_APART}\d{{4}}({_GAP})\d{{4}}\1\d{{4}}\1\d{{4}}\1\d{{1,3}}",
    )
)
_CARD_WORDS = words(
    "card", "visa", "master", "maestro", "amex", "american express", "discover", "diners", "jcb",
    "union ?pay", "credit", "debit", "payment", "cc", "karte", "kreditkarte", "carte", "tarjeta",
    "carta", "cartão", "cartao", "kaart",
)  # fmt: skip
# Bar codes have 12 and 13 digits, the ids of messages 17 and 18.
_SURE_DIGITS = (14, 15, 16, 19)


def find_cards(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Numbers a network issues, whose Luhn digit holds; lengths that other numbers have
    need a word nearby."""
    for form in _CARDS:
        for match in form.finditer(text, start, min(len(text), end + 2)):
            digits = re.sub(r"\D", "", match[0])
            if not checksums.issued_card(digits):
                continue
            if len(digits) in _SURE_DIGITS or near(_CARD_WORDS, text, *match.span()):
                yield match.span()


_IBAN = re.compile(r"(?<![A-Za-z0-9])(?:IBAN:?)?([A-Za-z]{2}\d{2})(?=[ \-\u00a0]?[A-Za-z0-9])")


def find_ibans(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Accounts of the country's length with 1 modulo 97, in one piece or in groups."""
    for match in _IBAN.finditer(text, start, end):
        at = match.start(1)
        length = checksums.IBAN_LENGTHS.get(match[1].upper()[:2], 0)
        account, place = "", at
        # Groups may be set apart by single blanks; words may follow. The country's length decides.
        while len(account) < length and place < len(text):
            letter = text[place]
            if letter.isascii() and letter.isalnum():
                account += letter
            elif letter not in " -\u00a0" or text[place - 1] in " -\u00a0":
                break
            place += 1
        cut = place < len(text) and text[place].isalnum()
        if length and len(account) == length and not cut and checksums.iban(account):
            yield at, place
