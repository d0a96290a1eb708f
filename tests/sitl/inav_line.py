"""The line between companion and autopilot: a TCP relay that listens in, and makes noise when it is told to."""

from __future__ import annotations

import contextlib
import random
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass

_POSITION = b"$X<\x00\x03\x1f\x34\x00"  # MSP2_SENSOR_GPS, 52 bytes
_LAYOUT = struct.Struct("<BHIBBHHHHiiiiiiHHHBBBBB")


@dataclass(frozen=True)
class Claim:
    """A position on its way to iNav. `t_s` is monotonic."""

    t_s: float
    fix_type: int
    satellites: int
    latitude_deg: float
    longitude_deg: float
    altitude_m: float


class SerialLine:
    """Listens at `port` of loopback and passes bytes to and from `far_port`; one companion at a time.

    `noise` is the share of chunks, in both directions, that get garbage: bytes between, bytes changed, bytes lost.
    """

    def __init__(self, far_port: int, seed: int) -> None:
        self._far_port = far_port
        self._random = random.Random(seed)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.2)
        self.port: int = self._server.getsockname()[1]
        self.noise = 0.0
        self.spoilt = 0
        self.claims: list[Claim] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._server.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(OSError):
                near, _ = self._server.accept()
                with contextlib.closing(near), contextlib.closing(self._far_end()) as far:
                    self._pass_on(near, far)

    def _far_end(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._far_port), timeout=1.0)

    def _pass_on(self, near: socket.socket, far: socket.socket) -> None:
        heard = b""
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not self._stop.is_set():
            ready, _, _ = select.select([near, far], [], [], 0.2)
            for end in ready:
                data = end.recv(4096)
                if not data:
                    return
                if end is near:
                    heard = self._listen(heard + data)
                (far if end is near else near).sendall(self._spoil(data))

    def _listen(self, heard: bytes) -> bytes:
        """Note the positions in what was heard; what is left of it."""
        while (at := heard.find(_POSITION)) >= 0 and len(heard) >= at + 8 + _LAYOUT.size:
            v = _LAYOUT.unpack_from(heard, at + 8)
            self.claims.append(Claim(time.monotonic(), v[3], v[4], v[10] / 1e7, v[9] / 1e7, v[11] / 100.0))
            heard = heard[at + 8 + _LAYOUT.size :]
        return heard[-256:]

    def _spoil(self, data: bytes) -> bytes:
        if self._random.random() >= self.noise:
            return data
        self.spoilt += 1
        at = self._random.randrange(len(data))
        kind = self._random.randrange(3)
        if kind == 0:
            return data[:at] + self._random.randbytes(8) + data[at:]
        if kind == 1:
            return data[:at] + bytes([data[at] ^ (1 << self._random.randrange(8))]) + data[at + 1 :]
        return data[:at] + data[at + 1 + self._random.randrange(8) :]
