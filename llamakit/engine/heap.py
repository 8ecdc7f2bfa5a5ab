"""Memory that threads free goes back to the system."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

# Of glibc's malloc.h.
_ARENA_MAX = -8
_AS_MANY_AS_IT_LIKES = 0


@contextmanager
def one_heap() -> Iterator[None]:
    """Inside, threads begun anew share one heap; afterwards what it does not use goes back.

    glibc gives each thread a heap of its own, which keeps what the thread has freed when the next
    thread begins another: over the phases of a deduplication a tenth of its peak. Threads that
    allocate a few large arrays do not wait for each other. Elsewhere than with glibc nothing
    happens.
    """
    library = ctypes.CDLL(None)
    if not (hasattr(library, "mallopt") and hasattr(library, "malloc_trim")):
        yield
        return
    library.mallopt(_ARENA_MAX, 1)
    try:
        yield
    finally:
        library.mallopt(_ARENA_MAX, _AS_MANY_AS_IT_LIKES)
        library.malloc_trim(0)
