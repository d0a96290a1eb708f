"""Relative pose of two pictures and the ground's plane, from correspondences alone: no attitude is told; pure.

Ground that looks flat from the height flown is a homography, ground with relief an essential matrix: which of them the
correspondences show is decided by the geometric robust information criterion (Torr, "An assessment of information
criteria for motion model selection", 1997). The homography's decomposition is Malis and Vargas', by OpenCV.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from gps_denied_onboard.imaging.orientation import MaskArray
from gps_denied_onboard.messages import FloatArray
from gps_denied_onboard.odometry.plane_motion import rays

POINTS_MIN = 12
OUTLIER_COST = 2.0
"""lambda3 of the criterion: what an outlier costs a degree of freedom of the data that the model takes."""
BASELINE_MIN = 0.01
"""Translation over height below which the plane's normal cannot be told from a homography."""
DOWN_COSINE_MIN = 0.5
"""Of the angle between a plane's normal and where the ground lies, under which the plane is not the ground's."""
RELIEF_MAX = 0.3
"""Scatter of triangulated points about their plane over the camera's height, beyond which they are no ground: flat
ground satisfies many essential matrices, and a wrong one puts its points anywhere."""
SEED = 7


@dataclass(frozen=True, slots=True, eq=False)
class TwoView:
    """Points of the second camera are `rotation` @ x + h * `translation`, h the first camera's distance to the plane
    `normal` . x = h; all (3,) in the first camera's axes, but `translation`, which is in the second's.

    `normal` is None where the pictures do not tell it. `relief` is the scatter of the points about the plane over h,
    0 where they were taken as lying on it. `planar` tells which model the criterion chose.
    """

    rotation: FloatArray
    translation: FloatArray
    normal: FloatArray | None
    relief: float
    planar: bool


def two_view(x0: FloatArray, x1: FloatArray, focal_px: float, sigma_px: float, down: FloatArray) -> TwoView | None:
    """From normalised coordinates (N, 2), (N, 2). `down` (3,) is about where the ground lies in the first camera: it
    chooses among the mirror solutions of a homography. None where neither model fits."""
    if len(x0) < POINTS_MIN:
        return None
    threshold_px = 2.5 * sigma_px
    cv2.setRNGSeed(SEED)
    plane, _ = cv2.findHomography(x0 * focal_px, x1 * focal_px, cv2.USAC_MAGSAC, threshold_px, None, 1500, 0.999)
    cv2.setRNGSeed(SEED)
    essential, _ = cv2.findEssentialMat(
        x0 * focal_px, x1 * focal_px, np.diag([focal_px, focal_px, 1.0]), cv2.USAC_MAGSAC, 0.999, threshold_px
    )
    costs = {}
    if plane is not None and np.isfinite(plane).all():
        scale = np.diag([focal_px, focal_px, 1.0])
        plane = np.linalg.inv(scale) @ plane @ scale
        costs["plane"] = criterion(transfer_error(plane, x0, x1) * focal_px, sigma_px, dimension=2, parameters=8)
    if essential is not None and essential.shape == (3, 3) and np.isfinite(essential).all():
        off = epipolar_error(np.asarray(essential, dtype=np.float64), x0, x1)
        costs["relief"] = criterion(off * focal_px, sigma_px, dimension=3, parameters=5)
    for model in sorted(costs, key=lambda name: costs[name]):
        if model == "plane":
            return _of_plane(np.asarray(plane, dtype=np.float64), down)
        found = _of_relief(np.asarray(essential, dtype=np.float64), x0, x1, threshold_px / focal_px, down)
        if found is not None:
            return found
    return None


def criterion(residual: FloatArray, sigma: float, dimension: int, parameters: int) -> float:
    """The criterion of a model by its residuals (N,); the smaller is the likelier one.

    `dimension` is of the manifold that the model puts correspondences (4 numbers) on, `parameters` the model's own.
    """
    count = len(residual)
    limit = OUTLIER_COST * (4.0 - dimension)
    misfit = np.minimum(residual**2 / sigma**2, limit)
    return float(misfit.sum() + math.log(4.0) * dimension * count + math.log(4.0 * count) * parameters)


def transfer_error(homography: FloatArray, x0: FloatArray, x1: FloatArray) -> FloatArray:
    """(N,) distance in the second picture; large where the point comes to lie behind the camera."""
    moved = rays(x0) @ homography.T
    ahead = moved[:, 2] * np.sign(homography[2, 2]) > 1e-6
    depth = np.where(ahead, moved[:, 2], 1.0)
    error = np.hypot(*(moved[:, :2] / depth[:, None] - x1).T)
    return np.asarray(np.where(ahead, error, 1e3))


def epipolar_error(essential: FloatArray, x0: FloatArray, x1: FloatArray) -> FloatArray:
    """(N,) Sampson's distance of correspondences from an essential matrix."""
    a, b = rays(x0), rays(x1)
    line1, line0 = a @ essential.T, b @ essential
    off = np.einsum("ni,ni->n", b, line1)
    slope = line1[:, 0] ** 2 + line1[:, 1] ** 2 + line0[:, 0] ** 2 + line0[:, 1] ** 2
    return np.asarray(np.abs(off) / np.sqrt(np.maximum(slope, 1e-12)))


def _of_plane(homography: FloatArray, down: FloatArray) -> TwoView | None:
    """The decomposition whose plane lies nearest to where the ground is believed to be."""
    if np.linalg.det(homography) <= 0.0:
        return None
    count, rotations, translations, normals = cv2.decomposeHomographyMat(homography, np.eye(3))
    best: tuple[float, int] | None = None
    for k in range(count):
        lies = float(normals[k].ravel() @ down)
        if best is None or lies > best[0]:
            best = (lies, k)
    if best is None:
        return None
    rotation = np.asarray(rotations[best[1]], dtype=np.float64)
    translation = np.asarray(translations[best[1]], dtype=np.float64).ravel()
    told = best[0] > DOWN_COSINE_MIN and float(np.linalg.norm(translation)) > BASELINE_MIN
    normal = np.asarray(normals[best[1]], dtype=np.float64).ravel() if told else None
    return TwoView(rotation, translation, normal, 0.0, planar=True)


def _of_relief(
    essential: FloatArray, x0: FloatArray, x1: FloatArray, threshold: float, down: FloatArray
) -> TwoView | None:
    """Pose and the plane through the triangulated points; None where too few of them lie before both cameras, or they
    do not lie about a ground below the first one."""
    near: MaskArray = epipolar_error(essential, x0, x1) < threshold
    if np.count_nonzero(near) < POINTS_MIN:
        return None
    count, rotation, unit, flags, points = cv2.recoverPose(
        essential, x0[near], x1[near], np.eye(3), distanceThresh=1e4, triangulatedPoints=None
    )
    if count < POINTS_MIN:
        return None
    seen = flags.ravel() > 0
    ground = np.asarray((points[:3, seen] / points[3, seen]).T, dtype=np.float64)
    middle = np.median(ground, axis=0)
    normal = _plane_normal(ground - middle)
    normal = normal * np.sign(float(normal @ down))
    height = float(normal @ middle)
    if height <= 1e-6 or float(normal @ down) < DOWN_COSINE_MIN:
        return None
    off = np.abs((ground - middle) @ normal)
    relief = 1.4826 * float(np.median(off)) / height
    if relief > RELIEF_MAX:
        return None
    along = np.asarray(unit, dtype=np.float64).ravel()
    return TwoView(np.asarray(rotation, dtype=np.float64), along / height, normal, relief, planar=False)


def _plane_normal(centred: FloatArray) -> FloatArray:
    """(3,) of the plane that most of the points (N, 3) lie about: least squares, twice without what is far off."""
    kept = centred
    normal = np.array([0.0, 0.0, 1.0])
    for _ in range(3):
        normal = np.linalg.svd(kept - kept.mean(axis=0), full_matrices=False)[2][-1]
        off = np.abs((centred - np.median(kept, axis=0)) @ normal)
        kept = centred[off <= max(3.0 * 1.4826 * float(np.median(off)), 1e-9)]
    return np.asarray(normal, dtype=np.float64)
