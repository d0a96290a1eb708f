"""A relocation back along the track: the state was wrong, or the pictures are late."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gps_denied_onboard.messages import AttitudeSample, Estimate, Frame, OdometryStep
from gps_denied_onboard.odometry.picture_lag import lag_of_relocation
from gps_denied_onboard.odometry.picture_watch import PictureWatch

SECOND_NS = 1_000_000_000
TURN_AT_S = 40
NORTH_EAST = np.array([12.0, 16.0, 0.0])
STATE = Estimate(
    0, np.array([100.0, -50.0, 400.0]), NORTH_EAST, np.eye(3), np.eye(3), np.eye(9), np.eye(3), np.zeros(2), True
)


def heading_rad(t_s: float) -> float:
    """Straight ahead, then to the right by 15 degrees a second for six seconds."""
    return 0.6 + math.radians(15.0) * min(max(t_s - TURN_AT_S, 0.0), 6.0)


@pytest.mark.parametrize(
    ("ahead_m", "across_m", "lag_s"),
    [
        (-40.0, 0.0, 2.0),
        (-40.0, 15.0, 2.0),
        (-40.0, -30.0, 0.0),
        (40.0, 0.0, 0.0),
        (-6.0, 0.0, 0.0),
        (-900.0, 100.0, 0.0),
    ],
)
def test_only_a_move_back_along_the_track_may_be_late_pictures(ahead_m: float, across_m: float, lag_s: float) -> None:
    """At 20 m/s two seconds are 40 m back, a little to a side; not ahead, far to a side, too little or too far."""
    moved = ahead_m * NORTH_EAST / 20.0 + across_m * np.array([0.8, -0.6, 0.0])
    assert lag_of_relocation(STATE, replace(STATE, position_enu_m=STATE.position_enu_m + moved)) == pytest.approx(lag_s)


def test_without_motion_there_is_no_track() -> None:
    """A state that stands still says nothing of lags."""
    still = replace(STATE, velocity_enu_mps=np.zeros(3))
    assert lag_of_relocation(still, replace(still, position_enu_m=still.position_enu_m - 40.0)) == 0.0


@pytest.mark.parametrize(("fix_every_s", "ends"), [(1, True), (4, False)])
def test_a_doubt_lasts_until_a_turn_and_fixes_after_it(fix_every_s: int, ends: bool) -> None:
    """Pictures that may be two seconds late are doubted for as long as the aircraft flies straight ahead; then three
    fixes put the state right."""
    watch = PictureWatch(200.0, (160, 120))
    watch.on_relocation(STATE, replace(STATE, position_enu_m=STATE.position_enu_m - 2.0 * NORTH_EAST))
    assert watch.doubt_s == pytest.approx(2.0)
    doubts = []
    for k in range(60):
        for part in range(25):
            half = heading_rad(k + part / 25.0) / 2.0
            stamp_ns = (25 * k + part) * SECOND_NS // 25
            watch.on_attitude(AttitudeSample(stamp_ns, (math.cos(half), 0.0, 0.0, math.sin(half))))
        turned = heading_rad(k + 0.96) - heading_rad(k - 0.04)
        t1_ns = k * SECOND_NS + 24 * SECOND_NS // 25
        step = OdometryStep(
            t0_ns=t1_ns - SECOND_NS, t1_ns=t1_ns, status="ok", reason="", displacement_enu_m=NORTH_EAST,
            yaw_change_rad=-turned, yaw_prior_rad=0.0, covariance=np.eye(4), scale_change=1.0, tracks=99, inliers=90,
            residual_px=0.2, height_m=400.0, height_sigma_m=5.0, method="tracks",
        )  # fmt: skip
        assert watch.on_step(Frame(t1_ns, k, np.zeros((0, 0), dtype=np.uint8)), step, STATE)
        if k % fix_every_s == 0:
            watch.on_used()
        doubts.append(watch.doubt_s)
    assert all(doubts[:TURN_AT_S])
    assert any(doubts[TURN_AT_S + 11 :]) is not ends
    assert not any(doubts[TURN_AT_S + 18 :])
