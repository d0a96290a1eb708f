"""Telemetry logs (.tlog): every packet behind its time, as ground stations and pymavlink read them."""

from __future__ import annotations

import math
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

from gps_denied_onboard.autopilot.transport import Transport, opener
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.untrusted.bounded import read_file

_V2_MAGIC, _V2_OVERHEAD, _SIGNED, _SIGNATURE = 0xFD, 12, 0x01, 13
LOG_BYTES_MAX = 2**31
_V1_MAGIC, _V1_OVERHEAD = 0xFE, 8
_PACKET_BYTES_MAX = 8 + _V2_OVERHEAD + 255 + _SIGNATURE
_GPS_INPUT = 232
_STREAM = {0, _GPS_INPUT, 251, 252, 253}  # HEARTBEAT, GPS_INPUT, NAMED_VALUE_FLOAT and _INT, STATUSTEXT
_ONBOARD_COMPUTER = 191
_GROUND_STATION = 6
"""MAV_TYPE_GCS in a heartbeat."""
_PAUSE_MAX_US = 60_000_000
_SEND_POLL_S = 0.001
_SEND_TIMEOUT_S = 10.0


class TornLogError(UserError):
    """From here on a log holds no packet; `rest` are its bytes from there."""

    def __init__(self, told: str, rest: bytes) -> None:
        super().__init__(told)
        self.rest = rest


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


def read_tlog(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (time in us, packet) of a log of MAVLink packets; UserError where it is none or ends inside a packet."""
    try:
        raw = read_file(path, LOG_BYTES_MAX)
    except OSError as error:
        raise UserError(f"log {path} cannot be read: {error.strerror}; give a gps_input.tlog of a replay.") from error
    at = 0
    while at < len(raw):
        header = raw[at : at + 11]
        if len(header) < 11 or header[8] not in (_V1_MAGIC, _V2_MAGIC):
            told = f"log {path} holds no MAVLink 2 packet at byte {at}; give a gps_input.tlog of a replay."
            raise TornLogError(told, raw[at:])
        size = _V1_OVERHEAD + header[9]
        if header[8] == _V2_MAGIC:
            size = _V2_OVERHEAD + header[9] + (_SIGNATURE if header[10] & _SIGNED else 0)
        packet = raw[at + 8 : at + 8 + size]
        if len(packet) < size:
            raise TornLogError(f"log {path} ends inside a packet; give one that was closed.", raw[at:])
        yield struct.unpack(">Q", header[:8])[0], packet
        at += 8 + size


def own_stream(path: Path) -> tuple[list[tuple[int, bytes]], tuple[str, ...]]:
    """The log's own stream of positions with its times since the first in us, and what was left out, in words.

    That is what the sender of its GPS_INPUT says: positions, heartbeats, named values, texts. Packets of other systems,
    and commands and settings of anyone, never go to a flight controller. Times that run back or jump by more than a
    minute (a clock that was set) count as no time. UserError where the log holds no such stream.
    """
    everything, notes = _up_to_a_cut_end(path)
    ours, others = _sender(everything)
    packets = [(t, p) for t, p in everything if _identity(p)[:2] == ours and _identity(p)[2] in _STREAM]
    if not packets:
        raise UserError(
            f"log {path} holds no GPS_INPUT and nothing of an onboard computer: it is another station's log, and its "
            "commands must not reach a flight controller; give a gps_input.tlog of a replay or a flight's export."
        )
    left = len(everything) - len(packets)
    if left:
        notes.append(f"{left} of {len(everything)} packets are another system's or commands: they are not sent")
    if others:
        named = ", ".join(f"{system}/{component}" for system, component in others)
        notes.append(
            f"positions of {ours[0]}/{ours[1]} are sent; {named} sent some, too, of another aircraft or source"
        )
    timed, since_us, jumps = [], 0, 0
    for k, (time_us, packet) in enumerate(packets):
        step_us = time_us - packets[k - 1][0] if k else 0
        jumps += not 0 <= step_us <= _PAUSE_MAX_US
        since_us += step_us if 0 <= step_us <= _PAUSE_MAX_US else 0
        timed.append((since_us, packet))
    if jumps:
        notes.append(f"{jumps} times its clock runs back or jumps by more than a minute: these jumps are left out")
    return timed, tuple(notes)


def _sender(everything: list[tuple[int, bytes]]) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """System and component that sent most positions, onboard computers first, and the others that sent some.

    Never a ground station: what a person types there, or a receiver on its roof, is no flight's own stream. Without
    any positions an onboard computer that said something, (0, 0) without one.
    """
    stations, said = set(), Counter[tuple[int, int]]()
    positions = Counter[tuple[int, int]]()
    for _, packet in everything:
        system, component, message = _identity(packet)
        if message == 0 and packet[_heartbeat_type(packet)] == _GROUND_STATION:
            stations.add((system, component))
        positions[system, component] += message == _GPS_INPUT
        said[system, component] += component == _ONBOARD_COMPUTER
    order = sorted(positions, key=lambda sender: (sender[1] != _ONBOARD_COMPUTER, -positions[sender], -said[sender]))
    sending = [sender for sender in order if positions[sender] and sender not in stations]
    silent = [sender for sender in order if said[sender] and sender not in stations]
    return next(iter(sending or silent), (0, 0)), sending[1:]


def _heartbeat_type(packet: bytes) -> int:
    """Where the type of vehicle stands in a heartbeat; the last byte where MAVLink 2 cut zeros off."""
    at = (6 if packet[0] == _V1_MAGIC else 10) + 4
    return min(at, len(packet) - 1)


def _up_to_a_cut_end(path: Path) -> tuple[list[tuple[int, bytes]], list[str]]:
    """The log's packets. The end of one that was never closed, a piece of a packet or zeros, is left out and told."""
    packets: list[tuple[int, bytes]] = []
    try:
        for timed in read_tlog(path):
            packets.append(timed)
    except TornLogError as error:
        if not packets or (len(error.rest) > _PACKET_BYTES_MAX and error.rest.strip(b"\0")):
            raise
        return packets, [f"its last {len(error.rest)} bytes are no whole packet (it was not closed): they are left out"]
    return packets, []


def _identity(packet: bytes) -> tuple[int, int, int]:
    """System, component and message of a packet."""
    if packet[0] == _V1_MAGIC:
        return packet[3], packet[4], packet[5]
    return packet[5], packet[6], int.from_bytes(packet[7:10], "little")


def send_tlog(path: Path, address: str, speed: float, tell: Callable[[str], None] = lambda _note: None) -> int:
    """Send a log's own stream to a link at `speed` times its own pace; returns how many, tells what it left out.

    UserError for a wrong value.
    """
    if not (math.isfinite(speed) and speed > 0.0):
        raise UserError(f"--speed must be more than 0, got {speed}.")
    packets, notes = own_stream(path)
    for note in notes:
        tell(note)
    try:
        transport = opener(address)()
    except OSError as error:
        raise UserError(f"link '{address}' cannot be opened: {error}; check the device or address.") from error
    try:
        begin_s = time.monotonic()
        for time_us, packet in packets:
            wait_s = begin_s + time_us * 1e-6 / speed - time.monotonic()
            if wait_s > 0.0:
                time.sleep(wait_s)
            _send_whole(transport, packet, address)
    except OSError as error:
        raise UserError(f"link '{address}' died: {error}; check the cable or the peer.") from error
    finally:
        transport.close()
    return len(packets)


def _send_whole(transport: Transport, packet: bytes, address: str) -> None:
    give_up_s = time.monotonic() + _SEND_TIMEOUT_S
    while packet:
        packet = packet[transport.send(packet) :]
        if packet and time.monotonic() > give_up_s:
            raise UserError(f"link '{address}' takes nothing for {_SEND_TIMEOUT_S:.0f} s; check the cable or the peer.")
        if packet:
            time.sleep(_SEND_POLL_S)
