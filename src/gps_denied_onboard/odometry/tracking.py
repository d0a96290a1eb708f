"""Tracks from one picture to the next along a guessed motion: Lucas-Kanade, forward and backward; pure."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.imaging.orientation import MaskArray
from gps_denied_onboard.messages import FloatArray, ImageArray
from gps_denied_onboard.odometry.config import OdometryConfig
from gps_denied_onboard.odometry.picture import Picture, PointArray
from gps_denied_onboard.odometry.plane_motion import apply_homography

MAP_STEP_PX = 16


def track(
    previous: Picture, current: Picture, guess: FloatArray, config: OdometryConfig, straight: bool | None = None
) -> tuple[FloatArray, FloatArray]:
    """Pixels (N, 2) in both reduced pictures of the corners that were found again.

    `guess` (3, 3) is the homography in normalised coordinates. Where it turns, scales or tilts the ground, the second
    picture is first drawn as the first camera saw it, because Lucas-Kanade follows shifts only.
    """
    corners = previous.corners
    expected = move_pixels(current.camera, corners, guess)
    h, w = current.grey.shape
    inside = np.all((expected > 4) & (expected < (w - 5, h - 5)), axis=1)
    corners, expected = corners[inside], expected[inside]
    if len(corners) == 0:
        return np.zeros((0, 2)), np.zeros((0, 2))
    bend = distortion_of_patch(guess)
    if straight is None:
        straight = bend < 0.12
    if straight:
        aim = np.asarray(expected, dtype=np.float32)
        start, found, good = _both_ways(previous, current.grey, corners, aim, config)
        return start[good].astype(float), found[good].astype(float)
    seen = draw_as_first(current.grey, current.camera, guess)
    start, found, good = _both_ways(previous, seen, corners, corners.copy(), config)
    landed = move_pixels(current.camera, found[good], guess)
    fine = np.all((landed > 2) & (landed < (w - 3, h - 3)), axis=1)
    return start[good][fine].astype(float), landed[fine]


def _both_ways(
    previous: Picture, target: ImageArray, start: PointArray, expected: PointArray, config: OdometryConfig
) -> tuple[PointArray, PointArray, MaskArray]:
    found, ok = _flow(previous.grey, target, start, expected, config.pyramid_levels, config)
    # The way back starts at the corner itself and on fine levels only: cheap, and just as strict about the place.
    back, ok_back = _flow(target, previous.grey, found, start, 1, config)
    error = np.hypot(back[:, 0] - start[:, 0], back[:, 1] - start[:, 1])
    good = ok & ok_back & (error < config.forward_backward_px)
    h, w = previous.grey.shape
    good &= np.all((found > 2) & (found < (w - 3, h - 3)), axis=1)
    return start, found, good


def _flow(
    source: ImageArray, target: ImageArray, start: PointArray, expected: PointArray, levels: int, config: OdometryConfig
) -> tuple[PointArray, MaskArray]:
    found, ok, _ = cv2.calcOpticalFlowPyrLK(
        source,
        target,
        start,
        expected.copy(),
        winSize=(config.track_window_px, config.track_window_px),
        maxLevel=levels,
        criteria=(cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 20, 0.02),
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        minEigThreshold=1e-4,
    )
    return np.asarray(found, np.float32), np.asarray(ok).ravel() == 1


def move_pixels(camera: CameraModel, pixel_px: npt.ArrayLike, homography: FloatArray) -> FloatArray:
    """(N, 2) pixels of the second picture of (N, 2) pixels of the first; -1e4 where there are none."""
    if len(np.asarray(pixel_px)) == 0:
        return np.zeros((0, 2))
    moved = apply_homography(homography, camera.undistort(pixel_px))
    return np.nan_to_num(camera.distort(moved), nan=-1e4)


def draw_as_first(grey: ImageArray, camera: CameraModel, homography: FloatArray) -> ImageArray:
    """The second picture as the first camera would have seen that plane, (H, W); 0 where it did not see it.

    The map is exact at every MAP_STEP_PX-th pixel and linear between.
    """
    h, w = grey.shape
    step = min(MAP_STEP_PX, max(4, w // 48))
    columns = np.arange(0, w + step, step)
    rows = np.arange(0, h + step, step)
    nodes = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2).astype(float)
    moved = move_pixels(camera, nodes, homography).reshape(len(rows), len(columns), 2).astype(np.float32)
    scale = np.array([[1.0 / step, 0.0, 0.0], [0.0, 1.0 / step, 0.0]])
    # Inverse map: full pixel (x, y) reads node coordinates (x / step, y / step).
    fine = cv2.warpAffine(moved, scale, (w, h), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    out = cv2.remap(grey, fine[:, :, 0], fine[:, :, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(out, np.uint8)


def distortion_of_patch(homography: FloatArray) -> float:
    """How far the homography's Jacobian is from a pure shift, the worst of five places of the picture."""
    h = homography / homography[2, 2]
    worst = 0.0
    for x, y in ((0.0, 0.0), (0.4, 0.3), (-0.4, 0.3), (0.4, -0.3), (-0.4, -0.3)):
        z = h[2, 0] * x + h[2, 1] * y + 1.0
        if z < 1e-3:
            return math.inf
        px, py = (h[0, 0] * x + h[0, 1] * y + h[0, 2]) / z, (h[1, 0] * x + h[1, 1] * y + h[1, 2]) / z
        j = np.array(
            [
                [h[0, 0] - px * h[2, 0], h[0, 1] - px * h[2, 1]],
                [h[1, 0] - py * h[2, 0], h[1, 1] - py * h[2, 1]],
            ]
        )
        worst = max(worst, float(np.abs(j / z - np.eye(2)).max()))
    return worst
