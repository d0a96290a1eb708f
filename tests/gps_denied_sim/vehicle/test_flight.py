"""The true motion is that of an aircraft, and the inertial truth integrates back to it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gps_denied_sim.scenarios import make_scenario
from gps_denied_sim.vehicle.airframe import GRAVITY_MPS2
from gps_denied_sim.vehicle.flight import FlightTruth, exp_rotations, fly, make_air
from gps_denied_sim.vehicle.route import make_route


def flown(seed: int, scenario_name: str, duration_s: float, rate_hz: float = 100.0) -> FlightTruth:
    """One flight without pictures."""
    scenario = make_scenario(scenario_name, seed, duration_s)
    return fly(scenario, make_route(scenario, seed, duration_s), make_air(seed), seed, duration_s, rate_hz)


@pytest.mark.parametrize(("seed", "scenario"), [(0, "cruise"), (2, "turns"), (5, "kidnap")])
def test_noise_free_imu_integrates_to_truth(seed: int, scenario: str) -> None:
    """A plain strapdown with the rotation at the start of each step stays within a metre of truth for a minute."""
    truth = flown(seed, scenario, 70.0)
    dt = truth.dt_s
    first, last = 500, 6500
    position, velocity = truth.position_enu_m[first].copy(), truth.velocity_enu_mps[first].copy()
    rotation = truth.rotation_body_to_enu[first]
    turns = exp_rotations(truth.rate_body_radps * dt)
    halves = exp_rotations(truth.rate_body_radps * dt / 2.0)
    for k in range(first + 1, last + 1):
        middle = rotation @ halves[k]
        acceleration = middle @ truth.specific_force_body_mps2[k] - (0.0, 0.0, GRAVITY_MPS2)
        position = position + velocity * dt + acceleration * (dt * dt / 2.0)
        velocity = velocity + acceleration * dt
        rotation = rotation @ turns[k]
    assert np.linalg.norm(position - truth.position_enu_m[last]) < 0.01
    assert np.allclose(rotation, truth.rotation_body_to_enu[last], atol=1e-9)


@pytest.mark.slow
def test_flight_stays_in_its_envelope() -> None:
    """Cruise flights hold about 17 m/s of airspeed, 300 to 800 m of height, 30 degrees of bank and 4.5 km of room."""
    for seed in range(4):
        truth = flown(seed, "cruise", 600.0)
        position = truth.position_enu_m
        assert 15.5 < float(truth.airspeed_mps.mean()) < 18.5
        assert position[:, 2].min() > 280.0
        assert position[:, 2].max() < 830.0
        bank = np.arcsin(np.clip(-truth.rotation_body_to_enu[:, 2, 1], -1.0, 1.0))
        assert np.degrees(np.abs(bank)).max() < 38.0
        assert np.ptp(position[:, :2], axis=0).max() < 4500.0


def test_turns_are_coordinated() -> None:
    """In a sustained turn the sideways specific force stays small although the bank is steep."""
    truth = flown(1, "turns", 300.0)
    bank = np.arcsin(np.clip(-truth.rotation_body_to_enu[:, 2, 1], -1.0, 1.0))
    steep = np.abs(bank) > math.radians(30.0)
    assert steep.sum() > 500
    assert np.abs(truth.specific_force_body_mps2[steep, 1]).mean() < 1.0


def test_same_seed_same_flight() -> None:
    """Two flights of one seed are equal to the last bit; another seed differs."""
    a, b, c = flown(7, "cruise", 30.0), flown(7, "cruise", 30.0), flown(8, "cruise", 30.0)
    assert np.array_equal(a.position_enu_m, b.position_enu_m)
    assert not np.array_equal(a.position_enu_m, c.position_enu_m)


def test_interpolated_state_meets_the_steps() -> None:
    """The state between two steps runs continuously from the one to the other."""
    truth = flown(3, "cruise", 20.0)
    position, rotation = truth.at(10.0 - 1e-7)
    assert np.allclose(position, truth.position_enu_m[1000], atol=1e-4)
    assert np.allclose(rotation, truth.rotation_body_to_enu[1000], atol=1e-6)


@pytest.mark.parametrize("height_m", [100.0, 700.0])
def test_a_height_that_is_told(height_m: float) -> None:
    """It is flown throughout, on the way of the seed."""
    scenario = make_scenario("cruise", 3, 60.0)
    told, free = make_route(scenario, 3, 60.0, height_m), make_route(scenario, 3, 60.0)
    assert set(told[:, 2]) == {height_m + scenario.style.relief_m / 2.0}
    assert (told[:, :2] == free[:, :2]).all()
