"""iNav's answers in our units and frames; impossible ones are counted and go no further."""

from __future__ import annotations

import math
import struct

import pytest

from gps_denied_onboard.autopilot.mavlink.telemetry import true_per_equivalent_airspeed
from gps_denied_onboard.autopilot.msp import telemetry as inav
from gps_denied_onboard.messages import AirspeedSample, AttitudeSample, BaroSample, ImuSample

NOW_NS = 9_000_000_000
GROUND_M = 120.0


def decoder() -> inav.InavDecoder:
    return inav.InavDecoder(GROUND_M)


def test_accelerations_and_rates_are_turned_to_forward_right_down() -> None:
    """On the ground, level: one g upwards in its frame is -9.8 along our down axis; left and up change their signs."""
    found = decoder().decode(inav.RAW_IMU, struct.pack("<9h", 51, 102, 512, 10, 20, 30, 0, 0, 0), NOW_NS)
    assert isinstance(found, ImuSample)
    assert found.accel_body_mps2 == pytest.approx((0.9768, -1.9537, -9.80665), abs=1e-3)
    assert [math.degrees(w) for w in found.gyro_body_radps] == pytest.approx([10.0, -20.0, -30.0])


@pytest.mark.parametrize(
    ("roll", "pitch", "yaw", "angles_deg"),
    [
        (0, 0, 0, (0.0, 0.0, 0.5)),
        (0, 0, 90, (0.0, 0.0, 90.5)),
        (0, 0, 359, (0.0, 0.0, -0.5)),
        (200, 0, 0, (20.0, 0.0, 0.5)),
        (0, -200, 0, (0.0, 20.0, 0.5)),  # its pitch is positive with the nose down
    ],
)
def test_attitude(roll: int, pitch: int, yaw: int, angles_deg: tuple[float, ...]) -> None:
    """Tenths of a degree, the nose-up sign, and the middle of the degree to which the heading was cut off."""
    found = decoder().decode(inav.ATTITUDE, struct.pack("<hhh", roll, pitch, yaw), NOW_NS)
    assert isinstance(found, AttitudeSample)
    w, x, y, z = found.quaternion_body_to_ned
    angles = (
        math.atan2(2.0 * (w * x + y * z), 1.0 - 2.0 * (x * x + y * y)),
        math.asin(2.0 * (w * y - z * x)),
        math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z)),
    )
    assert [math.degrees(a) for a in angles] == pytest.approx(angles_deg, abs=1e-6)


def test_altitude_counts_from_the_ground() -> None:
    """The barometer's own altitude, in cm above where it was started; its estimate, which GPS moves, is left alone."""
    found = decoder().decode(inav.ALTITUDE, struct.pack("<ihi", 999_999, 7, 30_050), NOW_NS)
    assert found == BaroSample(NOW_NS, GROUND_M + 300.5)


def test_airspeed_is_made_true() -> None:
    """cm/s, thin air counted in; 0 is no pitot tube, not a standstill."""
    d = decoder()
    d.decode(inav.ALTITUDE, struct.pack("<ihi", 0, 0, 100_000), NOW_NS)
    found = d.decode(inav.INAV_AIR_SPEED, struct.pack("<I", 2000), NOW_NS)
    assert isinstance(found, AirspeedSample)
    assert found.true_airspeed_mps == pytest.approx(20.0 * true_per_equivalent_airspeed(1120.0))
    assert d.decode(inav.INAV_AIR_SPEED, struct.pack("<I", 0), NOW_NS) is None
    assert d.malformed == 0


def test_what_it_says_of_us() -> None:
    """Sensor status, echo, own place and arming are kept; none of them is a measurement."""
    d = decoder()
    assert d.decode(inav.SENSOR_STATUS, bytes([1, 1, 1, 1, 1, 2, 0, 0, 0]), NOW_NS) is None
    assert d.decode(inav.RAW_GPS, struct.pack("<BBiiHHHH", 2, 10, 485_000_000, 372_500_000, 0, 0, 0, 0), NOW_NS) is None
    place = struct.pack("<BBiiihhhB", 255, 1, 485_000_000, 372_500_000, 0, 0, 0, 0, 0)
    assert d.decode(inav.WAYPOINT, place, NOW_NS) is None
    assert d.decode(inav.INAV_STATUS, struct.pack("<HHHHBI", 0, 0, 0, 0, 0, 4) + bytes(9), NOW_NS) is None
    assert (d.gps_status, d.echo, d.here, d.armed) == (2, (2, 48.5, 37.25), (48.5, 37.25), True)
    d.decode(inav.WAYPOINT, struct.pack("<BBiiihhhB", 255, 1, 0, 0, 0, 0, 0, 0, 0), NOW_NS)
    assert d.here is None


@pytest.mark.parametrize(
    ("function", "payload"),
    [
        (inav.RAW_IMU, bytes(17)),
        (inav.ATTITUDE, b""),
        (inav.ATTITUDE, struct.pack("<hhh", 1801, 0, 0)),
        (inav.ATTITUDE, struct.pack("<hhh", 0, -901, 0)),
        (inav.ATTITUDE, struct.pack("<hhh", 0, 0, 361)),
        (inav.ALTITUDE, struct.pack("<ihi", 0, 0, 3_000_000)),
        (inav.INAV_AIR_SPEED, struct.pack("<I", 20_001)),
        (inav.SENSOR_STATUS, bytes(5)),
        (inav.WAYPOINT, bytes(3)),
    ],
)
def test_impossible_answers_are_counted(function: int, payload: bytes) -> None:
    """Short answers and numbers that cannot be become nothing, and are counted."""
    d = decoder()
    assert d.decode(function, payload, NOW_NS) is None
    assert d.malformed == 1


def test_answers_that_nobody_knows() -> None:
    """An answer of an unknown kind is passed over."""
    d = decoder()
    assert d.decode(4711, b"x", NOW_NS) is None
    assert d.malformed == 0
