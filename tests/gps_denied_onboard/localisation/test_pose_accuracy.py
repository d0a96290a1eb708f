"""The camera pose: exact without noise, honest with it, unmoved by wrong matches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gps_denied_onboard.geometry.rotations import exp_rotation, log_rotation
from gps_denied_onboard.localisation.plane_pose import PoseSolution, solve_pose
from gps_denied_onboard.localisation.pose_config import PoseConfig
from gps_denied_onboard.messages import FloatArray, Matches, PlaceCandidate

PICTURE_ONLY = PoseConfig(
    map_sigma_m=1e-3, relief_sigma_m=1e-3, slope_sigma_rad=1e-6, tilt_prior_sigma_rad=10.0, correlation_length=1.0
)


def matches_at(ground: Any, pose: tuple[FloatArray, FloatArray], rng: np.random.Generator, count: int = 120) -> Matches:
    """Correspondences without error on ground with 6 m of relief."""
    camera = ground.camera
    pixel = rng.uniform([5, 5], [camera.width_px - 6, camera.height_px - 6], (count, 2))
    up = rng.uniform(-3.0, 3.0, count)
    rays = camera.bearings(pixel) @ pose[1].T
    points = pose[0] + rays * ((up - pose[0][2]) / rays[:, 2])[:, None]
    return Matches(0, pixel, points, np.ones(count), count, 0.4, PlaceCandidate((0.0, 0.0), 0.0, 300.0, 1.0, 1.0))


def solve(
    ground: Any, matches: Matches, pose: tuple[FloatArray, FloatArray], config: PoseConfig
) -> PoseSolution | None:
    """Solve from a start that is 12 m and 3 degrees off."""
    start = pose[0] + [8.0, -9.0, 3.0], exp_rotation(np.array([0.02, -0.03, 0.04])) @ pose[1]
    return solve_pose(matches, ground.camera, *start, config)


def test_exact_without_noise(painted_ground: Any) -> None:
    """Perfect matches give the position to a millimetre."""
    pose = painted_ground.pose()
    solution = solve(painted_ground, matches_at(painted_ground, pose, np.random.default_rng(1)), pose, PICTURE_ONLY)
    assert solution is not None
    assert solution.position_enu_m == pytest.approx(pose[0], abs=1e-3)
    assert np.linalg.norm(log_rotation(solution.rotation_camera_to_enu @ pose[1].T)) < 1e-5
    assert solution.inlier.all()


def test_the_covariance_is_honest(painted_ground: Any) -> None:
    """Over 200 seeded noisy solves the normalised squared error is 0.7 to 1.3 of the six that it should be."""
    pose = painted_ground.pose()
    rng = np.random.default_rng(7)
    nees = []
    for _ in range(200):
        matches = matches_at(painted_ground, pose, rng, 80)
        noisy = replace(matches, ground_enu_m=matches.ground_enu_m + rng.normal(0.0, 0.5, (80, 3)) * [1.0, 1.0, 0.0])
        solution = solve(painted_ground, noisy, pose, PICTURE_ONLY)
        assert solution is not None
        error = np.concatenate(
            [pose[0] - solution.position_enu_m, log_rotation(pose[1] @ solution.rotation_camera_to_enu.T)]
        )
        nees.append(error @ np.linalg.solve(solution.covariance, error))
    assert 0.7 * 6 < float(np.mean(nees)) < 1.3 * 6


def test_four_in_ten_wrong(painted_ground: Any) -> None:
    """With 40 % of the matches displaced the position is right to 3 m and 4 sigma, and they are told apart."""
    pose = painted_ground.pose()
    rng = np.random.default_rng(11)
    matches = matches_at(painted_ground, pose, rng, 150)
    wrong = np.arange(150) < 60
    noise = rng.normal(0.0, 0.3, (150, 2)) + np.where(wrong[:, None], rng.uniform(-60, 60, (150, 2)), 0.0)
    ground = matches.ground_enu_m + np.column_stack([noise, np.zeros(150)])
    config = replace(PICTURE_ONLY, tilt_prior_sigma_rad=0.1)
    solution = solve(painted_ground, replace(matches, ground_enu_m=ground), pose, config)
    assert solution is not None
    error = solution.position_enu_m - pose[0]
    assert np.linalg.norm(error) < 3.0
    assert (np.abs(error) < 4.0 * np.sqrt(np.diag(solution.covariance)[:3])).all()
    assert solution.inlier[~wrong].all()
    assert solution.inlier[wrong].mean() < 0.05


def test_too_few_or_nonsense(painted_ground: Any) -> None:
    """Three matches, or matches without any agreement, give no pose."""
    pose = painted_ground.pose()
    rng = np.random.default_rng(3)
    assert solve(painted_ground, matches_at(painted_ground, pose, rng, 3), pose, PICTURE_ONLY) is None
    nonsense = matches_at(painted_ground, pose, rng, 30)
    scattered = replace(nonsense, ground_enu_m=nonsense.ground_enu_m + rng.uniform(-4000, 4000, (30, 3)))
    assert solve(painted_ground, scattered, pose, PICTURE_ONLY) is None


def test_map_and_relief_errors_are_added(painted_ground: Any) -> None:
    """What the map and the relief may be wrong by is in the covariance however good the matches are."""
    pose = painted_ground.pose()
    matches = matches_at(painted_ground, pose, np.random.default_rng(1), 400)
    config = replace(PICTURE_ONLY, map_sigma_m=2.0, relief_sigma_m=5.0)
    solution = solve(painted_ground, matches, pose, config)
    assert solution is not None
    sigma = np.sqrt(np.diag(solution.covariance))
    assert (sigma[:2] >= 2.0).all()
    assert sigma[2] >= 5.0


def in_a_wood(ground: Any, pose: tuple[FloatArray, FloatArray], tree_m: float, rng: np.random.Generator) -> Matches:
    """Matches on a map without heights: clumps of trees `tree_m` high, 50 to 150 m wide, stand on a plane; noise as
    map cells of a metre leave it."""
    camera, count = ground.camera, 120
    pixel = rng.uniform([5, 5], [camera.width_px - 6, camera.height_px - 6], (count, 2))
    rays = camera.bearings(pixel) @ pose[1].T
    flat = pose[0] + rays * (-pose[0][2] / rays[:, 2])[:, None]
    middle, radius = rng.uniform(-200.0, 200.0, (8, 2)) + flat[:, :2].mean(axis=0), rng.uniform(25.0, 75.0, 8)
    wooded = (np.linalg.norm(flat[:, None, :2] - middle, axis=2) < radius).any(axis=1)
    up = np.where(wooded, tree_m, 0.0)
    seen = pose[0] + rays * ((up - pose[0][2]) / rays[:, 2])[:, None]
    points = np.column_stack([seen[:, :2] + rng.normal(0.0, 0.55, (count, 2)), np.zeros(count)])
    return Matches(0, pixel, points, np.ones(count), count, 1.0, PlaceCandidate((0.0, 0.0), 0.0, 300.0, 1.0, 1.0))


@pytest.mark.parametrize("tree_m", [0.0, 4.0, 8.0])
def test_the_ellipse_of_a_single_picture_is_honest_over_trees(painted_ground: Any, tree_m: float) -> None:
    """Over 30 seeds the squared horizontal error is at most what is claimed, and with the trees the ellipse grows."""
    pose = painted_ground.pose()
    rng = np.random.default_rng(17)
    nees, sigma_m = [], []
    for _ in range(30):
        solution = solve(painted_ground, in_a_wood(painted_ground, pose, tree_m, rng), pose, PoseConfig())
        assert solution is not None
        error, covariance = (pose[0] - solution.position_enu_m)[:2], solution.covariance[:2, :2]
        nees.append(float(error @ np.linalg.solve(covariance, error)))
        sigma_m.append(float(np.sqrt(np.trace(covariance) / 2.0)))
    assert np.mean(nees) < 2.0
    assert np.median(sigma_m) > {0.0: 10.0, 4.0: 13.0, 8.0: 17.0}[tree_m]
