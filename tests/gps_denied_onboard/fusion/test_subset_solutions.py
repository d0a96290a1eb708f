"""The native filter's lanes without one source, learned gusts, and a relocation that keeps what is known otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gps_denied_onboard.fusion.eskf import Eskf
from gps_denied_onboard.fusion.reasons import FilterReason
from gps_denied_onboard.geometry.rotations import exp_rotation
from gps_denied_onboard.messages import AirspeedSample, ExcludedSource, OdometryStep, PoseFix

from .synthetic import CAMERA, FRAME, Flight, Plan, make_flight

PLAN = Plan(seed=5, duration_s=40.0, imu_hz=50.0, turns=False)


@pytest.fixture(scope="module")
def flight() -> Flight:
    return make_flight(PLAN)


def flown(flight: Flight, change: object = None) -> Eskf:
    fusion = Eskf(FRAME, CAMERA)
    for _, message in flight.messages:
        changed = message if change is None else change(message)  # type: ignore[operator]
        if changed is not None:
            fusion.update(changed)
    return fusion


def apart_m(fusion: Eskf, t_ns: int) -> dict[ExcludedSource, float]:
    whole = fusion.estimate(t_ns)
    assert whole is not None
    return {s.without: float(np.linalg.norm(s.position_en_m - whole.position_enu_m[:2])) for s in whole.subsets}


def end_ns(flight: Flight) -> int:
    return max(getattr(m, "t1_ns", 0) or getattr(m, "t_ns", 0) for _, m in flight.messages)


def test_in_a_sound_flight_all_lanes_agree(flight: Flight) -> None:
    """Each of them is within a few of its own sigmas of the whole."""
    fusion = flown(flight)
    whole = fusion.estimate(end_ns(flight))
    assert whole is not None
    assert len(whole.subsets) == 3
    for subset in whole.subsets:
        apart = subset.position_en_m - whole.position_enu_m[:2]
        assert float(apart @ np.linalg.solve(subset.covariance_m2, apart)) < 16.0


def test_what_fixes_share_is_in_every_solution(flight: Flight) -> None:
    """Fixes that are worse than they say make the subsets as much less sure as the whole, so that the difference stays
    that of the source left out."""
    rng = np.random.default_rng(4)

    def worse(message: object) -> object:
        if not isinstance(message, PoseFix):
            return message
        told = 100.0 * message.covariance
        error = 2.0 * np.linalg.cholesky(told) @ rng.standard_normal(6)
        position, turned = message.position_enu_m + error[:3], exp_rotation(error[3:]) @ message.rotation_camera_to_enu
        return replace(message, position_enu_m=position, rotation_camera_to_enu=turned, covariance=told)

    fusion = flown(flight, worse)
    whole, core = fusion.estimate(end_ns(flight)), fusion.state(end_ns(flight))
    assert whole is not None
    assert core is not None
    shared = whole.covariance[:2, :2] - core.covariance[:2, :2]
    assert np.linalg.eigvalsh(shared)[0] > 1.0
    fusion._fix_noise.forget()
    for subset, alone in zip(whole.subsets, fusion.subsets(end_ns(flight)), strict=True):
        assert subset.covariance_m2 - alone.covariance_m2 == pytest.approx(shared)


def test_the_lane_without_odometry_is_free_of_its_lie(flight: Flight) -> None:
    """Odometry that runs a tenth too fast from half of the flight on, no fixes: only one lane stays behind."""
    half_ns = end_ns(flight) - 20_000_000_000

    def cloudy(message: object) -> object:
        if isinstance(message, OdometryStep) and message.t0_ns > half_ns:
            return replace(message, displacement_enu_m=message.displacement_enu_m * 1.1)
        return None if isinstance(message, PoseFix) and message.t_ns > half_ns else message

    apart = apart_m(flown(flight, cloudy), end_ns(flight))
    assert apart[ExcludedSource.ODOMETRY] > 15.0
    assert apart[ExcludedSource.ODOMETRY] > 3.0 * apart[ExcludedSource.AIR]


def test_airspeed_that_does_not_fit_gives_gusts_more_room(flight: Flight) -> None:
    """Air that swings by 5 m/s within seconds is learned to be rough; calm air is not."""

    def rough(message: object) -> object:
        if isinstance(message, AirspeedSample):
            swing = 5.0 * np.sign(np.sin(message.t_ns / 1e9 * 2.0))
            return replace(message, true_airspeed_mps=message.true_airspeed_mps + float(swing))
        return message

    calm, stormy = (f.state(end_ns(flight)) for f in (flown(flight), flown(flight, rough)))
    assert calm is not None
    assert stormy is not None
    assert calm.gust_scale < 1.5
    assert stormy.gust_scale > 5.0


@pytest.mark.parametrize(("one_sign", "least", "most"), [(True, 4.0, 64.0), (False, 1.0, 1.5)])
def test_steps_of_one_sign_give_the_air_more_room(flight: Flight, one_sign: bool, least: float, most: float) -> None:
    """Pictures that say for seconds that the aircraft is being carried off are a wind that changes, which airspeed and
    IMU take for a tilt; as large errors of changing sign are the pictures' own."""
    half_ns = end_ns(flight) - 15_000_000_000
    sign = 1.0

    def carried(message: object) -> object:
        nonlocal sign
        if not isinstance(message, OdometryStep) or message.t0_ns < half_ns:
            return message
        sign = sign if one_sign else -sign
        return replace(message, displacement_enu_m=message.displacement_enu_m + sign * np.array([2.0, 0.0, 0.0]))

    state = flown(flight, carried).state(end_ns(flight))
    assert state is not None
    assert least <= state.gust_scale <= most


def test_a_relocation_keeps_height_wind_and_biases(flight: Flight) -> None:
    """Fixes 400 m away, four of them over enough ground: the place is theirs, the rest stays."""
    fusion = flown(flight)
    before = fusion.state(end_ns(flight))
    fixes = [m for _, m in flight.messages if isinstance(m, PoseFix)]
    tail = fixes[-8:]
    fusion = Eskf(FRAME, CAMERA)
    records = []
    for _, message in flight.messages:
        if isinstance(message, PoseFix) and message.t_ns >= tail[0].t_ns:
            message = replace(message, position_enu_m=message.position_enu_m + np.array([400.0, 0.0, 0.0]))
        records += [r for r in fusion.update(message) if r.source == "fix"]
    after = fusion.state(end_ns(flight))
    assert before is not None
    assert after is not None
    assert FilterReason.RELOCATED in [r.reason for r in records]
    assert after.position[0] - before.position[0] == pytest.approx(400.0, abs=15.0)
    assert abs(after.position[2] - before.position[2]) < 10.0
    assert np.linalg.norm(after.wind - before.wind) < 2.5
    assert after.baro_bias == pytest.approx(before.baro_bias, abs=3.0)


def test_one_picture_again_and_again_relocates_nothing(flight: Flight) -> None:
    """Equal fixes while the aircraft flies on are one fix, however many of them come."""
    fixes = [m for _, m in flight.messages if isinstance(m, PoseFix)]
    frozen = fixes[-12]
    fusion, reasons = Eskf(FRAME, CAMERA), []
    for _, message in flight.messages:
        if isinstance(message, PoseFix) and message.t_ns > frozen.t_ns:
            message = replace(frozen, t_ns=message.t_ns)
        if isinstance(message, OdometryStep) and message.t1_ns > frozen.t_ns:
            message = replace(message, displacement_enu_m=np.zeros(3))
        reasons += [r.reason for r in fusion.update(message) if r.source == "fix"]
    assert FilterReason.RELOCATED not in reasons
