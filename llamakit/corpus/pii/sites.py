"""Which sites hold so much personal data that all their pages go.

Llama 2 left out sites known for much personal information; here it is measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass
class SiteCount:
    """What was found on one site. `hits` counts pages with any personal data."""

    pages: int = 0
    characters: int = 0
    spans: int = 0
    hits: int = 0

    def add(self, other: SiteCount) -> None:
        """Count another part of the same site in."""
        self.pages += other.pages
        self.characters += other.characters
        self.spans += other.spans
        self.hits += other.hits

    @property
    def density(self) -> float:
        """Spans per 1,000 characters."""
        return 1_000 * self.spans / max(self.characters, 1)

    @property
    def share(self) -> float:
        """Share of the pages that hold personal data."""
        return self.hits / max(self.pages, 1)

    def to_json(self) -> dict[str, Any]:
        """The counts as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class SiteRule:
    """A site of at least `min_pages` goes when its density of spans per 1,000 characters, or its
    share of pages with personal data, passes a threshold (0: that threshold is off)."""

    max_density: float
    max_share: float
    min_pages: int

    def drops(self, site: SiteCount) -> bool:
        """Whether the site goes."""
        if site.pages < self.min_pages:
            return False
        dense = self.max_density > 0 and site.density > self.max_density
        return dense or (self.max_share > 0 and site.share > self.max_share)


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
