"""What each error that the patches of a picture share adds to the covariance of a pose."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.rotations import exp_rotation, nadir_camera_to_enu
from gps_denied_onboard.localisation.plane_pose import PoseSolution, solve_pose
from gps_denied_onboard.localisation.pose_config import PoseConfig
from gps_denied_onboard.localisation.tile_candidates import ground_sigma_m
from gps_denied_onboard.messages import FloatArray, Matches, PlaceCandidate, PoseFix, RejectReason

CAMERA = CameraModel.from_fov(640, 480, 60.0)
HEIGHT_M = 400.0
ALONE = PoseConfig(
    map_sigma_m=0.0, relief_sigma_m=0.0, slope_sigma_rad=0.0, relief_tilt_gain=0.0, correlation_length=1e-9
)
"""Without any of the errors that patches share, and next to no noise."""


def solved(config: PoseConfig, noise_m: float = 0.0, height_m: float = HEIGHT_M) -> PoseSolution:
    """The pose of a tilted camera from 200 patches of flat ground."""
    rng = np.random.default_rng(5)
    position = np.array([30.0, -20.0, height_m])
    rotation = exp_rotation(np.array([0.15, -0.08, 0.0])) @ nadir_camera_to_enu(0.6)
    pixel = rng.uniform([0, 0], [639, 479], (200, 2))
    rays = CAMERA.bearings(pixel) @ rotation.T
    points = position - rays * (height_m / rays[:, 2])[:, None]
    points[:, :2] += rng.normal(0.0, noise_m, (200, 2))
    matches = Matches(0, pixel, points, np.ones(200), 200, 0.4, PlaceCandidate((0.0, 0.0), 0.0, height_m, 1.0, 1.0))
    solution = solve_pose(matches, CAMERA, position, rotation, config)
    assert solution is not None
    return solution


def fix_of(solution: PoseSolution, covariance: FloatArray) -> PoseFix:
    """A fix with the pose, and a covariance."""
    return PoseFix(
        0, True, RejectReason.NONE, solution.position_enu_m, solution.rotation_camera_to_enu, covariance, 200, 200, 0.3,
        False,
    )  # fmt: skip


def test_overlapping_patches_count_less() -> None:
    """The variance of the picture's own noise grows as the length over which patches are alike."""
    one, four = (solved(replace(ALONE, correlation_length=length), 0.5).covariance for length in (1.0, 4.0))
    grown = (four[:2, :2] - one[:2, :2]) / one[:2, :2]
    assert np.diag(grown) == pytest.approx([3.0, 3.0], rel=1e-3)


def test_patches_that_agree_too_well_are_not_believed() -> None:
    """Without any residual the noise counts as 0.4 map cells, and as the residuals say from there on."""
    config = replace(ALONE, correlation_length=6.0)
    none, little, real = (np.diag(solved(config, noise_m).covariance)[:2] for noise_m in (0.0, 0.1, 0.5))
    assert none == pytest.approx(little, rel=0.02)
    assert none / real == pytest.approx([0.08 / 0.25] * 2, rel=0.15)


def test_relief_begins_where_flat_ground_ends() -> None:
    """Residuals up to 0.8 cells are those of flat ground; what is more is trees and houses, which look like a tilt."""
    config = replace(ALONE, relief_tilt_gain=20.0)
    flat, trees = (np.sqrt(np.diag(solved(config, noise_m).covariance)[3:5]) for noise_m in (0.5, 1.0))
    assert flat == pytest.approx([0.0, 0.0], abs=1e-4)
    beyond_m = math.sqrt(2.0 * 0.9**2 - 0.8**2)  # rms of two components, a little cut off by the inliers
    assert trees == pytest.approx([20.0 * beyond_m / HEIGHT_M] * 2, rel=0.15)


@pytest.mark.parametrize("height_m", [100.0, 1000.0])
def test_height_is_worth_two_thousandths_of_itself(height_m: float) -> None:
    """The scale of the camera's calibration is good to 0.2 %, whatever the patches say."""
    assert math.sqrt(solved(ALONE, height_m=height_m).covariance[2, 2]) == pytest.approx(0.002 * height_m, rel=1e-3)


def test_slope_turns_the_camera_about_the_ground_that_it_looks_at() -> None:
    """It moves the camera by slope times distance, and turns it, but not the place of the picture's middle."""
    slope_rad = 0.03
    solution = solved(replace(ALONE, slope_sigma_rad=slope_rad))
    covariance = solution.covariance - np.diag([0.0, 0.0, (0.002 * HEIGHT_M) ** 2, 0.0, 0.0, 0.0])
    assert np.sqrt(np.diag(covariance)[3:5]) == pytest.approx([slope_rad, slope_rad], rel=1e-3)
    assert np.sqrt(np.diag(covariance)[:2]) == pytest.approx([slope_rad * HEIGHT_M] * 2, rel=0.05)
    assert ground_sigma_m(fix_of(solution, covariance), 0.0) < 0.02 * slope_rad * HEIGHT_M
    apart = covariance.copy()
    apart[:3, 3:], apart[3:, :3] = 0.0, 0.0
    assert ground_sigma_m(fix_of(solution, apart), 0.0) > slope_rad * HEIGHT_M


def test_map_moves_everything_alike() -> None:
    """The map's own error is added to the horizontal position, the ground's roughness to the height alone."""
    solution = solved(replace(ALONE, map_sigma_m=0.7, relief_sigma_m=2.0))
    sigmas = np.sqrt(np.diag(solution.covariance))
    assert sigmas[:2] == pytest.approx([0.7, 0.7], rel=1e-3)
    assert sigmas[2] == pytest.approx(math.hypot(2.0, 0.002 * HEIGHT_M), rel=1e-3)
    assert sigmas[3:] == pytest.approx([0.0] * 3, abs=1e-6)


def test_residual_is_told_on_the_ground_and_in_the_frame() -> None:
    """An error of the patches in metres is that error over the height times the focal length in pixels."""
    solution = solved(ALONE, noise_m=0.5)
    assert solution.rms_m == pytest.approx(0.5 * math.sqrt(2.0), rel=0.15)
    assert solution.rms_px == pytest.approx(solution.rms_m / HEIGHT_M * CAMERA.fx_px, rel=0.01)
