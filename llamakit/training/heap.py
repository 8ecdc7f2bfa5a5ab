"""Memory that a step on the processor frees stays with the process, for the next step.

glibc maps each large tensor afresh and gives it back when it is freed, and the system clears every
page of it again: a tenth of a training step. Where memory is kept it also lies on large pages,
which are a thirtieth. A GPU's memory is kept by torch itself.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_NEVER = -1
# Where glibc itself ends up in a process that frees large tensors.
_USUAL = {_MMAP_THRESHOLD: 32 * 2**20, _TRIM_THRESHOLD: 64 * 2**20, _MMAP_MAX: 65536}


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Inside, the C library keeps what is freed; afterwards that goes back to the system.

    Elsewhere than with glibc nothing happens.
    """
    library = ctypes.CDLL(None)
    if not (hasattr(library, "mallopt") and hasattr(library, "malloc_trim")):
        yield
        return
    library.mallopt(_MMAP_MAX, 0)
    library.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        _ask_for_large_pages(library)
        yield
    finally:
        for option, value in _USUAL.items():
            library.mallopt(option, value)
        library.malloc_trim(0)


def _ask_for_large_pages(library: ctypes.CDLL) -> None:
    """For the addresses that the heap is going to grow into: half as many as there is memory. They
    take none until they are used, and where they are not to be had, pages are of the usual size.
    """
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes = [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    page = mmap.PAGESIZE
    size = os.sysconf("SC_PHYS_PAGES") // 2 * page
    start = library.malloc(size)
    if start is None:
        return
    library.madvise(-(-start // page) * page, size - page, mmap.MADV_HUGEPAGE)
    library.free(start)
