"""Personal data of 50 countries as `faker` writes it, and decoys: recall and precision by kind.

    pip install faker
    python tests/bench/pii_faker.py [--seed 1] [--each 12]

Neither the values nor the sentences come from those who wrote the finders. A telephone number is
taken where libphonenumber calls it valid; national ids of the countries whose check digits faker
computes. `phone, bare` are national numbers without a word, a + or brackets around them.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from typing import Any

import phonenumbers
from faker import Faker
from pii import Labels, quality

from llamakit.corpus.pii.spans import STRUCTURED_KINDS

# The way numbers are introduced, by language; faker's locales and their regions.
CALLED = {
    "en": "Call {} after six|Phone: {}|tel {} / no fax|☎ {}|Mob.: {}|text me at {}",
    "de": "Telefon: {}|Rufen Sie uns an: {}|Handy {}|erreichbar unter {}",
    "fr": "Tél : {}|Appelez le {}|Portable : {}|joignable au {}", "es": "Teléfono: {}|Móvil: {}",
    "it": "Telefono: {}|Cell. {}", "pt": "Telefone: {}|Ligue para {}|Telemóvel {}",
    "nl": "Telefoon: {}|Mobiel: {}", "pl": "tel. {}|Zadzwoń: {}|kom. {}", "sv": "Ring {}",
    "fi": "Puh. {}|Soita {}", "da": "Tlf. {}|Mobil: {}", "no": "Tlf. {}", "cs": "Volejte {}",
    "hu": "Hívja a {}|mobil: {}", "ro": "Sunați la {}", "tr": "Cep: {}|Bizi arayın {}",
    "ru": "тел. {}|Звоните {}|моб. {}", "uk": "Дзвоніть {}|тел. {}",
    "ja": "電話番号は{}です|TEL {}",
    "ko": "연락처: {}|전화번호 {}", "zh": "手机：{}|請撥打 {}", "hi": "फ़ोन: {}|मोबाइल {}",
    "el": "Τηλ. {}|κινητό {}", "he": "טלפון: {}|נייד {}", "id": "Telp. {}|Hubungi {}",
    "fa": "تلفن: {}", "ar": "هاتف: {}|جوال {}", "th": "โทร. {}", "vi": "Điện thoại: {}|SĐT: {}",
}  # fmt: skip
LOCALES = (
    "en_US en_GB de_DE fr_FR es_ES it_IT pt_BR nl_NL pl_PL sv_SE fi_FI da_DK no_NO cs_CZ hu_HU "
    "ro_RO tr_TR ru_RU uk_UA ja_JP ko_KR zh_CN zh_TW en_IN hi_IN en_AU en_CA fr_CH de_AT pt_PT "
    "es_MX el_GR he_IL id_ID bg_BG hr_HR sk_SK sl_SI lt_LT lv_LV et_EE en_NZ en_IE fa_IR ar_SA "
    "th_TH vi_VN nl_BE es_AR es_CL es_CO"
)
IDS = {
    "en_US": ("ssn", "SSN {}|Social Security Number: {}"), "fr_FR": ("ssn", "NIR {}|n° SS {}"),
    "es_ES": ("nif", "D.N.I. {}|NIF: {}"), "it_IT": ("ssn", "C.F. {}"),
    "pl_PL": ("ssn", "PESEL {}"),
    "sv_SE": ("ssn", "personnummer {}"), "fi_FI": ("ssn", "HETU: {}"), "no_NO": ("ssn", "fnr: {}"),
    "nl_NL": ("ssn", "BSN {}"), "pt_BR": ("cpf", "CPF nº {}"), "tr_TR": ("ssn", "TC Kimlik: {}"),
    "hr_HR": ("ssn", "OIB {}"), "ro_RO": ("ssn", "CNP: {}"), "et_EE": ("ssn", "isikukood {}"),
    "lv_LV": ("ssn", "personas kods {}"), "zh_CN": ("ssn", "身份证 {}"),
    "en_CA": ("ssn", "SIN # {}"),
    "he_IL": ("ssn", "ת.ז. {}"), "nl_BE": ("ssn", "INSZ {}"), "es_MX": ("curp", "CURP: {}"),
    "el_GR": ("ssn", "ΑΜΚΑ: {}"), "zh_TW": ("ssn", "身份證 {}"), "uk_UA": ("ssn", "РНОКПП: {}"),
}  # fmt: skip
NO_IBAN = ("AR", "CO", "TH")  # countries without such accounts
ANYWHERE = "{}|({})|Here it is: {}|was entered as {}, I think|Jane\t{}\t3|note={}; next"
BARE = "{}|Jane Doe, {}, Springfield|She left {} on the pad|Smith\t{}\tParis|({})|- {}"
DECOYS = {
    "ean13": "EAN {}", "isbn13": "ISBN {}", "isbn10": "{}", "uuid4": "{}", "sha256": "{}",
    "mac_address": "{}", "latitude": "at {}, 13.37", "date": "on {}", "iso8601": "{}",
    "pricetag": "{}", "rgb_color": "rgb {}", "file_path": "{}", "user_agent": "{}", "uri": "{}",
    "license_plate": "{}", "time": "{} to 12:00:00", "user_name": "@{}", "bothify": "SKU {}",
}  # fmt: skip
NUMBERS = (
    "Invoice ########", "pp. ###-####", "doi:10.####/j.##.###", "#### #### ### #### ### ####",
    "build #####.#.###.##", "sections 3.#.#.#", "###.### ##.### #.###", "status/1#################",
    "[1#########.######] kernel", "Pat. No. #,###,###", "## ### ### inhabitants", "chr1:####### ",
    "%##-%## and %##-%##", "####-##-## ##:##:##", "#%%%%%%%%%", "#%%%%%%%%%%", "(#) * ### - ####",
)  # fmt: skip


def sentences(seed: int, each: int) -> Iterator[tuple[str, str, str]]:
    """What it is, the kind (or none), and a text in which `⟦…⟧` marks it."""
    Faker.seed(seed)
    draw = random.Random(seed)

    def framed(frames: str, value: str) -> str:
        return draw.choice(frames.split("|")).replace("{}", f"⟦{value}⟧")

    for locale in LOCALES.split():
        fake: Any = Faker(locale)
        language, region = locale.split("_")
        for _ in range(each):
            if (valid := valid_phone(fake, region)) is None:
                break
            number, parsed = valid
            yield "phone", "phone", framed(CALLED.get(language, "Tel. {}"), number)
            abroad = phonenumbers.format_number(parsed, draw.choice([0, 1]))
            abroad = draw.choice([abroad, abroad.replace("+", "00"), abroad.replace(" ", ".")])
            yield "phone, abroad", "phone", framed(BARE, abroad)
            yield "phone, bare", "phone", framed(BARE, phonenumbers.format_number(parsed, 2))
            yield "email", "email", framed(ANYWHERE, fake.ascii_company_email())
        for _ in range(each // 3):
            account = fake.iban()
            malformed = account[:2] == "GB" and region != "GB"  # one character short
            if account[:2] not in NO_IBAN and not malformed:
                yield "iban", "iban", framed(ANYWHERE, account)
        if locale in IDS:
            method, frames = IDS[locale]
            for _ in range(each):
                kind = "ssn" if locale == "en_US" else "national_id"
                yield f"id {locale}", kind, framed(frames, getattr(fake, method)())
    fake = Faker("en_US")
    for _ in range(20 * each):
        yield "card", "card", framed(ANYWHERE, fake.credit_card_number(draw.choice(["visa16", "mastercard", "amex", "discover", "jcb16"])))  # fmt: skip  # noqa: E501
        yield "ipv4", "ip", framed(ANYWHERE, fake.ipv4_public())
    for _ in range(2 * each):
        for method, frame in DECOYS.items():
            yield f"decoy {method}", "", frame.replace("{}", str(getattr(fake, method)()))
        for shape in NUMBERS:
            yield f"decoy {shape}", "", f"It says {fake.numerify(shape)} again."


def valid_phone(fake: Any, region: str) -> tuple[str, phonenumbers.PhoneNumber] | None:
    """A valid number as faker writes it, and as it was read; None where it hardly makes any."""
    for _ in range(200):
        number = fake.phone_number()
        try:
            parsed = phonenumbers.parse(number, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(parsed):
            return number, parsed
    return None


def main() -> None:
    """Print a table for all, and one for telephone numbers by how they stand."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", type=int, default=12)
    given = parser.parse_args()
    texts: list[str] = []
    labels: list[Labels] = []
    whats: list[str] = []
    for what, kind, marked in sentences(given.seed, given.each):
        start, end = marked.find("⟦"), marked.find("⟧") - 1
        texts.append(marked.replace("⟦", "").replace("⟧", ""))
        labels.append([(kind, start, end)] if kind else [])
        whats.append(what)
    print(f"{len(texts):,} sentences, {sum(map(bool, labels)):,} with personal data")
    quality(texts, labels, STRUCTURED_KINDS)
    for way in ("phone", "phone, abroad", "phone, bare"):
        chosen = [place for place, what in enumerate(whats) if what == way]
        print(way)
        quality([texts[p] for p in chosen], [labels[p] for p in chosen], ("phone",))


if __name__ == "__main__":
    main()
