"""A network camera's end of its stream, on loopback: MJPEG over HTTP to whoever is connected."""

from __future__ import annotations

import contextlib
import socket
import threading

BOUNDARY = "picture"
_HEAD = (
    "HTTP/1.0 200 OK\r\nCache-Control: no-store\r\nConnection: close\r\n"
    f"Content-Type: multipart/x-mixed-replace; boundary={BOUNDARY}\r\n\r\n--{BOUNDARY}\r\n"
).encode("ascii")


class MjpegServer:
    """Sends each picture to every viewer when it is shown; who connects gets the newest at once, as from such cameras.

    `shown` counts the pictures that somebody saw as they came.
    """

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.2)
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}/camera.mjpg"
        self.shown = 0
        self._newest = b""
        self._viewers: list[socket.socket] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def show(self, jpeg: bytes) -> None:
        """The next picture."""
        # The boundary comes after it, so that nobody waits for the next one to know that this one is whole.
        head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode("ascii")
        part = head + jpeg + f"\r\n--{BOUNDARY}\r\n".encode("ascii")
        with self._lock:
            self._newest = part
            self._viewers = [viewer for viewer in self._viewers if _sent(viewer, part)]
            self.shown += bool(self._viewers)

    def close(self) -> None:
        """Hang up on everybody."""
        self._stop.set()
        self._thread.join()
        for viewer in self._viewers:
            viewer.close()
        self._server.close()

    def _accept(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(OSError):
                viewer, _ = self._server.accept()
                viewer.settimeout(1.0)
                viewer.recv(4096)
                with self._lock:
                    viewer.sendall(_HEAD + self._newest)
                    self._viewers.append(viewer)


def _sent(viewer: socket.socket, part: bytes) -> bool:
    try:
        viewer.sendall(part)
    except OSError:
        viewer.close()
        return False
    return True
