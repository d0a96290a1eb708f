"""Windows of the mosaic are the exact means of the tiles' pixels that have data, whatever was read before."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gps_denied_onboard.tiles.mosaic import BLOCK_PX, MapMosaic

X0, Y0, COLUMNS, ROWS = 1001, 2002, 9, 7


class Land:
    """A tile source in memory: smooth and noisy ground with a hole, an empty tile and a half-empty one."""

    zoom = 15

    def __init__(self) -> None:
        rng = np.random.default_rng(7)
        self.grey = rng.integers(1, 256, (ROWS * 256, COLUMNS * 256), dtype=np.uint8)
        self.valid = np.ones(self.grey.shape, dtype=bool)
        self.valid[300:420, 500:900] = False
        self.valid[512:768, 256:512] = False
        self.valid[::2, 1600:1700] = False
        self.grey[~self.valid] = 0
        self.reads = 0

    def bounds_tiles(self) -> tuple[int, int, int, int]:
        return X0, Y0, X0 + COLUMNS, Y0 + ROWS

    def read_tile(self, x: int, y: int) -> tuple[np.ndarray, np.ndarray] | None:
        i, j = x - X0, y - Y0
        if not (0 <= i < COLUMNS and 0 <= j < ROWS):
            return None
        self.reads += 1
        part = np.s_[j * 256 : (j + 1) * 256, i * 256 : (i + 1) * 256]
        return (self.grey[part], self.valid[part]) if self.valid[part].any() else None


def expected(land: Land, level: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the whole map at a level, worked out the slow and plain way."""
    n = 2**level
    shape = (ROWS * 256 // n, n, COLUMNS * 256 // n, n)
    count = land.valid.reshape(shape).sum(axis=(1, 3))
    total = land.grey.astype(np.int64).reshape(shape).sum(axis=(1, 3))
    valid = 2 * count >= n * n
    grey = np.where(valid, np.floor(total / np.maximum(count, 1) + 0.5), 0)
    return grey.astype(np.uint8), valid


LAND = Land()
MARGIN = 1200


@functools.cache
def whole(level: int) -> list[np.ndarray]:
    """Grey and validity of LAND at a level, with nothing around it."""
    return [np.pad(part, MARGIN) for part in expected(LAND, level)]


@pytest.mark.parametrize("level", range(9))
def test_levels_are_means_of_what_has_data(level: int) -> None:
    """At every level a pixel is the mean of its pixels that have data, and valid where half of them have."""
    x0, y0, x1, y1 = MapMosaic(LAND).bounds_px(level)
    assert (x0, y0) == (X0 * 256 >> level, Y0 * 256 >> level)
    grey, valid = MapMosaic(LAND).window(level, x0, y0, x1 - x0, y1 - y0)
    np.testing.assert_array_equal(valid, whole(level)[1][MARGIN:-MARGIN, MARGIN:-MARGIN])
    np.testing.assert_array_equal(grey, whole(level)[0][MARGIN:-MARGIN, MARGIN:-MARGIN])


def test_a_whole_map_is_rounded_as_any_other() -> None:
    """Blocks whose every pixel has data take another way; half a grey is rounded up there, too."""
    land = Land()
    land.valid[:] = True
    land.grey = np.random.default_rng(8).integers(1, 256, land.grey.shape, dtype=np.uint8)
    for level in (1, 3, 5):
        size = BLOCK_PX >> level
        left, top = -(-X0 // 4) * size, -(-Y0 // 4) * size  # the first block that lies on the map wholly
        grey, valid = MapMosaic(land).window(level, left, top, size, size)
        assert valid.all()
        u, v = left - (X0 * 256 >> level), top - (Y0 * 256 >> level)
        np.testing.assert_array_equal(grey, expected(land, level)[0][v : v + size, u : u + size])


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 5), st.integers(-400, 2400), st.integers(-400, 2000),
            st.integers(1, 700), st.integers(1, 500),
        ),
        min_size=1, max_size=4,
    ),
    st.sampled_from([100_000, 5_000_000, 200_000_000]),
)  # fmt: skip
def test_windows_do_not_depend_on_what_was_read_before(
    windows: list[tuple[int, int, int, int, int]], cache_bytes: int
) -> None:
    """Any windows in any order, over the map's edge too, equal the whole map cut; the cache has any size."""
    mosaic = MapMosaic(LAND, cache_bytes)
    for level, u, v, width, height in windows:
        u, v = u >> level, v >> level
        grey, valid = mosaic.window(level, (X0 * 256 >> level) + u, (Y0 * 256 >> level) + v, width, height)
        cut = np.s_[MARGIN + v : MARGIN + v + height, MARGIN + u : MARGIN + u + width]
        np.testing.assert_array_equal(grey, whole(level)[0][cut])
        np.testing.assert_array_equal(valid, whole(level)[1][cut])
        assert mosaic.cached_bytes <= cache_bytes


def test_steady_flight_decodes_each_tile_once() -> None:
    """Windows of two levels that creep over the map read every tile once when the cache holds the strip."""
    land = Land()
    mosaic = MapMosaic(land)
    for step in range(0, COLUMNS * 256 - 1000, 50):
        for level in (3, 0):
            mosaic.window(level, (X0 * 256 + step) >> level, Y0 * 256 >> level, 1000 >> level, ROWS * 256 >> level)
        if step == 0:
            land.reads = 0  # the very first window cannot know yet that finer ones follow
    blocks = {((X0 + i) * 256 // BLOCK_PX, (Y0 + j) * 256 // BLOCK_PX) for i in range(COLUMNS) for j in range(ROWS)}
    first = {((X0 * 256 + u) // BLOCK_PX, (Y0 + j) * 256 // BLOCK_PX) for u in range(1000) for j in range(ROWS)}
    tiles = [(i, j) for i in range(COLUMNS) for j in range(ROWS)]
    later = [(i, j) for i, j in tiles if ((X0 + i) * 256 // BLOCK_PX, (Y0 + j) * 256 // BLOCK_PX) in blocks - first]
    assert land.reads == len(later)


def test_coarse_map_is_made_without_holding_the_fine_one() -> None:
    """Reading the whole map at level 3 keeps a sixty-fourth of its pixels, no more."""
    mosaic = MapMosaic(Land())
    x0, y0, x1, y1 = mosaic.bounds_px(3)
    mosaic.window(3, x0, y0, x1 - x0, y1 - y0)
    assert mosaic.cached_bytes < 2.6 * COLUMNS * ROWS * 256 * 256 / 64 * 2


def test_a_small_map_is_read_once_for_all_levels() -> None:
    """With its levels kept from the first read on, whatever is asked next reads no tile again."""
    land = Land()
    mosaic = MapMosaic(land, finest_kept=1)
    x0, y0, x1, y1 = mosaic.bounds_px(3)
    mosaic.window(3, x0, y0, x1 - x0, y1 - y0)
    reads = land.reads
    for level in (1, 5, 2):
        x0, y0, x1, y1 = mosaic.bounds_px(level)
        grey, _ = mosaic.window(level, x0, y0, x1 - x0, y1 - y0)
        np.testing.assert_array_equal(grey[: y1 - y0, : x1 - x0], expected(LAND, level)[0][: y1 - y0, : x1 - x0])
    assert land.reads == reads


def test_level_out_of_range_is_refused() -> None:
    """A level below 0 or coarser than one pixel a tile is an error."""
    for level in (-1, 9):
        with pytest.raises(ValueError, match="level"):
            MapMosaic(Land()).window(level, 0, 0, 1, 1)
