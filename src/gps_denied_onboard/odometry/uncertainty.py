"""Covariance of a step from its information matrix and from the errors that all tracks share; pure."""

from __future__ import annotations

import numpy as np

from gps_denied_onboard.messages import CameraPrior, FloatArray
from gps_denied_onboard.odometry.plane_motion import Solution
from gps_denied_onboard.odometry.settings import OdometryConfig


def step_covariance(solution: Solution, prior: CameraPrior, config: OdometryConfig) -> FloatArray:
    """(4, 4) of displacement east, north, up in m and yaw change in rad.

    The information already counts only `independent_tracks` tracks. Added are the height's own error and the focal
    length's, both along the displacement, and the relief under the tracks, which moves the mean height of the plane.
    """
    h = prior.height_m
    full = np.linalg.inv(solution.information)
    pick = np.array([0, 1, 2, 5])
    unit = np.diag([h, h, h, 1.0])
    covariance = unit @ full[np.ix_(pick, pick)] @ unit
    u = solution.motion.translation
    scale_variance = (prior.height_sigma_m / h) ** 2 + config.focal_sigma_fraction**2 + config.relief_fraction**2 / 4.0
    covariance[:3, :3] += np.outer(u, u) * h**2 * scale_variance
    return np.asarray(0.5 * (covariance + covariance.T))
