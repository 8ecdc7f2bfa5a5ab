"""Check digits that several numbers share: Luhn, Verhoeff, ISO 7064, IBAN, cards."""

from __future__ import annotations

from collections.abc import Sequence

_IBAN_REGISTRY = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 "
    "DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 "
    "HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 "
    "MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 "
    "RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 "
    "VA22 VG24 XK20 YE30 "
    # Used by banks, and not in the registry.
    "AO25 BF28 BJ28 CF27 CG27 CI28 CM27 CV25 DZ26 GA27 GQ27 GW25 IR26 KM27 MA28 MG27 ML28 MZ25 "
    "NE28 SN28 TD27 TG28"
)
IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _IBAN_REGISTRY.split()}
"""Characters of an account number by country (SWIFT's IBAN registry, and the partial ones)."""


def luhn(digits: str) -> bool:
    """Payment cards and many ids (ISO/IEC 7812-1): every second digit from the right counts
    double."""
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
        or (two in (62, 81) and 16 <= size <= 19)  # UnionPay
        or (2200 <= four <= 2204 and 16 <= size <= 19)  # Mir
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


# Multiplication in the dihedral group of ten, and how a digit turns with its place: rows of ten.
_D5 = (
    "0123456789" "1234067895" "2340178956" "3401289567" "4012395678"
    "5987604321" "6598710432" "7659821043" "8765932104" "9876543210"
)  # fmt: skip
_P8 = (
    "0123456789" "1576283094" "5803796142" "8916043527"
    "9453126870" "4286573901" "2793806415" "7046913258"
)  # fmt: skip


def verhoeff(digits: str) -> bool:
    """Verhoeff's dihedral check: finds every single wrong digit and every swap of neighbours."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = int(_D5[10 * check + int(_P8[10 * (place % 8) + int(digit)])])
    return check == 0


def weighted(digits: str, weights: Sequence[int]) -> int:
    """The digits' sum, each times its weight; further digits do not count."""
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def hybrid_11_10(digits: str) -> bool:
    """ISO 7064 modulo 11,10 over decimal digits, the last one the check digit."""
    product = 10
    for digit in digits[:-1]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(digits[-1])


def plausible_date(year: int, month: int, day: int) -> bool:
    """A day of the Gregorian calendar, as the digits of many ids hold one."""
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return False
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return day <= (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]


def two_digit_date(yy: str, mm: str, dd: str) -> bool:
    """A date whose century is not told; 00 counts as a leap year, as 2000 was."""
    return plausible_date(2000 + int(yy), int(mm), int(dd))
