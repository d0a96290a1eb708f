"""The covariance tells the truth: NEES and coverage over seeds, drift in blackouts, no shrinking for nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from gps_denied_onboard.fusion.eskf import Eskf

from .scoring import Score, score
from .synthetic import CAMERA, FRAME, Plan, make_flight

pytestmark = pytest.mark.slow

BLACKOUT = (50.0, 85.0)


def fly(plan: Plan) -> Score:
    return score(Eskf(FRAME, CAMERA), make_flight(plan))


@pytest.fixture(scope="module")
def blacked_out() -> list[Score]:
    return [fly(Plan(seed=s, duration_s=90.0, imu_hz=50.0, blackouts_s=(BLACKOUT,))) for s in range(4)]


def test_error_lies_inside_the_95_ellipse_and_the_ellipse_is_not_much_too_large() -> None:
    """Over seeds: coverage within bounds, normalised error near its expectation of three."""
    scores = [fly(Plan(seed=s, duration_s=60.0, imu_hz=50.0, map_sigma_m=1.5)) for s in range(6)]
    inside = np.concatenate([s.inside_95() for s in scores])
    nees = np.concatenate([s.nees() for s in scores])
    assert inside.mean() >= 0.93
    assert 0.7 < nees.mean() < 4.0
    assert np.median(np.concatenate([s.horizontal_m() for s in scores])) < 2.5


def test_a_gyro_that_warms_up_is_followed() -> None:
    """Zeros that run away by 0.05 degrees a second each minute, and fixes that say little of tilt: still inside."""
    plan = Plan(0, duration_s=180.0, imu_hz=50.0, map_sigma_m=1.5, gyro_drift_radps2=1.45e-5, fix_pixel_px=12.0)
    scores = [fly(dataclasses.replace(plan, seed=s)) for s in range(2)]
    assert np.concatenate([s.inside_95() for s in scores]).mean() >= 0.93
    assert np.concatenate([s.nees() for s in scores]).mean() < 3.0


def test_drift_in_35_s_of_blackout_is_below_50_m(blacked_out: list[Score]) -> None:
    """IMU, airspeed and attitude carry the position through 35 s without any picture."""
    for s in blacked_out:
        dark = [e for t, e in zip(s.t_s, s.horizontal_m(), strict=True) if BLACKOUT[0] <= t <= BLACKOUT[1]]
        assert max(dark) < 50.0


def test_covariance_grows_monotonically_in_the_dark(blacked_out: list[Score]) -> None:
    """Without pictures the horizontal uncertainty never shrinks, and it covers the error."""
    for s in blacked_out:
        t = np.array(s.t_s)
        dark = (t >= BLACKOUT[0] + 1.0) & (t <= BLACKOUT[1])
        assert np.all(np.diff(s.sigma_m()[dark]) > -0.01)
        assert np.all(s.horizontal_m()[dark] < 4.0 * s.sigma_m()[dark])


def test_position_is_back_within_two_frames_after_the_dark(blacked_out: list[Score]) -> None:
    """Two seconds after the pictures come back the error is that of normal flight."""
    for s in blacked_out:
        after = [e for t, e in zip(s.t_s, s.horizontal_m(), strict=True) if t > BLACKOUT[1] + 2.5]
        assert max(after) < 8.0


def test_odometry_alone_drifts_by_a_few_per_cent() -> None:
    """A minute of odometry without any map fix stays within 3 % of the distance flown, and inside the covariance."""
    for seed in range(3):
        s = fly(Plan(seed=seed, duration_s=90.0, imu_hz=50.0, no_fix_s=((30.0, 90.0),)))
        assert s.horizontal_m()[-1] < 0.03 * 60.0 * 17.0
        assert s.horizontal_m()[-1] < 3.5 * s.sigma_m()[-1]


def test_attitude_error_is_covered() -> None:
    """Tilt and yaw errors agree with their variances."""
    s = fly(Plan(seed=0, duration_s=60.0))
    sigma = np.sqrt([np.diag(c)[6:9] for c in s.covariance])
    ratio = np.mean((np.array(s.attitude_error_rad) / sigma) ** 2, axis=0)
    assert np.all(ratio < 5.0)
    assert np.degrees(np.abs(s.attitude_error_rad[-1])).max() < 0.6


def test_calibration_over_100_seeds() -> None:
    """100 flights with blackouts: coverage on the safe side and not absurdly so, never a sound fix refused for long."""
    gaps = {"blackouts_s": ((60.0, 80.0),), "no_fix_s": ((110.0, 140.0),)}
    scores = [fly(Plan(seed=s, duration_s=180.0, imu_hz=50.0, map_sigma_m=1.5, **gaps)) for s in range(100)]
    inside = np.concatenate([s.inside_95() for s in scores])
    nees = np.concatenate([s.nees() for s in scores])
    horizontal = np.concatenate([s.horizontal_m() for s in scores])
    print(f"coverage {inside.mean():.4f} nees {nees.mean():.2f} horizontal p50 {np.median(horizontal):.2f} m")
    assert 0.93 <= inside.mean() <= 0.995
    assert nees.mean() < 3.3
    fixes = [r for s in scores for r in s.records if r.source == "fix"]
    assert np.mean([r.accepted for r in fixes]) > 0.98
