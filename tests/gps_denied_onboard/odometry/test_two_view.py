"""Relative pose and the ground's plane from correspondences of exact scenes, and which model they show."""

from __future__ import annotations

import numpy as np
import pytest

from gps_denied_onboard.geometry.rotations import exp_rotation, log_rotation
from gps_denied_onboard.messages import FloatArray
from gps_denied_onboard.odometry.two_view import RELIEF_MAX, TwoView, two_view

FOCAL_PX = 600.0
DOWN = np.array([0.0, 0.0, 1.0])
TURN = exp_rotation(np.array([0.03, -0.02, 0.4]))
NORMAL = exp_rotation(np.array([0.08, -0.05, 0.0])) @ DOWN


def seen(relief: float, moved: FloatArray, outliers: int = 40) -> tuple[FloatArray, FloatArray]:
    """Correspondences with 0.3 px of noise over a plane at distance 1 with hills of `relief`, a fifth of them wrong."""
    rng = np.random.default_rng(12)
    x0 = rng.uniform(-0.5, 0.5, (200, 2))
    rays = np.concatenate([x0, np.ones((200, 1))], axis=1)
    depth = (1.0 - rng.uniform(0.0, relief, 200)) / (rays @ NORMAL)
    second = (rays * depth[:, None]) @ TURN.T + moved
    x1 = second[:, :2] / second[:, 2:] + rng.normal(0.0, 0.3 / FOCAL_PX, (200, 2))
    x1[:outliers] = rng.uniform(-0.5, 0.5, (outliers, 2))
    return x0, x1


def found(relief: float, moved: FloatArray) -> TwoView:
    view = two_view(*seen(relief, moved), FOCAL_PX, 0.8, DOWN)
    assert view is not None
    return view


@pytest.mark.parametrize("relief", [0.0, 0.35])
def test_pose_and_plane_are_found(relief: float) -> None:
    """Flat ground and ground with hills of a third of the height: the model that fits, rotation and direction to half
    a degree and two, the plane to two, through hills to six."""
    moved = np.array([0.25, -0.1, 0.05])
    view = found(relief, moved)
    assert view.planar == (relief == 0.0)
    assert np.degrees(np.linalg.norm(log_rotation(view.rotation @ TURN.T))) < 0.5
    along = view.translation / np.linalg.norm(view.translation)
    assert np.degrees(np.arccos(along @ moved / np.linalg.norm(moved))) < 2.0
    assert view.normal is not None
    assert np.degrees(np.arccos(np.clip(view.normal @ NORMAL, -1.0, 1.0))) < (2.0 if view.planar else 6.0)
    mean_height = 1.0 - relief / 2.0
    assert np.linalg.norm(view.translation) == pytest.approx(np.linalg.norm(moved) / mean_height, rel=0.1)
    assert (view.relief > 0.05) == (relief > 0.0)


def test_standing_camera_tells_no_plane() -> None:
    """Without a baseline the rotation is found, and the plane is not claimed to be known."""
    view = found(0.35, np.zeros(3))
    assert view.planar
    assert view.normal is None
    assert np.degrees(np.linalg.norm(log_rotation(view.rotation @ TURN.T))) < 0.5


def test_too_few_points_give_nothing() -> None:
    """Eleven correspondences are no picture of the ground."""
    x0, x1 = seen(0.0, np.array([0.2, 0.0, 0.0]), outliers=0)
    assert two_view(x0[:11], x1[:11], FOCAL_PX, 0.8, DOWN) is None


@pytest.mark.parametrize("seed", range(30))
def test_flat_ground_over_a_short_baseline_has_no_hills(seed: int) -> None:
    """Flat ground satisfies many essential matrices there: one whose points are no ground below is not believed."""
    rng = np.random.default_rng(seed)
    x0 = rng.uniform(-0.5, 0.5, (100, 2))
    rays = np.concatenate([x0, np.ones((100, 1))], axis=1)
    second = (rays / (rays @ NORMAL)[:, None]) @ TURN.T + np.array([0.02, 0.045, 0.0])
    x1 = second[:, :2] / second[:, 2:] + rng.normal(0.0, 1.5 / FOCAL_PX, (100, 2))
    view = two_view(x0, x1, FOCAL_PX, 0.8, DOWN)
    assert view is not None
    assert view.relief <= RELIEF_MAX
    assert np.degrees(np.linalg.norm(log_rotation(view.rotation @ TURN.T))) < 3.0
