"""A network camera on loopback: pictures that were drawn before, each shown at the moment at which it was taken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .mjpeg import MjpegServer


class NetworkCamera:
    """Shows `files`, taken at `times_s` of a clock, until closed; `clock_s` gives that clock's time."""

    def __init__(self, files: Sequence[Path], times_s: Sequence[float], clock_s: Callable[[], float]) -> None:
        self._files, self._times_s, self._clock_s = list(files), list(times_s), clock_s
        self.stream = MjpegServer()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.stream.close()

    def _show(self) -> None:
        for file, t_s in zip(self._files, self._times_s, strict=True):
            while (wait_s := t_s - self._clock_s()) > 0.0:
                if self._stop.wait(min(wait_s, 0.2)):
                    return
            if wait_s > -0.5:  # else it is long past
                self.stream.show(file.read_bytes())


def monotonic_since(start_s: float) -> Callable[[], float]:
    """A clock that shows 0 at `start_s` of the monotonic one."""
    return lambda: time.monotonic() - start_s
