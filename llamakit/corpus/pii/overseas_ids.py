"""Check digits of identity, tax and insurance numbers outside Europe, country by country.

As in `european_ids.py`: bare of separators, letters in upper case, already of the right shape.
"""

from __future__ import annotations

from datetime import date

from llamakit.corpus.pii.checksums import (
    luhn,
    plausible_date,
    two_digit_date,
    verhoeff,
    weighted,
)

# --- Americas -----------------------------------------------------------------------------------


def brazilian_cpf(digits: str) -> bool:
    """CPF: two digits modulo 11; eleven equal ones are nobody's."""
    if len(set(digits)) == 1:
        return False
    return all(
        weighted(digits, range(n + 1, 1, -1)) * 10 % 11 % 10 == int(digits[n]) for n in (9, 10)
    )


def brazilian_cnpj(digits: str) -> bool:
    """CNPJ (companies, also of one person): two digits modulo 11."""
    weights = (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)
    first = weighted(digits[:12], weights[1:]) * 10 % 11 % 10
    second = weighted(digits[:13], weights) * 10 % 11 % 10
    return int(digits) > 0 and (first, second) == (int(digits[12]), int(digits[13]))


def argentine_cuit(digits: str) -> bool:
    """CUIT, CUIL: weights 5 4 3 2 7 6 5 4 3 2, eleven less the rest."""
    rest = (11 - weighted(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11) % 11
    return digits[:2] in ("20", "23", "24", "25", "26", "27", "30", "33", "34") and rest == int(
        digits[10]
    )


def chilean_rut(value: str) -> bool:
    """RUT: weights 2 to 7 in turn from the right, modulo 11; 10 is K."""
    total = sum(int(d) * (2 + i % 6) for i, d in enumerate(reversed(value[:-1])))
    return "0123456789K0"[11 - total % 11] == value[-1]


def mexican_curp(value: str) -> bool:
    """CURP: signs by place in an alphabet with Ñ, weights 18 to 2, modulo 10."""
    alphabet = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
    total = sum(alphabet.index(sign) * (18 - i) for i, sign in enumerate(value[:17]))
    return (10 - total % 10) % 10 == int(value[17]) and two_digit_date(
        value[4:6], value[6:8], value[8:10]
    )


def ecuadorian_cedula(digits: str) -> bool:
    """Cédula: province 01-24 or 30, Luhn."""
    return (1 <= int(digits[:2]) <= 24 or digits[:2] == "30") and luhn(digits)


# --- Asia, Africa, Oceania ----------------------------------------------------------------------


def indian_aadhaar(digits: str) -> bool:
    """Aadhaar: Verhoeff, no palindrome."""
    return digits != digits[::-1] and verhoeff(digits)


def chinese_resident(value: str) -> bool:
    """Resident identity card: ISO 7064 modulo 11-2, and a date since 1880."""
    total = sum(int(digit) * pow(2, 17 - i, 11) for i, digit in enumerate(value[:17]))
    year = int(value[6:10])
    dated = 1880 <= year <= date.max.year // 4 and plausible_date(
        year, int(value[10:12]), int(value[12:14])
    )
    return dated and "10X98765432"[total % 11] == value[17]


def taiwanese_id(value: str) -> bool:
    """A letter that stands for two digits, then nine; weights 1 9 8 … 1 1, modulo 10."""
    place = "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(value[0]) + 10
    return weighted(f"{place}{value[1:]}", (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)) % 10 == 0


def hong_kong_id(value: str) -> bool:
    """One or two letters, six digits, a check sign modulo 11."""
    body = value[:-1].rjust(8)
    total = sum(
        (36 if sign == " " else int(sign, 36)) * weight
        for sign, weight in zip(body, range(9, 1, -1), strict=True)
    )
    check = 10 if value[-1] == "A" else int(value[-1])
    return (total + check) % 11 == 0


def singapore_nric(value: str) -> bool:
    """NRIC, FIN: weights 2 7 6 5 4 3 2 modulo 11, a table by the first letter."""
    total = weighted(value[1:8], (2, 7, 6, 5, 4, 3, 2))
    total += {"T": 4, "G": 4, "M": 3}.get(value[0], 0)
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "F": "XWUTRQPNMLK", "G": "XWUTRQPNMLK"}
    if value[0] == "M":
        return "XWUTRQPNJLK"[10 - total % 11] == value[8]
    return letters[value[0]][total % 11] == value[8]


def korean_rrn(digits: str) -> bool:
    """Resident registration number: date and a weighted sum modulo 11."""
    rest = (11 - weighted(digits, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10
    return rest == int(digits[12]) and two_digit_date(digits[:2], digits[2:4], digits[4:6])


def korean_dated(digits: str) -> bool:
    """Resident registration number of October 2020 or later: a date, and no check digit."""
    return two_digit_date(digits[:2], digits[2:4], digits[4:6])


def japanese_my_number(digits: str) -> bool:
    """Individual number, twelve digits: a weighted sum modulo 11."""
    rest = weighted(digits, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return int(digits[11]) == (0 if rest <= 1 else 11 - rest)


def thai_id(digits: str) -> bool:
    """Thirteen digits: weights 13 to 2, modulo 11."""
    return (11 - weighted(digits, range(13, 1, -1)) % 11) % 10 == int(digits[12])


def kazakh_iin(digits: str) -> bool:
    """IIN: modulo 11, with other weights when that leaves 10."""
    rest = weighted(digits, range(1, 12)) % 11
    if rest == 10:
        rest = weighted(digits, (3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2)) % 11
    return rest == int(digits[11]) and two_digit_date(digits[:2], digits[2:4], digits[4:6])


def south_african_id(digits: str) -> bool:
    """Date, citizenship 0-2, Luhn."""
    return (
        digits[10] in "012"
        and luhn(digits)
        and two_digit_date(digits[:2], digits[2:4], digits[4:6])
    )


def israeli_id(digits: str) -> bool:
    """Teudat zehut, nine digits: Luhn."""
    return int(digits) > 0 and luhn(digits)


def australian_tfn(digits: str) -> bool:
    """Tax file number, nine digits: a weighted sum divisible by 11."""
    return weighted(digits, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


def australian_medicare(digits: str) -> bool:
    """Medicare number, ten digits: the ninth is a weighted sum modulo 10."""
    return weighted(digits[:8], (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == int(digits[8])


def canadian_sin(digits: str) -> bool:
    """Social insurance number, nine digits: Luhn; none begins with 8."""
    return digits[0] != "8" and luhn(digits)
