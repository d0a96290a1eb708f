"""The map as one grey picture at any resolution: windows in global Web-Mercator pixels, averaged and cached.

Level 0 is the source's own zoom; a pixel of level L is the mean of those of its 2**L x 2**L pixels that have data, and
is valid where at least half of them have. It depends on the tiles alone, never on what was asked before.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np

from gps_denied_onboard.tiles.codec import Grey, Mask
from gps_denied_onboard.tiles.grid import TILE_PX
from gps_denied_onboard.tiles.overview import Overview
from gps_denied_onboard.tiles.sources import TileSource

BLOCK_TILES = 4
BLOCK_PX = BLOCK_TILES * TILE_PX
LEVEL_MAX = 8  # one pixel a tile
EMPTY_BYTES = 256  # what remembering an empty block costs, about

# Grey and validity of one block at one level; validity None where all is valid, the whole None where nothing is.
Picture = tuple[Grey, Mask | None] | None


class MapMosaic:
    """Windows of a tile source. Threads may share it; memory is bounded by cache_bytes plus one block."""

    def __init__(
        self,
        source: TileSource,
        cache_bytes: int = 256 * 1024 * 1024,
        downgraded: bool = False,
        overview: Overview | None = None,
        finest_kept: int = LEVEL_MAX,
    ) -> None:
        """downgraded: the map holds tiles that are too old to be trusted fully. overview: coarse levels made before.
        finest_kept: what is read is kept at this level and all coarser ones, before any window asks for them."""
        self.downgraded = downgraded
        self._overview = overview
        self._source = source
        self._cache_bytes = cache_bytes
        self._held_bytes = 0
        self._finest = finest_kept
        self._coarsest = LEVEL_MAX if finest_kept < LEVEL_MAX else 0
        self._pictures: OrderedDict[tuple[int, int, int], Picture] = OrderedDict()
        self._bounds = source.bounds_tiles()
        self._lock = threading.Lock()

    @property
    def zoom(self) -> int:
        return self._source.zoom

    @property
    def cached_bytes(self) -> int:
        return self._held_bytes

    def bounds_px(self, level: int) -> tuple[int, int, int, int]:
        """Return (x0, y0, x1, y1) of the map's extent in pixels of a level, x1 and y1 not included."""
        x0, y0, x1, y1 = (edge * TILE_PX >> _checked(level) for edge in self._bounds)
        return x0, y0, x1, y1

    def window(self, level: int, x0_px: int, y0_px: int, width_px: int, height_px: int) -> tuple[Grey, Mask]:
        """Return grey (height, width), 0 where there is no data, and validity (height, width).

        x0_px, y0_px: global Web-Mercator pixel of the window's north-west corner at this level, that is
        (lon+180)/360 * 256 * 2**zoom / 2**level and y from the north. Outside the map nothing is valid.
        """
        grey = np.zeros((height_px, width_px), dtype=np.uint8)
        valid = np.zeros((height_px, width_px), dtype=bool)
        size = BLOCK_PX >> _checked(level)
        map_x0, map_y0, map_x1, map_y1 = self.bounds_px(level)
        left, right = max(x0_px, map_x0), min(x0_px + width_px, map_x1)
        top, bottom = max(y0_px, map_y0), min(y0_px + height_px, map_y1)
        for row in range(top // size, -(-bottom // size) if bottom > top else top // size):
            for column in range(left // size, -(-right // size) if right > left else left // size):
                picture = self._picture(level, column, row)
                if picture is None:
                    continue
                u0, u1 = max(left, column * size), min(right, (column + 1) * size)
                v0, v1 = max(top, row * size), min(bottom, (row + 1) * size)
                there = np.s_[v0 - row * size : v1 - row * size, u0 - column * size : u1 - column * size]
                here = np.s_[v0 - y0_px : v1 - y0_px, u0 - x0_px : u1 - x0_px]
                grey[here] = picture[0][there]
                valid[here] = True if picture[1] is None else picture[1][there]
        return grey, valid

    def _picture(self, level: int, column: int, row: int) -> Picture:
        with self._lock:
            key = (level, column, row)
            if key in self._pictures:
                self._pictures.move_to_end(key)
                return self._pictures[key]
            if self._overview is not None and self._overview.holds(level, column, row):
                picture = self._overview.block(level, column, row)
                self._keep(key, picture)
                return picture
            self._finest = min(self._finest, level)
            # A flight that reads several levels decodes each tile once: all levels from the finest one in use are made
            # together. A map read at a coarse level alone never holds the fine ones.
            full_key = (0, column, row)
            full = self._pictures[full_key] if full_key in self._pictures else self._full_block(column, row)
            made = {kept: shrink(full, kept) for kept in range(self._finest, max(level, self._coarsest) + 1)}
            for kept in sorted(made, key=lambda kept: kept == level):
                self._keep((kept, column, row), made[kept])
            return made[level]

    def _full_block(self, column: int, row: int) -> Picture:
        grey: Grey | None = None
        valid = np.zeros((BLOCK_PX, BLOCK_PX), dtype=bool)
        for j in range(BLOCK_TILES):
            for i in range(BLOCK_TILES):
                tile = self._source.read_tile(column * BLOCK_TILES + i, row * BLOCK_TILES + j)
                if tile is not None:
                    grey = np.zeros((BLOCK_PX, BLOCK_PX), dtype=np.uint8) if grey is None else grey
                    place = np.s_[j * TILE_PX : (j + 1) * TILE_PX, i * TILE_PX : (i + 1) * TILE_PX]
                    grey[place], valid[place] = tile
        return None if grey is None else (grey, None if valid.all() else valid)

    def _keep(self, key: tuple[int, int, int], picture: Picture) -> None:
        if key in self._pictures:
            self._held_bytes -= _bytes(self._pictures.pop(key))
        self._pictures[key] = picture
        self._held_bytes += _bytes(picture)
        while self._held_bytes > self._cache_bytes and self._pictures:
            self._held_bytes -= _bytes(self._pictures.popitem(last=False)[1])


def shrink(picture: Picture, level: int) -> Picture:
    """Return a picture 2**level times smaller: mean of the pixels with data, rounded half up, valid where half have."""
    if picture is None or level == 0:
        return picture
    grey, valid = picture
    if valid is None:
        return np.asarray((2 * _sums(grey, level) + 4**level) >> (2 * level + 1), dtype=np.uint8), None
    count = _sums(valid.view(np.uint8), level)
    total = _sums(np.where(valid, grey, 0), level)
    kept = 2 * count >= 4**level
    mean = (2 * total + count) // np.maximum(2 * count, 1)
    small: Grey = np.where(kept, mean, 0).astype(np.uint8)
    return (small, None if kept.all() else kept) if kept.any() else None


def _sums(values: Grey, level: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint32]]:
    """(H >> level, W >> level) sums of the squares of 2**level pixels, exact."""
    sums = values.astype(np.uint16)  # 255 * 4**4 just fits
    for step in range(level):
        if step == 4:
            sums = sums.astype(np.uint32)
        sums = sums[0::2] + sums[1::2]
        sums = sums[:, 0::2] + sums[:, 1::2]
    return sums.astype(np.uint32)


def _bytes(picture: Picture) -> int:
    if picture is None:
        return EMPTY_BYTES
    return EMPTY_BYTES + picture[0].nbytes + (picture[1].nbytes if picture[1] is not None else 0)


def _checked(level: int) -> int:
    if not 0 <= level <= LEVEL_MAX:
        raise ValueError(f"level {level} is not between 0 and {LEVEL_MAX}")
    return level
