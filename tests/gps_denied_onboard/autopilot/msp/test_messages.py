"""MSP v2 frames, and our position as iNav's GPS sensor, byte by byte."""

from __future__ import annotations

import random
import struct
from dataclasses import replace

import pytest

from gps_denied_onboard.autopilot.msp.messages import (
    MAX_PAYLOAD,
    SENSOR_GPS,
    MspFrame,
    MspParser,
    crc8_dvb_s2,
    packed,
    sensor_gps,
)
from gps_denied_onboard.messages import Alert, NavState, SourceLabel

STATE = NavState(
    10_000_000_000, 48.5, 37.25, 812.34, (10.0, -5.0, 1.5), (1.0, 0.0, 0.0, 0.0), (1.0,) * 9,
    3.0, 3.0, 0.0, 2.5, 4.0, 0.3, SourceLabel.SATELLITE_ANCHORED, 0, 3,
)  # fmt: skip
UNIX_NS = 1_767_225_600_500_000_000  # 2026-01-01T00:00:00.5Z
HELLO = bytes.fromhex("24583ea54242120048656c6c6f20666c79696e6720776f726c6482")
"""The example of iNav's own description of MSP v2."""


def fields(state: NavState, unix_ns: int | None = UNIX_NS) -> tuple[int, ...]:
    packet = sensor_gps(state, unix_ns)
    assert isinstance(packet, bytes)
    assert packet[:8] == b"$X<" + struct.pack("<BHH", 0, SENSOR_GPS, 52)
    assert len(packet) == 8 + 52 + 1
    assert packet[-1] == crc8_dvb_s2(packet[3:-1])
    return struct.unpack("<BHIBBHHHHiiiiiiHHHBBBBB", packet[8:-1])


def test_frames_as_inav_describes_them() -> None:
    """The two examples of the protocol's description: a request of ours, and an answer."""
    assert packed(100) == bytes.fromhex("24583c00640000008f")
    assert MspParser().feed(HELLO) == [MspFrame(0x4242, b"Hello flying world", False)]


def test_every_field_of_the_position() -> None:
    """Fifty-two bytes: longitude before latitude, altitude and speeds in cm, accuracies in mm, time in GPS and UTC."""
    assert fields(STATE) == (
        0, 2399, 345_618_500, 3, 10, 2500, 4000, 300, 125, 372_500_000, 485_000_000, 81_234, 1000, -500, 150,
        33343, 0, 2026, 1, 1, 0, 0, 0,
    )  # fmt: skip


def test_accuracies_are_clamped() -> None:
    """An accuracy of 999 m is more than the field holds: 65535, which iNav reads as 65 m; the fix type says none."""
    none = replace(STATE, horizontal_accuracy_m=999.0, vertical_accuracy_m=70.0, speed_accuracy_mps=100.0, fix_type=1)
    values = fields(none)
    assert values[3] == 1
    assert values[5:9] == (65535, 65535, 65535, 9999)


def test_yaw_and_course() -> None:
    """North is 0 here, an unknown yaw 65535; the course of a standstill is 0."""
    east = replace(STATE, quaternion_body_to_ned=(0.5**0.5, 0.0, 0.0, 0.5**0.5))
    assert fields(east)[16] == 9000
    assert fields(replace(STATE, quaternion_body_to_ned=(0.0, 0.0, 0.0, 0.0)))[16] == 65535
    assert fields(replace(STATE, velocity_ned_mps=(0.0, 0.0, 0.0)))[15] == 0


def test_an_unsure_time_is_no_time() -> None:
    """Without a trusted clock week and date are 0: never a guess, and a year of 0 sets no clock."""
    values = fields(STATE, None)
    assert values[1:3] == (0, 0)
    assert values[17:] == (0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    "changed",
    [{"latitude_deg": 90.1}, {"longitude_deg": float("nan")}, {"altitude_amsl_m": float("inf")}, {"fix_type": 4},
     {"velocity_ned_mps": (float("nan"), 0.0, 0.0)}, {"horizontal_accuracy_m": -1.0}],
)  # fmt: skip
def test_what_cannot_be_is_withheld(changed: dict[str, object]) -> None:
    """A state with impossible numbers becomes an alert, not a frame."""
    found = sensor_gps(replace(STATE, **changed), UNIX_NS)  # type: ignore[arg-type]
    assert isinstance(found, Alert)
    assert found.text.startswith("position withheld from autopilot: ")


def test_frames_in_pieces() -> None:
    """Cut anywhere, frames come out whole and once."""
    stream = HELLO * 5 + packed(151, bytes(9), ">") + packed(7, b"", "!")
    for size in (1, 2, 3, 7, 50):
        parser = MspParser()
        found = [f for at in range(0, len(stream), size) for f in parser.feed(stream[at : at + size])]
        assert [f.function for f in found] == [0x4242] * 5 + [151, 7]
        assert [f.refused for f in found] == [False] * 6 + [True]
        assert (parser.bad_bytes, parser.bad_frames) == (0, 0)


def test_noise_costs_itself_only() -> None:
    """Noise, half frames, wrong checksums and false sizes between frames are counted; every whole frame is found."""
    rng = random.Random(3)
    wrong = bytearray(HELLO)
    wrong[12] ^= 4
    long = b"$X>" + struct.pack("<BHH", 0, 5, MAX_PAYLOAD + 1)
    stream, good = b"", 80
    for k in range(good):
        stream += (rng.randbytes(30).replace(b"$X", b"  "), bytes(wrong), long, packed(3), b"$X")[k % 5] + HELLO
    parser = MspParser()
    found = [f for at in range(0, len(stream), 61) for f in parser.feed(stream[at : at + 61])]
    assert [f.payload for f in found] == [b"Hello flying world"] * good
    assert parser.bad_bytes == len(stream) - good * len(HELLO)
    assert parser.bad_frames == 2 * good // 5


def test_the_longest_answer() -> None:
    """A payload of MAX_PAYLOAD bytes is a frame."""
    assert [len(f.payload) for f in MspParser().feed(packed(9, bytes(MAX_PAYLOAD), ">"))] == [MAX_PAYLOAD]


def test_noise_is_not_hoarded() -> None:
    """However much noise comes, the parser keeps less than one frame of it."""
    parser = MspParser()
    for _ in range(200):
        parser.feed(b"$X>\0\0\0" + bytes([255, 1]) + bytes(1000))
        assert len(parser._buffer) < MAX_PAYLOAD + 16
