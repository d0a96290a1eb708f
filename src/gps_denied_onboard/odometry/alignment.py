"""Two pictures compared as a whole by their gradient-orientation fields: a coarse motion, and the check of a fine one.

The fields are those that match frames to the map. The score of a shift is its agreement times the square root of the
number of cells that overlap there: the same noise for every shift.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.rotations import rotation_z
from gps_denied_onboard.imaging import fft
from gps_denied_onboard.imaging.orientation import FieldArray, MaskArray, orientation_field
from gps_denied_onboard.messages import FloatArray, ImageArray
from gps_denied_onboard.odometry.picture import Picture, picture_noise
from gps_denied_onboard.odometry.plane_motion import PlaneMotion, apply_homography
from gps_denied_onboard.odometry.tracking import draw_as_first

GRID_CELLS = 160
"""Cells across the wider side of a ground picture."""
OVERLAP_MIN = 0.04
"""Share of the smaller picture below which a shift is not considered."""
FINE_WINDOW_PX = 15
CHANNELS = 2
"""Channels of the field that are compared: the doubled angle."""


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """A coarse motion with its score and how many times the score exceeds the best elsewhere."""

    motion: PlaneMotion
    score: float
    margin: float
    agreement: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """`value` -1..1 is the mean agreement of orientation where the two pictures overlap, `rival` the best of another
    shift relative to it, `rival_shift` (2,) that shift in px of the small picture, `overlap` 0..1."""

    value: float
    rival: float
    rival_shift: tuple[float, float]
    overlap: float


@dataclass(frozen=True, slots=True)
class FineAgreement:
    """`value` -1..1 is the mean local correlation where there is structure; `share` 0..1 of the structured ground
    agrees, `structured` 0..1 of the common ground has structure above the noise."""

    value: float
    share: float
    structured: float


def correlate(
    first: FieldArray, mask0: MaskArray, second: FieldArray, mask1: MaskArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Score, agreement -1..1 and overlap (cells) for every cyclic shift s: second(x + s) compared with first(x).

    Fields (C, H, W), masks (H, W); the energies under the overlap normalise the agreement (Padfield, "Masked object
    registration in the Fourier domain", 2012).
    """
    size = (
        fft.next_fast_len(mask0.shape[0] + mask1.shape[0] - 1),
        fft.next_fast_len(mask0.shape[1] + mask1.shape[1] - 1),
    )

    def compared(a: FieldArray, b: FieldArray) -> FloatArray:
        product = (np.conj(fft.rfft2(a, size)) * fft.rfft2(b, size)).sum(axis=0)
        return np.asarray(fft.irfft2(product, size))

    ones0, ones1 = mask0[None].astype(np.float32), mask1[None].astype(np.float32)
    overlap = np.round(compared(ones0, ones1))
    energy0 = compared((first**2).sum(axis=0, keepdims=True), ones1)
    energy1 = compared(ones0, (second**2).sum(axis=0, keepdims=True))
    least = max(OVERLAP_MIN * min(ones0.sum(), ones1.sum()), 60.0)
    norm = np.sqrt(np.maximum(energy0, 1e-3) * np.maximum(energy1, 1e-3))
    agreement = np.where(overlap > least, compared(first, second) / norm, 0.0)
    return agreement * np.sqrt(np.maximum(overlap, 0.0)), agreement, overlap


def check_motion(previous: Picture, current: Picture, homography: FloatArray) -> Agreement:
    """How well the whole second picture, drawn as the first camera would see it, agrees with the first one.

    A wrong motion that a few hundred tracks agree on (rows of a crop, an overlay, a reflection) shows here as little
    agreement at no shift, or as a rival shift that is about as good.
    """
    grey0, camera = previous.small
    grey1, _ = current.small
    drawn = draw_as_first(grey1, camera, homography)
    seen = draw_as_first(np.full_like(grey1, 255), camera, homography) > 250
    whole = np.ones_like(seen)
    overlap = float(seen.mean())
    if np.count_nonzero(seen) < 100:
        return Agreement(0.0, math.inf, (0.0, 0.0), overlap)
    score, agreement, _ = correlate(_field(grey0, whole), whole, _field(drawn, seen), seen)
    near = _near_zero(score.shape, 3.0)
    value = float(agreement[near].max())
    here = float(score[near].max())
    far = np.where(_near_zero(score.shape, 7.0), -math.inf, score)
    rival = np.unravel_index(int(np.argmax(far)), far.shape)
    shift = [float(i if i < n / 2 else i - n) for i, n in zip(rival, score.shape, strict=True)]
    return Agreement(value, max(float(far[rival]), 0.0) / max(here, 1e-6), (shift[1], shift[0]), overlap)


def fine_agreement(previous: Picture, current: Picture, homography: FloatArray) -> FineAgreement:
    """Local correlation of the reduced pictures under a motion.

    Rows of a crop look alike when drawn small; at full detail the clods and gaps in them differ. Where an overlay
    stands still, only it agrees with no motion, the ground between its letters does not.
    """
    first = previous.grey.astype(np.float32)
    second = draw_as_first(current.grey, current.camera, homography).astype(np.float32)
    seen = draw_as_first(np.full_like(current.grey, 255), current.camera, homography) > 250
    window = (FINE_WINDOW_PX, FINE_WINDOW_PX)
    mean0, mean1 = cv2.blur(first, window), cv2.blur(second, window)
    spread0 = np.maximum(cv2.blur(first * first, window) - mean0 * mean0, 0.0)
    spread1 = np.maximum(cv2.blur(second * second, window) - mean1 * mean1, 0.0)
    shared = cv2.blur(first * second, window) - mean0 * mean1
    inner = cv2.erode(seen.astype(np.uint8), np.ones(window, np.uint8)).astype(np.float32)
    noise = max(picture_noise(previous.grey), picture_noise(current.grey)) ** 2
    local = shared / np.sqrt(spread0 * spread1 + 4.0)
    weight = inner * np.minimum(np.sqrt(spread0), 20.0)
    structured = inner * (spread0 > 3.0 * noise)
    agreeing = float((structured * (local > 0.5)).sum())
    return FineAgreement(
        float((weight * local).sum() / max(float(weight.sum()), 1e-6)),
        agreeing / max(float(structured.sum()), 1.0),
        float(structured.sum()) / max(float(inner.sum()), 1.0),
    )


def shifted_homography(previous: Picture, homography: FloatArray, shift_px: tuple[float, float]) -> FloatArray:
    """The homography that first looks `shift_px` (x, y of the small picture) aside."""
    camera = previous.small[1]
    move = np.eye(3)
    move[0, 2], move[1, 2] = shift_px[0] / camera.fx_px, shift_px[1] / camera.fy_px
    return np.asarray(homography @ move)


def _field(grey: ImageArray, mask: MaskArray) -> FieldArray:
    return orientation_field(grey, mask, CHANNELS)


@functools.lru_cache(maxsize=8)
def _near_zero(shape: tuple[int, ...], radius: float) -> MaskArray:
    rows = np.minimum(np.arange(shape[0]), shape[0] - np.arange(shape[0]))
    columns = np.minimum(np.arange(shape[1]), shape[1] - np.arange(shape[1]))
    return np.asarray(np.hypot(*np.meshgrid(rows, columns, indexing="ij")) <= radius)


def search_motion(
    previous: Picture,
    current: Picture,
    rotation0: FloatArray,
    rotation1: FloatArray,
    yaws_rad: FloatArray,
    scales: tuple[float, ...] = (1.0,),
) -> list[Alignment]:
    """Best coarse motions over yaw corrections of the second attitude and height ratios, best first (at most three).

    Both pictures are drawn on level ground, north up, in units of the height; one Fourier correlation for each
    (yaw, scale).
    """
    cell = _cell_size(previous.small[1])
    first, mask0, origin0 = draw_ground(*previous.small, rotation0, 1.0, cell)
    field0 = _field(first, mask0)
    found: list[tuple[float, float, PlaneMotion]] = []
    for scale in scales:
        for yaw in yaws_rad:
            turned = rotation_z(float(yaw)) @ rotation1
            second, mask1, origin1 = draw_ground(*current.small, turned, scale, cell)
            score, agreement, _ = correlate(field0, mask0, _field(second, mask1), mask1)
            best = np.unravel_index(int(np.argmax(score)), score.shape)
            shift = [float(i if i < m else i - n) for i, n, m in zip(best, score.shape, second.shape, strict=True)]
            # second(x + s) shows what first(x) shows: ground g0 = origin0 + x, g0 - u = origin1 + x + s.
            east = origin0[0] - origin1[0] - shift[1] * cell
            north = origin0[1] - origin1[1] + shift[0] * cell
            motion = PlaneMotion(np.array([east, north, scale - 1.0]), rotation0, turned, np.zeros(2))
            found.append((float(score[best]), float(agreement[best]), motion))
    found.sort(key=lambda f: -f[0])
    chosen: list[tuple[float, float, PlaneMotion]] = []
    for candidate in found:
        if all(_apart(candidate[2], other[2], 6.0 * cell) for other in chosen):
            chosen.append(candidate)
        if len(chosen) == 4:
            break
    scores = [c[0] for c in chosen] + [1e-6]
    return [Alignment(m, s, s / max(scores[i + 1], 1e-6), a) for i, (s, a, m) in enumerate(chosen[:3])]


def _apart(a: PlaneMotion, b: PlaneMotion, distance: float) -> bool:
    turn = float(np.trace(a.rotation1.T @ b.rotation1))
    return bool(np.hypot(*(a.translation[:2] - b.translation[:2])) > distance or turn < 1.0 + 2.0 * math.cos(0.35))


def _cell_size(camera: CameraModel) -> float:
    return camera.width_px / camera.fx_px / GRID_CELLS


def draw_ground(
    grey: ImageArray, camera: CameraModel, rotation: FloatArray, height: float, cell: float
) -> tuple[ImageArray, MaskArray, tuple[float, float]]:
    """Level ground as a camera at `height` sees it, north up: picture, mask, east and north of the first cell."""
    h, w = grey.shape
    rim = np.array([(x, y) for x in (0, w / 2, w - 1) for y in (0, h / 2, h - 1)], dtype=float)
    rays = np.concatenate([camera.undistort(rim), np.ones((9, 1))], axis=1) @ rotation.T
    down = np.maximum(-rays[:, 2:3], 0.25 * np.linalg.norm(rays, axis=1, keepdims=True))
    ground = height * rays[:, :2] / down
    low, high = ground.min(axis=0), ground.max(axis=0)
    columns = int(np.clip((high[0] - low[0]) / cell, 8, 2.5 * GRID_CELLS))
    rows = int(np.clip((high[1] - low[1]) / cell, 8, 2.5 * GRID_CELLS))
    # Camera sees ground (e, n, -height): a homography of the plane, sampled on a coarse mesh when distorted.
    to_plane = np.array([[cell, 0.0, low[0]], [0.0, -cell, high[1]], [0.0, 0.0, -height]])
    homography = rotation.T @ to_plane
    if camera.distortion_model == "none":
        pixels = camera.matrix @ homography
        picture = cv2.warpPerspective(grey, pixels, (columns, rows), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        inside = cv2.warpPerspective(
            np.full_like(grey, 255), pixels, (columns, rows), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
    else:
        nodes = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2).astype(float)
        p = np.nan_to_num(camera.distort(apply_homography(homography, nodes)), nan=-1e4)
        m = p.reshape(rows, columns, 2).astype(np.float32)
        picture = cv2.remap(grey, m[:, :, 0], m[:, :, 1], cv2.INTER_LINEAR)
        inside = cv2.remap(np.full_like(grey, 255), m[:, :, 0], m[:, :, 1], cv2.INTER_LINEAR)
    return np.asarray(picture, np.uint8), np.asarray(inside > 250), (float(low[0]), float(high[1]))
