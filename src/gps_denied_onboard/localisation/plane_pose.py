"""Camera pose from correspondences with the ground: robust Gauss-Newton on reprojection, with an honest covariance.

The picture alone fixes six unknowns; a weak attitude prior only keeps degenerate geometry finite. Normal equations as
in Hartley and Zisserman, "Multiple View Geometry", A6; Tukey weights as in Huber and Ronchetti, "Robust Statistics".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gps_denied_onboard._native import pose_equations
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.rotations import exp_rotation, log_rotation
from gps_denied_onboard.localisation.pose_config import PoseConfig
from gps_denied_onboard.messages import FloatArray, Matches

TUKEY = 4.685


@dataclass(frozen=True, slots=True, eq=False)
class PoseSolution:
    """Pose with `covariance` (6, 6) as in PoseFix; `inlier` (N,) flags; `rms_m` residual of the inliers on the ground,
    `rms_px` the same in the frame."""

    position_enu_m: FloatArray
    rotation_camera_to_enu: FloatArray
    covariance: FloatArray
    inlier: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    rms_m: float
    rms_px: float


def solve_pose(
    matches: Matches,
    camera: CameraModel,
    start_position_enu_m: FloatArray,
    start_rotation: FloatArray,
    config: PoseConfig,
) -> PoseSolution | None:
    """Pose from `matches`, starting near the truth; None where fewer than 4 correspondences agree.

    The start's tilt only steadies the steps (`tilt_prior_sigma_rad`): it is not in the covariance, and no prior is.
    """
    bearing = camera.undistort(matches.pixel_px)
    ground = matches.ground_enu_m
    p, r = start_position_enu_m.copy(), start_rotation.copy()
    height = max(float(p[2] - ground[:, 2].mean()), 1.0)
    noise = config.inlier_m / 2.5 / height
    scale = 4.0
    information = np.eye(6)
    for iteration in range(config.iterations):
        limit = TUKEY * noise * max(scale, 1.0)
        information, gradient, agreeing = pose_equations(p, r, bearing, ground, noise, limit)
        if agreeing < 4:
            return None
        tilt, tilt_jacobian = _tilt_prior(r, start_rotation)
        gradient += tilt_jacobian.T @ tilt / config.tilt_prior_sigma_rad**2
        damped = information + tilt_jacobian.T @ tilt_jacobian / config.tilt_prior_sigma_rad**2
        step = np.asarray(np.linalg.solve(damped + 1e-9 * np.eye(6), -gradient), dtype=np.float64)
        p, r = p + step[:3], exp_rotation(step[3:]) @ r
        if p[2] - ground[:, 2].mean() < 1.0:
            return None
        scale *= 0.6
        if iteration > 6 and np.linalg.norm(step[:3]) < 1e-3:
            break
    seen = (ground - p) @ r
    error_m = np.linalg.norm(seen[:, :2] / np.maximum(seen[:, 2:], 1e-3) - bearing, axis=1) * height
    inlier = error_m < config.inlier_m
    if np.count_nonzero(inlier) < 4:
        return None
    rms_m = float(np.sqrt(np.mean(error_m[inlier] ** 2)))
    covariance = _covariance(information, rms_m, height, r, config)
    return PoseSolution(p, r, covariance, inlier, rms_m, rms_m / height * math.sqrt(camera.fx_px * camera.fy_px))


def _tilt_prior(r: FloatArray, prior: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(2,) tilt of `r` against the prior about east and north, yaw taken out, and its (2, 6) Jacobian."""
    error = log_rotation(r @ prior.T)
    yaw_free = exp_rotation(np.array([0.0, 0.0, -error[2]])) @ r
    error = log_rotation(yaw_free @ prior.T)
    jacobian = np.zeros((2, 6))
    jacobian[0, 3] = jacobian[1, 4] = 1.0
    return error[:2], jacobian


def _covariance(information: FloatArray, rms_m: float, height: float, r: FloatArray, config: PoseConfig) -> FloatArray:
    """Inverse information, inflated by the residuals and by errors that patches share: overlap, relief, slope, map.

    Trees and houses lean outwards, and where they stand on one side that looks like a tilt. How high they are shows in
    the residuals beyond what cells alone leave; `relief_tilt_gain` is from there to the tilt's error.
    """
    cell_m = config.inlier_m / 2.5
    noise_ratio = rms_m / cell_m
    relief_m = math.sqrt(max(rms_m**2 - (config.flat_residual_cells * cell_m) ** 2, 0.0))
    tilt_sigma_rad = math.hypot(config.slope_sigma_rad, config.relief_tilt_gain * relief_m / height)
    # The residual has two components, the noise that `information` was made with is of one.
    inflation = max(0.5 * noise_ratio**2, 0.08) * config.correlation_length
    covariance = np.linalg.inv(information + 1e-9 * np.eye(6)) * inflation
    # A slope of the ground looks like a tilt: it turns the camera about the ground point under the frame's centre.
    ray = r[:, 2] / max(-float(r[2, 2]), 0.2) * height
    slope = np.zeros((6, 2))
    for k in range(2):
        axis = np.eye(3)[k]
        slope[:3, k] = np.cross(axis, -ray)
        slope[3:, k] = axis
    covariance += slope @ slope.T * tilt_sigma_rad**2
    covariance[:2, :2] += np.eye(2) * config.map_sigma_m**2
    covariance[2, 2] += config.relief_sigma_m**2 + (0.002 * height) ** 2
    return np.asarray(0.5 * (covariance + covariance.T))
