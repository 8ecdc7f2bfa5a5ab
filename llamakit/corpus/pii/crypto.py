"""Addresses of digital money: Bitcoin, Ethereum and others, each held to its checksum."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from llamakit.corpus.pii.context import near, words
from llamakit.corpus.pii.encodings import base58_bytes, base58check, bech32, eip55

_TOKEN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]{25,120}(?![A-Za-z0-9])")
_SOLANA_WORDS = words("solana", "sol(?!\\w)", "spl", "phantom")
_ETHEREUM = re.compile(r"0[xX][0-9a-fA-F]{40}\Z")
_BECH32_PREFIXES = ("bc1", "tb1", "ltc1", "addr1", "cosmos1", "osmo1", "terra1", "bnb1", "BC1")
_CASHADDR = re.compile(r"[qp][a-z0-9]{41}\Z")
# First sign of the text -> version bytes of addresses (SLIP-44 registries of each project).
_VERSIONS = {
    "1": (0x00,), "3": (0x05,), "m": (0x6F,), "n": (0x6F,), "2": (0xC4,),  # Bitcoin, its test net
    "L": (0x30,), "M": (0x32,),  # Litecoin
    "D": (0x1E,), "A": (0x16, 0x17), "9": (0x16,),  # Dogecoin
    "X": (0x4C,), "7": (0x10,),  # Dash
    "T": (0x41,),  # Tron
}  # fmt: skip
_HASH_BYTES = 20
_MONERO_SIZES = (95, 106)


def find_crypto(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The addresses in a run of letters and digits."""
    for match in _TOKEN.finditer(text, max(0, start - 1), min(len(text), end + 1)):
        if is_address(match[0]) or _told(text, match):
            yield match.span()


def is_address(token: str) -> bool:
    """Whether the checksum of the currency that writes addresses so holds."""
    size, first = len(token), token[0]
    if size == 42 and _ETHEREUM.match(token):
        return len(set(token[2:].lower())) > 4 and eip55(token[2:])
    if token.startswith(_BECH32_PREFIXES):
        return bech32(token)
    if size == 56 and first == "G":
        return _stellar(token)
    if size in _MONERO_SIZES and first in "48":
        return _monero(token)
    if size > 36 or size < 25:
        return False
    if first == "r":
        payload = base58check(token, ripple=True)
        return payload is not None and len(payload) == _HASH_BYTES + 1
    if first in _VERSIONS:
        payload = base58check(token)
        return (
            payload is not None
            and len(payload) == _HASH_BYTES + 1
            and payload[0] in _VERSIONS[first]
        )
    return False


def _told(text: str, match: re.Match[str]) -> bool:
    """Addresses without a checksum, or with one not checked here, that something before names."""
    before = text[max(0, match.start() - 12) : match.start()]
    if before.endswith("bitcoincash:"):
        return _CASHADDR.match(match[0]) is not None
    if 43 <= len(match[0]) <= 44 and near(_SOLANA_WORDS, text, *match.span()):
        data = base58_bytes(match[0])
        return data is not None and len(data) == 32
    return False


def _monero(token: str) -> bool:
    """Monero writes blocks of eleven signs; each must fit in eight bytes."""
    for at in range(0, len(token), 11):
        data = base58_bytes(token[at : at + 11])
        if data is None or len(data.lstrip(b"\0")) > 8:
            return False
    return not token.isdigit()


def _stellar(token: str) -> bool:
    """A base32 account id with a CRC16 (XModem), least byte first."""
    try:
        data = base64.b32decode(token)
    except ValueError:
        return False
    return binascii.crc_hqx(data[:-2], 0) == int.from_bytes(data[-2:], "little")
