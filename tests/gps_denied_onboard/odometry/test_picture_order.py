"""Pictures that show another moment than their stamp says, told by steps of the odometry that do not fit the speed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gps_denied_onboard.messages import OdometryStep
from gps_denied_onboard.odometry.picture_order import PictureOrder

SECOND_NS = 1_000_000_000
EAST = np.array([18.0, 0.0, 0.0])


def step(second: int, east_m: float, north_m: float = 0.0, status: str = "ok") -> OdometryStep:
    """The step of one second up to `second`."""
    return OdometryStep(
        t0_ns=(second - 1) * SECOND_NS,
        t1_ns=second * SECOND_NS,
        status=status,
        reason="",
        displacement_enu_m=np.array([east_m, north_m, 0.0]),
        yaw_change_rad=0.0,
        yaw_prior_rad=0.0,
        covariance=np.diag([0.5, 0.5, 0.5, 1e-4]),
        scale_change=1.0,
        tracks=100,
        inliers=90,
        residual_px=0.3,
        height_m=400.0,
        height_sigma_m=5.0,
        method="tracks",
    )


def refused(moments: Sequence[float], velocity: np.ndarray = EAST, speed_mps: float = 18.0) -> list[bool]:
    """What is said of pictures stamped once a second that show these moments of a flight to the east."""
    order = PictureOrder()
    return [
        order.judge(step(k + 1, speed_mps * (moments[k + 1] - moments[k])), velocity, 0.5)
        for k in range(len(moments) - 1)
    ]


def test_pictures_in_order_are_used() -> None:
    """Even steps, also by a wind that the state does not know, are no fault."""
    assert refused(range(12)) == [False] * 11
    assert refused(range(12), speed_mps=6.0) == [False] * 11
    assert refused(range(12), speed_mps=33.0) == [False] * 11


def test_swapped_pictures_are_refused_and_the_next_are_used() -> None:
    """Both of a pair that came the wrong way round and the one after it, then none."""
    assert refused([0, 1, 2, 3, 4, 5, 7, 6, 8, 9, 10]) == [False] * 5 + [True] * 3 + [False] * 2


def test_late_stream_is_refused_until_it_is_in_time_again() -> None:
    """From the picture that shows two seconds before until the one that makes up for it."""
    assert refused([0, 1, 2, 3, 4, 5, 4, 5, 6, 7, 8, 11, 12]) == [False] * 5 + [True] * 5 + [False] * 2


def test_step_to_the_side_or_lost_is_not_the_orders_fault() -> None:
    """A wrong registration goes anywhere; only what lies along the course tells of time."""
    order = PictureOrder()
    for k in range(1, 6):
        assert not order.judge(step(k, 18.0), EAST, 0.5)
    assert not order.judge(step(6, -10.0, 40.0), EAST, 0.5)
    assert not order.judge(step(7, 0.0, status="lost"), EAST, 0.5)
    assert not order.judge(step(8, -18.0), None, 0.5)
    assert not order.judge(step(9, -18.0), EAST, 30.0)


def test_first_steps_prove_nothing() -> None:
    """Before three steps were seen the state's velocity alone accuses nobody."""
    order = PictureOrder()
    assert not order.judge(step(1, -18.0), EAST, 0.5)
    assert not order.judge(step(2, 18.0), EAST, 0.5)


def test_long_run_of_swapped_pictures_ends() -> None:
    """Thirty seconds of pairs the wrong way round, steps wrong by a tenth: none is used, and soon after all are."""
    pairs = [m for k in range(6, 36, 2) for m in (k + 1, k)]
    rng = np.random.default_rng(3)
    moments = [*range(6), *pairs, *range(36, 46)]
    order = PictureOrder()
    told = []
    for k in range(len(moments) - 1):
        way = moments[k + 1] - moments[k]
        told.append(order.judge(step(k + 1, 18.0 * way * float(rng.normal(0.95, 0.04))), EAST, 0.5))
    assert told[:5] == [False] * 5
    assert all(told[5:34])
    assert not any(told[37:])


def test_wrong_registration_is_no_lag() -> None:
    """A step over many times the way is the odometry's error; the speed that was measured before stays."""
    order = PictureOrder()
    for k in range(1, 6):
        assert not order.judge(step(k, 18.0), EAST, 0.5)
    assert not order.judge(step(6, 180.0), EAST, 0.5)
    assert not order.judge(step(7, -150.0), EAST, 0.5)
    assert order.judge(step(8, -18.0), EAST, 0.5)
