"""One heap for all threads of the service."""

from __future__ import annotations

import contextlib
import ctypes

M_ARENA_MAX = -8
"""Of glibc's <malloc.h>."""


def use_one_heap() -> None:
    """Call before the first thread is started. Without glibc it does nothing.

    glibc gives each thread a heap of its own and each keeps what was freed in it: tens of MB for every thread that
    once laid out a picture's fields. They are few and their arrays large, so that they hardly ever wait for one heap.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
