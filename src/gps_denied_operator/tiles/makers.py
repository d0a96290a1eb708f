"""What turns a map into placed tiles, block by block, so that memory stays flat however large the map is."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Protocol

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry import geodesy
from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.grid import TILE_PX
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.tiles.download import RESOLUTION_M_PX_MAX
from gps_denied_operator.tiles.mbtiles import MbtilesFile, is_mbtiles
from gps_denied_operator.tiles.raster import ALIGN_TILES, MapRaster, RasterReader, fingerprint
from gps_denied_operator.tiles.tilesets import PlacedTile, TileSet, XyzFolder, placed_tiles, tile_pixels

log = logging.getLogger(__name__)

BATCH_TILES = 64
LEFT_OUT_TOLD_MAX = 100
PATCH_SHARE_MAX = 0.5
Places = list[tuple[int, int]]


class TileMaker(Protocol):
    """A map at one zoom, cut into blocks of tile places."""

    kind: str
    zoom: int
    fingerprint: str
    captured_at: datetime | None
    ground_resolution_m_px: float
    datum_accuracy_m: float | None
    notes: tuple[str, ...]

    def covered_px(self) -> float:
        """Return how many pixels of this zoom the map's own extent covers, with or without data."""

    def bounds_tiles(self) -> tuple[int, int, int, int]:
        """Return (x0, y0, x1, y1) around all places, x1 and y1 not included."""

    def blocks(self) -> list[Places]:
        """Return the places, some dozens a block."""

    def make(self, places: Places) -> Iterator[PlacedTile | None]:
        """Yield the tiles of a block that have data; None for one that is unreadable."""

    def why_unreadable(self) -> str:
        """Return why the first piece that could not be read could not, "" where all could."""

    def close(self) -> None:
        """Let go of the map's files."""


def open_map(path: Path, zoom: int | None, rows: str = "auto") -> TileMaker:
    """Look at a map; UserError where it is none, or not at that zoom."""
    if path.is_dir():
        return TileSetMaker(XyzFolder(path, rows), "xyz", zoom)
    if is_mbtiles(path):
        return TileSetMaker(MbtilesFile(path, rows), "mbtiles", zoom)
    return RasterMaker(MapRaster.open(path), zoom)


def check_flyable(maker: TileMaker, path: Path) -> None:
    """UserError where the tiles would be coarser than the aircraft flies with, as a download and the plan refuse it."""
    x0, y0, x1, y1 = maker.bounds_tiles()
    middle = geodesy.geodetic_from_mercator_px([(x0 + x1) * TILE_PX / 2, (y0 + y1) * TILE_PX / 2], maker.zoom)
    resolution_m = geodesy.mercator_resolution_m(float(middle[0]), maker.zoom)
    if resolution_m > RESOLUTION_M_PX_MAX:
        raise UserError(
            f"{path} at zoom {maker.zoom} has {resolution_m:.2f} m a pixel, too coarse to fly with: at most "
            f"{RESOLUTION_M_PX_MAX:g} m are taken. Give a finer map, or a higher --zoom where the map can fill it."
        )


class RasterMaker:
    """A georeferenced raster."""

    kind = "raster"

    def __init__(self, raster: MapRaster, zoom: int | None) -> None:
        self.zoom = raster.default_zoom() if zoom is None else raster.check_zoom(zoom)
        self.fingerprint = raster.fingerprint
        self.captured_at = raster.captured_at
        latitude_deg = (raster.bounds_deg[1] + raster.bounds_deg[3]) / 2
        self.ground_resolution_m_px = max(
            raster.ground_resolution_m_px, geodesy.mercator_resolution_m(latitude_deg, self.zoom)
        )
        self.datum_accuracy_m, self.notes = raster.datum_accuracy_m, raster.notes
        self._raster = raster
        self._reader = RasterReader(raster, self.zoom)

    def covered_px(self) -> float:
        return self._raster.covered_px(self.zoom)

    def bounds_tiles(self) -> tuple[int, int, int, int]:
        return self._raster.tile_range(self.zoom)

    def blocks(self) -> list[Places]:
        x0, y0, x1, y1 = self.bounds_tiles()
        size = ALIGN_TILES
        corners = itertools.product(range(y0 // size * size, y1, size), range(x0 // size * size, x1, size))
        return [
            [(x, y) for y in range(max(v, y0), min(v + size, y1)) for x in range(max(u, x0), min(u + size, x1))]
            for v, u in corners
        ]

    def make(self, places: Places) -> Iterator[PlacedTile | None]:
        (x0, y0), (x1, y1) = places[0], places[-1]
        picture, valid = self._reader.read(x0, y0, x1 - x0 + 1, y1 - y0 + 1)
        for x, y in places:
            part = (
                slice((y - y0) * TILE_PX, (y - y0 + 1) * TILE_PX),
                slice((x - x0) * TILE_PX, (x - x0 + 1) * TILE_PX),
            )
            if valid[part].any():
                yield PlacedTile(x, y, codec.encode_jpeg(picture[part]), valid[part])

    def why_unreadable(self) -> str:
        return ""

    def close(self) -> None:
        self._reader.close()


class TileSetMaker:
    """A set of tiles that are on the grid already."""

    captured_at: datetime | None = None
    datum_accuracy_m: float | None = None

    def __init__(self, tiles: TileSet, kind: str, zoom: int | None) -> None:
        """Choose the zoom: the finest there is, unless given. Tiles of 512 pixels are four of the next zoom."""
        self.kind = kind
        self._tiles = tiles
        self._left_out = 0
        self._why = ""
        found = tiles.places()
        self.notes = tiles.notes
        stored = max(found)
        sizes = (_size(tiles, stored, x, y) for x, y in found[stored][:20])
        self._split = 2 if next((size for size in sizes if size), TILE_PX) == 2 * TILE_PX else 1
        there = [level + self._split - 1 for level in sorted(found)]
        self.zoom = there[-1] if zoom is None else zoom
        if self.zoom not in there:
            raise UserError(
                f"{tiles.path} holds no tiles of zoom {zoom}, but of {', '.join(map(str, there))}: give --zoom "
                "with one of these, or leave it out for the finest."
            )
        if zoom is None:
            self.notes += _coarser_covers_more(found, there)
        self._stored_zoom = self.zoom - self._split + 1
        self._places = found[self._stored_zoom]
        self._present = frozenset(self._places)
        self.fingerprint = fingerprint(tiles.path) if tiles.path.is_file() else f"folder:{tiles.path.resolve().name}"
        x0, y0, x1, y1 = self.bounds_tiles()
        middle = geodesy.geodetic_from_mercator_px([(x0 + x1) * TILE_PX / 2, (y0 + y1) * TILE_PX / 2], self.zoom)
        self.ground_resolution_m_px = geodesy.mercator_resolution_m(float(middle[0]), self.zoom)

    def covered_px(self) -> float:
        return float(len(self._places) * (self._split * TILE_PX) ** 2)

    def bounds_tiles(self) -> tuple[int, int, int, int]:
        columns, rows = zip(*self._places, strict=True)
        split = self._split
        return min(columns) * split, min(rows) * split, (max(columns) + 1) * split, (max(rows) + 1) * split

    def blocks(self) -> list[Places]:
        size = BATCH_TILES // self._split**2
        return [
            [
                (x * self._split + i, y * self._split + j)
                for x, y in self._places[start : start + size]
                for j in range(self._split)
                for i in range(self._split)
            ]
            for start in range(0, len(self._places), size)
        ]

    def make(self, places: Places) -> Iterator[PlacedTile | None]:
        stored = dict.fromkeys((x // self._split, y // self._split) for x, y in places)
        for x, y in (place for place in stored if place in self._present):
            try:
                placed = list(placed_tiles(self._tiles.read(self._stored_zoom, x, y), x, y, self._split))
            except (OSError, ValueError) as error:
                self._left_out += 1
                self._why = self._why or shown(error, 120)
                if self._left_out <= LEFT_OUT_TOLD_MAX:
                    log.warning("tile left out: map=%s zoom=%d x=%d y=%d: %s", self._tiles.path, self.zoom, x, y, error)
                elif self._left_out == LEFT_OUT_TOLD_MAX + 1:
                    log.warning("more tiles left out, counted and not told one by one: map=%s", self._tiles.path)
                yield None
                continue
            yield from placed

    def why_unreadable(self) -> str:
        return self._why

    def close(self) -> None:
        self._tiles.close()


def _coarser_covers_more(found: dict[int, Places], there: list[int]) -> tuple[str, ...]:
    """A word where the finest zoom is a patch of a map that is whole at a coarser one."""
    areas = {shown_zoom: len(found[zoom]) / 4.0**zoom for zoom, shown_zoom in zip(sorted(found), there, strict=True)}
    largest = max(areas, key=lambda zoom: (areas[zoom], zoom))
    share = areas[there[-1]] / areas[largest]
    if share > PATCH_SHARE_MAX:
        return ()
    return (
        f"its finest zoom, {there[-1]}, covers {100.0 * share:.2g} % of what zoom {largest} does; "
        f"--zoom {largest} takes that",
    )


def _size(tiles: TileSet, zoom: int, x: int, y: int) -> int:
    try:
        return tile_pixels(tiles.read(zoom, x, y))
    except OSError:
        return 0
