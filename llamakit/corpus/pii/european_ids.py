"""Check digits of European identity, tax and insurance numbers, country by country.

Each function takes a number bare of separators, letters in upper case, already of its shape (see
`national_ids.py`), and says whether its check digits and its date hold.
"""

from __future__ import annotations

from llamakit.corpus.pii.checksums import (
    hybrid_11_10,
    luhn,
    two_digit_date,
    weighted,
)

# --- Western Europe -----------------------------------------------------------------------------


def spanish_id(value: str) -> bool:
    """DNI (eight digits and a letter) or NIE (X, Y or Z first): the letter is the rest of 23."""
    number = value[:-1].translate(str.maketrans("XYZ", "012"))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == value[-1]


def french_nir(value: str) -> bool:
    """Social security number, 15 places: the last two are 97 less the rest of 97."""
    number = value[:13].replace("2A", "19").replace("2B", "18")
    return 97 - int(number) % 97 == int(value[13:])


def german_tax_id(digits: str) -> bool:
    """Steuer-ID: ISO 7064 modulo 11,10; one digit occurs two or three times, the others at
    most once, and the first is no 0."""
    most = max(digits[:10].count(digit) for digit in digits[:10])
    once = most in (2, 3) and len(set(digits[:10])) == 11 - most
    return digits[0] != "0" and once and hybrid_11_10(digits)


def german_pension(value: str) -> bool:
    """Rentenversicherungsnummer: area, date of birth, initial, serial, check digit."""
    letter = f"{ord(value[8]) - 64:02d}"
    digits = value[:8] + letter + value[9:11]
    total = 0
    for digit, weight in zip(digits, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=True):
        product = int(digit) * weight
        total += product // 10 + product % 10
    day = int(value[2:4]) % 50 or 1
    return total % 10 == int(value[11]) and two_digit_date(value[6:8], value[4:6], str(day))


def austrian_insurance(digits: str) -> bool:
    """Sozialversicherungsnummer: the fourth of ten digits is a sum modulo 11."""
    total = weighted(digits, (3, 7, 9, 0, 5, 8, 4, 2, 1, 6))
    return total % 11 == int(digits[3]) and 1 <= int(digits[6:8]) <= 15


def swiss_ahv(digits: str) -> bool:
    """AHV number: 756 and an EAN-13 check digit."""
    return weighted(digits, (1, 3) * 6 + (1,)) % 10 == 0


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
    return weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0 and int(digits) > 0


def belgian_rrn(digits: str) -> bool:
    """Rijksregisternummer: 97 less the rest of 97, with a 2 before those born since 2000."""
    number, check = int(digits[:9]), int(digits[9:])
    dated = int(digits[2:4]) % 20 <= 12 and int(digits[4:6]) <= 31
    return dated and check in (97 - number % 97, 97 - (2_000_000_000 + number) % 97)


def portuguese_nif(digits: str) -> bool:
    """NIF: weights 9 to 2, modulo 11."""
    rest = 11 - weighted(digits[:8], range(9, 1, -1)) % 11
    return digits[0] != "0" and int(digits[8]) == (0 if rest > 9 else rest)


def irish_pps(value: str) -> bool:
    """PPS number: seven digits, a check letter,
    perhaps a second letter that counts nine times."""
    total = weighted(value[:7], range(8, 1, -1))
    if len(value) == 9 and value[8] != "W":
        total += 9 * (ord(value[8]) - 64)
    return "WABCDEFGHIJKLMNOPQRSTUV"[total % 23] == value[7]


def british_nhs(digits: str) -> bool:
    """NHS number: weights 10 to 2, eleven less the rest of 11."""
    return (11 - weighted(digits[:9], range(10, 1, -1)) % 11) % 11 == int(digits[9])


# --- Northern Europe ----------------------------------------------------------------------------


def swedish_personal(digits: str) -> bool:
    """Personnummer or samordningsnummer (day + 60): Luhn over the last ten digits."""
    ten = digits[-10:]
    day = int(ten[4:6])
    return luhn(ten) and two_digit_date(ten[:2], ten[2:4], str(day - 60 if day > 60 else day))


def finnish_hetu(value: str) -> bool:
    """Henkilötunnus: date and serial modulo 31 are the last sign."""
    letter = "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(value[:6] + value[7:10]) % 31]
    return letter == value[10] and two_digit_date(value[4:6], value[2:4], value[:2])


def norwegian_id(digits: str) -> bool:
    """Fødselsnummer (or D-number, day + 40): two check digits modulo 11."""
    first = (11 - weighted(digits[:9], (3, 7, 6, 1, 8, 9, 4, 5, 2)) % 11) % 11
    second = (11 - weighted(digits[:10], (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11) % 11
    day = int(digits[:2]) % 40
    dated = two_digit_date(digits[4:6], str(int(digits[2:4]) % 40), str(day))
    return (first, second) == (int(digits[9]), int(digits[10])) and dated


def danish_cpr(digits: str) -> bool:
    """CPR number: a date; since 2007 its check digit is no longer kept."""
    return two_digit_date(digits[4:6], digits[2:4], digits[:2])


def icelandic_kennitala(digits: str) -> bool:
    """Kennitala: the ninth digit is a sum modulo 11, the tenth the century."""
    rest = (11 - weighted(digits, (3, 2, 7, 6, 5, 4, 3, 2)) % 11) % 11
    dated = two_digit_date(digits[4:6], digits[2:4], str(int(digits[:2]) % 40))
    return rest == int(digits[8]) and digits[9] in "890" and dated


def baltic_personal(digits: str) -> bool:
    """Estonian isikukood and Lithuanian asmens kodas: modulo 11, with other weights when that
    leaves 10."""
    rest = weighted(digits[:10], (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    if rest == 10:
        rest = weighted(digits[:10], (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10
    return rest == int(digits[10]) and two_digit_date(digits[1:3], digits[3:5], digits[5:7])


def latvian_personal(digits: str) -> bool:
    """Personas kods: a date and a weighted sum modulo 11; those of 2017 and later begin with 32 and
    have neither."""
    if digits.startswith("32"):
        return True
    rest = (1 - weighted(digits, (1, 6, 3, 7, 9, 10, 5, 8, 4, 2))) % 11 % 10
    return rest == int(digits[10]) and two_digit_date(digits[4:6], digits[2:4], digits[:2])


# --- Eastern and southern Europe ----------------------------------------------------------------


def polish_pesel(digits: str) -> bool:
    """PESEL: weights 1, 3, 7, 9 in turn; the whole is divisible by 10 with the check digit."""
    total = weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1))
    return total % 10 == 0 and two_digit_date(digits[:2], str(int(digits[2:4]) % 20), digits[4:6])


def czech_birth_number(digits: str) -> bool:
    """Rodné číslo of ten digits: divisible by 11 (or the first nine leave 10 and the last is 0);
    50 is added to women's months."""
    month = int(digits[2:4]) % 50 % 20
    whole = int(digits) % 11 == 0 or (int(digits[:9]) % 11 == 10 and digits[9] == "0")
    return whole and two_digit_date(digits[:2], str(month), digits[4:6])


def romanian_cnp(digits: str) -> bool:
    """Cod numeric personal: a weighted sum modulo 11, where 10 counts as 1."""
    rest = weighted(digits, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return (1 if rest == 10 else rest) == int(digits[12]) and two_digit_date(
        digits[1:3], digits[3:5], digits[5:7]
    )


def bulgarian_egn(digits: str) -> bool:
    """EGN: powers of two modulo 11; months run on by 20 and 40 for other centuries."""
    rest = weighted(digits, (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10
    return rest == int(digits[9]) and two_digit_date(
        digits[:2], str(int(digits[2:4]) % 20), digits[4:6]
    )


def yugoslav_jmbg(digits: str) -> bool:
    """JMBG, EMŠO: thirteen digits, date first, modulo 11."""
    rest = 11 - weighted(digits, (7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return (0 if rest > 9 else rest) == int(digits[12]) and two_digit_date(
        digits[5:7], digits[2:4], digits[:2]
    )


def hungarian_tax(digits: str) -> bool:
    """Adóazonosító jel: ten digits from 8 on, place times digit modulo 11."""
    return weighted(digits, range(1, 10)) % 11 == int(digits[9])


def hungarian_personal(digits: str) -> bool:
    """Személyi szám: sex and century, date, place times digit modulo 11; the places count
    backwards from 1997 on."""
    late = digits[0] in "3478" or int(digits[1:3]) > 96
    places = range(10, 0, -1) if late else range(1, 11)
    dated = two_digit_date(digits[1:3], digits[3:5], digits[5:7])
    return dated and weighted(digits, places) % 11 == int(digits[10])


def hungarian_taj(digits: str) -> bool:
    """TAJ: nine digits, threes and sevens by turns modulo 10."""
    return weighted(digits, (3, 7, 3, 7, 3, 7, 3, 7)) % 10 == int(digits[8])


def greek_amka(digits: str) -> bool:
    """AMKA: date and Luhn."""
    return luhn(digits) and two_digit_date(digits[4:6], digits[2:4], digits[:2])


def greek_afm(digits: str) -> bool:
    """AFM: powers of two modulo 11."""
    total = weighted(digits, (256, 128, 64, 32, 16, 8, 4, 2))
    return int(digits) > 0 and total % 11 % 10 == int(digits[8])


def russian_snils(digits: str) -> bool:
    """SNILS: weights 9 to 1, modulo 101."""
    return weighted(digits, range(9, 0, -1)) % 101 % 100 == int(digits[9:])


def russian_inn(digits: str) -> bool:
    """INN of a person, twelve digits: two sums modulo 11."""
    weights = (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)
    first = weighted(digits, weights[1:]) % 11 % 10
    second = weighted(digits, weights) % 11 % 10
    return (first, second) == (int(digits[10]), int(digits[11]))


def ukrainian_tax(digits: str) -> bool:
    """RNOKPP: ten digits, a weighted sum modulo 11."""
    return weighted(digits, (-1, 5, 7, 9, 4, 6, 10, 5, 7)) % 11 % 10 == int(digits[9])


def turkish_id(digits: str) -> bool:
    """T.C. kimlik no: two check digits."""
    odd, even = sum(map(int, digits[0:9:2])), sum(map(int, digits[1:8:2]))
    tenth = (7 * odd - even) % 10
    return tenth == int(digits[9]) and sum(map(int, digits[:10])) % 10 == int(digits[10])
