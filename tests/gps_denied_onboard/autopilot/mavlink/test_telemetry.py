"""Telemetry in our units and frames; impossible numbers are counted and go no further."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from gps_denied_onboard.autopilot.mavlink.clock import ClockAlignment
from gps_denied_onboard.autopilot.mavlink.telemetry import (
    Received,
    TelemetryDecoder,
    parse_reloc,
    true_per_equivalent_airspeed,
)
from gps_denied_onboard.messages import (
    AirspeedSample,
    Alert,
    AttitudeSample,
    BaroSample,
    GpsSample,
    ImuSample,
    RangefinderSample,
    RelocHint,
    TakeoffOrigin,
)

NOW_NS = 50_000_000_000
BOOT_MS = 40_000


def decoder(gps: int = 0) -> TelemetryDecoder:
    return TelemetryDecoder(ClockAlignment(), gps)


def one(message: Any, gps: int = 0) -> Received:
    (found,) = decoder(gps).decode(message, NOW_NS)
    return found


def highres(**changed: float) -> Any:
    values = {"xacc": 0.5, "yacc": -0.25, "zacc": -9.75, "xgyro": 0.125, "ygyro": 0.0, "zgyro": -0.5, **changed}
    return mavlink.MAVLink_highres_imu_message(BOOT_MS * 1000, *values.values(), 0, 0, 0, 0, 0, 0, 0, 63)


def raw_imu() -> Any:
    return mavlink.MAVLink_raw_imu_message(BOOT_MS * 1000, 100, 0, -1000, 500, 0, 0, 0, 0, 0)


def gps_raw(lat: int = 481_234_567, vel: int = 2000, accuracy: int = 1500) -> Any:
    return mavlink.MAVLink_gps_raw_int_message(
        BOOT_MS * 1000, 3, lat, 372_000_000, 150_250, 90, 90, vel, 9000, 12, 0, accuracy, 0, 0, 0, 0
    )


def position() -> Any:
    return mavlink.MAVLink_global_position_int_message(BOOT_MS, 481_234_567, 372_000_000, 150_000, 0, 100, -200, 5, 0)


def test_units_become_si() -> None:
    """Each message gives its sample with our units, frames and names, at its own time."""
    assert one(highres()) == ImuSample(NOW_NS, (0.5, -0.25, -9.75), (0.125, 0.0, -0.5))
    imu = one(raw_imu())
    assert isinstance(imu, ImuSample)
    assert imu.accel_body_mps2 == pytest.approx((0.980665, 0.0, -9.80665))
    assert imu.gyro_body_radps == (0.5, 0.0, 0.0)
    assert one(gps_raw()) == GpsSample(
        NOW_NS, 48.1234567, 37.2, 150.25, (pytest.approx(0.0, abs=1e-9), 20.0, 0.0), 3, 12, 1.5
    )
    down = mavlink.MAVLink_distance_sensor_message(BOOT_MS, 20, 5000, 1234, 0, 0, 25, 0)
    assert one(down) == RangefinderSample(NOW_NS, 12.34)


def test_attitude_in_both_forms_is_one_quaternion() -> None:
    """Angles and quaternion of one attitude give the same body-to-NED quaternion."""
    roll, pitch, yaw = 0.3, -0.2, 2.0
    angles = one(mavlink.MAVLink_attitude_message(BOOT_MS, roll, pitch, yaw, 0, 0, 0))
    assert isinstance(angles, AttitudeSample)
    w, x, y, z = angles.quaternion_body_to_ned
    assert math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)) == pytest.approx(yaw)
    assert math.asin(2 * (w * y - z * x)) == pytest.approx(pitch)
    assert math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)) == pytest.approx(roll)
    direct = one(mavlink.MAVLink_attitude_quaternion_message(BOOT_MS, w, x, y, z, 0, 0, 0))
    assert isinstance(direct, AttitudeSample)
    assert direct.quaternion_body_to_ned == pytest.approx((w, x, y, z), abs=1e-6)


def test_airspeed_is_made_true() -> None:
    """The autopilot's equivalent airspeed becomes true airspeed: 5 % more at 1000 m (standard atmosphere)."""
    assert true_per_equivalent_airspeed(0.0) == pytest.approx(1.0)
    assert true_per_equivalent_airspeed(1000.0) == pytest.approx(1.0 / math.sqrt(0.9075), abs=2e-3)
    found = decoder().decode(mavlink.MAVLink_vfr_hud_message(20.0, 22.0, 90, 50, 1000.0, 0.0), NOW_NS)
    speeds = [item.true_airspeed_mps for item in found if isinstance(item, AirspeedSample)]
    assert speeds == [pytest.approx(20.99, abs=0.05)]


def test_pressure_is_altitude_once_the_autopilot_knows_where_it_is() -> None:
    """Before that the autopilot's own altitude counts; after calibration pressure alone, whatever a GPS does to it."""
    d = decoder()
    hud = mavlink.MAVLink_vfr_hud_message(0.0, 0.0, 90, 50, 3.0, 0.0)
    pressure = mavlink.MAVLink_scaled_pressure_message(BOOT_MS, 990.0, 0.0, 20)
    assert d.decode(pressure, NOW_NS) == []
    assert d.decode(hud, NOW_NS) == [BaroSample(NOW_NS, 3.0)]
    lost, located = (mavlink.MAVLink_ekf_status_report_message(flags, 0, 0, 0, 0, 0) for flags in (8, 24))
    d.decode(lost, NOW_NS)
    d.decode(mavlink.MAVLink_global_position_int_message(BOOT_MS, 3, -2, 50, 0, 0, 0, 0, 0), NOW_NS)
    assert d.decode(pressure, NOW_NS) == []  # left-overs in its memory, while its filter has no position
    d.decode(located, NOW_NS)
    d.decode(position(), NOW_NS)
    for _ in range(12):
        assert d.decode(pressure, NOW_NS) == [BaroSample(NOW_NS, 150.0)]
    assert d.decode(hud, NOW_NS) == []
    false = mavlink.MAVLink_global_position_int_message(BOOT_MS, 1, 1, 9_000_000, 0, 0, 0, 0, 0)
    d.decode(false, NOW_NS)
    (higher,) = d.decode(mavlink.MAVLink_scaled_pressure_message(BOOT_MS, 978.0, 0.0, 20), NOW_NS)
    assert isinstance(higher, BaroSample)
    assert higher.altitude_amsl_m == pytest.approx(150.0 + 102.8, abs=1.0)


def test_the_best_imu_that_is_alive_counts() -> None:
    """RAW_IMU is passed over while HIGHRES_IMU comes, and takes over a second after it has gone silent."""
    d = decoder()
    assert len(d.decode(raw_imu(), NOW_NS)) == 1
    assert len(d.decode(highres(), NOW_NS)) == 1
    assert d.decode(raw_imu(), NOW_NS + 500_000_000) == []
    assert len(d.decode(raw_imu(), NOW_NS + 1_100_000_000)) == 1
    assert len(d.decode(highres(), NOW_NS + 1_200_000_000)) == 1


def test_only_the_real_receiver_is_watched() -> None:
    """With the real receiver as second instance, the first, which echoes our own output, is passed over."""
    assert decoder(1).decode(gps_raw(), NOW_NS) == []
    second = mavlink.MAVLink_gps2_raw_message(BOOT_MS * 1000, 3, 481_234_567, 372_000_000, 0, 9, 9, 0, 0, 12, 0, 0)
    assert isinstance(one(second, 1), GpsSample)
    assert decoder(0).decode(second, NOW_NS) == []


def test_a_receiver_without_a_fix_does_not_turn_the_clock_back() -> None:
    """ArduPilot stamps a receiver's message by its last fix: seconds ago when jammed, but now is meant."""
    clock = ClockAlignment()
    d = TelemetryDecoder(clock, 0)
    d.decode(highres(), NOW_NS)
    stale_us = (BOOT_MS - 20_000) * 1000
    jammed = mavlink.MAVLink_gps_raw_int_message(stale_us, 1, 0, 0, 0, 90, 90, 0, 0, 2, 0, 9000, 0, 0, 0, 0)
    (sample,) = d.decode(jammed, NOW_NS + 5)
    assert sample.t_ns == NOW_NS + 5
    assert clock.reboots == 0


def test_the_autopilots_position_is_kept_for_the_start() -> None:
    """GLOBAL_POSITION_INT is no measurement; its last value is at hand for the take-off."""
    d = decoder()
    assert d.decode(position(), NOW_NS) == []
    assert d.last_position == TakeoffOrigin(NOW_NS, 48.1234567, 37.2, 150.0, 5.0, 5.0, (1.0, -2.0, 0.05))


@pytest.mark.parametrize("place_e7", [(0, 0), (326, 3076), (-99_999, 99_999), (481_234_567, 372_000_000)])
def test_a_filter_without_an_origin_knows_no_place(place_e7: tuple[int, int]) -> None:
    """ArduPilot's first positions lie some metres from latitude 0 and longitude 0, the next ones have no altitude:
    nobody starts there, and the altitude of the display is none either, until its filter has a place."""
    d = decoder()
    hud = mavlink.MAVLink_vfr_hud_message(0.0, 0.0, 90, 50, 0.11, 0.0)
    lost, located = (mavlink.MAVLink_ekf_status_report_message(flags, 0, 0, 0, 0, 0) for flags in (167, 831))
    if place_e7[0] > 99_999:
        d.decode(lost, NOW_NS)
    d.decode(mavlink.MAVLink_global_position_int_message(BOOT_MS, *place_e7, -120, 0, 0, 0, 0, 0), NOW_NS)
    assert d.last_position is None
    assert d.decode(hud, NOW_NS) == []
    d.decode(located, NOW_NS)
    d.decode(position(), NOW_NS)
    assert d.last_position is not None
    assert d.decode(hud, NOW_NS) == [BaroSample(NOW_NS, 0.11)]
    d.decode(lost, NOW_NS)  # in the air, its GPS jammed: what it knew counts
    assert d.decode(hud, NOW_NS) == [BaroSample(NOW_NS, 0.11)]


def test_a_filter_that_tells_nothing_of_itself_has_a_place_when_it_shows_one() -> None:
    """Without EKF_STATUS_REPORT the first position that is somewhere counts, after those that were nowhere too."""
    d = decoder()
    d.decode(mavlink.MAVLink_global_position_int_message(BOOT_MS, 0, 0, 0, 0, 0, 0, 0, 0), NOW_NS)
    assert d.last_position is None
    d.decode(position(), NOW_NS)
    assert d.last_position is not None


@pytest.mark.parametrize(
    "message",
    [
        highres(xacc=math.nan),
        highres(zgyro=math.inf),
        mavlink.MAVLink_attitude_message(BOOT_MS, math.nan, 0, 0, 0, 0, 0),
        mavlink.MAVLink_attitude_message(BOOT_MS, 0, 0, math.inf, 0, 0, 0),
        mavlink.MAVLink_attitude_quaternion_message(BOOT_MS, 0, 0, 0, 0, 0, 0, 0),
        mavlink.MAVLink_attitude_quaternion_message(BOOT_MS, math.nan, 0, 0, 0, 0, 0, 0),
        mavlink.MAVLink_scaled_pressure_message(BOOT_MS, math.nan, 0.0, 20),
        mavlink.MAVLink_scaled_pressure_message(BOOT_MS, -5.0, 0.0, 20),
        mavlink.MAVLink_vfr_hud_message(20.0, 20.0, 0, 0, math.nan, 0.0),
        gps_raw(lat=1_900_000_000),
    ],
)
def test_impossible_numbers_are_counted(message: Any) -> None:
    """Messages with NaN or out of range numbers give nothing and are counted."""
    d = decoder()
    d.decode(position(), NOW_NS)
    assert d.decode(message, NOW_NS) == []
    assert d.malformed == 1


def test_airspeed_that_is_no_number_leaves_the_altitude() -> None:
    """Of a message with one impossible number the others count."""
    d = decoder()
    assert d.decode(mavlink.MAVLink_vfr_hud_message(math.nan, 0.0, 0, 0, 80.0, 0.0), NOW_NS) == [
        BaroSample(NOW_NS, 80.0)
    ]
    assert d.malformed == 1


@pytest.mark.parametrize("text", ["RELOC:48.5,37.25,800", " RELOC: 48.5 , 37.25, 8e2\0\0"])
def test_the_operators_hint_is_read(text: str) -> None:
    """A hint by STATUSTEXT becomes a RelocHint of that place and radius."""
    assert parse_reloc(text, 7) == RelocHint(7, 48.5, 37.25, 800.0)


@pytest.mark.parametrize(
    "text",
    [
        "RELOC:",
        "RELOC:48.5,37.25",
        "RELOC:48.5,37.25,800,1",
        "RELOC:nan,37.25,800",
        "RELOC:48.5,inf,800",
        "RELOC:148.5,37.25,800",
        "RELOC:48.5,37.25,nan",
        "RELOC:48.5,37.25,-800",
        "RELOC:48.5,37.25,1e9",
        "RELOC:north,east,far",
    ],
)
def test_bad_hints_are_refused_aloud(text: str) -> None:
    """A hint that cannot be gives an alert for the sender, never a hint."""
    found = parse_reloc(text, 7)
    assert isinstance(found, Alert)
    assert found.text.startswith("RELOC refused")
    assert len(found.text) <= 50


@pytest.mark.parametrize("text", ["", "PreArm: check fence", "reloc:1,2,3", "RELOC", "XRELOC:48,37,5"])
def test_other_texts_say_nothing(text: str) -> None:
    """Only texts that begin with the word are hints."""
    assert parse_reloc(text, 7) is None
