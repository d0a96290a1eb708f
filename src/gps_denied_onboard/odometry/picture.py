"""A frame made ready for the odometry: reduced, evened out; corners, features, a small copy are built once."""

from __future__ import annotations

import itertools
import math
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.messages import FloatArray, Frame, ImageArray
from gps_denied_onboard.odometry.config import OdometryConfig

CONTRAST_MIN = 2.0
"""Standard deviation, grey levels of 255, under which a picture shows nothing."""
CORNER_RISE = 2.0
"""A corner is this many times stronger than the picture's noise would make one."""
STILL_CONTRAST = 0.02
"""SIFT's contrast threshold; half the usual one, for bare fields."""
STRIP_PX = 200_000
"""Pixels of a picture at which SIFT looks at once, about."""
STRIP_MARGIN_PX = 48
"""Rows beyond its strip that SIFT sees: as far as the descriptors of all but the largest keypoints reach."""
STILL_WIDTH_PX = 600
"""Width at which SIFT looks, at most; it doubles the picture itself. At 0.7 of full width as many pairs of real
photographs were registered for 60 % of the time, at half width fewer."""
FIELD_WIDTH_PX = 192
"""Width of the small picture that is compared as a whole."""


PointArray: TypeAlias = npt.NDArray[np.float32]


class Picture:
    """One prepared frame. `camera` is the model of the reduced picture, `reduction` frame pixels per reduced pixel."""

    def __init__(self, frame: Frame, camera: CameraModel, config: OdometryConfig) -> None:
        height, width = frame.image.shape[:2]
        if (width, height) != (camera.width_px, camera.height_px):
            raise UserError(
                f"frame {frame.name or frame.index} is {width}x{height}, the camera calibration is for "
                f"{camera.width_px}x{camera.height_px}: give frames of one size, or that camera's own calibration."
            )
        self.t_ns = frame.t_ns
        self.frame = frame
        self.reduction = max(1, math.ceil(width / config.working_width_px))
        self.grey = even_out(reduce(frame.image, self.reduction))
        self.camera = camera.resized(self.grey.shape[1], self.grey.shape[0]) if self.reduction > 1 else camera
        self._config = config
        self._corners: PointArray | None = None
        self._still: tuple[FloatArray, npt.NDArray[np.float32]] | None = None
        self._small: tuple[ImageArray, CameraModel] | None = None

    @property
    def focal_px(self) -> float:
        """Mean focal length of the reduced picture."""
        return math.sqrt(self.camera.fx_px * self.camera.fy_px)

    @property
    def fault(self) -> str:
        """Why nothing can be seen, or an empty string."""
        deviation = float(self.frame.image[::8, ::8].std())
        if deviation < CONTRAST_MIN:
            mean = float(self.frame.image[::8, ::8].mean())
            return "picture is dark" if mean < 30 else "picture has no contrast"
        return ""

    @property
    def corners(self) -> PointArray:
        """(N, 2) float32 corners of the reduced picture, at most one a cell of an even grid, strongest first."""
        if self._corners is None:
            self._corners = find_corners(self.grey, self._config.track_limit)
        return self._corners

    @property
    def still_features(self) -> tuple[FloatArray, npt.NDArray[np.float32]]:
        """SIFT keypoints (N, 2) in pixels of the reduced picture and their root descriptors (N, 128)."""
        if self._still is None:
            scale = min(1.0, STILL_WIDTH_PX / self.grey.shape[1])
            size = (round(self.grey.shape[1] * scale), round(self.grey.shape[0] * scale))
            drawn = cv2.resize(self.grey, size, interpolation=cv2.INTER_AREA) if scale < 1.0 else self.grey
            points, roots = find_still_features(np.asarray(drawn, np.uint8), self._config.still_features)
            back = np.array(self.grey.shape[::-1]) / size
            self._still = ((points + 0.5) * back - 0.5, roots)
        return self._still

    @property
    def small(self) -> tuple[ImageArray, CameraModel]:
        """The picture at about FIELD_WIDTH_PX and its camera model."""
        if self._small is None:
            width = min(FIELD_WIDTH_PX, self.grey.shape[1])
            height = max(32, round(self.grey.shape[0] * width / self.grey.shape[1]))
            image = np.asarray(cv2.resize(self.grey, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
            self._small = (image, self.camera.resized(width, height))
        return self._small


def reduce(image: ImageArray, reduction: int) -> ImageArray:
    """Grey picture of (H, W) or (H, W, 3) BGR, reduced by an integer."""
    if reduction > 1:
        size = (image.shape[1] // reduction, image.shape[0] // reduction)
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    if image.ndim == 3:
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
    return image


def even_out(grey: ImageArray) -> ImageArray:
    """Stretch between the 0.5 and 99.5 percentiles, so that exposure and haze matter less to the tracks."""
    histogram = np.cumsum(np.bincount(grey[::2, ::2].ravel(), minlength=256))
    low = int(np.searchsorted(histogram, 0.005 * histogram[-1]))
    high = int(np.searchsorted(histogram, 0.995 * histogram[-1]))
    gain = 255.0 / max(high - low, 16)
    table = np.clip((np.arange(256) - low) * gain, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(grey, table), np.uint8)


def find_corners(grey: ImageArray, limit: int) -> PointArray:
    """(N, 2) float32 strongest corner of each grid cell where it rises over the noise.

    Shi and Tomasi's smaller eigenvalue; one a cell spreads them as evenly as the ground allows.
    """
    strength = cv2.cornerMinEigenVal(grey, 5)
    border = 8
    h, w = strength.shape
    cell = max(8, int(math.sqrt((h - 2 * border) * (w - 2 * border) / limit)))
    rows, columns = (h - 2 * border) // cell, (w - 2 * border) // cell
    inner = strength[border : border + rows * cell, border : border + columns * cell]
    cells = inner.reshape(rows, cell, columns, cell).transpose(0, 2, 1, 3).reshape(rows * columns, cell * cell)
    best = cells.argmax(axis=1)
    value = cells[np.arange(len(cells)), best]
    row, column = np.divmod(np.arange(len(cells)), columns)
    y = border + row * cell + best // cell
    x = border + column * cell + best % cell
    keep = value > CORNER_RISE * corner_noise(grey)
    order = np.argsort(-value[keep], kind="stable")
    return np.asarray(np.stack([x, y], axis=1)[keep][order], dtype=np.float32)


def find_still_features(grey: ImageArray, limit: int) -> tuple[FloatArray, npt.NDArray[np.float32]]:
    """SIFT keypoints (N, 2) and root descriptors (N, 128), about `limit`, the strongest of each strip.

    Strip by strip, because its pyramid takes 250 bytes a pixel.
    """
    height, width = grey.shape
    edges = np.linspace(0, height, -(-height * width // STRIP_PX) + 1).astype(int)
    points, found = [np.zeros((0, 2))], [np.zeros((0, 128), np.float32)]
    for first, end in itertools.pairwise(edges):
        top, bottom = max(first - STRIP_MARGIN_PX, 0), min(end + STRIP_MARGIN_PX, height)
        sift: Any = cv2.SIFT_create(  # type: ignore[attr-defined]  # absent from the type stubs
            -(-limit * (bottom - top) // height), contrastThreshold=STILL_CONTRAST
        )
        own = np.zeros((bottom - top, width), np.uint8)
        own[first - top : end - top] = 255
        keypoints, descriptors = sift.detectAndCompute(grey[top:bottom], own)
        if descriptors is not None:
            points.append(np.array([(k.pt[0], k.pt[1] + top) for k in keypoints]))
            found.append(descriptors)
    together = np.concatenate(found)
    roots = np.sqrt(together / np.maximum(together.sum(axis=1, keepdims=True), 1e-6))
    return np.concatenate(points), roots


def corner_noise(grey: ImageArray) -> float:
    """Corner strength that the picture's own noise makes.

    OpenCV's Sobel is normalised by 1 / (4 * 5 * 255); its gradient of noise s has variance 12 s^2.
    """
    return 12.0 * picture_noise(grey) ** 2 * 25 / (4.0 * 5.0 * 255.0) ** 2


def picture_noise(grey: ImageArray) -> float:
    """Standard deviation of the noise in grey levels, from the median second difference along rows.

    A difference a - 2b + c of noise s has sigma sqrt(6) s; fine texture counts as noise too.
    """
    part = grey[::4].astype(np.int16)
    second = np.abs(part[:, :-2] - 2 * part[:, 1:-1] + part[:, 2:])
    return max(float(np.median(second)) / 0.6745 / math.sqrt(6.0), 0.5)
