"""The square of ground that is being painted, and how OpenCV draws on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gps_denied_onboard.messages import FloatArray, ImageArray
from gps_denied_sim.noise import TEXTURE_SIZE_PX, TEXTURE_STORED_PX, Textures
from gps_denied_sim.render.appearance import Appearance

SHIFT = 4
"""Fractional bits of the coordinates that OpenCV's drawing functions are given."""


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """A square of ground being painted: `image` (H, W, 3) BGR; `x0_m`, `y1_m` its west and north edges."""

    image: ImageArray
    x0_m: float
    y1_m: float
    resolution_m: float
    seed: int
    look: Appearance
    textures: Textures

    def pixels(self, points_m: FloatArray) -> FloatArray:
        """(N, 2) column, row of world points; pixel centres at whole numbers."""
        out = np.empty_like(points_m)
        out[:, 0] = (points_m[:, 0] - self.x0_m) / self.resolution_m - 0.5
        out[:, 1] = (self.y1_m - points_m[:, 1]) / self.resolution_m - 0.5
        return out

    def shows(self, only_in: str, key: int) -> bool:
        """Whether an item exists on the day of this look."""
        if only_in == "old":
            return self.look.age > 1.0
        if only_in:
            return only_in == self.look.name
        return bool((key * 2654435761 % 1000003) / 1000003.0 >= 0.12 * self.look.age)

    def sample(
        self,
        texture: ImageArray,
        window: tuple[int, int, int, int],
        angle: float,
        scale: FloatArray,
        offset: FloatArray,
    ) -> ImageArray:
        """Texture over a window (column, row, width, height) in world coordinates turned by `angle`.

        `scale` (2,) texture pixels per metre along and across, `offset` (2,) texture pixels.
        """
        import cv2

        c, s = math.cos(angle), math.sin(angle)
        r = self.resolution_m
        x = self.x0_m + (window[0] + 0.5) * r
        y = self.y1_m - (window[1] + 0.5) * r
        m = np.array(
            [
                [scale[0] * c * r, -scale[0] * s * r, scale[0] * (c * x + s * y) + offset[0]],
                [-scale[1] * s * r, -scale[1] * c * r, scale[1] * (-s * x + c * y) + offset[1]],
            ]
        )
        spans = np.array([m[:, 0] * window[2], m[:, 1] * window[3]])
        low, span = np.minimum(spans, 0.0).sum(axis=0), np.abs(spans).sum(axis=0)
        m[:, 2] = (m[:, 2] + low) % TEXTURE_SIZE_PX - low
        fits = bool((span < TEXTURE_STORED_PX - TEXTURE_SIZE_PX - 4).all())
        out = cv2.warpAffine(
            texture if fits else texture[:TEXTURE_SIZE_PX, :TEXTURE_SIZE_PX],
            m,
            (window[2], window[3]),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT if fits else cv2.BORDER_WRAP,
        )
        return np.asarray(out, dtype=np.uint8)


def fixed_point(pixels: FloatArray) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    """Pixels as OpenCV's drawing functions take them with SHIFT fractional bits."""
    return np.asarray(np.round(np.clip(pixels, -30000, 30000) * (1 << SHIFT)), dtype=np.int32)
