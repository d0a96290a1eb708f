"""The simulated world: seeded, without end, painted chunk by chunk when somebody looks."""

from __future__ import annotations

import functools
import math
from collections import OrderedDict

import numpy as np

from gps_denied_onboard.messages import FloatArray, ImageArray
from gps_denied_sim.noise import Textures, make_textures
from gps_denied_sim.render.appearance import Appearance
from gps_denied_sim.render.canvas import Canvas
from gps_denied_sim.render.ground import paint
from gps_denied_sim.scene.land_cover import Land
from gps_denied_sim.scene.terrain import Terrain, WorldStyle

CHUNK_M = 480.0
MARGIN_M = 24.0


class World:
    """Ground of one seed, x metres east and y north of its origin; the same whatever the order of asking."""

    def __init__(self, seed: int, style: WorldStyle | None = None) -> None:
        self.seed = seed
        self.style = style or WorldStyle()
        self.terrain = Terrain(seed, self.style)
        self.land = Land(seed, self.style, self.terrain)

    @functools.cached_property
    def textures(self) -> Textures:
        """What the ground is painted with; who asks for heights alone does without."""
        return make_textures(self.seed)

    def height_m(self, x_m: FloatArray, y_m: FloatArray) -> FloatArray:
        """ENU up of the ground, see Terrain.height_m."""
        return self.terrain.height_m(x_m, y_m)

    def paint_chunk(self, look: Appearance, i: int, j: int, resolution_m: float) -> ImageArray:
        """(n, n, 3) BGR of the chunk whose south-west corner is (i, j) * 480 m, north up."""
        import cv2

        n = round(CHUNK_M / resolution_m)
        pad = math.ceil(MARGIN_M / resolution_m)
        x0, y1 = i * CHUNK_M - pad * resolution_m, (j + 1) * CHUNK_M + pad * resolution_m
        size = n + 2 * pad
        image = np.zeros((size, size, 3), dtype=np.uint8)
        canvas = Canvas(image, x0, y1, resolution_m, self.seed, look, self.textures)
        side = size * resolution_m
        cells = self.land.cells_in(x0, y1 - side, x0 + side, y1)
        paint(canvas, cells, self.terrain)
        blurred = cv2.GaussianBlur(image, (3, 3), 0.6)
        if look.spectrum:
            blurred = cv2.merge([cv2.cvtColor(blurred, cv2.COLOR_BGR2GRAY)] * 3)
        if look.blur_m > 0.0:
            blurred = cv2.GaussianBlur(blurred, (0, 0), look.blur_m / resolution_m)
        return np.ascontiguousarray(blurred[pad : pad + n, pad : pad + n])


class GroundPicture:
    """One look of a world at one resolution, with a bounded store of painted chunks."""

    def __init__(self, world: World, look: Appearance, resolution_m: float, max_chunks: int = 24) -> None:
        self.world, self.look, self.resolution_m = world, look, resolution_m
        self._max_chunks = max_chunks
        self._chunks: OrderedDict[tuple[int, int], ImageArray] = OrderedDict()
        self.painted = 0

    def chunk(self, i: int, j: int) -> ImageArray:
        """The chunk (i, j), painted at most once while it is remembered."""
        found = self._chunks.get((i, j))
        if found is None:
            found = self.world.paint_chunk(self.look, i, j, self.resolution_m)
            self.painted += 1
            self._chunks[(i, j)] = found
            if len(self._chunks) > self._max_chunks:
                self._chunks.popitem(last=False)
        else:
            self._chunks.move_to_end((i, j))
        return found

    def mosaic(self, x0: float, y0: float, x1: float, y1: float) -> tuple[ImageArray, float, float]:
        """A picture that covers the rectangle: (H, W, 3) BGR, and the world x, y of its first pixel's centre."""
        r = self.resolution_m
        n = round(CHUNK_M / r)
        c0, c1 = math.floor(x0 / r) - 1, math.ceil(x1 / r) + 1
        r0, r1 = math.floor(y0 / r) - 1, math.ceil(y1 / r) + 1
        out = np.empty((r1 - r0, c1 - c0, 3), dtype=np.uint8)
        for i in range(c0 // n, (c1 - 1) // n + 1):
            for j in range(r0 // n, (r1 - 1) // n + 1):
                chunk = self.chunk(i, j)
                a0, a1 = max(c0, i * n), min(c1, (i + 1) * n)
                b0, b1 = max(r0, j * n), min(r1, (j + 1) * n)
                out[r1 - b1 : r1 - b0, a0 - c0 : a1 - c0] = chunk[
                    (j + 1) * n - b1 : (j + 1) * n - b0, a0 - i * n : a1 - i * n
                ]
        return out, (c0 + 0.5) * r, (r1 - 0.5) * r
