"""Sensors are wrong by as much as real ones are, and GPS follows its schedule."""

from __future__ import annotations

import math

import numpy as np

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.rotations import ROTATION_NED_TO_ENU, log_rotation, matrix_from_quaternion
from gps_denied_onboard.messages import GpsSample
from gps_denied_sim.scenarios import NAMES, Scenario, make_scenario
from gps_denied_sim.sensors.telemetry import (
    GpsReceiver,
    Rates,
    airspeed_samples,
    attitude_samples,
    imu_samples,
    takeoff_origin,
    telemetry,
)
from gps_denied_sim.vehicle.flight import FlightTruth, fly, make_air
from gps_denied_sim.vehicle.route import make_route

FRAME = LocalFrame(48.3, 37.4, 120.0)


def flown(seed: int, name: str, duration_s: float = 100.0) -> tuple[FlightTruth, Scenario]:
    """A flight and its scenario."""
    scenario = make_scenario(name, seed, duration_s)
    return fly(scenario, make_route(scenario, seed, duration_s), make_air(seed), seed, duration_s, 100.0), scenario


def gps_errors_m(samples: list[GpsSample], flight: FlightTruth) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """(N,) horizontal distance of each sample from truth, NaN without a fix."""
    out = []
    for k, s in enumerate(samples):
        claimed = FRAME.enu_from_geodetic(s.latitude_deg, s.longitude_deg, s.altitude_amsl_m)
        error = float(np.linalg.norm((claimed - flight.position_enu_m[k * 20])[:2]))
        out.append(error if s.fix_type >= 3 else math.nan)
    return np.array(out)


def test_attitude_error_is_that_of_an_autopilot() -> None:
    """Level is wrong by tenths of a degree, heading by one to six."""
    tilts, yaws = [], []
    for seed in range(6):
        flight, _ = flown(seed, "cruise")
        samples = attitude_samples(flight, seed, 0, 25.0)
        for k in range(0, len(samples), 50):
            told = ROTATION_NED_TO_ENU @ matrix_from_quaternion(samples[k].quaternion_body_to_ned)
            error = log_rotation(told @ flight.rotation_body_to_enu[k * 4].T)
            tilts.append(math.degrees(math.hypot(error[0], error[1])))
            yaws.append(math.degrees(abs(error[2])))
    assert 0.2 < float(np.median(tilts)) < 1.2
    assert 1.0 < float(np.median(yaws)) < 4.5
    assert max(yaws) < 7.5


def test_imu_bias_is_that_of_a_mems_unit() -> None:
    """The mean error is a bias below 0.2 m/s2 and 0.012 rad/s and not zero."""
    flight, _ = flown(4, "cruise", 40.0)
    samples = imu_samples(flight, 4, 0)
    accel = np.array([s.accel_body_mps2 for s in samples]) - flight.specific_force_body_mps2
    gyro = np.array([s.gyro_body_radps for s in samples]) - flight.rate_body_radps
    assert 0.005 < float(np.linalg.norm(accel.mean(axis=0))) < 0.2
    assert 0.0005 < float(np.linalg.norm(gyro.mean(axis=0))) < 0.012


def test_jammed_gps_has_no_fix() -> None:
    """Before the jamming GPS is good to metres, under it there is no fix at all."""
    flight, scenario = flown(2, "jam")
    errors = gps_errors_m(GpsReceiver(flight, scenario, FRAME, 2).samples(0, 5.0), flight)
    assert np.nanmax(errors[:95]) < 6.0
    assert np.isnan(errors[105:]).all()


def test_jump_goes_away_at_once() -> None:
    """A spoofed jump puts the claimed position hundreds of metres off from one sample to the next."""
    flight, scenario = flown(2, "spoof-jump")
    errors = gps_errors_m(GpsReceiver(flight, scenario, FRAME, 2).samples(0, 5.0), flight)
    assert errors[99] < 6.0
    assert errors[101:370].min() > 290.0
    assert errors[380:].max() < 6.0


def test_ramp_goes_away_slowly() -> None:
    """A spoofed ramp starts at nothing and ends at its speed times its time."""
    flight, scenario = flown(2, "spoof-ramp")
    ramp = next(e for e in scenario.events if e.kind == "gps_ramp")
    errors = gps_errors_m(GpsReceiver(flight, scenario, FRAME, 2).samples(0, 5.0), flight)
    assert errors[102] < 7.0
    assert abs(errors[370] - ramp.value * (74.0 - ramp.start_s)) < 8.0


def test_replay_repeats_where_it_was() -> None:
    """A replayed signal claims positions that the aircraft had before."""
    flight, scenario = flown(2, "spoof-replay")
    replay = next(e for e in scenario.events if e.kind == "gps_replay")
    samples = GpsReceiver(flight, scenario, FRAME, 2).samples(0, 5.0)
    s = samples[round((replay.start_s + 5.0) * 5)]
    old = flight.position_enu_m[round((replay.start_s - replay.value + 5.0) * 100)]
    claimed = FRAME.enu_from_geodetic(s.latitude_deg, s.longitude_deg, s.altitude_amsl_m)
    assert np.linalg.norm((claimed - old)[:2]) < 6.0


def test_pitot_falls_silent_when_blocked() -> None:
    """A kidnapped flight loses airspeed when the blackout begins."""
    flight, scenario = flown(1, "kidnap")
    samples = airspeed_samples(flight, scenario, 1, 0, 10.0)
    assert max(s.t_ns for s in samples) < 15.1e9


def test_origin_is_given_wrong_or_absent() -> None:
    """An ordinary origin is metres off, a kidnapped one is kilometres off or missing."""
    for name, seed, low, high in (("cruise", 3, 0.0, 20.0), ("kidnap", 3, 1500.0, 5000.0)):
        flight, scenario = flown(seed, name, 60.0)
        origin = takeoff_origin(flight, scenario, FRAME, seed, 0)
        assert origin is not None
        told = FRAME.enu_from_geodetic(origin.latitude_deg, origin.longitude_deg, origin.altitude_amsl_m)
        assert low <= np.linalg.norm((told - flight.position_enu_m[0])[:2]) <= high
    flight, scenario = flown(4, "kidnap", 60.0)
    assert takeoff_origin(flight, scenario, FRAME, 4, 0) is None


def test_telemetry_is_in_time_order_for_every_scenario() -> None:
    """All scenarios give time-ordered telemetry at the rates that were asked for."""
    for name in NAMES:
        flight, scenario = flown(1, name, 10.0)
        messages = telemetry(flight, scenario, FRAME, 1, 5, Rates())
        times = [m.t_ns for m in messages]
        assert times == sorted(times)
        assert sum(type(m).__name__ == "ImuSample" for m in messages) == 1001
        assert sum(type(m).__name__ == "AttitudeSample" for m in messages) == 251
