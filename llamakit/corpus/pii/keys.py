"""The key of pseudonyms: read from a file or the environment, never written anywhere."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from llamakit.errors import InputError, UsageError

FEWEST_BYTES = 16
_MAKE_ONE = "Make one: head -c 32 /dev/urandom | base64 > pii.key"


def secret_key(file: str | None, variable: str | None) -> bytes:
    """The key that the file or the environment variable holds, without blanks around it.

    Raises:
        UsageError: neither or both are given, or the key is shorter than 16 bytes.
        InputError: there is no such file or variable.
    """
    if (file is None) == (variable is None):
        raise UsageError(
            "pseudonyms need a key, from a file (key-file) or an environment variable (key-env)",
            where="pii",
            fix=_MAKE_ONE,
        )
    if file is not None:
        try:
            key = Path(file).read_bytes().strip()
        except OSError as error:
            raise InputError(
                f"the key cannot be read: {error.strerror}", where=file, fix=_MAKE_ONE
            ) from None
    else:
        key = os.environ.get(str(variable), "").encode().strip()
        if not key:
            raise InputError(f"the environment variable {variable} is not set", where="pii")
    if len(key) < FEWEST_BYTES:
        raise UsageError(
            f"the key has {len(key)} bytes and needs {FEWEST_BYTES}",
            where=file or str(variable),
            fix=_MAKE_ONE,
        )
    return key


def key_digest(key: bytes) -> str:
    """Sixteen hexadecimal digits that tell keys apart. Slow on purpose (scrypt),
    so that the record
    helps nobody to guess a weak key."""
    salt = b"llamakit pii key digest"
    return hashlib.scrypt(key, salt=salt, n=2**14, r=8, p=1, dklen=8).hex()
