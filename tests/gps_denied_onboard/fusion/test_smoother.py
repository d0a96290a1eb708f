"""The fixed-lag smoother: as good as the filter, bounded, and never in the way when it fails."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gps_denied_onboard.fusion.config import FusionConfig
from gps_denied_onboard.fusion.eskf import Eskf
from gps_denied_onboard.fusion.isam2 import Isam2
from gps_denied_onboard.fusion.smoother import Window
from gps_denied_onboard.messages import ImuSample, OdometryStep, PoseFix

from .scoring import Score, score
from .synthetic import CAMERA, FRAME, SECOND_NS, Flight, Plan, make_flight


@pytest.fixture(scope="module")
def flight() -> Flight:
    return make_flight(Plan(seed=3, duration_s=32.0, imu_hz=50.0, no_fix_s=((18.0, 24.0),)))


@pytest.fixture(scope="module")
def by_filter(flight: Flight) -> Score:
    return score(Eskf(FRAME, CAMERA), flight)


def own_records(s: Score) -> list[str]:
    return [r.reason for r in s.records if r.source == "isam2"]


@pytest.mark.slow
@pytest.mark.parametrize("rebuild", [7, 1000])
def test_smoother_and_filter_agree(flight: Flight, by_filter: Score, rebuild: int) -> None:
    """Two estimators written apart give the same track and covariance, rebuilt often or never."""
    fusion = Isam2(FRAME, CAMERA, FusionConfig(smoother_rebuild_keyframes=rebuild))
    s = score(fusion, flight)
    assert own_records(s) == ["smoother started"]
    apart = np.linalg.norm(np.array(s.error_m) - np.array(by_filter.error_m), axis=1)
    assert np.percentile(apart, 95) < 1.0
    assert apart.max() < 2.5
    assert np.median(s.sigma_m() / by_filter.sigma_m()) == pytest.approx(1.0, abs=0.1)
    assert s.inside_95().mean() > 0.93


def test_step_that_comes_before_the_imu_sample_of_its_time_is_no_failure() -> None:
    """A frame may be done before the IMU's sample of the same moment has come."""
    flight = make_flight(Plan(seed=3, duration_s=20.0, imu_hz=50.0, odometry_delay_s=-0.015, fix_delay_s=0.0))
    s = score(Isam2(FRAME, CAMERA), flight)
    assert own_records(s) == ["smoother started"]
    assert s.horizontal_m()[10:].max() < 8.0


def test_slots_stay_bounded() -> None:
    """The smoother holds no more factors after five windows than after two."""
    flight = make_flight(Plan(seed=4, duration_s=25.0, imu_hz=50.0, frame_s=0.5))
    fusion = Isam2(FRAME, CAMERA, FusionConfig(smoother_keyframes=8))
    slots: list[int] = []
    for _, message in flight.messages:
        fusion.update(message)
        if isinstance(message, OdometryStep):
            slots.append(fusion.slots)
    assert max(slots[-15:]) <= max(slots[15:30])
    assert max(slots) < 100


def test_a_step_and_its_keyframe_are_one_update(flight: Flight, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that brings the newest keyframe costs the smoother one update, and counts: with it the track is held
    through six seconds without a fix."""
    updates: list[object] = []
    real = Window._update

    def counted(window: Window, *given: Any) -> None:
        updates.append(given)
        real(window, *given)

    monkeypatch.setattr(Window, "_update", counted)
    fusion = Isam2(FRAME, CAMERA)
    steps = 0
    for _, message in flight.messages:
        before = len(updates)
        active = fusion.active
        fusion.update(message)
        if active and isinstance(message, OdometryStep):
            steps += 1
            assert len(updates) - before == 1
    assert steps > 20
    s = score(Isam2(FRAME, CAMERA), flight)
    assert s.horizontal_m()[10:].max() < 8.0


def test_hand_over_is_the_filter_at_once_and_ends_by_itself(flight: Flight) -> None:
    """After a failure the answer is the filter's within the same frame; some seconds later the smoother is back."""
    fusion, alone = Isam2(FRAME, CAMERA), Eskf(FRAME, CAMERA)
    failed_ns, back_ns = flight.t_ns[0] + 10 * SECOND_NS, 0
    for arrival_ns, message in flight.messages:
        if arrival_ns > failed_ns and back_ns == 0:
            (record,) = fusion.fall_back(failed_ns, "overrun")
            assert not record.accepted
            assert record.reason == "handed over to eskf: overrun"
            a, b = fusion.estimate(failed_ns + SECOND_NS), alone.estimate(failed_ns + SECOND_NS)
            assert a is not None
            assert b is not None
            assert np.array_equal(a.covariance, b.covariance)
            assert np.array_equal(a.position_enu_m, b.position_enu_m)
            back_ns = -1
        fusion.update(message)
        alone.update(message)
        if back_ns == -1 and fusion.active:
            back_ns = arrival_ns
    assert 10 * SECOND_NS <= back_ns - failed_ns < 13 * SECOND_NS
    assert fusion.active


def test_clock_that_was_set_anew_hands_over(flight: Flight) -> None:
    """When the autopilot's clock starts again, the smoother's window is worth nothing and the filter goes on."""
    fusion = Isam2(FRAME, CAMERA)
    reasons: list[str] = []
    for _, message in flight.messages[: len(flight.messages) // 2]:
        fusion.update(message)
    assert fusion.active
    for k in range(60):
        t_ns = SECOND_NS + k * SECOND_NS // 50
        records = fusion.update(ImuSample(t_ns, (0.0, 0.0, -9.8), (0.0, 0.0, 0.0)))
        reasons += [r.reason for r in records if r.source == "isam2"]
    assert reasons == ["handed over to eskf: the clock was set anew"]
    assert fusion.estimate(3 * SECOND_NS) is not None


def test_bad_pictures_change_nothing_in_the_smoother(flight: Flight) -> None:
    """NaN fixes and steps, lost steps and wrong fixes among good ones: refused, the smoother stays and is right."""
    fusion = Isam2(FRAME, CAMERA)
    for arrival_ns, message in flight.messages:
        if arrival_ns > flight.t_ns[0] + 17 * SECOND_NS:
            break
        if isinstance(message, PoseFix) and message.frame_index % 4 == 3:
            fusion.update(replace(message, position_enu_m=np.full(3, np.nan)))
            message = replace(message, position_enu_m=message.position_enu_m + np.array([300.0, -90.0, 0.0]))
        if isinstance(message, OdometryStep) and (message.t0_ns // SECOND_NS) % 5 == 2:
            fusion.update(replace(message, covariance=np.full((4, 4), np.nan)))
            message = replace(message, status="lost", reason="too few tracks")
        fusion.update(message)
    estimate = fusion.estimate(flight.t_ns[17 * 50])
    assert fusion.active
    assert estimate is not None
    assert np.linalg.norm(estimate.position_enu_m[:2] - flight.position[17 * 50, :2]) < 8.0


def test_blackout_restarts_the_window() -> None:
    """After a long darkness the smoother starts again from the filter, and the position is right."""
    flight = make_flight(Plan(seed=5, duration_s=40.0, imu_hz=50.0, blackouts_s=((12.0, 25.0),)))
    s = score(Isam2(FRAME, CAMERA), flight)
    assert s.horizontal_m()[-1] < 6.0
    assert s.inside_95().mean() > 0.9
