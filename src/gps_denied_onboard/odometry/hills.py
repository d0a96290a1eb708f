"""The heights on board under a picture, where it is known over which of them the camera is; pure."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from gps_denied_onboard.geometry.terrain import Terrain, meet_ground
from gps_denied_onboard.messages import CameraPrior, FloatArray
from gps_denied_onboard.odometry.plane_motion import MotionPrior

REACH_HEIGHTS = 0.35
"""How far a picture reaches from the point below the camera, over the height: for the slope of what it shows."""
SIDE = 7
"""Points along each side of the square at which the slope is taken."""


def with_hills(prior: MotionPrior, on_board: Terrain | None, prior0: CameraPrior) -> MotionPrior:
    """The prior with the heights on board, where they are known; else as it is."""
    terrain = known_heights(on_board, prior0)
    if terrain is None:
        return prior
    height_m = prior0.height_m
    position = np.array([*prior0.position_enu_m[:2], terrain.up_m(prior0.position_enu_m[:2]) + height_m])

    def relief(rays_enu: FloatArray) -> FloatArray:
        met = meet_ground(terrain, position, rays_enu)
        return np.asarray(np.nan_to_num((met[:, 2] - position[2]) / height_m + 1.0))

    return replace(
        prior,
        slope_sigma=math.hypot(prior.slope_sigma, terrain.slope_sigma_rad),
        relief_sigma=math.hypot(prior.relief_sigma, terrain.sigma_m(position[:2], 0.0) / height_m),
        relief=relief,
    )


def ground_normal(on_board: Terrain | None, prior0: CameraPrior) -> FloatArray:
    """Unit vector (3,) up from the plane nearest to the heights of the ground under the picture; ENU. Straight up where
    they are not known."""
    terrain = known_heights(on_board, prior0)
    if terrain is None:
        return np.array([0.0, 0.0, 1.0])
    along = np.linspace(-REACH_HEIGHTS, REACH_HEIGHTS, SIDE) * prior0.height_m
    offsets = np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)
    ups = np.nan_to_num(terrain.ups_m(prior0.position_enu_m[:2] + offsets) - terrain.up_m(prior0.position_enu_m[:2]))
    slope = offsets.T @ ups / (offsets**2).sum(axis=0)
    normal = np.array([-slope[0], -slope[1], 1.0])
    return np.asarray(normal / np.linalg.norm(normal))


def known_heights(terrain: Terrain | None, prior0: CameraPrior) -> Terrain | None:
    """The heights, if there are any, they are believed, and the camera's place among them is known."""
    if terrain is None or terrain.flat is None or prior0.ground_flat or not prior0.position_known:
        return None
    return terrain
