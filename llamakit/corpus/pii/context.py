"""Words near a number that say what it is."""

from __future__ import annotations

import re

BEFORE, AFTER = 64, 24
"""Characters looked at before and after a number."""


def words(*alternatives: str) -> re.Pattern[str]:
    """A pattern that finds one of the alternatives where a word begins, in any case."""
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(alternatives)})", re.IGNORECASE)


def near(
    pattern: re.Pattern[str],
    text: str,
    start: int,
    end: int,
    before: int = BEFORE,
    after: int = AFTER,
) -> bool:
    """Whether the pattern stands shortly before `start` or after `end`."""
    if pattern.search(text, max(0, start - before), start):
        return True
    return after > 0 and pattern.search(text, end, end + after) is not None


_OTHER_NUMBER = re.compile(
    r"(?<![^\W_])(?:order|invoice|tracking|shipment|parcel|isbn(?:-1[03])?|issn|doi|arxiv"
    r"|pmid|ean|upc|sku"
    r"|serial|version|part|model|item|product|article|ticket|case|booking|reservation|transaction"
    r"|reference|ref|receipt|batch|lot|build|commit|revision|page|pages|pp|lat|latitude|lon|lng"
    r"|longitude|coordinates?|bestellung|rechnung|commande|facture|pedido|factura|ordine|fattura"
    r"|(?:company |uspto )?registration|id|uid|gid|pid|port|timestamp|epoch|score|total|sum"
    r"|amount|price|population|checksum|hash)"
    r"(?:[ _-]?(?:no|nr|num|number|numbers|code|id|ids|is|was|of"
    r"|\([a-z]{1,12}\))){0,5}[ \t\"'.:=#()_-]{0,5}\Z",
    re.IGNORECASE,
)


def names_other_number(text: str, start: int) -> bool:
    """Whether the words right before a number call it an order, an ISBN, a version, a price …"""
    return _OTHER_NUMBER.search(text, max(0, start - 40), start) is not None
