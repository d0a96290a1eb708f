"""Maps read directly, without the tile store: for `evaluate` and for whoever wants to look."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.codec import Grey, Mask
from gps_denied_onboard.tiles.grid import TILE_PX
from gps_denied_onboard.tiles.sources import DirectoryTileSource, TileSource, UnionTileSource
from gps_denied_operator.tiles.makers import open_map
from gps_denied_operator.tiles.mbtiles import is_mbtiles
from gps_denied_operator.tiles.raster import MapRaster, RasterReader


class RasterTileSource:
    """A georeferenced raster as a tile source, warped when asked for, in squares of 4x4 tiles; some are kept."""

    SQUARE_TILES = 4
    SQUARES_KEPT = 8

    def __init__(self, path: Path, zoom: int | None = None) -> None:
        """Open the raster. zoom: by its own resolution unless given. UserError where it is none."""
        raster = MapRaster.open(path)
        self.notes = raster.notes
        self._zoom = raster.default_zoom() if zoom is None else raster.check_zoom(zoom)
        self._bounds = raster.tile_range(self._zoom)
        self._reader = RasterReader(raster, self._zoom)
        self._squares: OrderedDict[tuple[int, int], tuple[Grey, Mask]] = OrderedDict()

    @property
    def zoom(self) -> int:
        return self._zoom

    def bounds_tiles(self) -> tuple[int, int, int, int]:
        return self._bounds

    def read_tile(self, x: int, y: int) -> tuple[Grey, Mask] | None:
        x0, y0, x1, y1 = self._bounds
        if not (x0 <= x < x1 and y0 <= y < y1):
            return None
        size = self.SQUARE_TILES
        left, top = max(x // size * size, x0), max(y // size * size, y0)
        if (left, top) not in self._squares:
            right, bottom = min((x // size + 1) * size, x1), min((y // size + 1) * size, y1)
            picture, valid = self._reader.read(left, top, right - left, bottom - top)
            grey = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
            self._squares[left, top] = (np.asarray(grey, dtype=np.uint8), valid)
            if len(self._squares) > self.SQUARES_KEPT:
                self._squares.popitem(last=False)
        grey, valid = self._squares[left, top]
        part = np.s_[(y - top) * TILE_PX : (y - top + 1) * TILE_PX, (x - left) * TILE_PX : (x - left + 1) * TILE_PX]
        return (grey[part], valid[part]) if valid[part].any() else None


class TileSetSource:
    """An MBTiles file or a folder of foreign tiles (any image format, rows from north or south) as a tile source."""

    def __init__(self, path: Path, zoom: int | None = None) -> None:
        self._maker = open_map(path, zoom)
        self.notes = self._maker.notes

    @property
    def zoom(self) -> int:
        return self._maker.zoom

    def bounds_tiles(self) -> tuple[int, int, int, int]:
        return self._maker.bounds_tiles()

    def read_tile(self, x: int, y: int) -> tuple[Grey, Mask] | None:
        for tile in self._maker.make([(x, y)]):
            if tile is not None and (tile.x, tile.y) == (x, y):
                return codec.decode_tile(tile.jpeg, codec.encode_mask(tile.valid))
        return None


def open_tile_source(paths: Sequence[Path], zoom: int | None = None) -> TileSource:
    """Return one tile source of one or more maps: rasters, MBTiles files, folders of tiles.

    Several maps are laid over each other, the first on top, at the zoom given or the coarsest of theirs: no map is
    blown up. Raises UserError where one is unreadable or cannot be had at that zoom.
    """
    if not paths:
        raise UserError("No map was given: name a GeoTIFF, an MBTiles file or a folder of z/x/y tiles.")
    if zoom is None and len(paths) > 1:
        zoom = min(_open(path, None).zoom for path in paths)
    sources = [_open(path, zoom) for path in paths]
    return sources[0] if len(sources) == 1 else UnionTileSource(sources)


def _open(path: Path, zoom: int | None) -> TileSource:
    if path.is_dir():
        own = any(path.glob("[0-9]*/[0-9]*/*.sha256"))  # as our store writes them, with masks
        return DirectoryTileSource(path, zoom) if own else TileSetSource(path, zoom)
    if is_mbtiles(path):
        return TileSetSource(path, zoom)
    return RasterTileSource(path, zoom)
