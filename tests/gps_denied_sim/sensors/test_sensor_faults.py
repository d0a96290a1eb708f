"""Sensors lie as the schedule of a weather scenario says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.rotations import ROTATION_NED_TO_ENU, log_rotation, matrix_from_quaternion
from gps_denied_sim.scenarios import WEATHER_NAMES, Event, Scenario, make_scenario
from gps_denied_sim.sensors.imu_parts import PARTS, warm_up_errors
from gps_denied_sim.sensors.sensor_faults import indicated_airspeed_mps
from gps_denied_sim.sensors.telemetry import attitude_samples, takeoff_origin
from gps_denied_sim.vehicle.flight import FlightTruth, fly, make_air
from gps_denied_sim.vehicle.route import make_route

FRAME = LocalFrame(48.3, 37.4, 120.0)


def climbing(height_rate_mps: float) -> FlightTruth:
    """Straight flight at 20 m/s that climbs, one state a second."""
    t = np.arange(101.0)
    position = np.stack([20.0 * t, 0.0 * t, 500.0 + height_rate_mps * t], axis=1)
    velocity = np.tile([20.0, 0.0, height_rate_mps], (101, 1))
    eye = np.tile(np.eye(3), (101, 1, 1))
    return FlightTruth(1.0, position, velocity, eye, np.zeros((101, 3)), np.zeros((101, 3)), np.full(101, 20.0))


def test_plugged_pitot_rises_with_height() -> None:
    """50 m higher, trapped pressure shows sqrt(20^2 + 2 g 50); below the trap's height less than before."""
    t_s, true = np.arange(101.0), np.full(101, 20.0)
    schedule = Scenario("x", (Event("pitot_plugged", 20.0, 200.0),))
    shown = indicated_airspeed_mps(climbing(1.0), schedule, t_s, true)
    assert np.all(shown[:21] == 20.0)
    assert shown[70] == pytest.approx(math.sqrt(400.0 + 2.0 * 9.80665 * 50.0))
    assert indicated_airspeed_mps(climbing(-0.5), schedule, t_s, true)[80] == 0.0


def test_pitot_out_of_scale_lies_by_its_factor() -> None:
    """From its start on the airspeed is multiplied."""
    shown = indicated_airspeed_mps(
        climbing(0.0), Scenario("x", (Event("pitot_scale", 10.0, 20.0, 0.6),)), np.arange(30.0), np.full(30, 20.0)
    )
    assert np.allclose(shown, [20.0] * 10 + [12.0] * 10 + [20.0] * 10)


def test_warm_up_is_the_data_sheets() -> None:
    """The offset after ten minutes is at most the part's slope times the warming and the draught, and it is there."""
    for seed in range(12):
        accel, gyro, part = warm_up_errors(np.random.default_rng(seed), 20.0, 60_000, 0.01)
        assert part in PARTS
        drift = np.degrees(np.abs(gyro[-2000:].mean(axis=0)))
        assert np.all(drift < part.gyro_dps_per_k * 25.0)
        assert np.all(drift > part.gyro_dps_per_k * 2.0)
        assert np.all(np.abs(accel[-2000:].mean(axis=0)) < part.accel_mg_per_k * 25.0 * 9.81e-3)
        assert np.all(np.degrees(np.abs(gyro[:100].mean(axis=0))) < part.gyro_dps_per_k + 0.06)


def test_attitude_is_worse_in_turbulence() -> None:
    """In a storm the autopilot's level is off by more than in calm air, and not by tens of degrees."""
    errors = {}
    for shaken in (True, False):
        scenario = make_scenario("storm", 6, 60.0)
        flight = fly(scenario, make_route(scenario, 6, 60.0), make_air(6), 6, 60.0, 50.0)
        samples = attitude_samples(flight, 6, 0, 5.0, scenario if shaken else None)
        tilt = [
            log_rotation(
                ROTATION_NED_TO_ENU
                @ matrix_from_quaternion(s.quaternion_body_to_ned)
                @ flight.rotation_body_to_enu[k * 10].T
            )[:2]
            for k, s in enumerate(samples)
        ]
        errors[shaken] = math.degrees(float(np.sqrt(np.mean(np.square(tilt)))))
    assert errors[False] < 0.8 * errors[True]
    assert errors[True] < 5.0


def test_origin_is_wrong_by_three_distances() -> None:
    """The seeds give a take-off place that is 0.1, 1 or 10 km off."""
    told_m = []
    for seed in range(3):
        scenario = make_scenario("wrong-origin", seed, 5.0)
        flight = fly(scenario, make_route(scenario, seed, 5.0), make_air(seed), seed, 5.0, 50.0)
        origin = takeoff_origin(flight, scenario, FRAME, seed, 0)
        assert origin is not None
        place = FRAME.enu_from_geodetic(origin.latitude_deg, origin.longitude_deg, origin.altitude_amsl_m)
        told_m.append(float(np.linalg.norm((place - flight.position_enu_m[0])[:2])))
    assert np.allclose(told_m, [100.0, 1000.0, 10_000.0], atol=20.0)


@pytest.mark.parametrize("name", WEATHER_NAMES)
def test_gps_is_silent_true_or_forged_by_the_seed(name: str) -> None:
    """Each weather scenario has all three over its seeds."""
    kinds = set()
    for seed in range(9):
        events = [e.kind for e in make_scenario(name, seed, 300.0).events if e.kind.startswith("gps_")]
        assert len(events) <= 1
        kinds.add({"gps_jam": "silent", "gps_jump": "forged", "gps_ramp": "forged"}[events[0]] if events else "true")
    assert kinds == {"silent", "true", "forged"}
