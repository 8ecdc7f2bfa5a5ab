from __future__ import annotations

import math

import numpy as np
import pytest

from llamakit.corpus.pii.sites import SiteCount, SiteRule, poisson_low, site_of, student, total


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://www.A.example:80/x", "a.example"),
        ("b.example/path", "b.example"),
        ("", None),
        (None, None),
        ("http://[broken", None),
    ],
)
def test_site_of(url: str | None, site: str | None) -> None:
    assert site_of(url) == site


def site(*pages: tuple[int, int]) -> SiteCount:
    count = SiteCount()
    for characters, spans in pages:
        count.add(SiteCount.page(characters, spans))
    return count


def test_one_page_is_never_judged() -> None:
    rule = SiteRule(1.0, 0.1, 2, 0.95)
    assert not rule.drops(site((100, 50)))
    assert site((100, 50)).density_low(0.95) == 0.0


def test_one_long_list_on_one_of_five_pages_condemns_nobody() -> None:
    pages = [(1_000, 100), *[(1_000, 0)] * 4]
    assert site(*pages).density == 20
    assert not SiteRule(5.0, 0, 5, 0.95).drops(site(*pages))
    # The same finds on all five pages do.
    assert SiteRule(5.0, 0, 5, 0.95).drops(site(*[(1_000, 20)] * 5))


def test_few_finds_are_not_sure_even_where_they_lie_evenly() -> None:
    even = site(*[(200, 1)] * 5)
    assert even.density == 5
    assert not SiteRule(4.0, 0, 5, 0.95).drops(even)
    assert SiteRule(4.0, 0, 5, 0.95).drops(site(*[(200, 1)] * 500))


def test_share_and_switched_off_thresholds() -> None:
    many = site(*[(1_000, 1)] * 60, *[(1_000, 0)] * 40)
    assert SiteRule(0, 0.5, 10, 0.95).drops(many)
    assert not SiteRule(0, 0.55, 10, 0.95).drops(many)
    assert not SiteRule(0, 0, 1, 0.95).drops(many)
    assert not SiteRule(0, 0.5, 101, 0.95).drops(many)


def test_the_bound_covers_the_true_density() -> None:
    # Pages whose density itself varies (gamma): the bound may pass the truth in 5% of sites.
    rng = np.random.default_rng(0)
    above = 0
    for _ in range(400):
        sizes = rng.integers(200, 4_000, 40)
        rates = rng.gamma(2.0, 2.0, 40)  # finds per 1,000 characters, 4 on average
        spans = rng.poisson(sizes * rates / 1_000)
        pages = zip(sizes.tolist(), spans.tolist(), strict=True)
        above += site(*pages).density_low(0.95) > 4.0
    assert above <= 0.08 * 400


def test_quantiles_against_tables() -> None:
    assert student(0.95, 1) == pytest.approx(6.3138, abs=1e-3)
    assert student(0.95, 2) == pytest.approx(2.9200, abs=1e-3)
    assert student(0.95, 4) == pytest.approx(2.1318, abs=0.01)
    assert student(0.99, 30) == pytest.approx(2.4573, abs=1e-3)
    assert poisson_low(0, 0.95) == 0.0
    # Garwood's exact bounds: half the 5% point of chi-square with twice the count.
    assert poisson_low(10, 0.95) == pytest.approx(5.4254, rel=0.01)
    assert poisson_low(100, 0.95) == pytest.approx(84.14, rel=0.002)
    assert poisson_low(1, 0.95) < -math.log(0.95)


def test_counts_of_shards_add_up() -> None:
    one, two = site((10, 1)), site((20, 2), (5, 0))
    assert total([{"b": one.to_json()}, {"a": two.to_json(), "b": two.to_json()}]) == {
        "a": two,
        "b": site((10, 1), (20, 2), (5, 0)),
    }
