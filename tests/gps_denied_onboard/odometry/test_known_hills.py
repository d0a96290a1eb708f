"""Motion over hills whose heights are on board."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from gps_denied_onboard.geometry.rotations import exp_rotation, nadir_camera_to_enu
from gps_denied_onboard.messages import FloatArray
from gps_denied_onboard.odometry.plane_motion import MotionPrior, PlaneMotion, linearise, solve_motion

FOCAL_PX = 850.0
TRUE = PlaneMotion(np.array([0.06, -0.03, 0.01]), nadir_camera_to_enu(0.4), nadir_camera_to_enu(0.43), np.zeros(2))


def steep(rays_enu: FloatArray) -> FloatArray:
    """A flank of 20 degrees with a gully, in units of the height."""
    east = -rays_enu[:, 0] / rays_enu[:, 2]
    return 0.36 * east - 0.08 * np.exp(-((east / 0.08) ** 2))


def error(relief: bool) -> float:
    """How far a solution is off in the plane, tracks to a tenth of a pixel, tilts half a degree wrong."""
    rng = np.random.default_rng(7)
    x0 = rng.uniform(-0.38, 0.38, (300, 2))
    rays = np.concatenate([x0, np.ones((300, 1))], axis=1) @ TRUE.rotation0.T
    x1, _, _ = linearise(TRUE, x0, np.zeros_like(x0), steep(rays))
    x1 = x1 + rng.normal(0.0, 0.1 / FOCAL_PX, x1.shape)
    wrong = exp_rotation(np.array([0.009, -0.006, 0.0]))
    prior = MotionPrior(wrong @ TRUE.rotation0, wrong @ TRUE.rotation1, 0.005, 0.02, math.radians(1.0), 0.015)
    if relief:
        prior = replace(prior, slope_sigma=0.03, relief_sigma=0.025, relief=steep)
    start = PlaneMotion(TRUE.translation, prior.rotation0, prior.rotation1, np.zeros(2))
    found = solve_motion(start, prior, x0, x1, FOCAL_PX, np.ones(300, dtype=np.bool_), 0.12, 40)
    return float(np.linalg.norm((found.motion.translation - TRUE.translation)[:2]))


def test_known_heights_make_the_motion_right() -> None:
    """With its heights the flank costs two per cent of the way at most, without them several times that."""
    way = float(np.linalg.norm(TRUE.translation[:2]))
    assert error(relief=True) < 0.02 * way
    assert error(relief=False) > 2.0 * error(relief=True)
