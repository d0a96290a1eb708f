"""An iNav for loopback: MSP v2 over TCP, answers as fc_msp.c writes them, the rules of its GPS driver as measured."""

from __future__ import annotations

import select
import socket
import struct
from typing import Any

from gps_denied_onboard.autopilot.msp.messages import crc8_dvb_s2

GPS_LAYOUT = struct.Struct("<BHIBBHHHHiiiiiiHHHBBBBB")
LOST_NS = 1_000_000_000


class Inav:
    """Listens on a port of loopback; `step` takes what has come and answers. Its clock is the caller's.

    Its GPS is in use (1) while positions of 52 bytes with a 3D fix and six satellites come, lost (2) one second later.
    """

    def __init__(self) -> None:
        self._server = socket.socket()
        self._server.bind(("127.0.0.1", 0))
        self._server.listen()
        self._server.setblocking(False)
        self._peer: socket.socket | None = None
        self._buffer = b""
        self._gps_ns: int | None = None
        self.port: int = self._server.getsockname()[1]
        self.positions: list[tuple[int, ...]] = []
        self.asked: list[int] = []
        self.answered = 0
        self.mute: set[int] = set()
        self.noise = b""
        self.estimate: tuple[int, int] | None = None  # None: where it was told that it is

    def wait(self) -> None:
        """Until something has come."""
        if self._peer is not None:
            select.select([self._peer], [], [], 1.0)

    def step(self, now_ns: int) -> None:
        try:
            if self._peer is None:
                self._peer = self._server.accept()[0]
                self._peer.setblocking(False)
                self._peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            data = self._peer.recv(65536)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self.hang_up()
            return
        self._buffer += data
        while len(self._buffer) >= 9:
            mark, flag, function, size = struct.unpack_from("<3sBHH", self._buffer)
            assert mark == b"$X<", self._buffer[:20]
            assert flag == 0
            if len(self._buffer) < 9 + size:
                return
            payload, crc = self._buffer[8 : 8 + size], self._buffer[8 + size]
            assert crc == crc8_dvb_s2(self._buffer[3 : 8 + size])
            self._buffer = self._buffer[9 + size :]
            self._on_request(function, payload, now_ns)

    def hang_up(self) -> None:
        if self._peer is not None:
            self._peer.close()
        self._peer, self._buffer = None, b""

    def close(self) -> None:
        self.hang_up()
        self._server.close()

    def _on_request(self, function: int, payload: bytes, now_ns: int) -> None:
        if function == 0x1F03:
            values = GPS_LAYOUT.unpack(payload)
            self.positions.append(values)
            if values[3] >= 3 and values[4] >= 6:
                self._gps_ns = now_ns
            return  # no answer ever comes
        self.asked.append(function)
        if function in self.mute:
            return
        answer = self._answer(function, payload, now_ns)
        body = struct.pack("<BHH", 0, function, len(answer or b"")) + (answer or b"")
        frame = b"$X" + (b"!" if answer is None else b">") + body + bytes([crc8_dvb_s2(body)])
        assert self._peer is not None
        self._peer.sendall(self.noise + frame)
        self.answered += 1

    def _answer(self, function: int, payload: bytes, now_ns: int) -> bytes | None:
        in_use = self._gps_ns is not None and now_ns - self._gps_ns <= LOST_NS
        last: Any = self.positions[-1] if self.positions else None
        latitude, longitude = (last[10], last[9]) if last is not None else (0, 0)
        if function == 118:
            assert payload == b"\xff"
            here = self.estimate or (latitude, longitude)
            return struct.pack("<BBiiihhhB", 255, 1, *here, 0, 0, 0, 0, 0)
        answers = {
            102: struct.pack("<9h", 0, 0, 512, 0, 0, 0, 0, 0, 0),
            106: struct.pack("<BBiiHHHH", 2 if last else 0, 10, latitude, longitude, 0, 0, 0, 0),
            108: struct.pack("<hhh", 100, 50, 270),
            109: struct.pack("<ihi", 0, 0, 10_000),
            151: bytes([1, 1, 1, 1, 1, 1 if in_use else 2, 0, 1, 0]),
            0x2000: struct.pack("<HHHHBI", 0, 0, 0, 0, 0, 4) + bytes(9),
            0x2009: struct.pack("<I", 1800),
        }
        return answers.get(function)
