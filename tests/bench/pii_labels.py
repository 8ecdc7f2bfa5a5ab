"""Sentences with labelled personal data of many countries, and with decoys, from a seed."""

# A table of forms reads best with one form a line.
# ruff: noqa: E501

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from llamakit.corpus.pii import checksums, encodings
from llamakit.corpus.pii import european_ids as europe
from llamakit.corpus.pii import overseas_ids as overseas

Make = Callable[[random.Random], str]


@dataclass(frozen=True)
class Sentence:
    """A sentence; where a kind is given, `text[start:end]` is personal data of it."""

    text: str
    start: int
    end: int
    kind: str | None
    what: str


def drawn(rng: random.Random, shape: str, check: Callable[[str], bool] | None = None) -> str:
    """A number of a shape (9 a digit, A a letter, the rest as it is) that passes its check."""
    while True:
        value = "".join(
            rng.choice(string.digits) if c == "9" else rng.choice("ABCDEFGHJKLMNPRSTUVWXYZ") if c == "A" else c
            for c in shape
        )  # fmt: skip
        if check is None or check(re.sub(r"[ ./-]", "", value)):
            return value


def email(rng: random.Random) -> str:
    """Addresses with plus tags, dots, other alphabets, or spelled out."""
    name = rng.choice(["jane", "j.doe", "müller", "o'neil", "max_power99", "анна", "li-wei", "x"])
    tag = rng.choice(["", "", "+news", "+a.b"])
    host = rng.choice(
        [
            "example.com",
            "mail.example.co.uk",
            "bücher.example",
            "xn--bcher-kva.example",
            "uni-bonn.de",
        ]
    )
    if rng.random() < 0.1:
        return f"{name.replace(chr(39), '')} [at] {host.replace('.', ' [dot] ')}"
    return f"{name}{tag}@{host}"


def card(rng: random.Random) -> str:
    """Every brand, plain, with blanks or with dashes."""
    prefix, size = rng.choice(
        [("4", 16), ("4", 16), ("51", 16), ("2221", 16), ("34", 15), ("37", 15), ("36", 14), ("6011", 16), ("3528", 16),
         ("6759", 16), ("62", 16), ("4", 19), ("65", 16)]
    )  # fmt: skip
    digits = drawn(rng, prefix + "9" * (size - len(prefix)), checksums.issued_card)
    glue = rng.choice(["", " ", "-"])
    if size == 16:
        return glue.join(digits[i : i + 4] for i in range(0, 16, 4))
    if size in (14, 15):
        return glue.join((digits[:4], digits[4:10], digits[10:]))
    return digits


def iban(rng: random.Random) -> str:
    """Any country of the registry, plain, grouped or in lower case."""
    country, size = rng.choice(sorted(checksums.IBAN_LENGTHS.items()))
    body = drawn(rng, "AAAA" * (country in ["GB", "NL", "IE", "LV", "MT"]) + "9" * 40)[: size - 4]
    rest = int("".join(str(int(c, 36)) for c in body + country + "00"))
    account = f"{country}{98 - rest % 97:02d}{body}"
    way = rng.random()
    if way < 0.4:
        return " ".join(account[i : i + 4] for i in range(0, size, 4))
    return account.lower() if way < 0.5 else account


def ip(rng: random.Random) -> str:
    """IPv4, IPv6 whole, compressed or mapped."""
    if rng.random() < 0.6:
        return ".".join(
            str(n) for n in (rng.randint(11, 223), *(rng.randint(1, 254) for _ in range(3)))
        )
    groups = [f"{rng.randint(1, 65535):x}" for _ in range(7)]
    return rng.choice(
        [":".join(["2001", *groups]), f"2a02:{groups[0]}::{groups[1]}", f"fe80::{groups[0]}:{groups[1]}", "::ffff:93.184.216.34"]
    )  # fmt: skip


def ssn(rng: random.Random) -> str:
    """United States numbers with dashes."""
    return f"{rng.choice([*range(1, 666), *range(667, 900)]):03d}-{rng.randint(1, 99):02d}-{rng.randint(1, 9999):04d}"


def phone(rng: random.Random) -> str:
    """A valid number of any of sixty regions, as the region writes it or with its country."""
    import phonenumbers

    region = rng.choice(
        [
            "US",
            "CA",
            "GB",
            "IE",
            "AU",
            "NZ",
            "ZA",
            "IN",
            "SG",
            "DE",
            "AT",
            "CH",
            "FR",
            "BE",
            "NL",
            "ES",
            "PT",
            "IT",
            "GR",
            "SE",
            "NO",
            "DK",
            "FI",
            "PL",
            "CZ",
            "HU",
            "RO",
            "TR",
            "RU",
            "UA",
            "IL",
            "BR",
            "MX",
            "AR",
            "JP",
            "KR",
        ]
    )
    kind = rng.choice(
        [phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE]
    )
    example = phonenumbers.example_number_for_type(region, kind)
    for _ in range(50):
        number = str(example.national_number)
        changed = number[:-4] + drawn(rng, "9999")
        parsed = phonenumbers.PhoneNumber(
            example.country_code, int(changed), italian_leading_zero=example.italian_leading_zero
        )
        if phonenumbers.is_valid_number(parsed):
            break
    form = rng.choice(
        [
            phonenumbers.PhoneNumberFormat.NATIONAL,
            phonenumbers.PhoneNumberFormat.INTERNATIONAL,
            phonenumbers.PhoneNumberFormat.E164,
        ]
    )
    return str(phonenumbers.format_number(parsed, form)) + rng.choice(["", "", "", " ext. 12"])


def _hetu(rng: random.Random) -> str:
    number = drawn(rng, "120572-999")
    return number + "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(number[:6] + number[7:]) % 31]


IDS: dict[str, tuple[str, Make]] = {
    "GB NINO": ("National Insurance number", lambda r: r.choice(["AB", "JK", "PX", "WM"]) + drawn(r, " 99 99 99 C")),
    "GB NHS": ("NHS number", lambda r: drawn(r, "999 999 9999", europe.british_nhs)),
    "DE": ("Steuer-ID", lambda r: drawn(r, "99 999 999 999", europe.german_tax_id)),
    "FR": ("NIR", lambda r: drawn(r, "1 85 05 78 999 999 99", europe.french_nir)),
    "ES": ("DNI", lambda r: drawn(r, "99999999A", lambda v: v[-1] in "TRWAGMYFPDXBNJZSQVHLCKE" and europe.spanish_id(v))),
    "NL": ("BSN", lambda r: drawn(r, "999999999", europe.dutch_bsn)),
    "PL": ("PESEL", lambda r: drawn(r, "85051299999", europe.polish_pesel)),
    "BE": ("rijksregisternummer", lambda r: drawn(r, "85.07.30-999.99", europe.belgian_rrn)),
    "SE": ("personnummer", lambda r: drawn(r, "850730-9999", europe.swedish_personal)),
    "FI": ("HETU", _hetu),
    "NO": ("fødselsnummer", lambda r: drawn(r, "120572 99999", europe.norwegian_id)),
    "CZ": ("rodné číslo", lambda r: drawn(r, "855730/9999", europe.czech_birth_number)),
    "CH": ("AHV", lambda r: drawn(r, "756.9999.9999.99", europe.swiss_ahv)),
    "TR": ("T.C. kimlik no", lambda r: drawn(r, "29999999999", europe.turkish_id)),
    "BR CPF": ("CPF", lambda r: drawn(r, "999.999.999-99", overseas.brazilian_cpf)),
    "BR CNPJ": ("CNPJ", lambda r: drawn(r, "99.999.999/0001-99", overseas.brazilian_cnpj)),
    "IN Aadhaar": ("Aadhaar", lambda r: drawn(r, "4999 9999 9999", overseas.indian_aadhaar)),
    "IN PAN": ("PAN", lambda r: drawn(r, "AAAPA9999A")),
    "CN": ("身份证", lambda r: drawn(r, "11010519491231999X", overseas.chinese_resident)),
    "CA": ("SIN", lambda r: drawn(r, "199 999 999", overseas.canadian_sin)),
    "ZA": ("South African ID", lambda r: drawn(r, "8505125999089", overseas.south_african_id)),
    "AU TFN": ("tax file number", lambda r: drawn(r, "999 999 999", overseas.australian_tfn)),
    "SG": ("NRIC", lambda r: drawn(r, "S9999999A", overseas.singapore_nric)),
    "KR": ("주민등록번호", lambda r: drawn(r, "850730-1999999", overseas.korean_rrn)),
    "MX": ("CURP", lambda r: "BOXW310820HNERXN09"),
    "US ITIN": ("ITIN", lambda r: "912-7" + drawn(r, "9-9999")),
}  # fmt: skip


def crypto(rng: random.Random) -> str:
    """Ethereum in the case of EIP-55 or in lower case; Bitcoin, old and new."""
    raw = drawn(rng, "9" * 40).translate(str.maketrans("0123", "abcd"))
    if rng.random() < 0.5:
        digest = encodings.keccak_256(raw.encode()).hex()
        return "0x" + "".join(
            c.upper() if int(n, 16) > 7 else c for c, n in zip(raw, digest, strict=False)
        )
    return rng.choice(["1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
                       "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "TJRabPrwbZy45sbavfcjinPJC18kjpRTv8"])  # fmt: skip


def credential(rng: random.Random) -> str:
    """Tokens of known form."""
    mixed = "".join(rng.choice(string.ascii_letters + string.digits) for _ in range(60)) + "7"
    return rng.choice([
        "AKIA" + drawn(rng, "9AA9A9AA9A9AA9AA"), "ghp_" + mixed[:36], "glpat-" + mixed[:20], "xoxb-123456789012-" + mixed[:24],
        "sk_live_" + mixed[:24], "AIza" + mixed[:35], "sk-proj-" + mixed[:48], "hf_" + mixed[:34], "npm_" + mixed[:36],
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + mixed[:43],
    ])  # fmt: skip


def password(rng: random.Random) -> str:
    """What people choose."""
    return rng.choice(["hunter2!", "Tr0ub4dor&3", "s3cr3t-Key", "P@ssw0rd123", "x9!kLm2#q"])


_PLAIN = ("I got {}.", "Please note {} for later", "({})", "see: {}, thanks", "{}")
SENTENCES: dict[str, tuple[Make, tuple[str, ...]]] = {
    "email": (email, ("Write to {}.", "<{}>", "{} wrote:", "mail={}; ok", "Contact: {}, or not")),
    "phone": (phone, ("Call me at {}.", "Tel.: {}", "phone {} or mail", "You can reach us on {}!", "Fax {}")),
    "card": (card, (*_PLAIN, "card number {} exp 12/27")),
    "iban": (iban, (*_PLAIN, "Please pay to {} by Friday")),
    "ip": (ip, ("logged in from {}", "host {} is down", "[{}]", "address {} blocked")),
    "ssn": (ssn, (*_PLAIN, "SSN: {}")),
    "crypto": (crypto, (*_PLAIN, "send it to {}")),
    "credential": (credential, (*_PLAIN, "token: {}")),
    "password": (password, ("password = '{}'", "db_password: {}", 'PASSWORD="{}"', "my password is {}", "pwd={}")),
}  # fmt: skip

DECOYS: dict[str, Make] = {
    "version": lambda r: f"version {r.randint(1, 9)}.{r.randint(0, 20)}.{r.randint(0, 9)}.{r.randint(0, 99)}",
    "date": lambda r: f"{r.randint(1950, 2030)}-{r.randint(1, 12):02d}-{r.randint(1, 28):02d} and {r.randint(1, 28)}.{r.randint(1, 12)}.{r.randint(1990, 2025)}",
    "timestamp": lambda r: f"at {r.randint(1_500_000_000, 1_800_000_000)} or {r.randint(1_500_000_000_000, 1_800_000_000_000)}",
    "clock": lambda r: f"from {r.randint(0, 23):02d}:{r.randint(0, 59):02d}:{r.randint(0, 59):02d}",
    "order": lambda r: f"order {r.randint(10**9, 10**10)} and #{r.randint(10**6, 10**7)}",
    "order grouped": lambda r: "order no. " + drawn(r, "999-9999999-9999999"),
    "ISBN": lambda r: "ISBN 978-" + drawn(r, "9-99-999999-9"),
    "coordinates": lambda r: f"{r.uniform(-90, 90):.6f}, {r.uniform(-180, 180):.6f}",
    "hash": lambda r: "".join(r.choice("0123456789abcdef") for _ in range(r.choice([32, 40, 64]))),
    "uuid": lambda r: "-".join("".join(r.choice("0123456789abcdef") for _ in range(n)) for n in (8, 4, 4, 4, 12)),
    "price": lambda r: f"${r.randint(1, 999)},{r.randint(100, 999)},{r.randint(100, 999)}.{r.randint(0, 99):02d}",
    "population": lambda r: f"{r.randint(1, 999)} {r.randint(100, 999)} {r.randint(100, 999)} people",
    "tracking": lambda r: "tracking " + drawn(r, "1Z999AA99999999999"),
    "wrong card": lambda r: drawn(r, "4999 9999 9999 9999", lambda d: not checksums.luhn(d)),
    "wrong iban": lambda r: drawn(r, "DE99 9999 9999 9999 9999 99", lambda d: not checksums.iban(d)),
    "sixteen digits": lambda r: drawn(r, "9999999999999999", lambda d: not checksums.issued_card(d)),
    "part": lambda r: drawn(r, "part AA-9999-99999 rev A"),
    "years": lambda r: f"{r.randint(1800, 1990)}-{r.randint(1991, 2030)}",
    "table": lambda r: "  ".join(str(r.randint(0, 9999)) for _ in range(8)),
    "mac": lambda r: ":".join(f"{r.randint(0, 255):02x}" for _ in range(6)),
    "code": lambda r: f"x[{r.randint(0, 99)}] = a::b({r.randint(1, 9)}, 0x{r.randint(0, 2**32):08x}); // @todo",
    "plain at": lambda r: "meet @ noon, icon@2x.png and user@localhost",
    "barcode": lambda r: "EAN " + drawn(r, "4006381333931"),
    "section": lambda r: f"section {r.randint(1, 9)}.{r.randint(1, 9)}.{r.randint(1, 9)}.{r.randint(1, 9)}",
    "password words": lambda r: r.choice(["password: required", "token: str", "password = getpass()", "secret = None"]),
}  # fmt: skip


def sentences(seed: int, each: int) -> Iterator[Sentence]:
    """`each` sentences of every kind, of every country's id and of every decoy."""
    rng = random.Random(f"pii/{seed}")
    for _ in range(each):
        for kind, (make, frames) in SENTENCES.items():
            label = "credential" if kind == "password" else kind
            yield _framed(rng.choice(frames), make(rng), label, kind)
        for country, (name, make) in IDS.items():
            yield _framed(
                rng.choice([f"{name}: {{}}", f"My {name} is {{}}."]),
                make(rng),
                "national_id",
                country,
            )
        for what, make in DECOYS.items():
            yield Sentence(rng.choice(_PLAIN).format(make(rng)), 0, 0, None, what)


def _framed(frame: str, value: str, kind: str, what: str) -> Sentence:
    before, after = frame.split("{}")
    return Sentence(before + value + after, len(before), len(before) + len(value), kind, what)
