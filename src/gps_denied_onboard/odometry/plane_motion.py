"""Motion of a calibrated camera over a plane, from bearings: model, Jacobian, robust solution; pure.

Lengths are in units of the first camera's height over the plane. With the first camera at the origin of an ENU frame
and rotations camera to ENU R0, R1, a ray a = R0 x0 meets the plane n.g = -1 at g = -a / (n.a), n = (-s_e, -s_n, 1), and
the second camera at u sees it along R1^T (g - u): the plane-induced homography R1^T (I + u n^T) R0 (Hartley and
Zisserman, "Multiple View Geometry", 13.1). What the picture cannot tell (slope of the ground from a tilt of both
cameras) is decided by the priors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gps_denied_onboard._native import motion_equations
from gps_denied_onboard.geometry.rotations import exp_rotation, rotation_z
from gps_denied_onboard.imaging.orientation import MaskArray
from gps_denied_onboard.messages import FloatArray

SIZE = 10
"""Parameters: u (3), rotation of the second camera about ENU (3), tilt of both (2), slope of the ground (2)."""
RELIEF_FREEDOM = 3.0
RELIEF_GRID = (4, 4)
"""Hills across and along the tracks, by which smooth relief is taken out."""


@dataclass(frozen=True, slots=True, eq=False)
class PlaneMotion:
    """`translation` (3,) over height, `rotation0`, `rotation1` (3, 3) camera to ENU, `slope` (2,) rise per run."""

    translation: FloatArray
    rotation0: FloatArray
    rotation1: FloatArray
    slope: FloatArray

    @property
    def normal(self) -> FloatArray:
        """(3,) of the plane n.g = -1."""
        return np.array([-self.slope[0], -self.slope[1], 1.0])

    @property
    def homography(self) -> FloatArray:
        """(3, 3) from normalised coordinates of the first picture to those of the second."""
        return np.asarray(self.rotation1.T @ (np.eye(3) + np.outer(self.translation, self.normal)) @ self.rotation0)

    def moved(self, step: FloatArray) -> PlaneMotion:
        """The motion after a step (SIZE,) in the parameters."""
        both = exp_rotation(np.array([step[6], step[7], 0.0]))
        return PlaneMotion(
            self.translation + step[:3],
            both @ self.rotation0,
            both @ exp_rotation(step[3:6]) @ self.rotation1,
            self.slope + step[8:10],
        )


@dataclass(frozen=True, slots=True, eq=False)
class MotionPrior:
    """Standard deviations in rad: relative tilt, common tilt and slope, each of two axes; rotations they refer to.

    `relief_sigma` is the ground's roughness over the camera's height. `relief` gives the known height (N,) of the
    ground that rays (N, 3) in ENU from the first camera meet, over the level under it and in units of its height.
    """

    rotation0: FloatArray
    rotation1: FloatArray
    relative_tilt_sigma: float
    tilt_sigma: float
    slope_sigma: float
    relief_sigma: float
    relief: Callable[[FloatArray], FloatArray] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """`residual_px` (N,) of all tracks, `weight` (N,) 0..1, `covariance` (SIZE, SIZE) with the priors inside."""

    motion: PlaneMotion
    residual_px: FloatArray
    weight: FloatArray
    sigma_px: float
    covariance: FloatArray


def apply_homography(homography: FloatArray, normalised: FloatArray) -> FloatArray:
    """(N, 2) normalised coordinates seen through a homography; NaN where they are behind the camera."""
    p = np.concatenate([normalised, np.ones((len(normalised), 1))], axis=1) @ homography.T
    z = np.where(p[:, 2] > 1e-6, p[:, 2], np.nan)
    return np.asarray(p[:, :2] / z[:, None])


def rays(normalised: FloatArray) -> FloatArray:
    """(N, 3) directions of normalised coordinates (N, 2), in the camera."""
    return np.concatenate([normalised, np.ones((len(normalised), 1))], axis=1)


def relief_shapes(rotation0: FloatArray, x0: FloatArray) -> FloatArray:
    """(N, RELIEF_SHAPES) Gaussian hills on an even grid over the ground that the tracks cover, at each track."""
    a = rays(x0) @ rotation0.T
    g = -a[:, :2] / a[:, 2:3]
    low, high = g.min(axis=0), g.max(axis=0)
    span = np.maximum(high - low, 0.05)
    columns, rows = RELIEF_GRID
    centres = np.stack(np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, 1, rows)), axis=-1).reshape(-1, 2)
    steps = ((g - low) / span)[:, None, :] - centres[None]
    widths = np.array([1.0 / (columns - 1), 1.0 / (rows - 1)])
    return np.asarray(np.exp(-0.5 * ((steps / widths) ** 2).sum(axis=2)))


def seed_motion(prior: MotionPrior, x0: FloatArray, x1: FloatArray) -> PlaneMotion:
    """Least-squares motion of flat ground under the priors' tilts: a similarity between the two ground pictures.

    Umeyama's closed form in the plane; needs two tracks or more, all taken as right.
    """
    a, b = rays(x0) @ prior.rotation0.T, rays(x1) @ prior.rotation1.T
    g0 = -a[:, :2] / a[:, 2:3]
    g1 = -b[:, :2] / b[:, 2:3]
    c0 = (g0[:, 0] + 1j * g0[:, 1]) - complex(*g0.mean(axis=0))
    c1 = (g1[:, 0] + 1j * g1[:, 1]) - complex(*g1.mean(axis=0))
    turn = complex(np.vdot(c1, c0)) / max(float(np.vdot(c1, c1).real), 1e-12)
    scale, yaw = abs(turn), math.atan2(turn.imag, turn.real)
    # g0 - u_xy = (1 + u_z) Rz(yaw) g1
    shift = complex(*g0.mean(axis=0)) - turn * complex(*g1.mean(axis=0))
    return PlaneMotion(
        np.array([shift.real, shift.imag, scale - 1.0]),
        prior.rotation0,
        rotation_z(yaw) @ prior.rotation1,
        np.zeros(2),
    )


def prior_terms(prior: MotionPrior, motion: PlaneMotion) -> tuple[FloatArray, FloatArray]:
    """Information (SIZE, SIZE) and gradient (SIZE,) of the priors at `motion`.

    The relative tilt has Student's t (4 degrees of freedom), so that a plain contradiction by the picture releases it.
    """
    common = motion.rotation0 @ prior.rotation0.T
    relative = motion.rotation1 @ (common @ prior.rotation1).T
    tilt = tilt_vector(relative)
    both = np.array([common[2, 1], -common[2, 0]])
    release = 6.0 / (4.0 + float(tilt @ tilt) / prior.relative_tilt_sigma**2)
    weights = np.zeros(SIZE)
    weights[3:5] = release / prior.relative_tilt_sigma**2
    weights[6:8] = 1.0 / prior.tilt_sigma**2
    weights[8:10] = 1.0 / prior.slope_sigma**2
    value = np.zeros(SIZE)
    value[3:5], value[6:8], value[8:10] = tilt, both, motion.slope
    return np.diag(weights), weights * value


def turn_about_up(rotation: FloatArray) -> float:
    """Angle of the rotation about ENU up that is nearest to a rotation."""
    return math.atan2(float(rotation[1, 0] - rotation[0, 1]), float(rotation[0, 0] + rotation[1, 1]))


def tilt_vector(rotation: FloatArray) -> FloatArray:
    """(2,) east and north component of what is left when the turn about up is taken out; small angles."""
    left = rotation @ rotation_z(-turn_about_up(rotation))
    return np.array([left[2, 1], -left[2, 0]])


def solve_motion(
    start: PlaneMotion,
    prior: MotionPrior,
    x0: FloatArray,
    x1: FloatArray,
    focal_px: float,
    selected: MaskArray,
    sigma_floor_px: float,
    independent: int,
    iterations: int = 8,
) -> Solution:
    """Iteratively re-weighted least squares of the bearing residuals, the priors and smooth relief of the ground.

    `x0`, `x1` (N, 2) normalised, `selected` (N,) bool marks the seed's inliers, from which the scale is taken.
    `independent` is how many tracks count as independent: neighbours share errors of lens, shutter and ground.
    """
    motion, weight = start, selected.astype(float)
    shapes = relief_shapes(prior.rotation0, x0)
    hills = np.zeros(shapes.shape[1])
    known = 0.0 if prior.relief is None else prior.relief(rays(x0) @ prior.rotation0.T)
    bearings = (np.ascontiguousarray(x0), np.ascontiguousarray(x1))
    for i in range(iterations + 1):
        at = (motion.translation, motion.rotation0, motion.rotation1, motion.slope)
        relief, scale = shapes @ hills + known, (focal_px, sigma_floor_px, independent)
        information, gradient, distance, weight, sigma = motion_equations(
            *at, *bearings, relief, shapes, selected, weight, *scale, first_step=i == 0
        )
        _add_priors(prior, motion, hills, information, gradient)
        if i == iterations:
            break
        step = np.clip(np.linalg.solve(information, -gradient), -0.5, 0.5)
        motion, hills = motion.moved(step[:SIZE]), hills + step[SIZE:]
    covariance = np.asarray(np.linalg.inv(information)[:SIZE, :SIZE], dtype=np.float64)
    return Solution(motion, distance, weight, sigma, covariance)


def _add_priors(
    prior: MotionPrior, motion: PlaneMotion, hills: FloatArray, information: FloatArray, gradient: FloatArray
) -> None:
    """Add the priors of motion and relief to the normal equations, in place."""
    inner, slope = prior_terms(prior, motion)
    information[:SIZE, :SIZE] += inner
    gradient[:SIZE] += slope
    # Student's t again: ground that is plainly rougher than expected releases the prior of all its hills.
    roughness = float(hills @ hills) / prior.relief_sigma**2
    relief = (RELIEF_FREEDOM + len(hills)) / (RELIEF_FREEDOM + roughness) / prior.relief_sigma**2
    information[np.arange(SIZE, len(gradient)), np.arange(SIZE, len(gradient))] += relief
    gradient[SIZE:] += relief * hills
    information[np.diag_indices_from(information)] += 1e-9
