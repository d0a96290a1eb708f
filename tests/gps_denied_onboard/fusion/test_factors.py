"""The smoother's factors: nothing where all agrees, half a square where one thing is a sigma off, true derivatives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gtsam
import numpy as np
import pytest

from gps_denied_onboard.fusion.factors import (
    AIRSPEED,
    BARO,
    WIND,
    KeyframeMeasurements,
    dense_prior,
    fix_factor,
    keyframe_factor,
    odometry_factor,
)
from gps_denied_onboard.geometry.rotations import exp_rotation, image_up_yaw, nadir_camera_to_enu
from gps_denied_onboard.messages import FloatArray

X0, X1, V, B, S0, S1 = range(6)
SIZES = {X0: 6, X1: 6, V: 3, B: 6, S0: 16, S1: 16}
LEVEL = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])  # nose north
ROTATION = exp_rotation(np.array([0.05, -0.1, 0.6])) @ LEVEL
MOUNT = nadir_camera_to_enu(0.0)
PLACE, VELOCITY = np.array([120.0, -80.0, 400.0]), np.array([3.0, 17.0, 0.5])


def values(slow: FloatArray | None = None) -> Any:
    """A state of two keyframes 20 m apart."""
    made = gtsam.Values()
    made.insert(X0, gtsam.Pose3(gtsam.Rot3(ROTATION), PLACE - np.array([3.0, 20.0, 1.0])))
    made.insert(X1, gtsam.Pose3(gtsam.Rot3(ROTATION), PLACE))
    made.insert(V, VELOCITY)
    made.insert(B, gtsam.imuBias.ConstantBias(np.array([0.01, 0.02, 0.03]), np.array([0.001, 0.002, 0.003])))
    for key in (S0, S1):
        made.insert(key, np.zeros(16) if slow is None else slow)
    return made


def sensed() -> KeyframeMeasurements:
    """What is measured where nothing is wrong, without wind."""
    return KeyframeMeasurements(ROTATION, 0.02, None, 3.0, None, 1.0, 1.5)


def numeric(factor: Any, at: Any) -> float:
    """The largest difference of its derivatives from those by small steps, over the largest of them."""
    jacobian, right = factor.linearize(at).jacobian()
    column, worst, keys = 0, 0.0, factor.keys()
    for key in keys:
        for k in range(SIZES[key]):
            delta = gtsam.VectorValues()
            for other in keys:
                delta.insert(other, np.eye(SIZES[other])[k] * 1e-6 if other == key else np.zeros(SIZES[other]))
            moved = factor.linearize(at.retract(delta)).jacobian()[1]
            worst = max(worst, float(np.abs((right - moved) / 1e-6 - jacobian[:, column]).max()))
            column += 1
    return worst / float(np.abs(jacobian).max())


def test_a_prior_holds_all_four_parts() -> None:
    """At its mean it costs nothing; a sigma along any one part costs a half."""
    at = values()
    sigma = np.linspace(0.5, 2.0, 31)
    rest = np.concatenate([VELOCITY, at.atConstantBias(B).vector(), np.zeros(16)])
    factor = dense_prior([X1, V, B, S1], at.atPose3(X1), rest, np.diag(sigma**2))
    assert factor.error(at) == pytest.approx(0.0, abs=1e-12)
    for key, first in ((X1, 0), (V, 6), (B, 9), (S1, 15)):
        delta = gtsam.VectorValues()
        for other in (X1, V, B, S1):
            last = sigma[first + SIZES[other] - 1] if other == key else 0.0
            delta.insert(other, np.eye(SIZES[other])[-1] * last)
        assert factor.error(at.retract(delta)) == pytest.approx(0.5, rel=1e-3)
    assert numeric(factor, at) < 1e-4


def test_a_fix_is_where_the_camera_is() -> None:
    """The camera's place and turn cost nothing, three sigmas off to one side cost four and a half."""
    at = values()
    model = gtsam.noiseModel.Diagonal.Sigmas(np.array([2.0, 2.0, 2.0, 0.01, 0.01, 0.01]))
    right, off = (
        fix_factor([X1, S1], PLACE + np.array([east, 0.0, 0.0]), ROTATION @ MOUNT, MOUNT, model).error(at)
        for east in (0.0, 6.0)
    )
    assert right == pytest.approx(0.0, abs=1e-9)
    assert off == pytest.approx(4.5, rel=1e-6)
    slow = np.linspace(-0.002, 0.002, 16)
    turned = ROTATION @ MOUNT @ exp_rotation(np.array([0.001, -0.002, 0.003]))
    assert numeric(fix_factor([X1, S1], PLACE + np.array([4.0, -3.0, 2.0]), turned, MOUNT, model), values(slow)) < 0.01


def test_a_step_is_the_way_between_two_cameras() -> None:
    """Their difference and no turn cost nothing; a metre or a hundredth of a radian more cost their half squares."""
    at = values()
    model = gtsam.noiseModel.Diagonal.Sigmas(np.array([1.0, 1.0, 1.0, 0.01]))
    way, yaw_rad = np.array([3.0, 20.0, 1.0]), image_up_yaw(ROTATION @ MOUNT)
    costs = [
        odometry_factor([X0, X1, S1], way + np.array([more_m, 0.0, 0.0]), turn_rad, yaw_rad, MOUNT, model)
        for more_m, turn_rad in ((0.0, 0.0), (1.0, 0.0), (0.0, 0.01))
    ]
    told = [factor.error(at) for factor in costs]
    assert told == pytest.approx([0.0, 0.5, 0.5], abs=1e-6)
    assert numeric(costs[1], values(np.linspace(-0.002, 0.002, 16))) < 0.01


@pytest.mark.parametrize(
    ("what", "cost"),
    [
        ({}, 0.0),
        ({"baro_up_m": PLACE[2] + 3.0}, 0.5),
        ({"rotation_body_to_enu": exp_rotation(np.array([0.0, 0.0, 0.04])) @ ROTATION}, 2.0),
    ],
)
def test_a_keyframes_sensors_count_by_their_sigmas(what: dict[str, Any], cost: float) -> None:
    """A barometer that is a sigma off and an attitude that is two off; what is not measured costs nothing."""
    told = replace(sensed(), **what)
    factor = keyframe_factor([X1, V, S0, S1], np.ones(16), np.full(16, 0.1), told)
    assert factor.error(values()) == pytest.approx(cost, rel=0.01, abs=1e-3)


def test_a_keyframes_derivatives_are_true() -> None:
    """With all sensors, and slow errors that are not nothing and fade."""
    slow = np.linspace(-0.02, 0.02, 16)
    slow[WIND], slow[BARO], slow[AIRSPEED] = [2.0, -1.0], 3.0, 0.02
    told = replace(sensed(), baro_up_m=405.0, airspeed_mps=17.0)
    factor = keyframe_factor([X1, V, S0, S1], np.full(16, 0.9), np.full(16, 0.5), told)
    assert numeric(factor, values(slow)) < 1e-3
