"""Late pictures show turns late: known within a turn, never in straight flight."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from gps_denied_onboard.geometry.rotations import nadir_camera_to_enu
from gps_denied_onboard.messages import AttitudeSample, Estimate, OdometryStep, PoseFix, RejectReason
from gps_denied_onboard.odometry.picture_delay import PictureDelay

SECOND_NS = 1_000_000_000
STEP = OdometryStep(
    t0_ns=0, t1_ns=0, status="ok", reason="", displacement_enu_m=np.zeros(3), yaw_change_rad=0.0, yaw_prior_rad=0.0,
    covariance=np.eye(4), scale_change=1.0, tracks=99, inliers=90, residual_px=0.2, height_m=400.0, height_sigma_m=5.0,
    method="tracks",
)  # fmt: skip

Heading = Callable[[float], float]


def turns(t_s: float) -> float:
    """Compass heading in rad: 20 degrees a second to the right for six seconds, straight for ten; through north."""
    whole, part = divmod(t_s, 16.0)
    return 5.9 + math.radians(20.0) * (6.0 * whole + min(part, 6.0))


def straight(t_s: float) -> float:
    """A heading that only wanders."""
    return 1.0 + 0.02 * math.sin(t_s / 7.0)


def told(
    heading: Heading, late_s: float | Sequence[float], seconds: int, delay: PictureDelay | None = None
) -> list[float]:
    """What is said after each step of a flight whose pictures are late by so much (in each second), one a second."""
    delay = delay or PictureDelay()
    rng = np.random.default_rng(4)
    out = []
    for k in range(seconds * 25):
        half = heading(k / 25.0) / 2.0
        delay.on_attitude(AttitudeSample(k * SECOND_NS // 25, (math.cos(half), 0.0, 0.0, math.sin(half))))
        if k % 25 == 24 and k > 25:
            t_s = k / 25.0
            before_s, after_s = (late_s,) * 2 if isinstance(late_s, float) else late_s[k // 25 - 1 : k // 25 + 1]
            change = -(heading(t_s - after_s) - heading(t_s - 1.0 - before_s)) + float(rng.normal(0.0, 0.008))
            out.append(
                delay.judge(
                    replace(
                        STEP, t0_ns=round((t_s - 1.0) * SECOND_NS), t1_ns=round(t_s * SECOND_NS), yaw_change_rad=change
                    )
                )
            )
    return out


@pytest.mark.parametrize("late_s", [1.5, 2.0, 3.5])
def test_late_pictures_are_known_in_the_first_turns(late_s: float) -> None:
    """Found within the first three turns, to two tenths of a second, and it stays."""
    said = told(turns, late_s, 60)
    assert all(d == pytest.approx(late_s, abs=0.21) for d in said[45:])


@pytest.mark.parametrize("late_s", [0.0, 0.3, 0.9])
def test_pictures_in_time_or_nearly_are_left_alone(late_s: float) -> None:
    """What the camera's clock finds is no delay here."""
    assert told(turns, late_s, 80) == [0.0] * 79


def test_straight_flight_proves_nothing() -> None:
    """Two seconds late on a straight leg cannot be seen."""
    assert told(straight, 2.0, 60) == [0.0] * 59


def test_one_wrong_step_is_no_delay() -> None:
    """A registration that is wrong by a right angle says no more than three sigma."""
    delay = PictureDelay()
    told(turns, 0.0, 20, delay)
    wrong = replace(STEP, t0_ns=19 * SECOND_NS, t1_ns=20 * SECOND_NS, yaw_change_rad=1.6)
    assert delay.judge(wrong) == 0.0


def test_turns_in_time_contradict_a_delay() -> None:
    """Steps that fit at once prove that the pictures are not two seconds late; straight ones do not."""
    delay = PictureDelay()
    told(turns, 0.0, 40, delay)
    assert delay.contradicts(2.0)
    delay.forget()
    assert not delay.contradicts(2.0)
    level = PictureDelay()
    told(straight, 0.0, 40, level)
    assert not level.contradicts(2.0)


def test_without_attitudes_nothing_is_said() -> None:
    """No attitude, or a gap in it: steps are passed over."""
    assert PictureDelay().judge(replace(STEP, t1_ns=SECOND_NS)) == 0.0


def circles(t_s: float) -> float:
    """Compass heading in rad of one long turn to the left, 6 degrees a second, through north again and again."""
    return -math.radians(6.0) * t_s


def found(heading: Heading, late_s: float, fixes: int, off_rad: float = 0.0) -> float:
    """The delay that fixes alone prove, one a second, of pictures that are late by so much, where the state's own
    heading is off by `off_rad`."""
    delay = PictureDelay()
    rng = np.random.default_rng(8)
    for k in range((fixes + 10) * 25):
        half = heading(k / 25.0) / 2.0
        delay.on_attitude(AttitudeSample(k * SECOND_NS // 25, (math.cos(half), 0.0, 0.0, math.sin(half))))
        if k % 25 == 24 and k >= 250:
            t_ns, t_s = k * SECOND_NS // 25, k / 25.0
            known = nadir_camera_to_enu(-heading(t_s) + off_rad)
            seen = nadir_camera_to_enu(-heading(t_s - late_s) + float(rng.normal(0.0, 0.008)))
            state = Estimate(
                t_ns, np.zeros(3), np.zeros(3), known, np.eye(3), np.eye(9) * 1e-4, np.eye(3) * 1e-4, np.zeros(2), True
            )
            fix = PoseFix(t_ns, True, RejectReason.NONE, np.zeros(3), seen, np.eye(6) * 1e-4, 50, 60, 0.5, False)
            delay.on_fix(fix, state)
    return delay.delay_s


def test_fixes_tell_late_pictures_in_the_middle_of_a_turn() -> None:
    """In a steady turn steps of late pictures are like those of pictures in time; four fixes' headings are not."""
    assert told(circles, 2.0, 40) == [0.0] * 39
    assert found(circles, 2.0, 4) == pytest.approx(2.0, abs=0.21)
    assert found(circles, 0.0, 30) == 0.0


@pytest.mark.parametrize("off_rad", [0.05, -0.3])
def test_a_heading_that_is_wrong_is_no_delay(off_rad: float) -> None:
    """Where the state's heading is wrong, fixes differ from it in straight flight as in turns."""
    assert found(straight, 0.0, 30, off_rad) == 0.0
    assert found(straight, 2.0, 30) == 0.0
    assert found(turns, 0.0, 40, off_rad) == 0.0


@pytest.mark.parametrize("late_s", [2.0, 3.0])
def test_pictures_that_become_late_are_known_in_the_next_turn(late_s: float) -> None:
    """However many turns before it showed them in time; and when they are in time again, the next turn shows that."""
    said = told(turns, [late_s if 60 <= t_s < 100 else 0.0 for t_s in range(140)], 140)
    assert not any(said[:58])
    assert all(d == pytest.approx(late_s, abs=0.21) for d in said[75:98])
    assert not any(said[114:])
