"""Which sites hold so much personal data that all their pages go.

Llama 2 left out sites known for much personal information; here it is measured, and a site goes
only when the measure is sure: not the density found but its lower confidence bound is judged, so
that one page with one hit, or one long list on one of five pages, condemns nobody.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any
from urllib.parse import urlsplit

from llamakit.text.statistics import wilson

_PER = 1_000
"""Characters a density counts by."""


@dataclass
class SiteCount:
    """What was found on one site; the sums of squares tell how evenly it lies on the pages."""

    pages: int = 0
    characters: int = 0
    spans: int = 0
    hits: int = 0
    """Pages with any personal data."""
    spans_squared: int = 0
    characters_squared: int = 0
    products: int = 0
    """Sum of spans times characters, page by page."""

    @classmethod
    def page(cls, characters: int, spans: int) -> SiteCount:
        """One page's counts."""
        squares = (spans * spans, characters * characters, spans * characters)
        return cls(1, characters, spans, int(spans > 0), *squares)

    def add(self, other: SiteCount) -> None:
        """Count another part of the same site in."""
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def density(self) -> float:
        """Spans per 1,000 characters."""
        return _PER * self.spans / max(self.characters, 1)

    @property
    def share(self) -> float:
        """Share of the pages that hold personal data."""
        return self.hits / max(self.pages, 1)

    def density_low(self, confidence: float) -> float:
        """The density's one-sided lower bound: the smaller of two.

        The first takes every span for an independent event (Poisson, Byar's approximation of
        Garwood's bound); the second takes every page for one observation (the ratio estimator's
        variance over pages, Student's t). Few pages fail the second, few spans the first.
        """
        if self.pages < 2 or not self.spans or not self.characters:
            return 0.0
        ratio = self.spans / self.characters
        residual = (
            self.spans_squared - 2 * ratio * self.products + ratio * ratio * self.characters_squared
        )
        n = self.pages
        error = math.sqrt(max(0.0, residual) * n / (n - 1)) / self.characters
        by_page = ratio - student(confidence, n - 1) * error
        by_event = poisson_low(self.spans, confidence) / self.characters
        return _PER * max(0.0, min(by_page, by_event))

    def share_low(self, confidence: float) -> float:
        """The share's one-sided lower bound (Wilson)."""
        return wilson(self.hits, self.pages, 2 * confidence - 1).low if self.pages else 0.0

    def to_json(self) -> dict[str, Any]:
        """The counts as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class SiteRule:
    """A site of at least `min_pages` goes when the lower bound of its density of spans per 1,000
    characters, or of its share of pages with personal data, passes a threshold (0: that threshold
    is off)."""

    max_density: float
    max_share: float
    min_pages: int
    confidence: float

    def drops(self, site: SiteCount) -> bool:
        """Whether the site goes."""
        if site.pages < self.min_pages:
            return False
        dense = 0 < self.max_density < site.density_low(self.confidence)
        return dense or 0 < self.max_share < site.share_low(self.confidence)


def poisson_low(count: int, confidence: float) -> float:
    """One-sided lower bound of a Poisson mean from one count (Byar: Breslow and Day 1987,
    2.3)."""
    if count == 0:
        return 0.0
    z = NormalDist().inv_cdf(confidence)
    return float(count * max(0.0, 1 - 1 / (9 * count) - z / (3 * math.sqrt(count))) ** 3)


def student(probability: float, freedom: int) -> float:
    """Student's t quantile: exact for one and two degrees of freedom, else the expansion around
    the normal (Abramowitz and Stegun 26.7.5; within 0.3% from three degrees on)."""
    if freedom == 1:
        return math.tan(math.pi * (probability - 0.5))
    if freedom == 2:
        odds = 2 * probability - 1
        return odds * math.sqrt(2 / (1 - odds * odds))
    z = NormalDist().inv_cdf(probability)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def site_of(url: str | None) -> str | None:
    """The host of a web address, without `www.`; None when there is none."""
    if not url:
        return None
    try:
        host = urlsplit(url if "//" in url else f"//{url}").hostname
    except ValueError:
        return None
    return host.removeprefix("www.") if host else None


def total(counts: Iterable[Mapping[str, Mapping[str, int]]]) -> dict[str, SiteCount]:
    """The counts of several shards together, by site in alphabetic order."""
    sites: dict[str, SiteCount] = {}
    for shard in counts:
        for name, values in shard.items():
            sites.setdefault(name, SiteCount()).add(SiteCount(**values))
    return dict(sorted(sites.items()))
