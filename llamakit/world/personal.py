"""Synthetic personal data that passes every checksum, and decoys that fail one.

Nothing here belongs to anybody: addresses end in `.example`, telephone numbers use 555-01xx, cards
and accounts are drawn at random and completed with a valid check digit.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from llamakit.world.truth import Page, Span

_FAMILY_NAMES = (
    "holt",
    "baker",
    "lund",
    "meier",
    "novak",
    "rossi",
    "silva",
    "berg",
    "kovac",
    "marsh",
)
_IBAN_LENGTHS = {"DE": 22, "FR": 27, "ES": 24, "NL": 18, "CH": 21}
_BANKS = {"NL": "ABNA"}


def luhn_valid(digits: str) -> bool:
    """Whether a card number's last digit is the check digit of the others (ISO/IEC 7812-1)."""
    total = 0
    for i, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if i % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def iban_valid(iban: str) -> bool:
    """Whether an account number without spaces leaves 1 modulo 97 (ISO 13616)."""
    turned = iban[4:] + iban[:4]
    return int("".join(str(int(letter, 36)) for letter in turned)) % 97 == 1


def email(rng: random.Random, person: str) -> str:
    """An e-mail address of a person."""
    family = rng.choice(_FAMILY_NAMES)
    tail = rng.choice((f".{family}", f"_{family}", str(rng.randint(1, 99))))
    return f"{(person + tail).lower()}@{rng.choice(('post', 'mail', 'letters'))}.example.com"


def phone(rng: random.Random) -> str:
    """A North American telephone number in the range set aside for fiction."""
    area = rng.choice((202, 212, 303, 312, 415, 503, 617, 702, 808))
    line = f"{rng.randint(100, 199):04d}"
    return rng.choice(
        (
            f"({area}) 555-{line}",
            f"+1 {area} 555 {line}",
            f"{area}-555-{line}",
            f"+1-{area}-555-{line}",
        )
    )


def card(rng: random.Random) -> str:
    """A card number of sixteen digits with a valid check digit, plain or in groups of four."""
    body = rng.choice(("4", "51", "52", "53", "54", "55"))
    body += "".join(str(rng.randint(0, 9)) for _ in range(15 - len(body)))
    digits = next(body + str(check) for check in range(10) if luhn_valid(body + str(check)))
    return _grouped(digits, rng.choice(("", " ", "-")))


def iban(rng: random.Random) -> str:
    """An international bank account number with valid check digits, plain or in groups of four."""
    country = rng.choice(list(_IBAN_LENGTHS))
    bank = _BANKS.get(country, "")
    length = _IBAN_LENGTHS[country] - 4 - len(bank)
    account = bank + "".join(str(rng.randint(0, 9)) for _ in range(length))
    rest = "".join(str(int(letter, 36)) for letter in account + country + "00")
    return _grouped(f"{country}{98 - int(rest) % 97:02d}{account}", rng.choice(("", " ")))


def ip_address(rng: random.Random) -> str:
    """A public IPv4 or an IPv6 address."""
    if rng.random() < 0.25:
        groups = [f"{rng.randint(0x1000, 0xFFFF):x}" for _ in range(6)]
        return ":".join(["2a02", f"{rng.randint(0x100, 0xFFF):x}", *groups])
    first = rng.choice((23, 45, 62, 81, 93, 151, 185, 203))
    return ".".join(str(part) for part in (first, *(rng.randint(1, 254) for _ in range(3))))


def ssn(rng: random.Random) -> str:
    """A United States social security number in a form that could have been issued."""
    return f"{rng.randint(100, 665):03d}-{rng.randint(1, 99):02d}-{rng.randint(1, 9999):04d}"


_MAKERS: dict[str, Callable[[random.Random], str]] = {
    "phone": phone,
    "card": card,
    "iban": iban,
    "ip": ip_address,
    "ssn": ssn,
}
PII_KINDS = ("email", *_MAKERS)

_SENTENCES: dict[str, tuple[str, ...]] = {
    "email": ("You can write to {p} at {x}.", "The address of {p} is {x}, please write soon."),
    "phone": ("You can call {p} at {x}.", "The telephone number of {p} is {x}."),
    "card": ("{p} paid with the card {x}.", "The card number of {p} is {x}, keep it safe."),
    "iban": ("Please send the money for {p} to {x}.", "The bank account of {p} is {x}."),
    "ip": ("{p} was online from {x}.", "The computer of {p} has the IP address {x}."),
    "ssn": ("The social security number of {p} is {x}.", "{p} gave SSN {x} at the desk."),
}
_DECOYS: dict[str, tuple[str, ...]] = {
    "card": ("The parcel has the tracking code {x}.", "The library gave the book the number {x}."),
    "ip": (
        "The machine runs program version {x}.",
        "The rule stands in section {x} of the book.",
    ),
    "phone": ("The meeting is on {x}.", "The score after three games was {x}."),
    "email": ("Please meet us @ the market, not @ the mill.", "The sign said: open daily @ noon."),
    "ssn": ("The part is listed as {x} in the catalogue.", "The shelf mark of the book is {x}."),
}


def sentence_with(kind: str, person: str, rng: random.Random) -> tuple[str, Span]:
    """A sentence with one piece of personal data; the span counts from the sentence's start."""
    secret = email(rng, person) if kind == "email" else _MAKERS[kind](rng)
    return _filled(rng.choice(_SENTENCES[kind]).replace("{p}", person), kind, secret)


def decoy_sentence(kind: str, rng: random.Random) -> tuple[str, Span]:
    """A sentence with something that looks like personal data of that kind and is none."""
    template = rng.choice(_DECOYS[kind])
    if "{x}" not in template:
        return template, Span(0, len(template), kind, template)
    return _filled(template, kind, _decoy(kind, rng))


def directory(people: list[str], site: str, rng: random.Random) -> Page:
    """A page of a site that is full of personal data."""
    page = Page("List of members", "web", site, "directory")
    for person in rng.sample(people, min(len(people), rng.randint(6, 9))):
        _append(page, *sentence_with(rng.choice(PII_KINDS), person, rng), "\n")
    return page


def notice(people: list[str], rng: random.Random) -> Page:
    """A page of an ordinary site with a little personal data and a decoy among other sentences."""
    page = Page(rng.choice(_PLAIN), "web", f"board-{rng.randint(1, 4)}.example", "notice")
    kinds = rng.sample(PII_KINDS, rng.randint(1, 2))
    decoys = rng.sample(list(_DECOYS), rng.randint(1, 2))
    jobs = [(kind, True) for kind in kinds] + [(kind, False) for kind in decoys]
    rng.shuffle(jobs)
    for kind, real in jobs:
        if real:
            _append(page, *sentence_with(kind, rng.choice(people), rng), " ")
        else:
            _append(page, *decoy_sentence(kind, rng), " ", decoy=True)
        page.text += " " + rng.choice(_PLAIN)
    return page


_PLAIN = (
    "The next market will be larger than the last one.",
    "Please bring a friend and something to eat.",
    "We are glad about everyone who helps.",
    "The old bridge is closed until the end of the month.",
    "There will be music in the evening.",
    "A brown bag was found beside the fountain.",
    "The choir is looking for new voices.",
    "Thank you for all your letters.",
    "The library opens an hour later in winter.",
    "Children can come along without a ticket.",
)


def _append(page: Page, sentence: str, span: Span, glue: str, decoy: bool = False) -> None:
    start = len(page.text) + len(glue)
    page.text += glue + sentence
    moved = Span(start + span.start, start + span.end, span.kind, span.text)
    (page.decoys if decoy else page.spans).append(moved)


def _filled(template: str, kind: str, secret: str) -> tuple[str, Span]:
    start = template.index("{x}")
    return template.replace("{x}", secret), Span(start, start + len(secret), kind, secret)


def _decoy(kind: str, rng: random.Random) -> str:
    if kind == "card":
        digits = "4" + "".join(str(rng.randint(0, 9)) for _ in range(15))
        wrong = str((int(digits[-1]) + 1) % 10)
        return digits[:-1] + wrong if luhn_valid(digits) else digits
    if kind == "ip":
        # A part above 255 can be no part of an IPv4 address.
        return f"{rng.randint(1, 9)}.{rng.randint(300, 999)}.{rng.randint(0, 9)}.0"
    if kind == "phone":
        return f"{rng.randint(1990, 2025)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    area = rng.choice(("000", "666", "900"))  # never issued
    return f"{area}-{rng.randint(1, 99):02d}-{rng.randint(1, 9999):04d}"


def _grouped(text: str, glue: str) -> str:
    return glue.join(text[i : i + 4] for i in range(0, len(text), 4))
