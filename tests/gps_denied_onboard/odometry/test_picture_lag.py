"""Fixes in time and late ones are told apart by one another, however wide the state is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gps_denied_onboard.messages import Estimate, FloatArray, PoseFix, RejectReason
from gps_denied_onboard.odometry.picture_lag import LagEvidence

SPEED_MPS = 20.0
LAG_S = -2.0


def estimate(second: float, place: FloatArray, velocity: FloatArray, sigma_m: float) -> Estimate:
    covariance = np.diag([*[sigma_m**2] * 3, 0.1, 0.1, 0.1, 1e-4, 1e-4, 1e-4])
    return Estimate(
        round(second * 1e9), place, velocity, np.eye(3), np.eye(3), covariance, np.eye(3) * 1e-4, np.zeros(3), True
    )


def fix(second: float, place: FloatArray) -> PoseFix:
    return PoseFix(round(second * 1e9), True, RejectReason.NONE, place, np.eye(3), np.eye(6), 50, 60, 0.5, False)


def judged(
    late: bool, turn_radps: float, sigma_m: float, off_m: tuple[float, float], seconds: int, since_s: int = 0
) -> float:
    """That they are in time, after so many fixes; the state is off by `off_m`, its sigma grows by a metre a second.

    Late pictures are in time before `since_s`.
    """
    rng = np.random.default_rng(5)
    evidence = LagEvidence()
    place = np.zeros(3)
    for second in range(seconds):
        course = turn_radps * second
        velocity = SPEED_MPS * np.array([math.cos(course), math.sin(course), 0.0])
        place = place + velocity
        seen = place + (velocity * LAG_S if late and second >= since_s else 0.0) + rng.normal(0.0, 4.0, 3)
        state = estimate(second, place + np.array([*off_m, 0.0]), velocity, sigma_m + second)
        evidence.judge(fix(second, seen), state, sigma_m + second, LAG_S)
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


def test_pictures_that_become_late_are_noticed() -> None:
    """Half a minute in time is no proof for ever: within another half they count as late, and never as impossible."""
    assert judged(False, 0.1, 5.0, (0.0, 0.0), 30) > 0.95
    assert 0.0 < judged(True, 0.1, 5.0, (0.0, 0.0), 60, since_s=30) < 0.05


def test_one_fix_says_as_much_as_it_is_worth() -> None:
    """A known state, a fix on it, 15 m from where a late one would lie: one and a half sigmas of ten metres."""
    evidence = LagEvidence()
    evidence.judge(fix(0.0, np.zeros(3)), estimate(0.0, np.zeros(3), np.array([15.0, 0.0, 0.0]), 0.01), 0.01, -1.0)
    assert evidence.in_time == pytest.approx(1.0 / (1.0 + math.exp(-0.5 * 1.5**2)), abs=1e-4)


def test_a_fix_far_from_both_says_nothing() -> None:
    """Four sigmas from either place it is a wrong fix, not a sign of a lag."""
    evidence = LagEvidence()
    place, velocity = np.array([0.0, 45.0, 0.0]), np.array([15.0, 10.0, 0.0])
    evidence.judge(fix(0.0, place), estimate(0.0, np.zeros(3), velocity, 0.01), 0.01, -1.0)
    assert evidence.in_time == 0.5


@pytest.mark.parametrize(("lag_s", "kept"), [(-1.75, True), (-1.5, False)])
def test_another_lag_is_another_question(lag_s: float, kept: bool) -> None:
    """What was learnt of a lag counts while it is about the same, and is forgotten where it is another."""
    evidence = LagEvidence()
    velocity = np.array([20.0, 0.0, 0.0])
    for second, lag in enumerate((LAG_S, LAG_S, LAG_S, lag_s)):
        place = second * velocity
        far = np.array([0.0, 500.0 * (second == 3), 0.0])  # the last fix says nothing itself
        evidence.judge(fix(second, place + far), estimate(second, place, velocity, 1.0), 1.0, lag)
    assert (evidence.in_time > 0.9) is kept


def test_a_state_that_was_set_anew_is_judged_anew() -> None:
    """Where something else makes the state surer, how far it was off before is no longer how far it is off."""
    evidence = LagEvidence()
    velocity = np.array([20.0, 0.0, 0.0])
    for second, sigma_m in enumerate((50.0, 50.0, 50.0, 5.0)):
        off = np.array([0.0, 60.0 if sigma_m > 5.0 else 0.0, 0.0])
        place = second * velocity
        evidence.judge(fix(second, place), estimate(second, place - off, velocity, sigma_m), sigma_m, LAG_S)
    assert evidence.in_time > 0.9
