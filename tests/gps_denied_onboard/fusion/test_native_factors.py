"""The smoother's native factors: errors by their formulas in NumPy, derivatives by central differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from gps_denied_onboard._native import fix_error, keyframe_error, odometry_error
from gps_denied_onboard.fusion.factors import (
    AIRSPEED,
    AUTOPILOT,
    BARO,
    GUST,
    MAP,
    MOUNT,
    ODOMETRY,
    WIND,
)
from gps_denied_onboard.geometry.rotations import (
    exp_rotation,
    image_up_yaw,
    log_rotation,
    nadir_camera_to_enu,
    rotation_z,
)
from gps_denied_onboard.messages import FloatArray

RADIUS_M = 6_371_000.0
STEP = 1e-6
Error = Callable[..., tuple[FloatArray, ...]]


class State:
    """Random variables of two keyframes."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.nominal = exp_rotation(rng.normal(0.0, 0.03, 3)) @ nadir_camera_to_enu(0.4)
        self.r0 = exp_rotation(rng.normal(0.0, 0.2, 3)) @ rotation_z(rng.uniform(-3.0, 3.0))
        self.r1 = exp_rotation(rng.normal(0.0, 0.1, 3)) @ self.r0
        self.p0, self.p1 = rng.normal(0.0, 500.0, (2, 3))
        self.v = rng.normal(0.0, 12.0, 3)
        self.s0, self.s1 = rng.normal(0.0, 0.05, (2, 16))
        self.decay = rng.uniform(0.9, 1.0, 16)
        self.measured = exp_rotation(rng.normal(0.0, 0.02, 3)) @ self.r1
        self.camera = exp_rotation(rng.normal(0.0, 0.05, 3)) @ self.camera_of(self.r1)

    def camera_of(self, body: FloatArray) -> FloatArray:
        camera: FloatArray = body @ exp_rotation(self.s1[MOUNT]) @ self.nominal
        return camera


def keyframe(state: State, sensed: bool = True) -> Error:
    told = (state.measured, 480.0, 21.0) if sensed else (None, None, None)
    return lambda r, p, v, s0, s1: keyframe_error(r, p, v, s0, s1, state.decay, *told, RADIUS_M)


def check_derivatives(error: Error, variables: list[FloatArray], poses: int, tolerance: float) -> None:
    """`variables` are `poses` pairs of rotation and position, then vectors; poses move on the right."""
    _, *by = error(*variables)
    for k, jacobian in enumerate(by):
        for column in range(jacobian.shape[1]):
            moved = []
            for step in (STEP, -STEP):
                changed = [v.copy() for v in variables]
                if k < poses:
                    delta = np.zeros(6)
                    delta[column] = step
                    changed[2 * k] = variables[2 * k] @ exp_rotation(delta[:3])
                    changed[2 * k + 1] = variables[2 * k + 1] + variables[2 * k] @ delta[3:]
                else:
                    changed[k + poses][column] += step
                moved.append(error(*changed)[0])
            difference = (moved[0] - moved[1]) / (2.0 * STEP)
            assert np.abs(jacobian[:, column] - difference).max() < tolerance, (k, column)


@pytest.mark.parametrize("seed", range(4))
def test_keyframe_error_is_what_was_measured_less_what_is_predicted(seed: int) -> None:
    """Slow errors' step, attitude, barometer over the earth's bulge, airspeed, sideslip; without sensors the step."""
    s = State(seed)
    variables = [s.r1, s.p1, s.v, s.s0, s.s1]
    error = keyframe(s)(*variables)[0]
    air = s.v - [*(s.s1[WIND] + s.s1[GUST]), 0.0]
    expected = [
        *(s.s1 - s.decay * s.s0),
        *(log_rotation(s.measured @ s.r1.T) - s.s1[AUTOPILOT]),
        s.p1[2] + (s.p1[0] ** 2 + s.p1[1] ** 2) / (2.0 * RADIUS_M) + s.s1[BARO] - 480.0,
        (1.0 + s.s1[AIRSPEED]) * float(np.linalg.norm(air)) - 21.0,
        s.r1[:, 1] @ air,
    ]
    np.testing.assert_allclose(error, expected, rtol=0.0, atol=1e-10)
    np.testing.assert_allclose(keyframe(s, sensed=False)(*variables)[0], expected[:16], rtol=0.0, atol=1e-12)
    # The attitude's derivative is that of a small error: the measured one is 0.02 rad off.
    check_derivatives(keyframe(s), variables, 1, 0.05)


@pytest.mark.parametrize("seed", range(4))
def test_fix_error_is_position_and_attitude_of_the_camera(seed: int) -> None:
    """Position with the map's offset, attitude with the mount's error."""
    s = State(seed)

    def error(r: FloatArray, p: FloatArray, slow: FloatArray) -> tuple[FloatArray, ...]:
        return fix_error(r, p, slow, np.array([10.0, -4.0, 300.0]), s.camera, s.nominal)

    expected = [*(s.p1 + s.s1[MAP] - [10.0, -4.0, 300.0]), *log_rotation(s.camera_of(s.r1) @ s.camera.T)]
    np.testing.assert_allclose(error(s.r1, s.p1, s.s1)[0], expected, rtol=0.0, atol=1e-10)
    check_derivatives(error, [s.r1, s.p1, s.s1], 1, 0.1)


@pytest.mark.parametrize("seed", range(4))
def test_odometry_error_is_displacement_and_turn(seed: int) -> None:
    """The displacement, turned by what the yaw of its prior was off, with the scale on the state's side."""
    s = State(seed)
    displacement = np.array([14.0, -9.0, 0.5])

    def error(*variables: FloatArray) -> tuple[FloatArray, ...]:
        return odometry_error(*variables, displacement, 0.2, 0.7, s.nominal)

    yaw0, yaw1 = image_up_yaw(s.camera_of(s.r0)), image_up_yaw(s.camera_of(s.r1))
    turned = rotation_z(math.remainder(yaw0 - 0.7, math.tau)) @ displacement
    expected = [
        *((1.0 + s.s1[ODOMETRY]) * (s.p1 - s.p0) - turned),
        math.remainder(yaw1 - yaw0 - 0.2, math.tau),
    ]
    variables = [s.r0, s.p0, s.r1, s.p1, s.s1]
    np.testing.assert_allclose(error(*variables)[0], expected, rtol=0.0, atol=1e-9)
    check_derivatives(error, variables, 2, 0.1)
