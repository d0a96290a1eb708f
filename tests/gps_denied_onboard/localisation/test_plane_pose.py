"""A pose from matches does not hang on where the frame's origin is, nor on how the start was turned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.rotations import exp_rotation, log_rotation, nadir_camera_to_enu, rotation_z
from gps_denied_onboard.localisation.plane_pose import solve_pose
from gps_denied_onboard.localisation.pose_config import PoseConfig
from gps_denied_onboard.messages import Matches, PlaceCandidate

CAMERA = CameraModel.from_fov(640, 480, 60.0)
HEIGHT_M = 300.0
ROTATION = exp_rotation(np.array([0.1, -0.06, 0.0])) @ nadir_camera_to_enu(0.6)


def seen(ground_up_m: float) -> tuple[np.ndarray, Matches]:
    """A camera 300 m over flat ground at this height of the frame, and 60 patches without noise."""
    position = np.array([30.0, -20.0, ground_up_m + HEIGHT_M])
    pixel = np.random.default_rng(3).uniform([0, 0], [639, 479], (60, 2))
    rays = CAMERA.bearings(pixel) @ ROTATION.T
    points = position - rays * (HEIGHT_M / rays[:, 2])[:, None]
    return position, Matches(
        0, pixel, points, np.ones(60), 60, 0.4, PlaceCandidate((0.0, 0.0), 0.0, HEIGHT_M, 1.0, 1.0)
    )


@pytest.mark.parametrize("ground_up_m", [-1000.0, 0.0, 1000.0])
def test_ground_may_lie_anywhere_in_the_frame(ground_up_m: float) -> None:
    """What counts is the height over the ground: a valley below the origin is as good as a plateau above it."""
    position, matches = seen(ground_up_m)
    found = solve_pose(matches, CAMERA, position + np.array([8.0, -5.0, 6.0]), ROTATION, PoseConfig())
    assert found is not None
    np.testing.assert_allclose(found.position_enu_m, position, atol=1e-3)
    assert found.inlier.all()


@pytest.mark.parametrize("turned_rad", [-0.05, 0.05])
def test_a_start_with_the_right_tilt_and_another_turn(turned_rad: float) -> None:
    """A tilt that is held tightly holds the tilt alone: the turn about up is the picture's."""
    position, matches = seen(0.0)
    start = rotation_z(turned_rad) @ ROTATION
    held = replace(PoseConfig(), tilt_prior_sigma_rad=1e-4)
    found = solve_pose(matches, CAMERA, position, start, held)
    assert found is not None
    off = log_rotation(found.rotation_camera_to_enu @ ROTATION.T)
    assert abs(off[2]) < 1e-3
    assert np.abs(off[:2]).max() < 0.01


def test_under_the_ground_is_no_pose() -> None:
    """A start from which the steps lead below the ground gives none."""
    position, matches = seen(0.0)
    assert solve_pose(matches, CAMERA, position - np.array([0.0, 0.0, 2.5 * HEIGHT_M]), ROTATION, PoseConfig()) is None
