"""Numbering plans of the world's telephone regions, compiled from libphonenumber's metadata.

Parsing one number with the library takes 50-100 microseconds and a number written without its
country may belong to dozens of regions, so the same rules are asked here as compiled patterns.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

_TYPES = (
    "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number", "voip",
    "pager", "uan", "voicemail",
)  # fmt: skip


_LONGEST_PREFIX = 6


@dataclass(frozen=True)
class Plan:
    """One region's numbers: national digits without the trunk prefix."""

    region: str
    lengths: frozenset[int]
    given_out: re.Pattern[str]
    """The numbers of any type that the plan gives out."""
    prefix: re.Pattern[str] | None
    """What is dialled inside the country before the national number."""
    transform: str | None
    formats: tuple[tuple[re.Pattern[str], re.Pattern[str] | None], ...]
    """How numbers are grouped, and the leading digits this is for."""

    def national(self, digits: str) -> tuple[str, ...]:
        """What the digits may be as a national number: as they are, or without the prefix."""
        match = self.prefix.match(digits) if self.prefix else None
        if match is None or match.end() == 0:
            return (digits,)
        rest = digits[match.end() :]
        if self.transform and match.lastindex:
            rest = self.transform.replace("$1", match[1] or "") + rest
        return (rest, digits)

    def possible(self, digits: str) -> bool:
        """Whether the plan has numbers of this length."""
        return any(len(number) in self.lengths for number in self.national(digits))

    def valid(self, digits: str) -> bool:
        """Whether the plan gives the number out."""
        return any(
            len(number) in self.lengths and self.given_out.fullmatch(number) is not None
            for number in self.national(digits)
        )

    def grouped(self, digits: str, groups: tuple[int, ...]) -> bool:
        """Whether the country writes the number in groups of these sizes."""
        for number in self.national(digits):
            for pattern, leading in self.formats:
                match = pattern.fullmatch(number)
                if match is None or (leading and not leading.match(number)):
                    continue
                sizes = tuple(len(group) for group in match.groups() if group)
                trunk = len(digits) - len(number)
                first = (trunk + sizes[0], *sizes[1:]) if trunk >= 0 else sizes
                if groups in (sizes, first, (trunk, *sizes)):
                    return True
        return False


@cache
def plan(region: str) -> Plan | None:
    """The region's plan (ISO 3166), or None when there is none."""
    from phonenumbers import PhoneMetadata

    data = PhoneMetadata.metadata_for_region(region, None)
    if data is None or data.general_desc is None:
        return None
    kinds = [getattr(data, kind) for kind in _TYPES]
    numbers = [
        kind.national_number_pattern for kind in kinds if kind and kind.national_number_pattern
    ]
    general = data.general_desc
    given_out = f"(?={general.national_number_pattern}\\Z)(?:{'|'.join(numbers)})"
    prefix = data.national_prefix_for_parsing
    return Plan(
        region,
        frozenset(general.possible_length),
        re.compile(given_out),
        re.compile(prefix) if prefix else None,
        data.national_prefix_transform_rule.replace("\\1", "$1")
        if data.national_prefix_transform_rule
        else None,
        tuple(
            (
                re.compile(shape.pattern or ""),
                re.compile(shape.leading_digits_pattern[-1])
                if shape.leading_digits_pattern
                else None,
            )
            for shape in data.number_format
        ),
    )


@cache
def plans(regions: tuple[str, ...], digits: int) -> tuple[Plan, ...]:
    """The plans of the regions that have numbers of so many digits, with or without a prefix."""
    known = [found for region in regions if (found := plan(region)) is not None]
    return tuple(
        one
        for one in known
        if any(digits - _LONGEST_PREFIX <= length <= digits + 1 for length in one.lengths)
    )


@lru_cache(maxsize=8192)
def possible_somewhere(digits: str, regions: tuple[str, ...]) -> bool:
    """Whether one of the regions has numbers of this length."""
    return any(one.possible(digits) for one in plans(regions, len(digits)))


@lru_cache(maxsize=8192)
def written_somewhere(digits: str, sizes: tuple[int, ...], regions: tuple[str, ...]) -> bool:
    """Whether one of the regions gives the number out and groups it so."""
    known = plans(regions, len(digits))
    return any(one.grouped(digits, sizes) and one.valid(digits) for one in known)


def known_regions() -> tuple[str, ...]:
    """All regions that have a plan, in alphabetic order."""
    from phonenumbers import SUPPORTED_REGIONS

    return tuple(sorted(SUPPORTED_REGIONS))


def chosen(regions: Sequence[str]) -> tuple[str, ...]:
    """The regions, every one that has a plan for `all`."""
    return known_regions() if "all" in regions else tuple(regions)


@cache
def regions_of(calling_code: str) -> tuple[str, ...]:
    """The regions behind a calling code (`44`), the main one first."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    regions: tuple[str, ...] = COUNTRY_CODE_TO_REGION_CODE.get(int(calling_code), ())
    return regions


def split_international(digits: str) -> tuple[str, str] | None:
    """The calling code and the rest of the digits after a +."""
    for size in (1, 2, 3):
        if regions_of(digits[:size] or "0"):
            return digits[:size], digits[size:]
    return None


@lru_cache(maxsize=8192)
def international(digits: str) -> tuple[bool, bool]:
    """Whether digits after a + are of a possible length, and whether a plan gives them out."""
    parts = split_international(digits)
    if parts is None or digits.startswith("0"):
        return False, False
    possible = False
    for region in regions_of(parts[0]):
        known = plan(region)
        if known is not None:
            if known.valid(parts[1]):
                return True, True
            possible = possible or known.possible(parts[1])
    return possible, False
