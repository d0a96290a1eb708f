"""Hostile bytes for the parsers of links: MAVLink, signed MAVLink, MSP.

Half of the inputs are raw bytes, half are frames with a good checksum and random content, so that decoders are reached.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega

from gps_denied_onboard.autopilot.mavlink.connection import MavlinkConnection
from gps_denied_onboard.autopilot.mavlink.link import RATES_HZ, ArduPilotLink
from gps_denied_onboard.autopilot.mavlink.messages import MavlinkEncoder
from gps_denied_onboard.autopilot.mavlink.signing import Signing
from gps_denied_onboard.autopilot.msp.link import RATES_HZ as MSP_QUESTIONS
from gps_denied_onboard.autopilot.msp.messages import MspParser, packed
from gps_denied_onboard.autopilot.msp.telemetry import InavDecoder
from gps_denied_onboard.messages import Alert

from .choices import Choices

KINDS = [*RATES_HZ, "ATTITUDE", "SCALED_IMU2", "STATUSTEXT", "HEARTBEAT", "TIMESYNC", "PARAM_VALUE"]
KEY = bytes(range(1, 33))
PREFIXES = {"STATUSTEXT": (1, b"RELOC:"), "PARAM_VALUE": (8, b"GPS_PRIMARY" + bytes(5))}
"""Where a payload must say something for anybody to look at the rest of it."""


def mavlink_frames(fuzzed: Choices) -> bytes:
    """Raw bytes, or frames of known kinds with random payloads and good checksums."""
    if fuzzed.boolean():
        return bytes(fuzzed.rest())
    out = b""
    while fuzzed.remaining() and len(out) < 4000:
        kind = KINDS[fuzzed.integer(0, len(KINDS) - 1)]
        number = getattr(ardupilotmega, f"MAVLINK_MSG_ID_{kind}")
        payload = fuzzed.bytes(fuzzed.integer(1, 60))
        if kind in PREFIXES:
            at, words = PREFIXES[kind]
            payload = payload[:at].ljust(at, b"\xff") + words + payload[at:]
        system, component = fuzzed.pick([1, 1, 1, 255, 9]), fuzzed.pick([1, 1, 190, 191])
        head = struct.pack("<BBBBBBHB", len(payload), 0, 0, 0, system, component, number & 0xFFFF, number >> 16)
        extra = bytes([ardupilotmega.mavlink_map[number].crc_extra])
        out += b"\xfd" + head + payload + struct.pack("<H", ardupilotmega.x25crc(head + payload + extra).crc)
    return out


def check(items: list[Any], now_ns: int) -> None:
    """Every number that goes on is finite, and no time lies ahead or long past."""
    for item in items:
        if isinstance(item, Alert):
            continue
        assert now_ns - 3_000_000_000 <= item.t_ns <= now_ns + 1, item
        for name in item.__slots__:
            value = getattr(item, name)
            for number in value if isinstance(value, tuple) else (value,):
                assert math.isfinite(number), item


def fuzz_mavlink(data: bytes) -> None:
    """Through the port's parser and everything behind it; nothing is opened or sent."""
    fuzzed = Choices(data)
    port = MavlinkConnection("udpout:127.0.0.1:9")
    link = ArduPilotLink(port, MavlinkEncoder())
    port.link.close()
    port.send = lambda _now_ns, _packet: False  # type: ignore[assignment,method-assign]
    now_ns = 60_000_000_000
    for message in port._parsed(mavlink_frames(fuzzed)):
        now_ns += 5_000_000
        check(link._on_message(message, now_ns), now_ns)


def fuzz_signed(data: bytes) -> None:
    """Nothing without a signature comes through a port that wants one."""
    signing = Signing(bytearray(KEY), Path("absent.state"))
    port = MavlinkConnection("udpout:127.0.0.1:9", signing)
    assert port._parsed(mavlink_frames(Choices(data))) == []
    assert not signing.heard
    port.alerts(1, "link")


def fuzz_msp(data: bytes) -> None:
    """The same frames however the bytes are cut; every decoded number can be."""
    fuzzed = Choices(data)
    piece = fuzzed.integer(1, 64)
    stream = b""
    if fuzzed.boolean():
        stream = fuzzed.rest()
    questions = list(MSP_QUESTIONS)
    while fuzzed.remaining() and len(stream) < 4000:
        payload = fuzzed.bytes(fuzzed.integer(0, 40))
        stream += packed(questions[fuzzed.integer(0, len(questions) - 1)], payload, ">")
        stream += fuzzed.bytes(fuzzed.integer(0, 3))
    whole, cut = MspParser(), MspParser()
    frames = whole.feed(stream)
    assert frames == [f for at in range(0, len(stream), piece) for f in cut.feed(stream[at : at + piece])]
    assert (whole.bad_bytes, whole.bad_frames) == (cut.bad_bytes, cut.bad_frames)
    decoder = InavDecoder(100.0)
    for frame in frames:
        item = decoder.decode(frame.function, frame.payload, 60_000_000_000)
        if item is not None:
            check([item], 60_000_000_000)


def link_seeds() -> list[bytes]:
    """Whole frames, and choices that lead to frames of every kind."""
    mav = ardupilotmega.MAVLink(None, srcSystem=1, srcComponent=1)
    frames = [
        mav.heartbeat_encode(1, 3, 0, 0, 4), mav.attitude_encode(30_000, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0),
        mav.highres_imu_encode(30_000_000, 0.5, 0.25, -9.75, 0.125, 0, 0, 0, 0, 0, 0, 0, 0, 0, 63),
        mav.statustext_encode(6, b"RELOC:48.5,37.25,800"), mav.timesync_encode(0, 12345),
    ]  # fmt: skip
    whole = [b"\x01" + frame.pack(mav) for frame in frames]
    return [*whole, *(bytes([0, kind, 0, 40, *range(40), 1, 0]) for kind in range(len(KINDS)))]


def msp_seeds() -> list[bytes]:
    """Answers to every question, cut into pieces."""
    answers = b"".join(packed(function, bytes(range(24)), ">") for function in MSP_QUESTIONS)
    return [b"\x07\x01" + answers, b"\x40\x01$X>" + answers, b"\x05\x00" + bytes(range(200))]
