"""What a strategy of odometry answers with: the step of a registered pair of pictures, or why there is none; pure."""

from __future__ import annotations

import numpy as np

from gps_denied_onboard.geometry.rotations import image_up_yaw
from gps_denied_onboard.messages import CameraPrior, OdometryStatus, OdometryStep
from gps_denied_onboard.odometry.config import OdometryConfig
from gps_denied_onboard.odometry.picture import Picture
from gps_denied_onboard.odometry.registration import Candidate, Registration
from gps_denied_onboard.odometry.uncertainty import step_covariance, yaw_change


def registered_step(
    pair: Registration, prior0: CameraPrior, yaw_prior_rad: float, best: Candidate, config: OdometryConfig
) -> OdometryStep:
    """The step of a candidate without fault, scaled by the first prior's height; `yaw_prior_rad` is the yaw that the
    first camera was taken to have."""
    motion, solution = best.solution.motion, best.solution
    return OdometryStep(
        t0_ns=pair.first.t_ns,
        t1_ns=pair.second.t_ns,
        status=OdometryStatus.OK,
        reason="",
        displacement_enu_m=motion.translation * prior0.height_m,
        yaw_change_rad=yaw_change(motion),
        yaw_prior_rad=yaw_prior_rad,
        covariance=step_covariance(solution, prior0, config),
        scale_change=1.0 + float(motion.translation[2]),
        tracks=len(best.pixel0_px),
        inliers=best.inliers,
        residual_px=float(solution.residual_px[best.inlier].mean()) * pair.first.reduction,
        height_m=prior0.height_m,
        height_sigma_m=prior0.height_sigma_m,
        method=best.method,
    )


def lost_step(
    first: Picture, second: Picture, prior0: CameraPrior, reason: str, best: Candidate | None = None
) -> OdometryStep:
    """A step that says nothing of the motion but why; `best` is the likeliest candidate, where there was one."""
    return OdometryStep(
        t0_ns=first.t_ns,
        t1_ns=second.t_ns,
        status=OdometryStatus.LOST,
        reason=reason,
        displacement_enu_m=np.zeros(3),
        yaw_change_rad=0.0,
        yaw_prior_rad=image_up_yaw(prior0.rotation_camera_to_enu),
        covariance=np.diag([1e12, 1e12, 1e12, 1e2]),
        scale_change=1.0,
        tracks=len(best.pixel0_px) if best else 0,
        inliers=best.inliers if best else 0,
        residual_px=0.0,
        height_m=prior0.height_m,
        height_sigma_m=prior0.height_sigma_m,
        method=best.method if best else "tracks",
    )
