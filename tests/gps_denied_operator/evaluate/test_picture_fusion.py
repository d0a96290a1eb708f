"""The vision fusion with told attitudes: its tilt and yaw are the camera's boresight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.rotations import (
    ROTATION_NED_TO_ENU,
    exp_rotation,
    nadir_camera_to_enu,
    quaternion_from_matrix,
    rotation_z,
)
from gps_denied_onboard.messages import AttitudeSample, BaroSample, FloatArray, OdometryStep, PoseFix
from gps_denied_operator.evaluate.picture_fusion import VisionConfig, VisionFusion, boresight_of

CAMERA = CameraModel.from_fov(640, 480, 70.0)
BORESIGHT = exp_rotation(np.array([0.14, -0.02, 0.0]))


def test_boresight_is_recovered_from_rotations() -> None:
    """Yaw and tilt put together again give the found rotation, also for a leaning aircraft."""
    told = nadir_camera_to_enu(0.7) @ exp_rotation(np.array([0.1, -0.3, 0.0]))
    found = rotation_z(0.2) @ told @ BORESIGHT
    yaw, tilt = boresight_of(told, found)
    assert yaw == pytest.approx(0.2, abs=1e-4)
    assert tilt == pytest.approx([0.14, -0.02, 0.0], abs=1e-4)


def fix(t_ns: int, rotation: FloatArray) -> PoseFix:
    """A fix whose tilt is good to 3 degrees, which its position follows: the ground point is what it knows."""
    ray = rotation[:, 2] / -rotation[2, 2] * 100.0
    lever = np.zeros((6, 2))
    for k in range(2):
        axis = np.eye(3)[k]
        lever[:3, k], lever[3:, k] = np.cross(axis, -ray), axis
    covariance = lever @ lever.T * 0.05**2 + np.diag([1.0, 1.0, 1.0, 1e-4, 1e-4, 1e-4])
    position = np.array([10.0, 20.0, 100.0])
    return PoseFix(t_ns, True, "", position, rotation, covariance, 50, 60, 1.0, False, unique=True)


def test_fixes_of_a_leaning_aircraft_show_the_boresight() -> None:
    """After some pictures with different leans and headings the tilt state is the constant part."""
    rng = np.random.default_rng(4)
    fusion = VisionFusion(CAMERA, VisionConfig(100.0, 8.0, 0.0, 0.1, 0.09, 0.02, yaw_scatter_rad=0.02), 0)
    for k in range(1, 13):
        told = nadir_camera_to_enu(k * 0.9) @ exp_rotation(np.array([*rng.normal(0.0, 0.1, 2), 0.0]))
        body_to_ned = ROTATION_NED_TO_ENU.T @ told @ CAMERA.mount.T
        fusion.update(AttitudeSample(k * 10**9, quaternion_from_matrix(body_to_ned)))
        noise = exp_rotation(np.array([*rng.normal(0.0, 0.03, 2), 0.0]))
        fusion.update(fix(k * 10**9, told @ BORESIGHT @ noise))
    assert fusion.mean_tilt_rad == pytest.approx((0.14, -0.02), abs=0.02)
    estimate = fusion.estimate(12 * 10**9)
    assert estimate is not None
    camera = estimate.rotation_body_to_enu @ estimate.rotation_camera_to_body
    assert camera[:, 2] == pytest.approx((told @ BORESIGHT)[:, 2], abs=0.03)


def test_altitudes_told_carry_the_height_where_odometry_is_lost() -> None:
    """A climb of 30 m between two pictures raises the height by 30 m."""
    fusion = VisionFusion(CAMERA, VisionConfig(100.0, 8.0), 0)
    fusion.update(fix(10**9, nadir_camera_to_enu(0.0)))
    before = fusion.estimate(10**9)
    for t_s, altitude_m in ((1, 100.0), (9, 130.0)):
        fusion.update(BaroSample(t_s * 10**9, altitude_m))
    lost = OdometryStep(10**9, 9 * 10**9, "lost", "few", np.zeros(3), 0.0, 0.0, np.eye(4), 1.0, 0, 0, 0.0, 100.0, 8.0)
    fusion.update(lost)
    after = fusion.estimate(9 * 10**9)
    assert before is not None
    assert after is not None
    assert after.position_enu_m[2] - before.position_enu_m[2] == pytest.approx(30.0, abs=1e-6)


@pytest.mark.parametrize(("wrong_probability", "believed"), [(1e-5, True), (5e-3, False), (float("nan"), False)])
def test_a_sure_fix_is_believed_over_one_step_of_odometry(wrong_probability: float, believed: bool) -> None:
    """After a step that went 60 m wrong a fix less likely wrong than such a step moves the state; others do not."""
    fusion = VisionFusion(CAMERA, VisionConfig(100.0, 8.0), 0)
    level = nadir_camera_to_enu(0.0)
    fusion.update(fix(10**9, level))
    wrong = np.array([60.0, 0.0, 0.0])
    fusion.update(
        OdometryStep(10**9, 2 * 10**9, "ok", "", wrong, 0.0, 0.0, np.eye(4) * 0.1, 1.0, 90, 80, 0.5, 100.0, 8.0)
    )
    fusion.update(replace(fix(2 * 10**9, level), wrong_probability=wrong_probability))
    estimate = fusion.estimate(2 * 10**9)
    assert estimate is not None
    assert bool(abs(estimate.position_enu_m[0] - 10.0) < 3.0) is believed


@pytest.mark.parametrize(("scatter_m", "sigma_m"), [(1.0, 0.6), (12.0, 2.5)])
def test_heights_that_scatter_more_than_they_say_are_learned(scatter_m: float, sigma_m: float) -> None:
    """Of fixes that claim 1 m the mean height is as sure as they say, or about as unsure as their scatter makes it."""
    rng = np.random.default_rng(3)
    fusion = VisionFusion(CAMERA, VisionConfig(100.0, 8.0), 0)
    level, still = nadir_camera_to_enu(0.0), np.zeros(3)
    for k in range(1, 17):
        high = fix(k * 10**9, level)
        up = np.array([0.0, 0.0, rng.normal(0.0, scatter_m)])
        if k > 1:
            fusion.update(
                OdometryStep(
                    (k - 1) * 10**9,
                    k * 10**9,
                    "ok",
                    "",
                    still,
                    0.0,
                    0.0,
                    np.eye(4) * 0.01,
                    1.0,
                    90,
                    80,
                    0.5,
                    100.0,
                    0.1,
                )
            )
        fusion.update(replace(high, position_enu_m=high.position_enu_m + up, wrong_probability=1e-7))
    estimate = fusion.estimate(16 * 10**9)
    assert estimate is not None
    claimed = float(np.sqrt(estimate.covariance[2, 2]))
    assert claimed == pytest.approx(np.hypot(sigma_m, 1.0), rel=0.35)
    assert abs(estimate.position_enu_m[2] - 100.0) < 3.0 * claimed


def test_what_perspective_tells_wrong_of_all_pictures_does_not_average_away() -> None:
    """After many pictures a position is no surer than a degree of tilt at their height, where tilts are told at all."""
    claimed = []
    for common_rad in (VisionConfig(100.0, 8.0).common_tilt_rad, 0.0):
        fusion = VisionFusion(CAMERA, VisionConfig(100.0, 8.0, common_tilt_rad=common_rad), 0)
        for k in range(1, 40):
            fusion.update(replace(fix(k * 10**9, nadir_camera_to_enu(k * 0.7)), wrong_probability=1e-7))
        estimate = fusion.estimate(39 * 10**9)
        assert estimate is not None
        claimed.append(float(np.sqrt(estimate.covariance[0, 0])))
    assert claimed[0] == pytest.approx(np.hypot(claimed[1], np.radians(1.0) * 100.0), rel=0.01)
