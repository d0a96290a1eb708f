"""Errors of height and focal length in a step's covariance: along the displacement, and correlated by it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gps_denied_onboard.geometry.rotations import nadir_camera_to_enu
from gps_denied_onboard.messages import CameraPrior, FloatArray
from gps_denied_onboard.odometry.config import OdometryConfig
from gps_denied_onboard.odometry.plane_motion import SIZE, PlaneMotion, Solution
from gps_denied_onboard.odometry.uncertainty import step_covariance, yaw_change

SHIFT = np.array([0.10, -0.04, 0.02])
"""Displacement over height, east, north, up."""
HEIGHT_M = 300.0


def covariance(height_sigma_m: float, focal_sigma: float, own: FloatArray | None = None) -> FloatArray:
    """Of a step of a nadir camera whose solution is exact, or has a covariance of its own."""
    rotation = nadir_camera_to_enu(0.3)
    motion = PlaneMotion(SHIFT, rotation, rotation, np.zeros(2))
    exact = np.zeros((SIZE, SIZE)) if own is None else own
    prior = CameraPrior(0, np.zeros(3), np.eye(3), rotation, 0.01, 0.01, HEIGHT_M, height_sigma_m)
    config = replace(OdometryConfig(), focal_sigma_fraction=focal_sigma)
    return step_covariance(Solution(motion, np.zeros(9), np.ones(9), 0.3, exact), prior, config)


@pytest.mark.parametrize(("height_sigma_m", "focal_sigma"), [(6.0, 0.0), (0.0, 0.02)])
def test_error_of_the_scale_lies_along_the_displacement(height_sigma_m: float, focal_sigma: float) -> None:
    """Two per cent of height or focal length are two per cent of each part of the displacement, all of one sign."""
    displacement_m = SHIFT * HEIGHT_M
    expected = np.outer(displacement_m, displacement_m) * 0.02**2
    np.testing.assert_allclose(covariance(height_sigma_m, focal_sigma)[:3, :3], expected, rtol=1e-9)


def test_both_errors_add_as_variances() -> None:
    """Three and four per cent make five."""
    displacement_m = SHIFT * HEIGHT_M
    expected = np.outer(displacement_m, displacement_m) * 0.05**2
    np.testing.assert_allclose(covariance(9.0, 0.04)[:3, :3], expected, rtol=1e-9)


def test_solution_is_scaled_by_the_height() -> None:
    """A variance of the displacement over height is one in m2 by the height's square; a turn about up is the yaw's."""
    own = np.zeros((SIZE, SIZE))
    own[0, 0], own[5, 5] = 1e-6, 4e-6
    made = covariance(0.0, 0.0, own)
    assert made[0, 0] == pytest.approx(1e-6 * HEIGHT_M**2)
    assert made[3, 3] == pytest.approx(4e-6, rel=1e-3)
    assert made[1, 1] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("before_rad", "after_rad", "turn_rad"), [(0.3, 0.5, 0.2), (3.0, -3.0, 0.2832), (0.2, 0.2, 0.0)]
)
def test_a_turn_is_from_the_first_picture_to_the_second(before_rad: float, after_rad: float, turn_rad: float) -> None:
    """By how much the image's upward axis turned about up, over the seam at half a turn, too."""
    motion = PlaneMotion(SHIFT, nadir_camera_to_enu(before_rad), nadir_camera_to_enu(after_rad), np.zeros(2))
    back = PlaneMotion(SHIFT, motion.rotation1, motion.rotation0, np.zeros(2))
    assert abs(yaw_change(motion)) == pytest.approx(turn_rad, abs=1e-4)
    assert yaw_change(back) == pytest.approx(-yaw_change(motion), abs=1e-9)


def test_errors_of_turn_and_way_that_go_together_stay_so() -> None:
    """A covariance of displacement and turn keeps its sign, scaled by the height once; a tilt of both is no turn."""
    own = np.zeros((SIZE, SIZE))
    own[0, 0], own[5, 5], own[6, 6] = 1e-6, 4e-6, 1e-2
    own[0, 5] = own[5, 0] = -1e-6
    made = covariance(0.0, 0.0, own)
    assert made[0, 3] == made[3, 0] == pytest.approx(-1e-6 * HEIGHT_M, rel=1e-3)
    assert made[3, 3] == pytest.approx(4e-6, rel=1e-3)
