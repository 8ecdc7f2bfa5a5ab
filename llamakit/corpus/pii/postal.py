"""Postal addresses, guessed: a street's kind beside a house number, and post boxes."""

from __future__ import annotations

import re
from collections.abc import Iterator

_CAPITAL = r"(?:[A-ZÀ-Ž][\w'’.\-]{0,30}|\d{1,3}(?:st|nd|rd|th))"
_KINDS = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Place|Pl|Squares?"
    r"|Sq|Terrace|Parkway|Pkwy|Highway|Hwy|Way|Close|Crescent|Cres|Circle|Cir|Trail|Alley|Row"
    r"|Walk|Gardens|Grove|Mews|Hill|Loop|Plaza|Pike|Ridge|Streets|Turnpike|Parade|Esplanade)"
)
_FLAT = r"(?:,?\s{1,3}(?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|Room|#)\.?\s?\w{1,6})?"
_ENDINGS = (
    r"(?:stra(?:ß|ss)e|str\.|gasse|weg|platz|allee|damm|ufer|katu|tie|polku|vägen|gatan|gata"
    r"|vej|gade|veien|vei|straat|laan|plein|gracht|dijk|stræde|toften|parken|bakken|vænget)"
)
_LEADING = (
    r"(?:Rua|Avenida|Av\.|Via|Viale|Piazza|Corso|Rue|Place|Avenue|Boulevard|Calle|Plaza|Paseo"
    r"|Camino|ul\.|Ulica|al\.|os\.|Travessa|Largo|Estrada|Impasse|Chemin|Quai|Strada)"
)
_LINKS = r"(?:(?:de|da|do|di|del|della|des|du|la|le|los|las|dos)\s){0,3}"
_ADDRESS = re.compile(
    rf"(?<!\w)(?:\d{{1,6}}[A-Za-z]?,?\s(?:{_CAPITAL}\s){{1,4}}{_KINDS}(?!\w)\.?{_FLAT}"
    rf"|[A-ZÀ-Ž][\w\-]{{0,30}}{_ENDINGS}\s\d{{1,4}}[a-zA-Z]?(?!\w){_FLAT}"
    rf"|(?:{_CAPITAL}[ -]){{1,3}}(?:Straße|Strasse|Str\.|utca|u\.|út|tér|Platz|Weg|Allee)"
    rf"\s\d{{1,4}}\.?[a-z]?(?!\w)"
    rf"|{_LEADING}\s{_LINKS}{_CAPITAL}(?:\s{_CAPITAL}){{0,3}},?\s\d{{1,5}}[a-zA-Z]?(?!\w)"
    rf"|P\.?\s?O\.?\s?Box\s\d{{1,6}}|(?:PSC|Unit|CMR)\s\d{{1,5}},?\sBox\s\d{{1,5}})"
)
_BEFORE, _AFTER = 90, 40

HOUSE_NUMBER = r"[0-9]{1,6}[A-Za-z]?,?\s\p{Lu}|[\p{L}.],?\s[0-9]{1,6}"
"""The trigger: a number beside a word (Rust regex)."""


def find_addresses(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Addresses that begin or end where a number stands beside a word."""
    low, high = max(0, start - _BEFORE), min(len(text), end + _AFTER)
    for match in _ADDRESS.finditer(text, low, high):
        if match.start() < end and match.end() > start:
            yield match.span()
