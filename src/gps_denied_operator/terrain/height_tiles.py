"""Heights packed into the colours of map tiles: Terrarium and Mapbox RGB, in folders and MBTiles files.

Which of the two a set is, its red channel says: heights on earth and under its seas have 80 to 165 in Terrarium's, 0 to
2 in Mapbox's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from enum import Enum
from pathlib import Path

import cv2
import numpy as np

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry import geodesy
from gps_denied_onboard.geometry.grid_heights import bilinear
from gps_denied_onboard.geometry.terrain import TerrainGrid
from gps_denied_onboard.messages import FloatArray
from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.grid import TILE_PX, tile_range
from gps_denied_onboard.tiles.terrain_file import HEIGHT_M_MAX, HEIGHT_M_MIN, POSTS_MAX
from gps_denied_operator.terrain.rasters import METRES_PER_DEG, POST_M2_MIN, Box, ReadHeights, block_means
from gps_denied_operator.tiles.mbtiles import MbtilesFile
from gps_denied_operator.tiles.row_order import SIZES_PX
from gps_denied_operator.tiles.tilesets import TileSet, XyzFolder

Reader = Callable[[int, int], bytes]
TILES_MAX = 20_000
_ROWS_AT_ONCE = 256


class Encoding(Enum):
    """How a colour means a height."""

    TERRARIUM = "terrarium"
    MAPBOX = "mapbox"


_RED = {Encoding.TERRARIUM: (80, 165), Encoding.MAPBOX: (0, 2)}


def read_height_tiles(path: Path, bbox_deg: Box | None, rows: str = "auto") -> ReadHeights:
    """Read a folder of z/x/y tiles or an MBTiles file. bbox_deg: west, south, east, north; rows: as `tiles import`.

    UserError where it holds no tiles of heights, or none of the box.
    """
    tiles: TileSet = XyzFolder(path, rows) if path.is_dir() else MbtilesFile(path, rows)
    with closing(tiles):
        found = tiles.places()
        middle_deg = (bbox_deg[1] + bbox_deg[3]) / 2.0 if bbox_deg else _middle_deg(found)
        zoom = post_zoom(found, middle_deg)
        wanted = _within(found[zoom], zoom, bbox_deg)
        if not wanted:
            raise UserError(f"{path} holds no tile of --bbox at zoom {zoom}: give the area that it is of.")
        if len(wanted) > TILES_MAX:
            raise UserError(
                f"{path} holds {len(wanted)} tiles at zoom {zoom}: give the flight's area with --bbox W,S,E,N."
            )
        return height_tiles(str(path), zoom, wanted, lambda x, y: tiles.read(zoom, x, y), tiles.notes)


def post_zoom(zooms: Collection[int], latitude_deg: float) -> int:
    """The finest zoom whose pixels are not finer than posts may be; else the coarsest that there is."""
    fits = [zoom for zoom in zooms if geodesy.mercator_resolution_m(latitude_deg, zoom) ** 2 >= POST_M2_MIN]
    return max(fits, default=min(zooms))


def height_tiles(
    name: str, zoom: int, places: Sequence[tuple[int, int]], read: Reader, notes: tuple[str, ...] = ()
) -> ReadHeights:
    """Heights of some tiles of one zoom. read: (x, y) -> a tile's bytes; OSError where it cannot be read."""
    x0, y0 = (min(place[axis] for place in places) for axis in (0, 1))
    x1, y1 = (max(place[axis] for place in places) + 1 for axis in (0, 1))
    latitude_deg = float(geodesy.geodetic_from_mercator_px([[0.0, (y0 + y1) * TILE_PX / 2]], zoom)[0, 0])
    mosaic = _Mosaic(name, (x0, y0, x1, y1), geodesy.mercator_resolution_m(latitude_deg, zoom) * TILE_PX)
    for x, y in sorted(places):
        try:
            mosaic.put(x, y, read(x, y))
        except (OSError, ValueError) as error:
            mosaic.unreadable.append(f"{zoom}/{x}/{y}: {error}")
    grid = mosaic.grid(zoom)
    return ReadHeights(grid, None, 1.0, True, False, (*notes, *mosaic.notes()))


class _Mosaic:
    """Tiles of one zoom side by side, each made as coarse as posts are."""

    def __init__(self, name: str, box: tuple[int, int, int, int], tile_m: float) -> None:
        self._name, self._box, self._tile_m = name, box, tile_m
        self._side = 0
        self._heights: FloatArray = np.empty((0, 0), dtype="<f4")
        self.encoding: Encoding | None = None
        self.unreadable: list[str] = []
        self._deep = 0

    def put(self, x: int, y: int, data: bytes) -> None:
        """Take a tile; ValueError where it is no tile of heights."""
        colours = _colours(data)
        metres, self.encoding = _decoded(colours, self.encoding)
        deep = metres < HEIGHT_M_MIN  # the floor of the sea
        self._deep += int(deep.sum())
        metres[deep] = np.nan
        if not self._side:
            self._make(len(metres))
        if len(metres) % self._side:
            raise ValueError(f"{len(metres)} pixels a side, unlike the others")
        top, left = (y - self._box[1]) * self._side, (x - self._box[0]) * self._side
        self._heights[top : top + self._side, left : left + self._side] = block_means(metres, len(metres) // self._side)

    def _make(self, tile_px: int) -> None:
        x0, y0, x1, y1 = self._box
        shrink = 1
        while shrink < tile_px and (self._tile_m / tile_px * shrink) ** 2 < POST_M2_MIN:
            shrink *= 2
        self._side = tile_px // shrink
        posts = (y1 - y0) * (x1 - x0) * self._side**2
        if posts > POSTS_MAX:
            raise UserError(f"{self._name} covers {posts:.1e} posts: give the flight's area with --bbox W,S,E,N.")
        self._heights = np.full(((y1 - y0) * self._side, (x1 - x0) * self._side), np.nan, dtype="<f4")

    def grid(self, zoom: int) -> TerrainGrid:
        """All of it on latitude and longitude. UserError where no tile held heights."""
        if not self._side or np.isnan(self._heights).all():
            why = self.unreadable[0] if self.unreadable else "they are empty"
            raise UserError(
                f"{self._name} holds no Terrarium or Mapbox RGB tiles of heights ({why}): give PNG or lossless WebP "
                "tiles; a map's pictures go into `operator-tool tiles import`."
            )
        x0, y0, x1, y1 = self._box
        half = TILE_PX / self._side / 2.0  # of a post, in pixels of the zoom
        ends = [[x0 * TILE_PX + half, y1 * TILE_PX - half], [x1 * TILE_PX - half, y0 * TILE_PX + half]]
        (south, west), (north, east) = geodesy.geodetic_from_mercator_px(ends, zoom).tolist()
        step_lon = (east - west) / (self._heights.shape[1] - 1)
        step_lat = self._tile_m / self._side / METRES_PER_DEG
        rows = math.floor((north - south) / step_lat) + 1
        out = np.empty((rows, self._heights.shape[1]), dtype="<f4")
        columns = np.arange(out.shape[1], dtype=float)
        for first in range(0, rows, _ROWS_AT_ONCE):
            latitudes = south + np.arange(first, min(first + _ROWS_AT_ONCE, rows)) * step_lat
            pixel_y = geodesy.mercator_px_from_geodetic(latitudes, np.full_like(latitudes, west), zoom)[:, 1]
            row = (pixel_y - y0 * TILE_PX) / (2.0 * half) - 0.5
            out[first : first + len(latitudes)] = bilinear(self._heights, row[:, None], columns[None, :])
        return TerrainGrid(south, west, step_lat, step_lon, out, math.nan)

    def notes(self) -> tuple[str, ...]:
        out = [f"colours are read as {self.encoding.value}"] if self.encoding else []
        if self.unreadable:
            out.append(f"{len(self.unreadable)} tiles could not be read and are holes ({self.unreadable[0]})")
        if self._deep:
            out.append(f"{self._deep} pixels lie below {HEIGHT_M_MIN:g} m, as the floor of the sea: taken as holes")
        return tuple(out)


def _colours(data: bytes) -> FloatArray:
    """A tile's colours (rows, columns, 4) as red, green, blue and alpha, 0 to 255. ValueError where it is none."""
    webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    if not (data.startswith(b"\x89PNG\r\n\x1a\n") or (webp and b"VP8L" in data[12:64])):
        raise ValueError("no PNG and no lossless WebP, so its heights are not exact")
    if codec.header_size(data) not in SIZES_PX:
        raise ValueError("not 256x256 or 512x512 pixels")
    codec.check_coding(data)
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.shape[:2] not in SIZES_PX or image.dtype != np.uint8:
        raise ValueError("no image of 8 bits that can be read")
    if image.ndim != 3 or image.shape[2] not in {3, 4}:
        raise ValueError("grey, where heights are in red, green and blue")
    alpha = image[..., 3:] if image.shape[2] == 4 else np.full((*image.shape[:2], 1), 255, dtype=np.uint8)
    return np.concatenate([image[..., 2::-1], alpha], axis=2).astype(float)


def _decoded(colours: FloatArray, encoding: Encoding | None) -> tuple[FloatArray, Encoding | None]:
    """Metres (rows, columns), NaN where a tile holds none, and how it was read. ValueError where it cannot be."""
    red, green, blue, alpha = np.moveaxis(colours, 2, 0)
    void = (alpha < 255.0) | ((red == 0.0) & (green == 0.0) & (blue == 0.0))
    seen = red[~void]
    if seen.size == 0:
        return np.full(red.shape, np.nan), encoding
    fits = [kind for kind, (low, high) in _RED.items() if low <= seen.min() and seen.max() <= high]
    if not fits or (encoding is not None and fits[0] is not encoding):
        raise ValueError("its colours are no heights on earth, or are packed in another way than the others'")
    if fits[0] is Encoding.TERRARIUM:
        metres = red * 256.0 + green + blue / 256.0 - 32768.0
    else:
        metres = -10000.0 + (red * 65536.0 + green * 256.0 + blue) * 0.1
    metres[void] = np.nan
    if np.nanmax(metres) >= HEIGHT_M_MAX:
        raise ValueError(f"it holds heights up to {np.nanmax(metres):.0f} m")
    return metres, fits[0]


def _middle_deg(found: dict[int, list[tuple[int, int]]]) -> float:
    zoom = max(found)
    rows = [y for _, y in found[zoom]]
    return float(geodesy.geodetic_from_mercator_px([[0.0, (min(rows) + max(rows) + 1) * TILE_PX / 2]], zoom)[0, 0])


def _within(places: list[tuple[int, int]], zoom: int, bbox_deg: Box | None) -> list[tuple[int, int]]:
    if bbox_deg is None:
        return places
    x0, y0, x1, y1 = tile_range(*bbox_deg, zoom)
    return [(x, y) for x, y in places if x0 <= x < x1 and y0 <= y < y1]
