"""Fixes in time and late ones are told apart by one another, however wide the state is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gps_denied_onboard.messages import Estimate, PoseFix, RejectReason
from gps_denied_onboard.odometry.picture_lag import LagEvidence

SPEED_MPS = 20.0
LAG_S = -2.0


def judged(late: bool, turn_radps: float, sigma_m: float, off_m: tuple[float, float], seconds: int) -> float:
    """That they are in time, after so many fixes; the state is off by `off_m`, its sigma grows by a metre a second."""
    rng = np.random.default_rng(5)
    evidence = LagEvidence()
    place = np.zeros(3)
    for second in range(seconds):
        course = turn_radps * second
        velocity = SPEED_MPS * np.array([math.cos(course), math.sin(course), 0.0])
        place = place + velocity
        covariance = np.diag([*[(sigma_m + second) ** 2] * 3, 0.1, 0.1, 0.1, 1e-4, 1e-4, 1e-4])
        state = Estimate(
            second * 10**9, place + np.array([*off_m, 0.0]), velocity, np.eye(3), np.eye(3), covariance,
            np.eye(3) * 1e-4, np.zeros(3), True,
        )  # fmt: skip
        seen = place + (velocity * LAG_S if late else 0.0) + rng.normal(0.0, 4.0, 3)
        fix = PoseFix(second * 10**9, True, RejectReason.NONE, seen, np.eye(3), np.eye(6), 50, 60, 0.5, False)
        evidence.judge(fix, state, sigma_m + second, LAG_S)
    return evidence.in_time


@pytest.mark.parametrize("off_m", [(0.0, 0.0), (60.0, 0.0), (0.0, -60.0), (-60.0, 0.0)])
def test_a_turn_tells_late_fixes_from_a_state_that_is_wrong(off_m: tuple[float, float]) -> None:
    """Over half a circle a lag of 40 m goes round with the course, the state's error of 60 m does not."""
    assert judged(False, 0.1, 50.0, off_m, 30) > 0.95
    assert judged(True, 0.1, 50.0, off_m, 30) < 0.05


def test_straight_flight_tells_nothing_of_a_wide_state() -> None:
    """A state that is 40 m behind where it may be 50 m off: late pictures and a wrong state look the same."""
    assert 0.2 < judged(False, 0.0, 50.0, (40.0, 0.0), 30) < 0.8
    assert 0.2 < judged(True, 0.0, 50.0, (0.0, 0.0), 30) < 0.8


def test_straight_flight_tells_a_known_state() -> None:
    """A state known to 5 m is not 40 m behind: the fixes decide within a few seconds."""
    assert judged(False, 0.0, 5.0, (3.0, -3.0), 5) > 0.95
    assert judged(True, 0.0, 5.0, (3.0, -3.0), 5) < 0.05
