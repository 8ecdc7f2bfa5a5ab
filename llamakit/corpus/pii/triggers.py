"""Where personal data may stand: a few patterns searched by polars' regex engine, in linear time.

Each trigger is a pattern of bytes without any look at its surroundings,
so that the place of a hit
follows from the hits themselves: it is the first occurrence after the one before. What stands
there is decided in Python, and only there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from llamakit.corpus.pii import (
    credentials,
    crypto,
    emails,
    national_ids,
    network,
    numbering,
    payment,
    people,
    postal,
)
from llamakit.corpus.pii.phones import PhoneFinder

Finder = Callable[[str, int, int], Iterator[tuple[int, int]]]
"""Of a text and the start and end of a hit: spans of the kind, at or near the hit."""

_DASHES = r"\u{a0}\u{2010}-\u{2015}\u{202f}"
_NUMBER = rf"[0-9](?:[ .\-/(){_DASHES}]{{0,3}}[0-9]){{6,}}"
_DIGITS_APART = rf"[0-9](?:[ \-{_DASHES}]?[0-9]){{11,}}"
_GIVEN = credentials.GIVEN.replace(r"\u00a0", r"\u{a0}")


@dataclass(frozen=True)
class Trigger:
    """A pattern (Rust regex syntax) and, by kind, who looks at its hits."""

    pattern: str
    finders: tuple[tuple[str, Finder], ...]


def triggers(kinds: Sequence[str], regions: Sequence[str]) -> list[Trigger]:
    """The triggers that the kinds need."""
    every = (
        Trigger(r"@[^\s@]{1,255}", (("email", emails.find_emails),)),
        Trigger(
            r"(?i)[\[({<][ \t]{0,2}(?:at|@|arroba|ät|chez)[ \t]{0,2}[\])}>]"
            r"|[ \t]at[ \t]{1,3}[a-z0-9-]{1,63}[ \t]{1,3}dot[ \t]",
            (("email", emails.find_spelled_emails),),
        ),
        Trigger(_DIGITS_APART, (("card", payment.find_cards),)),
        Trigger(
            _NUMBER,
            (
                ("phone", PhoneFinder(numbering.chosen(regions))),
                ("national_id", national_ids.find_national_ids),
            ),
        ),
        # In Sweden and Finland a plus says that somebody is older than a hundred.
        Trigger(r"[0-9]{6}\+[0-9]{3}[0-9A-Y]", (("national_id", national_ids.find_national_ids),)),
        Trigger(
            r"[0-9]{3}[-. \u{2010}\u{2011}\u{2013}]?[0-9]{2}[-. \u{2010}\u{2011}\u{2013}]?"
            r"[0-9]{4}",
            (("ssn", national_ids.find_ssns),),
        ),
        Trigger(
            r"[A-Za-z]{2}[0-9]{2}[ \-\u{a0}]?[A-Za-z0-9]{4}[ \-\u{a0}]?[A-Za-z0-9]{4}"
            r"[ \-\u{a0}]?[A-Za-z0-9]{3}",
            (("iban", payment.find_ibans),),
        ),
        Trigger(
            r"[A-Z]{2}[ -]?[0-9]{2}[ -]?[0-9]{2}[ -]?[0-9]{2}[ -]?[A-D]|[A-Z]{5}[0-9]{4}[A-Z]"
            r"|[A-Z]{6} ?[0-9LMNP-V]{2} ?[A-Z][0-9LMNP-V]{2} ?[A-Z]"
            r"|[A-Z]{3,4}[ -]?[0-9]{6}[ -]?[0-9A-Z]{3}"
            r"|[A-Z][0-9]{6}\([0-9A]\)|[0-9]{6}[A-FU-Y][0-9]{3}[0-9A-Y]",
            (("national_id", national_ids.find_lettered_ids),),
        ),
        Trigger(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}", (("ip", network.find_ipv4),)),
        Trigger(r"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]*", (("ip", network.find_ipv6),)),
        Trigger(r"[A-Za-z0-9]{25,}", (("crypto", crypto.find_crypto),)),
        Trigger(
            r"AKIA|ASIA|A[GIRN][PDO]A[0-9A-Z]{8}|AB[IC]A[0-9A-Z]{8}|gh[pousr]_|github_pat_"
            r"|gl[a-z]{2,4}-|xox[abeoprs]-|xapp-"
            r"|[spr]k_live_|[spr]k_test_|whsec_|AIza|ya29\.|GOCSPX-|sk-[A-Za-z0-9]"
            r"|hf_[A-Za-z0-9]|r8_[A-Za-z0-9]|gsk_|npm_"
            r"|pypi-AgE|dop_v1_|SG\.[A-Za-z0-9]|key-[0-9a-f]{4}|SK[0-9a-f]{8}|AC[0-9a-f]{8}"
            r"|sq0|EAACE|shp[acps][ats]_|lin_api_"
            r"|dckr_pat_|AGE-SECRET|PMAK-|rubygems_|eyJ|:AA[A-Za-z0-9_-]{33}"
            r"|ssh-[a-z0-9]{3,7} AAAA|hooks\.slack\.com/[a-z]",
            (("credential", credentials.find_tokens),),
        ),
        Trigger(
            r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY", (("credential", credentials.find_key_blocks),)
        ),
        Trigger(r"://[^\s/@:]{1,64}:[^\s/@]{1,128}@", (("credential", credentials.find_logins),)),
        Trigger(
            rf"(?i){credentials.NAMES}(?:{_GIVEN}"
            r"|(?: [a-z]{2,7}){1,4}:? {1,2})[\"'`]?[^\s\"'<>(){}\[\],;]{4}",
            (("credential", credentials.find_passwords),),
        ),
        Trigger(r"(?i)Authorization[\"']?[ \t]*[:=]", (("credential", credentials.find_headers),)),
        Trigger(postal.HOUSE_NUMBER, (("address", postal.find_addresses),)),
        Trigger(people.CAPITALISED, (("person", people.find_people),)),
    )
    wanted = [
        Trigger(one.pattern, tuple(pair for pair in one.finders if pair[0] in kinds))
        for one in every
    ]
    return [one for one in wanted if one.finders]


def hits(texts: pl.Series, pattern: str) -> Iterator[tuple[int, str]]:
    """The number of the text and the hit, in order, for every hit of the pattern."""
    frame = pl.DataFrame({"row": pl.int_range(len(texts), eager=True), "hit": texts})
    found = frame.with_columns(pl.col("hit").str.extract_all(pattern)).filter(
        pl.col("hit").list.len() > 0
    )
    yield from found.explode("hit").iter_rows()
