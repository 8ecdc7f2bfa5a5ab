from __future__ import annotations

import pytest

from llamakit.corpus.pii.encodings import base58_bytes, base58check, bech32, eip55, keccak_256


def test_keccak_of_known_texts() -> None:
    # The empty text and "abc", as Ethereum's yellow paper and its test suites give them.
    assert keccak_256(b"").hex().startswith("c5d2460186f7233c927e7db2dcc703c0")
    assert keccak_256(b"abc").hex().startswith("4e03657aea45a94fc7d47ba826c8d667")
    assert keccak_256(b"a" * 136) != keccak_256(b"a" * 135)


def test_base58_keeps_leading_zeros_and_refuses_foreign_signs() -> None:
    assert base58_bytes("11") == b"\0\0"
    assert base58_bytes("StV1DL6CwTryKyV") == b"hello world"
    assert base58_bytes("0OIl") is None


def test_base58check_of_the_first_block_and_one_wrong_sign() -> None:
    payload = base58check("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa")
    assert payload is not None
    assert len(payload) == 21
    assert base58check("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb") is None


@pytest.mark.parametrize(
    "good",
    [
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",  # BIP-173
        "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",  # BIP-350
    ],
)
def test_bech32(good: str) -> None:
    assert bech32(good)
    assert not bech32(good[:-1] + ("q" if good[-1] not in "qQ" else "p"))
    assert not bech32(good[:8] + good[8:].swapcase())


def test_eip55_of_its_own_examples() -> None:
    for good in (
        "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "fB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "de709f2102306220921060314715629080e2fb77",
    ):
        assert eip55(good)
    assert not eip55("5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")
