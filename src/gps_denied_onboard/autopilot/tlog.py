"""Telemetry logs (.tlog): every packet behind its time, as ground stations and pymavlink read them."""

from __future__ import annotations

import struct
from pathlib import Path
from types import TracebackType
from typing import IO


class TlogWriter:
    """Writes packets with the time of their message; the same bytes for the same packets. A context manager.

    Times are UTC where `unix_ns_at_zero` is known, else since t_ns = 0. The two lowest bits of a time name the link in
    this format, so times are cut to 4 us. An OSError (a full disk) passes through.
    """

    def __init__(self, path: Path, unix_ns_at_zero: int | None = None) -> None:
        self._zero_us = (unix_ns_at_zero or 0) // 1000
        self._stream: IO[bytes] = path.open("wb", buffering=1 << 16)

    def write(self, t_ns: int, packet: bytes) -> None:
        """Append a packet (one MAVLink frame) that was made at `t_ns`."""
        time_us = (self._zero_us + t_ns // 1000) & ~3
        self._stream.write(struct.pack(">Q", time_us) + packet)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._stream.close()

    def __enter__(self) -> TlogWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
