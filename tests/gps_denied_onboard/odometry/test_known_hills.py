"""Motion over hills whose heights are on board."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.rotations import exp_rotation, nadir_camera_to_enu
from gps_denied_onboard.geometry.terrain import FlatTerrain
from gps_denied_onboard.messages import FloatArray
from gps_denied_onboard.odometry.config import OdometryConfig
from gps_denied_onboard.odometry.plane_motion import MotionPrior, PlaneMotion, solve_motion
from gps_denied_onboard.runtime_root.strategies import load_composition, resolve

from .ground import CAMERA, CELL_M, HEIGHT_M, Ground, camera_attitude, frame, prior
from .plane_reference import linearise

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


class Flank:
    """Heights on board of ground that rises by 14 % towards the east; see `Terrain`."""

    flat = FlatTerrain(LocalFrame(50.0, 30.0, 0.0), 0.0, 5.0)
    slope_sigma_rad = 0.01

    def up_m(self, east_north_m: FloatArray) -> float:
        """Height at (east, north)."""
        return 0.14 * float(east_north_m[0])

    def ups_m(self, east_north_m: FloatArray) -> FloatArray:
        """(N,) heights of (N, 2) places."""
        return np.asarray(0.14 * east_north_m[:, 0])

    def knows(self, east_north_m: FloatArray) -> bool:  # noqa: ARG002
        """Everywhere."""
        return True

    def sigma_m(self, east_north_m: FloatArray, place_sigma_m: float) -> float:  # noqa: ARG002
        """Two metres."""
        return 2.0


@pytest.mark.parametrize("name", ["features", "planar"])
def test_a_flank_on_board_is_no_climb(name: str) -> None:
    """In level flight along a flank its heights on board keep the step level, to 0.7 m in 40 m. Without them
    `features`, to which slope and tilt look the same, takes it for level ground and sinks by 14 % of the way."""
    flank = Flank()
    ground = Ground(seed=5)
    east = (np.arange(ground.relief_m.shape[1]) - ground.relief_m.shape[1] / 2) * CELL_M
    ground.relief_m = np.tile((0.14 * east).astype(np.float32), (ground.relief_m.shape[0], 1))
    attitude, start, moved = camera_attitude(40.0), np.array([20.0, 10.0, HEIGHT_M]), np.array([40.0, 5.0, 0.0])
    first, second = frame(ground.image(start, attitude), 0), frame(ground.image(start + moved, attitude), 1)
    height_m = HEIGHT_M - flank.up_m(start)
    priors = [
        prior(f.t_ns, attitude, height_m, position=position)
        for f, position in ((first, start), (second, start + moved))
    ]
    strategy = resolve("odometry", name, load_composition())
    up_m = {}
    for terrain in (flank, None):
        step = strategy(CAMERA, OdometryConfig(), terrain).step(first, priors[0], second, priors[1])
        assert step.status == "ok", step.reason
        up_m[terrain is not None] = float(step.displacement_enu_m[2])
    assert abs(up_m[True]) < 0.7
    assert name == "planar" or up_m[False] < -3.0
