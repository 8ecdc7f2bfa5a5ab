"""Check digits and formats that tell a number that means something from one that looks like it."""

from __future__ import annotations

_IBAN_REGISTRY = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 "
    "DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 "
    "HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 "
    "MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 "
    "RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 "
    "VA22 VG24 XK20 YE30"
)
IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _IBAN_REGISTRY.split()}
"""Characters of an account number by country (SWIFT's IBAN registry)."""


def luhn(digits: str) -> bool:
    """Payment cards (ISO/IEC 7812-1): every second digit from the right is doubled."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit) << (index & 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def issued_card(digits: str) -> bool:
    """Whether a card network issues numbers that begin so and are so long, and Luhn holds."""
    size, two, four = len(digits), int(digits[:2]), int(digits[:4])
    known = (
        (digits[0] == "4" and size in (13, 16, 19))  # Visa
        or ((51 <= two <= 55 or 2221 <= four <= 2720) and size == 16)  # Mastercard
        or (two in (34, 37) and size == 15)  # American Express
        or (four in (1800, 2131) and size == 15)  # JCB, old
        or (two == 35 and 16 <= size <= 19)  # JCB
        or ((300 <= four // 10 <= 305 or two in (36, 38, 39)) and 14 <= size <= 19)  # Diners
        or (
            (four == 6011 or two == 65 or 644 <= four // 10 <= 649) and 16 <= size <= 19
        )  # Discover
        or (two == 62 and 16 <= size <= 19)  # UnionPay
        or ((two == 50 or 56 <= two <= 69) and 12 <= size <= 19)  # Maestro
    )
    return known and len(set(digits)) > 1 and luhn(digits)


def iban(account: str) -> bool:
    """International bank account (ISO 13616): the country's length, and 1 modulo 97."""
    account = account.upper()
    if len(account) != IBAN_LENGTHS.get(account[:2]):
        return False
    turned = account[4:] + account[:4]
    return int("".join(str(int(letter, 36)) for letter in turned)) % 97 == 1


def spanish_id(value: str) -> bool:
    """DNI (eight digits and a letter) or NIE (X, Y or Z first): the letter is the rest of 23."""
    number = value[:-1].translate(str.maketrans("XYZ", "012"))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == value[-1]


def french_nir(value: str) -> bool:
    """Social security number, 15 places: the last two are 97 less the rest of 97."""
    number = value[:13].replace("2A", "19").replace("2B", "18")
    return 97 - int(number) % 97 == int(value[13:])


def german_tax_id(digits: str) -> bool:
    """Steuer-ID: ISO 7064 modulo 11,10; one digit occurs two or three times, the first is no 0."""
    most = max(digits[:10].count(digit) for digit in digits[:10])
    if digits[0] == "0" or most not in (2, 3):
        return False
    product = 10
    for digit in digits[:10]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(digits[10])


_ODD_LETTERS = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22]
_ODD_LETTERS += [25, 24, 23]
_ODD = {chr(ord("A") + i): weight for i, weight in enumerate(_ODD_LETTERS)}
_ODD |= {str(i): weight for i, weight in enumerate(_ODD_LETTERS[:10])}


def italian_tax_code(value: str) -> bool:
    """Codice fiscale: odd places are weighted by a table; the sum modulo 26 is the last letter."""
    total = sum(_ODD[letter] for letter in value[0:15:2])
    for letter in value[1:15:2]:
        total += int(letter) if letter.isdigit() else ord(letter) - ord("A")
    return chr(ord("A") + total % 26) == value[15]


def dutch_bsn(digits: str) -> bool:
    """Burgerservicenummer: weights 9 to 2 and -1, divisible by 11."""
    weights = (9, 8, 7, 6, 5, 4, 3, 2, -1)
    total = sum(int(d) * w for d, w in zip(digits, weights, strict=True))
    return total % 11 == 0 and int(digits) > 0


def polish_pesel(digits: str) -> bool:
    """PESEL: weights 1, 3, 7, 9 in turn; the whole is divisible by 10 with the check digit."""
    weights = (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)
    total = sum(int(d) * w for d, w in zip(digits, weights, strict=True))
    return total % 10 == 0 and 1 <= int(digits[2:4]) % 20 <= 12
