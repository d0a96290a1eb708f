"""All threads of the service allocate from one heap."""

from __future__ import annotations

import subprocess
import sys

HEAPS = """
import ctypes, sys, threading
from gps_denied_onboard.live.one_heap import use_one_heap
libc = ctypes.CDLL(None)
if sys.argv[1] == "one":
    use_one_heap()
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.fdopen.restype = ctypes.c_void_p
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.fflush.argtypes = [ctypes.c_void_p]
together = threading.Barrier(4)
def work():
    together.wait()
    libc.free(libc.malloc(100_000))
    together.wait()
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads], [t.join() for t in threads]
stream = libc.fdopen(1, b"w")
libc.malloc_info(0, stream)
libc.fflush(stream)
"""


def heaps(how: str) -> int:
    """How many heaps glibc has after four threads have allocated."""
    command = [sys.executable, "-c", HEAPS, how]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return told.count("<heap nr=")


def test_threads_share_the_heap() -> None:
    """Four threads make heaps of their own, and none where the service has asked for one."""
    assert heaps("many") > 1
    assert heaps("one") == 1
