"""The watched GPS as MAVLink defines it: unknown values, whose time it is, what the receiver says of interference."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from gps_denied_onboard.autopilot.mavlink import gnss_integrity
from gps_denied_onboard.autopilot.mavlink.clock import ClockAlignment
from gps_denied_onboard.autopilot.mavlink.telemetry import TelemetryDecoder
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.integrity.config import IntegrityConfig
from gps_denied_onboard.integrity.gps_health import HealthState, assess
from gps_denied_onboard.integrity.monitor import measurement_of
from gps_denied_onboard.messages import GpsHealth, GpsSample

SECOND_NS = 1_000_000_000
UTC_S = 1_790_000_000
DAY_S = 86_400
ROLLOVER_S = 1024 * 7 * DAY_S
LOCAL = LocalFrame(48.1, 37.2, 150.0)

gnss_integrity.add_to(mavlink)


def gps(time_usec: int = 40_000_000, **changed: int) -> Any:
    fields = {
        "fix_type": 3, "lat": 481_234_567, "lon": 372_000_000, "alt": 150_250, "eph": 90, "epv": 90, "vel": 2000,
        "cog": 9000, "satellites_visible": 12, "alt_ellipsoid": 0, "h_acc": 1500, "v_acc": 0, "vel_acc": 0,
        "hdg_acc": 0, "yaw": 0, **changed,
    }  # fmt: skip
    return mavlink.MAVLink_gps_raw_int_message(time_usec, *fields.values())


def system_time(unix_s: float, boot_s: float) -> Any:
    return mavlink.MAVLink_system_time_message(round(unix_s * 1e6), round(boot_s * 1e3))


def integrity(receiver: int = 0, jamming: int = 1, spoofing: int = 1) -> Any:
    return mavlink.mavlink_map[441](0, 65535, 65535, receiver, 0, jamming, spoofing, 0, 255, 255, 255, 255)


def decoder(instance: int = 0) -> TelemetryDecoder:
    return TelemetryDecoder(ClockAlignment(), instance)


def sample(d: TelemetryDecoder, message: Any, now_ns: int = 50 * SECOND_NS) -> GpsSample:
    (found,) = d.decode(message, now_ns)
    assert isinstance(found, GpsSample)
    return found


@pytest.mark.parametrize(
    ("changed", "velocity"),
    [
        ({}, (0.0, 20.0, 0.0)),
        ({"cog": 0}, (20.0, 0.0, 0.0)),
        ({"cog": 35999}, (20.0 * math.cos(math.radians(359.99)), 20.0 * math.sin(math.radians(359.99)), 0.0)),
        ({"cog": 65535}, (0.0, 0.0, 0.0)),
        ({"vel": 65535}, (0.0, 0.0, 0.0)),
        ({"vel": 65534}, (0.0, 655.34, 0.0)),
    ],
)
def test_a_course_or_speed_that_is_unknown_is_no_velocity(
    changed: dict[str, int], velocity: tuple[float, float, float]
) -> None:
    """UINT16_MAX means unknown: not 655 m/s, and not a flight due north; zero says that none was told."""
    assert sample(decoder(), gps(**changed)).velocity_ned_mps == pytest.approx(velocity, abs=1e-9)


def test_satellites_and_accuracy_that_are_unknown_are_poor() -> None:
    """255 satellites are none, an accuracy of 0 is not perfect."""
    got = sample(decoder(), gps(satellites_visible=255, h_acc=0))
    assert (got.satellites, got.horizontal_accuracy_m) == (0, 9999.0)


@pytest.mark.parametrize(("ahead_s", "utc_s"), [(-3.1, None), (-3.0, 3.0), (-0.2, 0.2), (0.2, -0.2), (0.9, -0.9)])
def test_the_time_of_a_sample_is_told_by_the_autopilot(ahead_s: float, utc_s: float | None) -> None:
    """SYSTEM_TIME a little before or after the sample's own time says its UTC; one long ago says nothing."""
    d = decoder()
    assert sample(d, gps(30_000_000)).utc_ns == 0
    d.decode(system_time(UTC_S, 40.0 + ahead_s), round((50 + ahead_s) * SECOND_NS))
    got = sample(d, gps(40_000_000), round((50 + max(ahead_s, 0.0)) * SECOND_NS))
    expected = 0 if utc_s is None else UTC_S * SECOND_NS + round(utc_s * SECOND_NS)
    assert got.utc_ns == pytest.approx(expected, abs=1_000_000)


def test_the_time_of_a_sample_is_told_by_itself() -> None:
    """A time that counts from 1970 is the receiver's word, whatever SYSTEM_TIME says, and the sample is of now."""
    d = decoder()
    d.decode(system_time(UTC_S, 40.0), 50 * SECOND_NS)
    got = sample(d, gps((UTC_S - DAY_S) * 1_000_000))
    assert (got.t_ns, got.utc_ns) == (50 * SECOND_NS, (UTC_S - DAY_S) * SECOND_NS)
    assert sample(d, gps(2**64 - 1)).utc_ns == UTC_S * SECOND_NS


@pytest.mark.parametrize(("unix_s", "known"), [(0.0, False), (40.0, False), (1_499_999_999.0, False), (UTC_S, True)])
def test_a_clock_that_was_never_set_tells_no_time(unix_s: float, known: bool) -> None:
    """An autopilot whose clock runs from 1970 has not been told the time."""
    d = decoder()
    d.decode(system_time(unix_s, 40.0), 50 * SECOND_NS)
    assert (sample(d, gps()).utc_ns != 0) is known


@pytest.mark.parametrize("late_s", [0.0, 0.25])
@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S, -ROLLOVER_S, ROLLOVER_S])
def test_a_clock_that_is_thrown_is_a_spoofed_gps(jump_s: int, late_s: float) -> None:
    """A day, or a week number that rolls over: SPOOFED by a time jump, samples older than SYSTEM_TIME among them."""
    d, state, reasons = decoder(), HealthState(), []
    for k in range(40):
        boot_s = 40.0 + k / 5
        now_ns = round((boot_s + 10.0) * SECOND_NS)
        if k % 5 == 0:
            d.decode(system_time(UTC_S + k / 5 + (jump_s if k >= 20 else 0), boot_s), now_ns)
        claim = measurement_of(sample(d, gps(round((boot_s - late_s) * 1e6), vel=0), now_ns), LOCAL)
        state, _ = assess(state, claim, None, IntegrityConfig())
        reasons.append(state.reason)
        assert (state.health is GpsHealth.SPOOFED) is (k >= 20), k
    assert reasons[20] == "time jump"


def test_after_a_restart_an_unset_clock_is_no_jump() -> None:
    """An autopilot that has lost the time tells 0 or 1970 until it is set again: unknown, not forged."""
    d = decoder()
    d.decode(system_time(UTC_S, 40.0), 50 * SECOND_NS)
    assert sample(d, gps()).utc_ns != 0
    for unix_s in (0.0, 41.0):
        d.decode(system_time(unix_s, 40.0), 50 * SECOND_NS)
        assert sample(d, gps()).utc_ns == 0


@pytest.mark.parametrize(
    ("jamming", "spoofing", "bits"),
    [(0, 0, 0), (1, 1, 0), (2, 1, 0), (3, 1, 1), (1, 2, 2), (1, 3, 2), (3, 3, 3), (255, 255, 0)],
)
def test_what_the_receiver_says_of_interference(jamming: int, spoofing: int, bits: int) -> None:
    """Jamming that is detected, spoofing that is detected or kept out; unknown and none are nothing."""
    d = decoder()
    assert d.decode(integrity(0, jamming, spoofing), 50 * SECOND_NS) == []
    assert sample(d, gps()).interference == bits


def test_whose_and_how_old_the_word_is() -> None:
    """Another receiver's word does not count, nor one of more than three seconds ago."""
    d = decoder()
    d.decode(integrity(1, 3, 3), 50 * SECOND_NS)
    assert sample(d, gps()).interference == 0
    d.decode(integrity(0, 3, 3), 50 * SECOND_NS)
    assert sample(d, gps(), 53 * SECOND_NS).interference == 3
    assert sample(d, gps(), 53 * SECOND_NS + 1).interference == 0


def test_the_message_is_what_mavlink_defines() -> None:
    """The checksum byte follows from name, types and order of the fields; bytes lie where other writers put them."""
    crc = mavlink.x25crc(b"GNSS_INTEGRITY ")
    for kind, name in gnss_integrity.WIRE:
        crc.accumulate(f"{kind} {name} ".encode())
    assert (crc.crc & 0xFF) ^ (crc.crc >> 8) == gnss_integrity.CRC_EXTRA == 169
    packet = integrity(1, 3, 2).pack(mavlink.MAVLink(None, srcSystem=1, srcComponent=1))
    assert struct.unpack_from("<IHH9B", packet, 10) == (0, 65535, 65535, 1, 0, 3, 2, 0, 255, 255, 255, 255)


def test_the_message_passes_pymavlinks_parser() -> None:
    """Whole and with a good checksum it is parsed; with a wrong one it is bad data."""
    packet = integrity(1, 3, 2).pack(mavlink.MAVLink(None, srcSystem=1, srcComponent=1))
    parser = mavlink.MAVLink(None)
    parser.robust_parsing = True
    (good,) = parser.parse_buffer(packet)
    assert (good.get_type(), good.id, good.jamming_state, good.spoofing_state) == ("GNSS_INTEGRITY", 1, 3, 2)
    (bad,) = parser.parse_buffer(packet[:-1] + bytes([packet[-1] ^ 1]))
    assert bad.get_type() == "BAD_DATA"
