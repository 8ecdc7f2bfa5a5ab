"""Spam: pages that a quality filter ought to drop."""

from __future__ import annotations

import random

from llamakit.world.truth import Page

_WARES = ("shoes", "watches", "lamps", "phones", "bags", "hats", "chairs", "rings", "coats", "toys")
_CRIES = (
    "BUY NOW",
    "CLICK HERE",
    "BEST PRICE",
    "FREE GIFT",
    "LAST CHANCE",
    "HOT DEAL",
    "ORDER TODAY",
)


def spam_page(rng: random.Random) -> Page:
    """A page of one of four kinds: shouted offers, keywords, a list of links, one line repeated."""
    make = rng.choice((_offers, _keywords, _links, _repeated))
    return Page(make(rng), "web", f"shop-{rng.randint(1, 4)}.example", "spam")


def _offers(rng: random.Random) -> str:
    lines = [
        f"{rng.choice(_CRIES)}!!! cheap {rng.choice(_WARES)} ### {rng.randint(5, 95)}% off ### "
        f"{rng.choice(_CRIES)}!!!"
        for _ in range(rng.randint(6, 10))
    ]
    return "\n".join(lines)


def _keywords(rng: random.Random) -> str:
    ware = rng.choice(_WARES)
    return " ".join(
        rng.choice((ware, f"cheap {ware}", f"best {ware}", f"buy {ware}", rng.choice(_WARES)))
        for _ in range(rng.randint(60, 90))
    )


def _links(rng: random.Random) -> str:
    lines = [
        f"* {rng.choice(_WARES)} >> shop-{rng.randint(1, 4)}.example/{rng.randint(100, 999)} ..."
        for _ in range(rng.randint(12, 20))
    ]
    return "\n".join(lines)


def _repeated(rng: random.Random) -> str:
    line = f"Welcome to the shop of {rng.choice(_WARES)} number {rng.randint(100, 9999)}."
    return "\n".join([line] * rng.randint(8, 14))
