"""Turbulence has the statistics of the standard, and the airframe flies through it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gps_denied_sim.scenarios import make_scenario
from gps_denied_sim.vehicle.dryden import FOOT_M, KNOT_MPS, dryden_air, turbulence
from gps_denied_sim.vehicle.flight import FlightTruth, fly, make_air
from gps_denied_sim.vehicle.route import make_route
from gps_denied_sim.vehicle.wind import scheduled_wind_mps


def flown(name: str, seed: int, duration_s: float) -> FlightTruth:
    """One flight without pictures, at 50 Hz."""
    scenario = make_scenario(name, seed, duration_s)
    return fly(scenario, make_route(scenario, seed, duration_s), make_air(seed), seed, duration_s, 50.0)


def test_low_altitude_figures_are_those_of_the_standard() -> None:
    """At 1000 ft all axes have a tenth of the wind at 20 ft and a scale of 1000 ft; below, the vertical is calmer."""
    at_1000 = dryden_air(1000.0 * FOOT_M, 0.0)
    assert at_1000.sigma_w_mps == pytest.approx(3.0 * KNOT_MPS)
    assert at_1000.sigma_u_mps == pytest.approx(at_1000.sigma_w_mps, rel=1e-3)
    assert at_1000.scale_u_m == pytest.approx(1000.0 * FOOT_M, rel=1e-3)
    low = dryden_air(100.0 * FOOT_M, 0.0)
    assert low.scale_w_m == pytest.approx(100.0 * FOOT_M)
    assert low.sigma_u_mps > 1.5 * low.sigma_w_mps


@pytest.mark.slow
def test_turbulence_has_its_standard_deviation_and_its_scale() -> None:
    """The standard deviations hold, and the forward gust's correlation falls to 1/e over its scale."""
    air, speed, dt = dryden_air(500.0, 1.0), 20.0, 0.2
    made = turbulence(np.random.default_rng(5), air, speed, 2.2, 180_000, dt)
    sigma = made.velocity_mps.std(axis=0)
    assert np.allclose(sigma, [air.sigma_u_mps, air.sigma_v_mps, air.sigma_w_mps], rtol=0.06)
    lag = round(air.scale_u_m / speed / dt)
    u = made.velocity_mps[:, 0]
    assert float((u[:-lag] * u[lag:]).mean() / u.var()) == pytest.approx(math.exp(-1.0), abs=0.06)
    assert 0.05 < float(made.rate_radps[:, 0].std()) < 0.6


def test_gust_is_a_cosine_and_the_shift_is_fast() -> None:
    """A gust has its value at its middle and is nothing outside; the wind of `gusts` changes by 15 m/s in a minute."""
    scenario = make_scenario("gusts", 4, 120.0)
    gust = next(e for e in scenario.events if e.kind == "gust")
    shift = next(e for e in scenario.events if e.kind == "wind_shift")
    wind = scheduled_wind_mps(scenario, (3.0, -1.0), 12_000, 0.01)
    middle, before = round(50.0 * (gust.start_s + gust.end_s)), round(100.0 * gust.start_s)
    assert np.linalg.norm(wind[middle] - wind[before]) == pytest.approx(gust.value, abs=0.05)
    calm = [k for k in range(0, 12_000, 50) if scenario.active("gust", k * 0.01) is None]
    calm = [k for k in calm if scenario.active("updraught", k * 0.01) is None]
    assert tuple(wind[0]) == (3.0, -1.0, 0.0)
    early = [k for k in calm if k * 0.01 < shift.start_s]
    late = [k for k in calm if k * 0.01 > shift.start_s + 40.0]
    assert np.linalg.norm(wind[late[0]] - wind[early[-1]]) == pytest.approx(15.0, abs=0.05)


@pytest.mark.parametrize("seed", [0, 3])
def test_storm_shakes_and_is_survived(seed: int) -> None:
    """The aircraft rolls and pitches by degrees, keeps its height to some tens of metres, and slips."""
    truth = flown("storm", seed, 60.0)
    rotation = truth.rotation_body_to_enu
    bank = np.degrees(np.arcsin(np.clip(-rotation[:, 2, 1], -1.0, 1.0)))
    rate = np.degrees(np.abs(truth.rate_body_radps))
    assert 1.5 < float(bank.std()) < 25.0
    assert float(np.median(rate[:, 0])) > 1.0
    assert np.ptp(truth.position_enu_m[:, 2]) < 250.0
    assert 12.0 < float(truth.airspeed_mps.min()) < float(truth.airspeed_mps.max()) < 45.0


def test_storm_wind_goes_to_twenty() -> None:
    """Over seeds the storm's wind lies between 12 and 20 m/s and its turbulence between moderate and severe."""
    events = [e for seed in range(30) for e in make_scenario("storm", seed, 60.0).events]
    wind = [e.value for e in events if e.kind == "wind"]
    severity = [e.value for e in events if e.kind == "turbulence"]
    assert 12.0 <= min(wind) < 13.5 < 18.5 < max(wind) <= 20.0
    assert 0.0 <= min(severity) < 0.2 < 0.8 < max(severity) <= 1.0


def test_a_storm_has_a_haze_of_its_own() -> None:
    """One haze, the storm's, whatever the seed's would be; the other scenarios keep the seed's."""
    for seed in range(30):
        for name in ("storm", "gusts"):
            events = make_scenario(name, seed, 60.0).events
            haze = [e.value for e in events if e.kind == "camera_haze"]
            usual = [e.value for e in make_scenario("cruise", seed, 60.0).events if e.kind == "camera_haze"]
            assert haze == usual if name == "gusts" else len(haze) == 1 and 0.08 <= haze[0] <= 0.25
            assert haze != usual or name == "gusts"
