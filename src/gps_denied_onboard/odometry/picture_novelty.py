"""Whether a picture is new: not sent before, not frozen while the aircraft moves, not half updated; pure.

A sensor's noise never comes twice, so equal samples are the same picture. A picture that was encoded anew, or that the
camera's own electronics repeat, has no equal bytes; but its fine detail, noise included, still stands at the same
pixels, where that of a picture of moved ground does not. Detail is compared block by block: dirt on the lens, an
overlay and fixed pattern noise fill some blocks, a repeated picture all of them.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from gps_denied_onboard.geometry.rotations import log_rotation
from gps_denied_onboard.messages import FloatArray, Frame, ImageArray

BoolArray: TypeAlias = npt.NDArray[np.bool_]

BANDS, ROWS_PER_BAND, SEGMENTS, SEGMENT_PX = 8, 4, 16, 64
DETAIL_PX = 9
"""Detail is what differs from the mean over this many pixels along the row."""
PICTURES_KEPT = 8
SAME_CORRELATION = 0.4
SAME_SHARE, OTHER_SHARE = 0.7, 0.3
BLOCKS_MIN = 4
"""A band with fewer blocks that show anything is not judged."""
STATIC_PICTURES = 6
"""A band that has not changed over this many pictures is an overlay or dead, not half of an old picture."""
MOTION_PX = 8.0
STILL_PX = 2.0
ATTITUDE_RAD = math.radians(0.3)
"""How well the turn between two pictures is known, beside the state's own doubt."""
SIGMAS = 3.0
SEAM_STRIPS, SEAM_STRIP_PX, SEAM_BORDER = 16, 24, 0.1
SEAM_ROWS = 1000
"""A taller picture is looked at in every second, third ... row: its neighbours tell the same."""
SEAM_TWOFOLD, SEAM_TWOFOLD_MAX, SEAM_ALONE = 1.15, 3.0, 0.4
"""A seam's step is 2^1.15 of the usual one, geometric mean over the width. Torn pictures of the simulator have 1.3
to 2.3, whole ones at most 1.0 but for one field's edge in 600 that lay along the rows."""


class NotNew(StrEnum):
    """Why a picture counts as none."""

    STAMP = "stamped no later than the picture before"
    REPEATED = "repeats an earlier picture"
    FROZEN = "shows what an earlier one showed, while the aircraft moves"
    TORN = "is half updated"
    ORDER = "shows another moment than its stamp says"


@dataclass(frozen=True, slots=True, eq=False)
class PictureMotion:
    """What the state says of a camera at a picture's time, as far as it tells how the ground moves through the picture.

    `velocity_enu_mps` (3,), `velocity_sigma_mps` of its worst horizontal direction; `rotation_camera_to_enu` (3, 3).
    """

    t_ns: int
    velocity_enu_mps: FloatArray
    velocity_sigma_mps: float
    rotation_camera_to_enu: FloatArray
    height_m: float
    height_sigma_m: float


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """Samples of one picture: raw (BANDS * ROWS, SEGMENTS, SEGMENT_PX), their detail, and which blocks have any."""

    t_ns: int
    raw: ImageArray
    detail: npt.NDArray[np.float32]
    norm: npt.NDArray[np.float32]
    motion: PictureMotion | None


class PictureNovelty:
    """`judge` is called with every picture as it comes. `focal_px` and `size_px` (width, height) are the camera's."""

    def __init__(self, focal_px: float, size_px: tuple[int, int]) -> None:
        self._focal_px = focal_px
        self._radius_px = math.hypot(*size_px) / 2.0
        self._seen: deque[_Seen] = deque(maxlen=PICTURES_KEPT)
        self._static = np.zeros(BANDS, dtype=int)
        self._seam: tuple[int, int] = (-1, 0)  # row, and in how many pictures running

    def judge(self, frame: Frame, motion: PictureMotion | None) -> NotNew | None:
        """Why `frame` is no new picture; None where it is one. `motion` None: nothing is known of the camera."""
        if frame.image.size == 0:
            return None  # a replay without pictures
        samples = _samples(frame.image)
        seen = _seen(frame.t_ns, samples, motion)
        if self._seen and self._seen[-1].raw.shape != seen.raw.shape:
            self._seen.clear()
        verdict = self._verdict(seen, frame.image)
        # A picture that is not new stands beside the first of its kind only once: its motion counts from there.
        if verdict not in (NotNew.REPEATED, NotNew.FROZEN):
            self._seen.append(seen)
        return verdict

    def _verdict(self, seen: _Seen, image: ImageArray) -> NotNew | None:
        if not np.any(seen.norm > 0.0):
            return None  # one colour: no picture could be told from another
        for old in reversed(self._seen):
            if np.array_equal(old.raw, seen.raw):
                return None if self._still(old, seen) else NotNew.REPEATED
        moved = next((old for old in reversed(self._seen) if self._moved(old, seen)), None)
        if moved is not None:
            same, judged = _same_bands(moved, seen)
            fresh = judged & (self._static < STATIC_PICTURES)
            if fresh.sum() >= 2 and np.all(same[fresh]):
                return NotNew.FROZEN
            self._static = np.where(judged, np.where(same, self._static + 1, 0), self._static)
            # An edge of the ground may lie along a row: a seam counts where a band is still the old picture's, too.
            seam = self._torn_at_seam(image)
            if _half(same, fresh) or (seam and bool(np.any(same & fresh))):
                return NotNew.TORN
        return None

    def _torn_at_seam(self, image: ImageArray) -> bool:
        """Whether the picture breaks at a row, but not at the one of all those before: that is an overlay's edge."""
        row = seam_row(image)
        if row is None:
            self._seam = (-1, 0)
            return False
        last, count = self._seam
        self._seam = (row, count + 1 if abs(row - last) <= 1 else 0)
        return self._seam[1] < STATIC_PICTURES

    def _still(self, old: _Seen, new: _Seen) -> bool:
        """Whether the state is sure that nothing moved: a camera on the ground may send what it likes."""
        if old.motion is None or new.motion is None:
            return False
        return image_motion_px(old.motion, new.motion, self._focal_px, self._radius_px)[1] < STILL_PX

    def _moved(self, old: _Seen, new: _Seen) -> bool:
        """Whether the ground must have moved through the picture by more than its detail is wide."""
        if old.motion is None or new.motion is None:
            return False
        return image_motion_px(old.motion, new.motion, self._focal_px, self._radius_px)[0] > MOTION_PX


def image_motion_px(
    first: PictureMotion, second: PictureMotion, focal_px: float, radius_px: float
) -> tuple[float, float]:
    """Least and most that the ground moves through the picture between two moments, in pixels.

    The middle moves by translation and tilt, which may cancel each other; the corners also by the turn about the axis.
    """
    dt_s = (second.t_ns - first.t_ns) / 1e9
    turn = log_rotation(second.rotation_camera_to_enu.T @ first.rotation_camera_to_enu)
    height_m = max(first.height_m, 1.0)
    travel = second.rotation_camera_to_enu.T @ (second.velocity_enu_mps * dt_s / height_m)
    middle_px = focal_px * math.hypot(float(turn[1] - travel[0]), float(-turn[0] - travel[1]))
    corner_px = radius_px * abs(float(turn[2]))
    relative = min(SIGMAS * first.height_sigma_m / height_m, 0.9)
    doubt = SIGMAS * second.velocity_sigma_mps * abs(dt_s) / height_m + float(np.linalg.norm(travel[:2])) * relative
    slack_px, turn_slack_px = focal_px * (doubt + ATTITUDE_RAD), radius_px * ATTITUDE_RAD
    least = max(middle_px - slack_px, corner_px - turn_slack_px, 0.0)
    return least, max(middle_px + slack_px - focal_px * ATTITUDE_RAD, corner_px)


def seam_row(image: ImageArray) -> int | None:
    """The row below which the whole width breaks, as where the upper part of a picture is newer than the lower.

    The step from one row to the next against the usual one, in twofolds, less what the rows around have of it: an edge
    of the ground fills a few strips, or crosses the row at an angle; a seam is in nearly all strips and in one row.
    """
    height, width = image.shape[:2]
    border = round(SEAM_BORDER * height)
    if border < 4 or width < SEAM_STRIPS * SEAM_STRIP_PX:
        return None
    every = max(1, height // SEAM_ROWS)
    grey = (image if image.ndim == 2 else image[..., 1])[border : height - border : every]
    total: FloatArray = np.zeros(len(grey) - 5)
    for start in np.linspace(0, width - SEAM_STRIP_PX, SEAM_STRIPS).astype(int):
        strip = grey[:, start : start + SEAM_STRIP_PX]
        step = cv2.reduce(cv2.absdiff(strip[1:], strip[:-1]), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32F)[:, 0]
        usual = max(float(np.median(step[::4])), 1.0 * SEAM_STRIP_PX)
        twofold = np.log2(np.maximum(step, usual / 4.0) / usual)
        around = np.maximum(np.maximum(twofold[:-4], twofold[4:]), 0.0)
        total += np.clip(twofold[2:-2] - around, 0.0, SEAM_TWOFOLD_MAX)
    at = int(np.argmax(total))
    best, rest = float(total[at]), np.concatenate([total[: max(at - 3, 0)], total[at + 4 :]])
    # Blocks of compression break at every eighth row, and then not at one alone.
    broken = best > SEAM_STRIPS * SEAM_TWOFOLD and best > float(rest.max()) + SEAM_STRIPS * SEAM_ALONE
    return border + (2 + at) * every if broken else None


def _samples(image: ImageArray) -> ImageArray:
    """Short pieces of rows from all over the picture: (BANDS * ROWS_PER_BAND, SEGMENTS, SEGMENT_PX)."""
    height, width = image.shape[:2]
    grey: Any = image if image.ndim == 2 else image[..., 1]
    length = min(SEGMENT_PX, max(width // SEGMENTS, 1))
    rows = ((np.arange(BANDS * ROWS_PER_BAND) + 0.5) * height / (BANDS * ROWS_PER_BAND)).astype(int)
    starts = np.linspace(0, width - length, SEGMENTS).astype(int)
    columns = (starts[:, None] + np.arange(length)).ravel()
    return np.asarray(grey[rows][:, columns].reshape(len(rows), SEGMENTS, length))


def _seen(t_ns: int, raw: ImageArray, motion: PictureMotion | None) -> _Seen:
    values = raw.astype(np.float32).reshape(-1, raw.shape[2])
    half = DETAIL_PX // 2
    detail = (values - cv2.blur(values, (DETAIL_PX, 1)))[:, half:-half]
    blocks = detail.reshape(BANDS, ROWS_PER_BAND, SEGMENTS, -1).transpose(0, 2, 1, 3).reshape(BANDS, SEGMENTS, -1)
    blocks = blocks - blocks.mean(axis=2, keepdims=True)
    return _Seen(t_ns, raw, blocks, np.sqrt(np.einsum("bsk,bsk->bs", blocks, blocks)), motion)


def _same_bands(old: _Seen, new: _Seen) -> tuple[BoolArray, BoolArray]:
    """(BANDS,) whether a band shows the same detail at the same pixels, and whether it shows enough to be judged.

    A band of which some blocks are the same and others not is neither: it is not judged.
    """
    norm = old.norm * new.norm
    active = norm > 0.0
    product = np.einsum("bsk,bsk->bs", old.detail, new.detail)
    alike = active & (product > SAME_CORRELATION * norm)
    count = active.sum(axis=1)
    share = alike.sum(axis=1) / np.maximum(count, 1)
    same = share >= SAME_SHARE
    return same, (count >= BLOCKS_MIN) & (same | (share <= OTHER_SHARE))


def _half(same: BoolArray, judged: BoolArray) -> bool:
    """Whether one end of the picture is old and the other new, two bands each at least, without a mixture."""
    told = same[judged]
    old = int(told.sum())
    if min(old, len(told) - old) < 2:
        return False
    return bool(np.all(told[:old]) or np.all(told[len(told) - old :]))
