"""National ids of 49 countries, told by form, check digits and words near them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from unicodedata import decimal

from llamakit.corpus.pii import checksums
from llamakit.corpus.pii import european_ids as europe
from llamakit.corpus.pii import overseas_ids as overseas
from llamakit.corpus.pii.context import names_other_number, near, words

Check = Callable[[str], bool]

_ANY_WORDS = words(
    r"(?:national|personal|identity|identification|citizen|resident|tax(?:payer)?|fiscal|social"
    r"|insurance|health|civil|birth|government)[ -]{0,2}(?:\w{1,12} ){0,2}(?:id|no|nr"
    r"|number|code|card)(?!\w)",
    r"(?:id|identity) (?:no|nr|number|card|document)",
)
_BEFORE, _AFTER = r"(?<![\w.-])(?<!\d[,/])", r"(?![\w]|[.,/-]\d)"


@dataclass(frozen=True)
class IdNumber:
    """One country's number: its form where it stands for itself, and where a word must say so."""

    country: str
    check: Check | None
    sure: re.Pattern[str] | None
    told: re.Pattern[str] | None
    words: re.Pattern[str]
    fewest_digits: int


def _number(
    country: str,
    check: Check | None,
    names: str,
    *,
    sure: str = "",
    told: str = "",
    digits: int = 9,
) -> IdNumber:
    # In groups, it must not be a part of more groups (a card, an account).
    apart = (r"(?<!\d )", r"(?! \d)") if " " in sure else ("", "")
    alone = re.compile(f"{_BEFORE}{apart[0]}(?:{sure}){_AFTER}{apart[1]}") if sure else None
    named = re.compile(f"{_BEFORE}(?:{told}){_AFTER}") if told else None
    return IdNumber(country, check, alone, named, words(names), digits)


NUMBERS = (
    _number("GB", europe.british_nhs, "nhs", told=r"\d{3}[ -]?\d{3}[ -]?\d{4}", digits=10),
    _number("IE", europe.irish_pps, r"pps|ppsn", told=r"\d{7}[A-W][A-IW]?", digits=7),
    _number(
        "DE", europe.german_tax_id, r"steuer|identifikationsnummer|idnr|tax.?id|tin(?!\w)",
        told=r"\d{2} ?\d{3} ?\d{3} ?\d{3}", digits=11,
    ),
    _number(
        "DE", europe.german_pension, r"rente|sozialversicherung",
        sure=r"\d{2} ?\d{6} ?[A-Z] ?\d{3}", digits=11,
    ),
    _number(
        "AT", europe.austrian_insurance, r"sozialversicherung|svnr|sv-n",
        told=r"\d{4}[ -]?\d{6}", digits=10,
    ),
    _number(
        "CH", europe.swiss_ahv, r"ahv|avs|oasi",
        sure=r"756\.?\d{4}\.?\d{4}\.?\d{2}", digits=13,
    ),
    _number(
        "FR", europe.french_nir, r"nir|insee|sécu",
        sure=r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}",
        digits=14,
    ),
    _number(
        "BE", europe.belgian_rrn, r"rijksregister|registre national|national register|insz|niss",
        sure=r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}", told=r"\d{6}[ -]?\d{3}[ .-]?\d{2}", digits=11,
    ),
    _number(
        "NL", europe.dutch_bsn, r"bsn|burgerservice|sofi.?nummer",
        told=r"\d{4}[. ]?\d{2}[. ]?\d{3}|\d{3}[. ]\d{3}[. ]\d{3}",
    ),
    _number("ES", europe.spanish_id, r"dni|nif|nie", sure=r"\d{8}[- ]?[A-Z]", digits=8),
    _number("ES", europe.spanish_id, r"nie", sure=r"[XYZ][- ]?\d{7}[- ]?[A-Z]", digits=7),
    _number("PT", europe.portuguese_nif, r"nif|contribuinte|fiscal", told=r"\d{3} ?\d{3} ?\d{3}"),
    _number(
        "SE", europe.swedish_personal, r"personnummer|personnr|samordning|person(?:al)? ?n",
        sure=r"(?:19|20)?\d{6}[-+]\d{4}", told=r"(?:19|20)?\d{10}", digits=10,
    ),
    _number(
        "NO", europe.norwegian_id, r"fødsel|personnummer|fnr",
        sure=r"\d{6} \d{5}", told=r"\d{11}", digits=11,
    ),
    _number("DK", europe.danish_cpr, r"cpr|personnummer", told=r"\d{6}-?\d{4}", digits=10),
    _number("IS", europe.icelandic_kennitala, r"kennitala|kt\.", told=r"\d{6}-?\d{4}", digits=10),
    _number(
        "FI", europe.finnish_hetu, r"hetu|henkilö",
        sure=r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Y]", digits=9,
    ),
    _number(
        "EE", europe.baltic_personal, r"isikukood|asmens kodas|a\. ?k\.|personal code",
        told=r"[1-6]\d{10}", digits=11,
    ),
    _number("PL", europe.polish_pesel, "pesel", told=r"\d{11}", digits=11),
    _number(
        "CZ", europe.czech_birth_number, r"rodné|rodne|r\.? ?č|birth number",
        sure=r"\d{6}/\d{4}", told=r"\d{10}", digits=10,
    ),
    _number("RO", europe.romanian_cnp, r"cnp|cod numeric", told=r"[1-9]\d{12}", digits=13),
    _number("BG", europe.bulgarian_egn, r"egn|егн", told=r"\d{10}", digits=10),
    _number("RS", europe.yugoslav_jmbg, r"jmbg|emšo|emso", told=r"\d{13}", digits=13),
    _number("HR", checksums.hybrid_11_10, r"oib", told=r"\d{11}", digits=11),
    _number("HU", europe.hungarian_tax, r"adóazonosító|adószám", told=r"8\d{9}", digits=10),
    _number(
        "HU", europe.hungarian_personal, r"személyi|személyazonosító",
        told=r"[1-8][ -]?\d{6}[ -]?\d{4}", digits=11,
    ),
    _number("HU", europe.hungarian_taj, r"taj(?!\w)|társadalombiztosítás",
        told=r"\d{3}[ -]?\d{3}[ -]?\d{3}"),
    _number(
        "LV", europe.latvian_personal, r"personas kod|p\. ?k\.|personal code",
        told=r"\d{6}-?\d{5}", digits=11,
    ),
    _number("GR", europe.greek_amka, r"amka|αμκα", told=r"\d{11}", digits=11),
    _number("GR", europe.greek_afm, r"afm|αφμ", told=r"\d{9}"),
    _number(
        "RU", europe.russian_snils, r"snils|снилс",
        sure=r"\d{3}-\d{3}-\d{3}[ -]\d{2}", told=r"\d{11}", digits=11,
    ),
    _number("RU", europe.russian_inn, r"inn|инн", told=r"\d{12}", digits=12),
    _number("UA", europe.ukrainian_tax, r"рнокпп|rnokpp|іпн", told=r"\d{10}", digits=10),
    _number("TR", europe.turkish_id, r"t\.?c\.?|kimlik", told=r"[1-9]\d{10}", digits=11),
    _number(
        "BR", overseas.brazilian_cpf, "cpf",
        sure=r"\d{3}\.\d{3}\.\d{3}-\d{2}", told=r"\d{11}|\d{9}-\d{2}", digits=11,
    ),
    _number(
        "BR", overseas.brazilian_cnpj, "cnpj",
        sure=r"\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}", told=r"\d{14}", digits=14,
    ),
    _number(
        "AR", overseas.argentine_cuit, "cui[tl]",
        sure=r"\d{2}-\d{8}-\d", told=r"\d{11}", digits=11,
    ),
    _number(
        "CL", overseas.chilean_rut, r"rut|run|rol",
        sure=r"\d{1,2}\.\d{3}\.\d{3}-[0-9Kk]", told=r"\d{7,8}-?[0-9Kk]", digits=7,
    ),
    _number("EC", overseas.ecuadorian_cedula, r"cédula|cedula", told=r"\d{9}-?\d", digits=10),
    _number(
        "IN", overseas.indian_aadhaar, r"aadh?aar|uidai|uid",
        sure=r"[2-9]\d{3} \d{4} \d{4}", told=r"[2-9]\d{3}[ -]?\d{4}[ -]?\d{4}", digits=12,
    ),
    _number("CN", overseas.chinese_resident, "身份证", sure=r"[1-8]\d{16}[0-9X]", digits=17),
    _number("TW", overseas.taiwanese_id, r"身[分份]證|taiwan|id", told=r"[A-Z][1289]\d{8}"),
    _number("SG", overseas.singapore_nric, r"nric|fin", sure=r"[STFGM]\d{7}[A-Z]", digits=7),
    _number(
        "KR", overseas.korean_rrn, r"주민|rrn|resident reg",
        sure=r"\d{6}-[1-8]\d{6}", told=r"\d{13}", digits=13,
    ),
    # Numbers given out since October 2020 have no check digit.
    _number("KR", overseas.korean_dated, r"주민|rrn|resident reg", told=r"\d{6}-[1-8]\d{6}",
        digits=13),
    _number(
        "JP", overseas.japanese_my_number, r"my ?number|マイナンバー|個人番号",
        told=r"\d{4}[ -]?\d{4}[ -]?\d{4}", digits=12,
    ),
    _number(
        "TH", overseas.thai_id, r"thai|เลขประจำตัว",
        sure=r"\d-\d{4}-\d{5}-\d{2}-\d", told=r"\d{13}", digits=13,
    ),
    _number("AE", checksums.luhn, r"emirates", sure=r"784-\d{4}-\d{7}-\d", told=r"784\d{12}",
        digits=15),
    _number("KZ", overseas.kazakh_iin, r"iin|иин|жсн", told=r"\d{12}", digits=12),
    _number("ZA", overseas.south_african_id, r"south africa|rsa|id",
        told=r"\d{6} ?\d{4} ?\d{3}", digits=13),
    _number("IL", overseas.israeli_id, r"teudat|zehut|ת\.?ז|תעודת.זהות|israel", told=r"\d{8}-?\d"),
    _number("AU", overseas.australian_tfn, r"tfn|tax file", told=r"\d{3} ?\d{3} ?\d{3}"),
    _number("AU", overseas.australian_medicare, "medicare", told=r"[2-6]\d{3} ?\d{5} ?\d",
        digits=10),
    _number("CA", overseas.canadian_sin, r"sin(?!\w)|social insurance|nas(?!\w)",
        told=r"\d{3}[ -]?\d{3}[ -]?\d{3}"),
    _number(
        "US", None, r"itin|taxpayer|tax.?id",
        told=r"9\d{2}([- ]?)(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])\1\d{4}",
    ),
)  # fmt: skip
"""Numbers with at least seven digits in a row or in groups."""

LETTERED = (
    _number(
        "FI", europe.finnish_hetu, r"hetu|henkilö", sure=r"\d{6}[A-FU-Y]\d{3}[0-9A-Y]", digits=9
    ),
    _number(
        "GB", None, r"nino|national insurance",
        sure=r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]"
        r"[ -]?\d{2}[ -]?\d{2}[ -]?\d{2}[ -]?[A-D]",
    ),
    _number(
        "IT", europe.italian_tax_code, r"codice",
        sure=r"[A-Z]{6} ?[0-9LMNP-V]{2} ?[ABCDEHLMPRST][0-9LMNP-V]{2} ?[A-Z][0-9LMNP-V]{3} ?[A-Z]",
    ),
    _number(
        "MX", overseas.mexican_curp, "curp",
        sure=r"[A-Z][AEIOUX][A-Z]{2}\d{6}[HMX][A-Z]{5}[0-9A-Z]\d",
    ),
    _number("MX", None, "rfc", told=r"[A-ZÑ&]{4}[ -]?\d{6}[ -]?[0-9A-Z]{3}"),
    _number(
        "IN", None, r"pan(?!\w)|permanent account|income tax",
        sure=r"[A-Z]{3}P[A-Z]\d{4}[A-Z]", told=r"[A-Z]{3}[ABCFGHLJT][A-Z]\d{4}[A-Z]",
    ),
    _number("HK", overseas.hong_kong_id, "hkid", sure=r"[A-Z]{1,2}\d{6}\([0-9A]\)"),
)  # fmt: skip
"""Numbers in which letters stand between the digits."""

_SEPARATORS = str.maketrans("", "", " .-+/()")
_EDGE = 8
_LONG_RUN = 64

_SSN = re.compile(
    r"(?<![\w.-])(?!000|666"
    r"|9)\d{3}([-. \u2010\u2011\u2013]?)(?!00)\d{2}\1(?!0000)\d{4}(?!\w|[-.]\d)",
)
_SSN_WORDS = words("ssn?(?!\\w)", "soc(?:ial)?.{0,3}sec(?:urity)?", "social(?: number)?")
# Numbers that advertising has used and the administration has withdrawn.
_SSN_VOID = {"078051120", "219099999", "123456789", "457555462", "111111111", "333333333"}


def find_ssns(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """United States social security numbers: with dashes, or with a word that says what it is."""
    for match in _SSN.finditer(text, max(0, start - 1), min(len(text), end + 2)):
        void = re.sub(r"\D", "", match[0]) in _SSN_VOID
        dashed = match[1] in "-\u2010\u2011\u2013" and match[1] != ""
        said = near(_SSN_WORDS, text, *match.span())
        # ") 770-08-2000" ends a telephone number.
        other = names_other_number(text, match.start()) or text.startswith(") ", match.start() - 2)
        if not void and (said or (dashed and not other)):
            yield match.span()


def find_national_ids(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Numbers with seven digits and more; those of weak form need a word near them."""
    # A long run of groups may hold anything.
    size = sum(map(str.isdigit, text[start:end])) if end - start < _LONG_RUN else _LONG_RUN
    for number in NUMBERS:
        if number.fewest_digits <= size:
            yield from _matches(number, text, start, end)


def find_lettered_ids(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Numbers in which letters stand between the digits."""
    for number in LETTERED:
        yield from _matches(number, text, start, end)


def _matches(number: IdNumber, text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    low, high = max(0, start - _EDGE), min(len(text), end + _EDGE)
    for form in (number.sure, number.told):
        if form is None:
            continue
        for match in form.finditer(text, low, high):
            if number.check is not None and not number.check(_bare(match[0], number.country)):
                continue
            sure = form is number.sure and not names_other_number(text, match.start())
            if sure or any(near(said, text, *match.span()) for said in (number.words, _ANY_WORDS)):
                yield match.span()


def _bare(text: str, country: str) -> str:
    """In plain digits, without separators; the Finnish century sign, which may be a dash or a plus,
    keeps its place."""
    if not text.isascii():
        text = "".join(str(decimal(sign)) if sign.isdecimal() else sign for sign in text)
    return text if country == "FI" else text.translate(_SEPARATORS).upper()
