"""Covariance of a step from its solution's and from the errors that all tracks share; pure."""

from __future__ import annotations

import numpy as np

from gps_denied_onboard.geometry.rotations import image_up_yaw, wrap_angle
from gps_denied_onboard.messages import CameraPrior, FloatArray
from gps_denied_onboard.odometry.config import OdometryConfig
from gps_denied_onboard.odometry.plane_motion import SIZE, PlaneMotion, Solution

STEP_RAD = 1e-5


def yaw_change(motion: PlaneMotion) -> float:
    """Turn of the image's upward axis about up, rad in -pi..pi."""
    return wrap_angle(image_up_yaw(motion.rotation1) - image_up_yaw(motion.rotation0))


def step_covariance(solution: Solution, prior: CameraPrior, config: OdometryConfig) -> FloatArray:
    """(4, 4) of displacement east, north, up in m and yaw change in rad.

    The solution counts only `independent_tracks` tracks and has the relief of the ground in it. Added are the height's
    own error and the focal length's, both along the displacement.
    """
    h, motion = prior.height_m, solution.motion
    jacobian = np.zeros((4, SIZE))
    jacobian[:3, :3] = h * np.eye(3)
    here = yaw_change(motion)
    for k in range(3, 8):
        step = np.zeros(SIZE)
        step[k] = STEP_RAD
        jacobian[3, k] = wrap_angle(yaw_change(motion.moved(step)) - here) / STEP_RAD
    covariance = jacobian @ solution.covariance @ jacobian.T
    scale_variance = (prior.height_sigma_m / h) ** 2 + config.focal_sigma_fraction**2
    covariance[:3, :3] += np.outer(motion.translation, motion.translation) * h**2 * scale_variance
    return np.asarray(0.5 * (covariance + covariance.T))
