from __future__ import annotations

import errno
import os

import pytest
from safetensors import SafetensorError

from llamakit.cli.failures import explain
from llamakit.errors import InputError, Stopped


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (InputError("gone", where="a", fix="Look."), 3, "error: a: gone. Look."),
        (Stopped(15), 143, "stopped by SIGTERM; the same command continues where it was"),
        (OSError(errno.ENOSPC, "No space left on device", "x"), 1, "the disk is full (x)"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), 1, "disk is full"),
        (OSError(errno.EROFS, "Read-only file system", "s"), 1, "s: the file system is read-only"),
        (NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), "f/x"), 1, "f/x: not a"),
        (OSError(errno.EFBIG, os.strerror(errno.EFBIG)), 1, "larger than is allowed"),
        (OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), "x" * 300), 3, "as long as"),
        (PermissionError(errno.EACCES, "Permission denied", "p"), 3, "p: permission denied"),
        (MemoryError(), 1, "out of memory"),
        (ValueError("odd"), 1, "unexpected ValueError: odd. LLAMAKIT_DEBUG=1"),
    ],
)
def test_every_error_is_a_paragraph_and_a_code(error: BaseException, code: int, says: str) -> None:
    text, found = explain(error)
    assert found == code
    assert says in text
    assert "\n" not in text
