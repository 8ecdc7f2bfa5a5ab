from __future__ import annotations

import ipaddress
import random
import re

import pytest

from llamakit.world.personal import (
    card,
    decoy_sentence,
    email,
    iban,
    iban_valid,
    ip_address,
    luhn_valid,
    phone,
    sentence_with,
    ssn,
)


@pytest.fixture
def rng():
    return random.Random(0)


def test_check_digits_of_known_numbers():
    assert luhn_valid("4111111111111111")
    assert not luhn_valid("4111111111111112")
    assert iban_valid("DE89370400440532013000")
    assert iban_valid("GB82WEST12345698765432")
    assert not iban_valid("DE89370400440532013001")


def test_cards_and_accounts_are_valid(rng):
    for _ in range(300):
        assert luhn_valid(re.sub(r"\D", "", card(rng)))
        assert iban_valid(iban(rng).replace(" ", ""))


def test_addresses_and_numbers_have_the_right_form(rng):
    for _ in range(300):
        assert ipaddress.ip_address(ip_address(rng)).is_global
        assert re.fullmatch(r"(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}", ssn(rng))
        assert re.fullmatch(r"[a-z0-9._]+@\w+\.example\.com", email(rng, "Mira"))
        assert re.search(r"555.01\d\d$", phone(rng))


def test_phones_are_numbers_that_a_library_finds(rng):
    phonenumbers = pytest.importorskip("phonenumbers")
    found = [any(phonenumbers.PhoneNumberMatcher(phone(rng), "US")) for _ in range(50)]
    assert all(found)


@pytest.mark.parametrize("kind", ["email", "phone", "card", "iban", "ip", "ssn"])
def test_sentences_know_where_their_secret_is(rng, kind):
    sentence, span = sentence_with(kind, "Mira", rng)
    assert sentence[span.start : span.end] == span.text
    assert "Mira" in sentence


def test_decoys_fail_the_check(rng):
    for _ in range(200):
        assert not luhn_valid(decoy_sentence("card", rng)[1].text)
        with pytest.raises(ValueError, match="does not appear to be"):
            ipaddress.ip_address(decoy_sentence("ip", rng)[1].text)
        assert re.match(r"000|666|9", decoy_sentence("ssn", rng)[1].text)
