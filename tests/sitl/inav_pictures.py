"""A network camera on loopback: MJPEG over HTTP, each picture sent at the moment at which it was taken."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

BOUNDARY = "picture"
_HEAD = (
    "HTTP/1.0 200 OK\r\nCache-Control: no-store\r\nConnection: close\r\n"
    f"Content-Type: multipart/x-mixed-replace; boundary={BOUNDARY}\r\n\r\n--{BOUNDARY}\r\n"
).encode("ascii")


class NetworkCamera:
    """Shows `files`, taken at `times_s` of a clock, to whoever is connected at that moment, until closed.

    `clock_s` gives that clock's time. Whoever connects gets the newest picture at once, as such cameras do.
    """

    def __init__(self, files: Sequence[Path], times_s: Sequence[float], clock_s: Callable[[], float]) -> None:
        self._files, self._times_s, self._clock_s = list(files), list(times_s), clock_s
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.2)
        self.address = f"http://127.0.0.1:{self._server.getsockname()[1]}/pictures.mjpg"
        self._viewers: list[socket.socket] = []
        self._lock = threading.Lock()
        self._newest = 0
        self.shown = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._accept, self._show)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for viewer in self._viewers:
            viewer.close()
        self._server.close()

    def _accept(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(OSError):
                viewer, _ = self._server.accept()
                viewer.settimeout(1.0)
                viewer.recv(4096)
                viewer.sendall(_HEAD + self._part(self._newest))
                with self._lock:
                    self._viewers.append(viewer)

    def _show(self) -> None:
        for index, t_s in enumerate(self._times_s):
            while (wait_s := t_s - self._clock_s()) > 0.0:
                if self._stop.wait(min(wait_s, 0.2)):
                    return
            if wait_s < -0.5:
                continue  # long past
            self._newest = index
            part = self._part(index)
            with self._lock:
                self._viewers = [viewer for viewer in self._viewers if _sent(viewer, part)]
                self.shown += bool(self._viewers)

    def _part(self, index: int) -> bytes:
        """A picture and the boundary after it, so that nobody waits for the next one to know that it is whole."""
        data = self._files[index].read_bytes()
        head = f"Content-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n".encode("ascii")
        return head + data + f"\r\n--{BOUNDARY}\r\n".encode("ascii")


def _sent(viewer: socket.socket, part: bytes) -> bool:
    try:
        viewer.sendall(part)
    except OSError:
        viewer.close()
        return False
    return True


def monotonic_since(start_s: float) -> Callable[[], float]:
    """A clock that shows 0 at `start_s` of the monotonic one."""
    return lambda: time.monotonic() - start_s
