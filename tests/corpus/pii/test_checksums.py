from __future__ import annotations

import pytest

from llamakit.corpus.pii import checksums


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
        (checksums.spanish_id, "12345678Z"),
        (checksums.spanish_id, "X1234567L"),
        (checksums.french_nir, "255081416802538"),
        (checksums.german_tax_id, "86095742719"),
        (checksums.italian_tax_code, "RSSMRA85T10A562S"),
        (checksums.dutch_bsn, "111222333"),
        (checksums.polish_pesel, "44051401359"),
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
