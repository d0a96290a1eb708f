"""Rotations: what goes in comes out, in every form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gps_denied_onboard.geometry.rotations import (
    exp_rotation,
    image_up_yaw,
    log_rotation,
    matrix_from_quaternion,
    nadir_camera_to_enu,
    quaternion_from_matrix,
    quaternion_zyx,
    rotation_z,
    rotation_zyx,
    shortest_turn,
    skew,
    wrap_angle,
)

UNIT = st.tuples(*[st.floats(-1.0, 1.0)] * 3).filter(lambda v: np.linalg.norm(v) > 1e-3)


@settings(max_examples=100, deadline=None)
@given(UNIT, st.floats(0.0, math.pi - 1e-6) | st.floats(0.0, 1e-7))
def test_vector_to_matrix_and_back(axis: tuple[float, float, float], angle: float) -> None:
    """A rotation vector survives the matrix; the matrix is a rotation."""
    vector = np.array(axis) / np.linalg.norm(axis) * angle
    matrix = exp_rotation(vector)
    assert matrix @ matrix.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1.0)
    assert log_rotation(matrix) == pytest.approx(vector, abs=1e-7)


@settings(max_examples=100, deadline=None)
@given(UNIT, st.floats(-math.pi, math.pi))
def test_matrix_to_quaternion_and_back(axis: tuple[float, float, float], angle: float) -> None:
    """A matrix survives the quaternion, which is of unit length with w not negative."""
    matrix = exp_rotation(np.array(axis) / np.linalg.norm(axis) * angle)
    quaternion = quaternion_from_matrix(matrix)
    assert math.hypot(*quaternion) == pytest.approx(1.0)
    assert quaternion[0] >= 0.0
    assert matrix_from_quaternion(quaternion) == pytest.approx(matrix, abs=1e-9)


@pytest.mark.parametrize("k", range(3))
def test_half_turns(k: int) -> None:
    """A half turn about each axis, where the quaternion's w is zero, has the angle pi."""
    axis = np.eye(3)[k]
    matrix = 2.0 * np.outer(axis, axis) - np.eye(3)
    assert np.abs(log_rotation(matrix)) == pytest.approx(math.pi * axis, abs=1e-9)


def test_quaternions_of_any_length_and_sign() -> None:
    """A quaternion need not be normalised, and its negative is the same rotation."""
    expected = rotation_z(0.8)
    w, z = math.cos(0.4), math.sin(0.4)
    assert matrix_from_quaternion((3 * w, 0.0, 0.0, 3 * z)) == pytest.approx(expected)
    assert matrix_from_quaternion((-w, 0.0, 0.0, -z)) == pytest.approx(expected)


def test_skew_is_the_cross_product() -> None:
    """skew(a) b is a x b."""
    a, b = np.array([1.0, -2.0, 3.0]), np.array([0.5, 4.0, -1.0])
    assert skew(a) @ b == pytest.approx(np.cross(a, b))


@settings(max_examples=50, deadline=None)
@given(st.floats(-1e4, 1e4))
def test_wrapped_angles(angle: float) -> None:
    """A wrapped angle lies within half a turn and points the same way."""
    wrapped = wrap_angle(angle)
    assert -math.pi <= wrapped <= math.pi
    assert math.cos(wrapped) == pytest.approx(math.cos(angle), abs=1e-9)
    assert math.sin(wrapped) == pytest.approx(math.sin(angle), abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.floats(-3.0, 3.0))
def test_camera_that_looks_down(yaw: float) -> None:
    """A nadir camera's optical axis points down, and its image's top to the yaw that was asked for."""
    rotation = nadir_camera_to_enu(yaw)
    assert rotation[:, 2] == pytest.approx([0.0, 0.0, -1.0])
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    assert image_up_yaw(rotation) == pytest.approx(yaw)
    assert image_up_yaw(rotation_z(0.1) @ rotation) == pytest.approx(wrap_angle(yaw + 0.1))


def test_aerospace_angles_turn_the_nose_then_lift_it_then_lean() -> None:
    """Nose 90 degrees to the east and 30 up, then right side 90 down: where the body's axes point in NED."""
    forward, right, down = rotation_zyx(math.radians(90.0), math.radians(30.0), math.radians(90.0)).T
    assert forward == pytest.approx([0.0, math.sqrt(0.75), -0.5])
    assert right == pytest.approx([0.0, 0.5, math.sqrt(0.75)])
    assert down == pytest.approx([1.0, 0.0, 0.0])


@settings(max_examples=100, deadline=None)
@given(UNIT, UNIT)
def test_the_shortest_turn_takes_one_direction_to_another(
    start: tuple[float, float, float], end: tuple[float, float, float]
) -> None:
    """About an axis square to both, unless the two are opposite."""
    a, b = (np.array(v) / np.linalg.norm(v) for v in (start, end))
    assume(float(a @ b) > -0.999)
    turn = shortest_turn(a, b)
    assert turn @ a == pytest.approx(b, abs=1e-9)
    assert turn @ turn.T == pytest.approx(np.eye(3), abs=1e-9)
    assert turn @ np.cross(a, b) == pytest.approx(np.cross(a, b), abs=1e-9)


def test_the_quaternion_of_angles_is_that_of_their_matrix() -> None:
    """Both forms of aerospace angles turn alike; an angle that is no number gives NaN, not an error."""
    rng = np.random.default_rng(3)
    for yaw, pitch, roll in rng.uniform(-3.0, 3.0, (20, 3)):
        matrix = matrix_from_quaternion(quaternion_zyx(yaw, pitch, roll))
        assert matrix == pytest.approx(rotation_zyx(yaw, pitch, roll), abs=1e-12)
    for angles in ((math.nan, 0.0, 0.0), (0.0, math.inf, 0.0)):
        assert all(math.isnan(part) for part in quaternion_zyx(*angles))
