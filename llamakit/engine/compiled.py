"""Functions compiled to machine code, kept on disk, run without the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile at the first call of each combination of types, or load what an earlier run compiled.

    The machine code lies beside the module, or in the user's cache folder where the package may
    not be written to; where neither can be written, every process compiles for itself. Functions
    of one module only may call each other: numba tells stale code by the calling function's file.
    """
    try:
        result: Any = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        result = numba.njit(nogil=True)(function)
    return cast(F, result)
