"""MSP v2, as iNav speaks it: frames in both directions, and our position as its GPS sensor. Bytes only, no I/O.

Frame: `$X`, direction (`<` to the autopilot, `>` an answer, `!` a refusal), flag, function (2), size (2), payload,
CRC-8 DVB-S2 of flag to payload, all little-endian (https://github.com/iNavFlight/inav/wiki/MSP-V2).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gps_denied_onboard.autopilot.gps_time import week_and_ms
from gps_denied_onboard.autopilot.mavlink.messages import dilution, why_not_sent, yaw_cdeg
from gps_denied_onboard.messages import Alert, NavState, Severity

SENSOR_GPS = 0x1F03
SENSOR_GPS_LAYOUT = struct.Struct("<BHIBBHHHHiiiiiiHHHBBBBB")
MAX_PAYLOAD = 512
"""No answer that we ask for is longer; a longer one is noise."""
SATELLITES = 10  # 6 or more, and never 99, which iNav keeps for itself
NO_YAW = 65535
ANSWER, REFUSAL = ord(">"), ord("!")
_HEAD_BYTES = 8
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc << 1) ^ 0xD5 if crc & 0x80 else crc << 1
        table.append(crc & 0xFF)
    return tuple(table)


_CRC = _crc_table()
_CRC_BYTES = bytes(_CRC)


def crc8_dvb_s2(data: bytes | bytearray) -> int:
    """CRC-8 with polynomial 0xD5, begun with 0."""
    crc = 0
    for byte in data:
        crc = _CRC[crc ^ byte]
    return crc


def packed(function: int, payload: bytes = b"", direction: str = "<") -> bytes:
    """One frame."""
    body = struct.pack("<BHH", 0, function, len(payload)) + payload
    return b"$X" + direction.encode("ascii") + body + bytes([crc8_dvb_s2(body)])


@dataclass(frozen=True, slots=True)
class MspFrame:
    """An answer (or a refusal, then `refused`) to a request."""

    function: int
    payload: bytes
    refused: bool


def _after_zeros() -> tuple[bytes, ...]:
    """For a count of zero bytes and each register the register after them.

    A checksum is linear: what stood in the register before a frame can be taken out of it afterwards.
    """
    tables = [bytes(range(256))]
    while len(tables) < MAX_PAYLOAD + _HEAD_BYTES:
        tables.append(tables[-1].translate(_CRC_BYTES))
    return tuple(tables)


_AFTER_ZEROS = _after_zeros()


class MspParser:
    """Bytes to frames. What is no frame costs itself only: after a wrong checksum the search goes on one byte later.

    Each byte goes into a checksum once, however many frames seem to begin: noise takes no longer than frames.
    `bad_bytes` counts what was passed over, `bad_frames` wrong checksums and impossible sizes.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._registers = bytearray(1)  # before each byte of the buffer, and after the last
        self.bad_bytes = 0
        self.bad_frames = 0

    def feed(self, data: bytes) -> list[MspFrame]:
        """The whole frames that these bytes complete."""
        self._buffer += data
        register, registers = self._registers[-1], self._registers
        for byte in data:
            register = _CRC[register ^ byte]
            registers.append(register)
        out: list[MspFrame] = []
        at = 0
        while (start := self._buffer.find(b"$X", at)) >= 0:
            self.bad_bytes += start - at
            at = start
            left = len(self._buffer) - at
            if left < _HEAD_BYTES:
                break
            direction, _, function, size = struct.unpack_from("<BBHH", self._buffer, at + 2)
            end = at + _HEAD_BYTES + size + 1
            if direction not in (ANSWER, REFUSAL) or size > MAX_PAYLOAD:
                self.bad_frames += direction in (ANSWER, REFUSAL)
                at = self._skip(at)
                continue
            if end > len(self._buffer):
                break
            before = _AFTER_ZEROS[end - at - 4][registers[at + 3]]
            if registers[end - 1] ^ before != self._buffer[end - 1]:
                self.bad_frames += 1
                at = self._skip(at)
                continue
            payload = bytes(self._buffer[at + _HEAD_BYTES : end - 1])
            out.append(MspFrame(function, payload, direction == REFUSAL))
            at = end
        if start < 0:  # nothing begins here, but the last byte may be a `$`
            keep = 1 if self._buffer[at:].endswith(b"$") else 0
            self.bad_bytes += len(self._buffer) - at - keep
            at = len(self._buffer) - keep
        del self._buffer[:at], self._registers[:at]
        return out

    def _skip(self, at: int) -> int:
        self.bad_bytes += 1
        return at + 1


def sensor_gps(state: NavState, unix_ns: int | None) -> bytes | Alert:
    """MSP2_SENSOR_GPS of a state, always 52 bytes, or an Alert when it may not be sent.

    iNav divides the accuracies by ten and calls the result centimetres: they are sent in mm. `unix_ns` is UTC at the
    state's time by a trusted clock; None sends week 0 and a date of zeros. A year of 0 leaves iNav's clock alone,
    any other one sets it, once for the whole flight (gpsUpdateTime in its gps.c).
    """
    wrong = why_not_sent(state)
    if wrong:
        return Alert(state.t_ns, Severity.ERROR, f"position withheld from autopilot: {wrong}")
    week, week_ms = week_and_ms(unix_ns)
    north, east, down = state.velocity_ned_mps
    yaw = yaw_cdeg(state.quaternion_body_to_ned)  # 0: not known, 36000: north
    payload = SENSOR_GPS_LAYOUT.pack(
        0,
        week,
        week_ms,
        state.fix_type,
        SATELLITES,
        _unsigned(state.horizontal_accuracy_m * 1000.0),
        _unsigned(state.vertical_accuracy_m * 1000.0),
        _unsigned(state.speed_accuracy_mps * 1000.0),
        _unsigned(dilution(state.horizontal_accuracy_m, 2.0) * 100.0),
        round(state.longitude_deg * 1e7),
        round(state.latitude_deg * 1e7),
        round(state.altitude_amsl_m * 100.0),
        round(north * 100.0),
        round(east * 100.0),
        round(down * 100.0),
        round(math.degrees(math.atan2(east, north)) * 100.0) % 36000,
        yaw % 36000 if yaw else NO_YAW,
        *_date(unix_ns),
    )
    return packed(SENSOR_GPS, payload)


def _date(unix_ns: int | None) -> tuple[int, ...]:
    """Year, month, day, hour, minute, second; zeros where the time is not known."""
    if unix_ns is None:
        return (0,) * 6
    utc = _EPOCH + timedelta(microseconds=unix_ns // 1000)
    return (utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second)


def _unsigned(value: float) -> int:
    return min(max(round(value), 0), 0xFFFF)
