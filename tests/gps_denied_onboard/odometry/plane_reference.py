"""The plane's motion step by step in NumPy: what the native equations are held against."""

from __future__ import annotations

import numpy as np

from gps_denied_onboard.imaging.orientation import MaskArray
from gps_denied_onboard.messages import FloatArray
from gps_denied_onboard.odometry.plane_motion import SIZE, PlaneMotion, rays


def linearise(
    motion: PlaneMotion, x0: FloatArray, x1: FloatArray, relief: FloatArray | None = None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Residual (N, 2) predicted minus seen, normalised; its Jacobians (N, 2, SIZE) and (N, 2) by the ground's height.

    `relief` (N,) is the height of the ground at each track over the plane, in units of the camera's height.
    """
    n = motion.normal
    a = rays(x0) @ motion.rotation0.T
    na = a @ n
    rise = np.zeros(len(x0)) if relief is None else relief
    g = -a * ((1.0 - rise) / na)[:, None]
    v = g - motion.translation
    p = v @ motion.rotation1
    count = len(x0)
    d = np.zeros((count, 3, SIZE + 1))
    d[:, 0, 0] = d[:, 1, 1] = d[:, 2, 2] = -1.0
    _set_cross(d[:, :, 3:6], v)
    # Common tilt: the ray turns as e x a, the second camera with it.
    turn = np.zeros((count, 3, 3))
    _set_cross(turn, -a)
    turned = turn[:, :, :2]
    along = np.einsum("i,nij->nj", n, turned)
    d[:, :, 6:8] = -turned / na[:, None, None] + a[:, :, None] * along[:, None, :] / (na**2)[:, None, None]
    d[:, :, 8:10] = -a[:, :, None] * a[:, None, :2] / (na**2)[:, None, None]
    d[:, :, 6:10] *= (1.0 - rise)[:, None, None]
    d[:, :, 6:8] += d[:, :, 3:5]
    d[:, :, SIZE] = a / na[:, None]
    d = np.einsum("ji,njk->nik", motion.rotation1, d)
    z = p[:, 2]
    uv = p[:, :2] / z[:, None]
    jacobian = (d[:, :2, :] - uv[:, :, None] * d[:, 2:3, :]) / z[:, None, None]
    return uv - x1, jacobian[:, :, :SIZE], jacobian[:, :, SIZE]


def _set_cross(out: FloatArray, v: FloatArray) -> None:
    """Write the cross-product matrices of v (N, 3) into out (N, 3, 3)."""
    out[:, 0, 1], out[:, 0, 2] = -v[:, 2], v[:, 1]
    out[:, 1, 0], out[:, 1, 2] = v[:, 2], -v[:, 0]
    out[:, 2, 0], out[:, 2, 1] = -v[:, 1], v[:, 0]


def tukey(distance: FloatArray, limit: float) -> FloatArray:
    """Tukey's biweight (N,): 1 at zero, 0 from `limit` on."""
    t = np.clip(distance / limit, 0.0, 1.0)
    return np.asarray((1.0 - t * t) ** 2)


def equations(
    motion: PlaneMotion,
    tracks: tuple[FloatArray, FloatArray, FloatArray, FloatArray, MaskArray, FloatArray],
    focal_px: float,
    sigma_floor_px: float,
    independent: float,
    first_step: bool,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, float]:
    """What `motion_equations` gives: information, gradient, distances, weights and sigma."""
    x0, x1, relief, shapes, selected, weight = tracks
    residual, jacobian, rise = linearise(motion, x0, x1, relief)
    distance = np.nan_to_num(np.hypot(residual[:, 0], residual[:, 1]) * focal_px, nan=1e6, posinf=1e6)
    sigma = max(float(np.median(distance[selected])) / 1.1774, sigma_floor_px)
    if not first_step or sigma < 20.0 * sigma_floor_px:
        weight = tukey(distance, 4.5 * sigma)
    whole = np.concatenate([jacobian, rise[:, :, None] * shapes[:, None, :]], axis=2)
    share = min(1.0, independent / max(float(weight.sum()), 1.0))
    w = np.repeat(weight, 2) * ((focal_px / sigma) ** 2 * share)
    j = np.nan_to_num(whole).reshape(len(w), -1)
    jw = j * w[:, None]
    return jw.T @ j, jw.T @ np.nan_to_num(residual).reshape(-1), distance, weight, sigma
