"""Encodings with a checksum that addresses of digital money use: base58check, bech32, EIP-55."""

from __future__ import annotations

import hashlib

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_RIPPLE = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def base58_bytes(text: str, alphabet: str = _BASE58) -> bytes | None:
    """The bytes a base58 text stands for; None when a sign is not of the alphabet."""
    number = 0
    for sign in text:
        value = alphabet.find(sign)
        if value < 0:
            return None
        number = number * 58 + value
    zeros = len(text) - len(text.lstrip(alphabet[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def base58check(text: str, *, ripple: bool = False) -> bytes | None:
    """The payload (version byte first) when its four bytes of double SHA-256 hold, else None."""
    data = base58_bytes(text, _RIPPLE if ripple else _BASE58)
    if data is None or len(data) < 5:
        return None
    digest = hashlib.sha256(hashlib.sha256(data[:-4]).digest()).digest()
    return data[:-4] if digest[:4] == data[-4:] else None


def bech32(text: str) -> bool:
    """Whether the checksum of BIP-173 or, for later witness versions, of BIP-350 holds."""
    if text.lower() != text and text.upper() != text:
        return False
    prefix, one, data = text.lower().rpartition("1")
    if not one or any(sign not in _BECH32 for sign in data):
        return False
    values = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    check = 1
    for value in values + [_BECH32.index(sign) for sign in data]:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for place, generator in enumerate(_BECH32_GENERATORS):
            check ^= generator if top >> place & 1 else 0
    return check in (1, 0x2BC830A3)


_ROUNDS = (
    0x0000000000000001, 0x0000000000008082, 0x800000000000808A, 0x8000000080008000,
    0x000000000000808B, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
    0x000000000000008A, 0x0000000000000088, 0x0000000080008009, 0x000000008000000A,
    0x000000008000808B, 0x800000000000008B, 0x8000000000008089, 0x8000000000008003,
    0x8000000000008002, 0x8000000000000080, 0x000000000000800A, 0x800000008000000A,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
)  # fmt: skip
_MASK = (1 << 64) - 1
_KECCAK_RATE = 136


def keccak_256(data: bytes) -> bytes:
    """Keccak as Ethereum uses it: SHA-3 of 2015 pads with another byte, so hashlib has it not."""
    padded = bytearray(data) + b"\x01" + bytes(-(len(data) + 1) % _KECCAK_RATE)
    padded[-1] |= 0x80
    lanes = [[0] * 5 for _ in range(5)]
    for at in range(0, len(padded), _KECCAK_RATE):
        for i in range(_KECCAK_RATE // 8):
            word = int.from_bytes(padded[at + 8 * i : at + 8 * i + 8], "little")
            lanes[i % 5][i // 5] ^= word
        _permute(lanes)
    return b"".join(lanes[i % 5][i // 5].to_bytes(8, "little") for i in range(4))


def _permute(lanes: list[list[int]]) -> None:
    for constant in _ROUNDS:
        column = [row[0] ^ row[1] ^ row[2] ^ row[3] ^ row[4] for row in lanes]
        for x in range(5):
            mix = column[x - 1] ^ _turned(column[(x + 1) % 5], 1)
            lanes[x] = [lane ^ mix for lane in lanes[x]]
        x, y, current = 1, 0, lanes[1][0]
        for step in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            current, lanes[x][y] = lanes[x][y], _turned(current, (step + 1) * (step + 2) // 2 % 64)
        for y in range(5):
            row = [lanes[x][y] for x in range(5)]
            for x in range(5):
                lanes[x][y] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5])
        lanes[0][0] ^= constant


def _turned(value: int, by: int) -> int:
    return (value << by | value >> (64 - by)) & _MASK


def eip55(address: str) -> bool:
    """Whether forty hexadecimal digits carry no case, or the case that EIP-55 prescribes."""
    if address.lower() == address or address.upper() == address:
        return True
    digest = keccak_256(address.lower().encode()).hex()
    return all(
        sign.isdigit() or sign.isupper() == (int(nibble, 16) > 7)
        for sign, nibble in zip(address, digest, strict=False)
    )
