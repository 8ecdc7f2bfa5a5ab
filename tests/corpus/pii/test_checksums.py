from __future__ import annotations

import pytest

from llamakit.corpus.pii import checksums
from llamakit.corpus.pii import european_ids as europe
from llamakit.corpus.pii import overseas_ids as overseas


@pytest.mark.parametrize(
    ("check", "good"),
    [
        (checksums.luhn, "4111111111111111"),
        (checksums.issued_card, "5500005555555559"),
        (checksums.issued_card, "378282246310005"),
        (checksums.issued_card, "3530111333300000"),
        (checksums.issued_card, "6011111111111117"),
        (checksums.iban, "GB82WEST12345698765432"),
        (checksums.iban, "DE89370400440532013000"),
        (checksums.iban, "NO9386011117947"),
        (checksums.verhoeff, "2363"),
        (checksums.hybrid_11_10, "07945"),
        (europe.spanish_id, "12345678Z"),
        (europe.spanish_id, "X1234567L"),
        (europe.french_nir, "255081416802538"),
        (europe.german_tax_id, "36574261809"),
        (europe.german_pension, "15070649C103"),
        (europe.italian_tax_code, "RSSMRA85T10A562S"),
        (europe.dutch_bsn, "111222333"),
        (europe.polish_pesel, "44051401359"),
        (europe.belgian_rrn, "85073003328"),
        (europe.british_nhs, "9434765919"),
        (europe.swedish_personal, "8803200016"),
        (europe.finnish_hetu, "131052-308T"),
        (europe.norwegian_id, "15108695088"),
        (europe.swiss_ahv, "7569217076985"),
        (europe.portuguese_nif, "501964843"),
        (europe.irish_pps, "6433435F"),
        (europe.czech_birth_number, "7103192745"),
        (europe.romanian_cnp, "1630615123457"),
        (europe.bulgarian_egn, "7523169263"),
        (europe.yugoslav_jmbg, "0101006500006"),
        (europe.greek_amka, "01013099997"),
        (europe.russian_inn, "500100732259"),
        (europe.turkish_id, "17291716060"),
        (europe.baltic_personal, "36805280109"),
        (overseas.brazilian_cnpj, "16727230000197"),
        (overseas.argentine_cuit, "20267565393"),
        (overseas.chilean_rut, "125319092"),
        (overseas.ecuadorian_cedula, "1714307103"),
        (overseas.indian_aadhaar, "234123412346"),
        (overseas.chinese_resident, "11010519491231002X"),
        (overseas.hong_kong_id, "A1234563"),
        (overseas.singapore_nric, "S1234567D"),
        (overseas.taiwanese_id, "A123456789"),
        (overseas.korean_rrn, "9710139019902"),
        (overseas.japanese_my_number, "123456789018"),
        (overseas.south_african_id, "7503305044089"),
        (overseas.australian_tfn, "123456782"),
        (overseas.canadian_sin, "123456782"),
    ],
)
def test_a_known_good_number_passes_and_any_changed_digit_fails(check, good: str) -> None:  # type: ignore[no-untyped-def]
    assert check(good)
    for place, letter in enumerate(good):
        if letter.isdigit():
            wrong = good[:place] + str((int(letter) + 1) % 10) + good[place + 1 :]
            assert not check(wrong), wrong


def test_a_card_needs_an_issuer() -> None:
    assert checksums.luhn("9999999999999995")
    assert not checksums.issued_card("9999999999999995")
    assert not checksums.issued_card("4" * 16)


@pytest.mark.parametrize(
    ("check", "good", "wrong"),
    [
        # Sums modulo 10 and 11 that are cut to one digit let some wrong digits pass.
        (europe.french_nir, "253072B07300470", "253072A07300470"),
        (overseas.brazilian_cpf, "39053344705", "39053344715"),
        (overseas.brazilian_cpf, "39053344705", "11111111111"),
        (overseas.mexican_curp, "BOXW310820HNERXN09", "BOXW310820HNERXN08"),
        (europe.german_tax_id, "36574261809", "12345678901"),
        (europe.danish_cpr, "2110625629", "3202625629"),
        (europe.icelandic_kennitala, "1201743399", "1201743389"),
        (europe.hungarian_tax, "8071592153", "8071592154"),
        (europe.russian_snils, "11223344595", "11223344594"),
        (europe.ukrainian_tax, "1759013776", "1759013777"),
        (europe.greek_afm, "094259216", "094259217"),
        (europe.austrian_insurance, "1237010180", "2237010180"),
        (overseas.australian_medicare, "2123456701", "2123456711"),
        (overseas.israeli_id, "039337423", "039337424"),
        (overseas.thai_id, "1234545678781", "1234545678782"),
    ],
)
def test_checks_that_let_some_errors_pass(check, good: str, wrong: str) -> None:  # type: ignore[no-untyped-def]
    assert check(good)
    assert not check(wrong)
