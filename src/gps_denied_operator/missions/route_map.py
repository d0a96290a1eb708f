"""What of the stored map lies under a planned route: its picture, and where along the route there is none.

Reads the store, never the network. Of a large box only the tiles nearest to the route are read for the picture.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gps_denied_onboard.geometry import geodesy
from gps_denied_onboard.messages import FloatArray
from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.coverage import square_records
from gps_denied_onboard.tiles.grid import SQUARE_TILES, TILE_PX, tile_range
from gps_denied_onboard.tiles.records import TileDamagedError, TileRecord
from gps_denied_onboard.tiles.route_coverage import route_coverage
from gps_denied_operator.missions.route import ResolvedFlight, geod

if TYPE_CHECKING:
    from gps_denied_onboard.geometry.camera import CameraModel
    from gps_denied_onboard.tiles.store import TileStore

SAMPLES_MAX = 2000
PICTURE_TILES_MAX = 6000
PICTURE_PX = 1200
DISC_HALF = 5
"""A footprint is looked at on a grid of at most twice as many places, and one, each way."""
TileXy = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the camera sees from a height above ground: metres across and along, and metres a pixel."""

    height_m: float
    across_m: float
    along_m: float
    gsd_m: float


@dataclass(frozen=True, slots=True)
class RoutePoint:
    """A place on the route, `distance_m` from its start, to be drawn. `covered`: share of the map under the footprint
    that is stored (of the one tile below where no footprint is known); `old`: some of it is too old to be trusted
    fully. `path`: which of the route's separate paths it is on, from 0; the ways between them are not counted."""

    distance_m: float
    latitude_deg: float
    longitude_deg: float
    covered: float
    old: bool
    path: int = 0

    @property
    def missing(self) -> bool:
        """Whether less than half of what is seen there has a map."""
        return self.covered < 0.5


@dataclass(frozen=True, slots=True, eq=False)
class RouteMap:
    """`missing_m`: length of the route without map, counted as build-cache does (tiles.route_coverage), whatever the
    footprint of a point holds. `picture` is a PNG over `edges_deg` (west, south, east, north), Web-Mercator, clear
    where nothing is stored; None without any. `picture_tiles`: how many tiles it is made of; `whole`: all of the box
    was looked at for it."""

    points: tuple[RoutePoint, ...]
    footprint: Footprint | None
    picture: bytes | None
    edges_deg: tuple[float, float, float, float]
    missing_m: float
    picture_tiles: int = 0
    whole: bool = True

    @property
    def length_m(self) -> float:
        """Length of the route."""
        return self.points[-1].distance_m


def footprint_of(camera: CameraModel | None, height_m: float) -> Footprint | None:
    """Footprint of a camera that looks straight down; None where camera or height is not known."""
    if camera is None or not height_m > 0.0:
        return None
    return Footprint(
        height_m,
        height_m * camera.width_px / camera.fx_px,
        height_m * camera.height_px / camera.fy_px,
        height_m / camera.fx_px,
    )


def route_map(
    flight: ResolvedFlight, source: str, zoom: int, store: TileStore | None, footprint: Footprint | None
) -> RouteMap:
    """Look up what the store holds along a route (None: there is no store, so nothing)."""
    distances, places, paths = _walked(flight)
    tile_m = geodesy.mercator_resolution_m(float(places[:, 0].mean()), zoom) * TILE_PX
    radius = 0 if footprint is None else max(math.hypot(footprint.across_m, footprint.along_m) / 2.0 / tile_m, 0.0)
    at = geodesy.mercator_px_from_geodetic(places[:, 0], places[:, 1], zoom) / TILE_PX
    under = [_disc(x, y, radius) for x, y in at.tolist()]
    held = _held(store, source, zoom, {tile for tiles in under for tile in tiles})
    points = tuple(
        RoutePoint(
            float(d), float(lat), float(lon), sum(tile in held for tile in tiles) / len(tiles),
            any(held[tile].freshness == "downgraded" for tile in tiles if tile in held), path,
        )
        for d, (lat, lon), path, tiles in zip(distances, places, paths, under, strict=True)
    )  # fmt: skip
    box = tile_range(*flight.bbox, zoom)
    coarse = -(-max(box[2] - box[0], box[3] - box[1]) // PICTURE_PX)  # whole pixels of the picture, beyond the box
    right, bottom = (low + -(-(high - low) // coarse) * coarse for low, high in ((box[0], box[2]), (box[1], box[3])))
    corners = np.array([[box[0], box[1]], [right, bottom]]) * TILE_PX
    (north, west), (south, east) = geodesy.geodetic_from_mercator_px(corners, zoom).tolist()
    wanted = _wanted(box, at)
    shown = _held(store, source, zoom, wanted)
    picture, used = _picture(store, shown, box)
    whole = len(wanted) == (box[2] - box[0]) * (box[3] - box[1])
    missing_m = _missing_m(store, source, zoom, flight)
    return RouteMap(points, footprint, picture, (west, south, east, north), missing_m, used, whole)


def _missing_m(store: TileStore | None, source: str, zoom: int, flight: ResolvedFlight) -> float:
    """Length of the route without map, as the builder of a cache will count it."""
    if store is None:
        return flight.length_m
    found = route_coverage(store, source, zoom, [path.tolist() for path in flight.paths_deg])
    return found.length_m - found.covered_m


def _walked(flight: ResolvedFlight) -> tuple[FloatArray, FloatArray, list[int]]:
    """Distances in m, places (N, 2) and the number of the path of each, over all paths one after another."""
    step_m = max(flight.length_m / max(SAMPLES_MAX - len(flight.route_deg), 1), 20.0)
    parts = [along(path, step_m) for path in flight.paths_deg]
    ends = np.cumsum([0.0, *(distances[-1] for distances, _ in parts)])
    return (
        np.concatenate([begin + distances for begin, (distances, _) in zip(ends[:-1], parts, strict=True)]),
        np.concatenate([places for _, places in parts]),
        [number for number, (distances, _) in enumerate(parts) for _ in distances],
    )


def along(route_deg: FloatArray, step_m: float = 20.0) -> tuple[FloatArray, FloatArray]:
    """Distances from the start in m, and places (N, 2), along the geodesics of a route, corners included.

    `step_m`: how far apart they are at most.
    """
    _, _, lengths = geod().inv(route_deg[:-1, 1], route_deg[:-1, 0], route_deg[1:, 1], route_deg[1:, 0])
    lengths = np.asarray(lengths, dtype=float)
    distances, places, done = [0.0], [route_deg[0].tolist()], 0.0
    for (start, end), length in zip(itertools.pairwise(route_deg), lengths.tolist(), strict=True):
        between = min(max(math.ceil(length / step_m) - 1, 0), SAMPLES_MAX)
        inner = geod().npts(start[1], start[0], end[1], end[0], between) if between else []
        places += [[lat, lon] for lon, lat in inner] + [end.tolist()]
        distances += [done + length * (k + 1) / (between + 1) for k in range(between + 1)]
        done += length
    return np.array(distances), np.array(places)


def _disc(x: float, y: float, radius: float) -> list[TileXy]:
    """Tiles within a radius (in tiles) of a place, looked for on a grid: at least the one that it lies on."""
    own = (math.floor(x), math.floor(y))
    half = min(math.ceil(radius), DISC_HALF)
    steps = [radius * k / half for k in range(-half, half + 1)] if half else []
    near = {(math.floor(x + i), math.floor(y + j)) for i in steps for j in steps if math.hypot(i, j) <= radius}
    return [own, *sorted(near - {own})]


def _wanted(box: Sequence[int], at: FloatArray) -> set[TileXy]:
    """All tiles of the box, or of too many those that lie nearest to the route."""
    x0, y0, x1, y1 = box
    if (x1 - x0) * (y1 - y0) <= PICTURE_TILES_MAX:
        return {(x, y) for x in range(x0, x1) for y in range(y0, y1)}
    cells = {(math.floor(x), math.floor(y)) for x, y in at.tolist()}
    wanted = set(cells)
    while cells:
        grown = {(x + i, y + j) for x, y in cells for i in (-1, 0, 1) for j in (-1, 0, 1)} - wanted
        cells = {(x, y) for x, y in grown if x0 <= x < x1 and y0 <= y < y1}
        if len(wanted) + len(cells) > PICTURE_TILES_MAX:
            break
        wanted |= cells
    return wanted


def _held(store: TileStore | None, source: str, zoom: int, tiles: Iterable[TileXy]) -> dict[TileXy, TileRecord]:
    """The stored ones of some tiles; those that flights made are not the map."""
    wanted = set(tiles)
    found: dict[TileXy, TileRecord] = {}
    if store is None:
        return found
    for column, row in sorted({(x // SQUARE_TILES, y // SQUARE_TILES) for x, y in wanted}):
        for record in square_records(store, source, zoom, column, row):
            if (record.key.x, record.key.y) in wanted:
                found[record.key.x, record.key.y] = record
    return found


def _picture(store: TileStore | None, held: dict[TileXy, TileRecord], box: Sequence[int]) -> tuple[bytes | None, int]:
    x0, y0, x1, y1 = box
    if store is None or not held:
        return None, 0
    span = max(x1 - x0, y1 - y0)
    side, coarse = min(max(PICTURE_PX // span, 1), TILE_PX), -(-span // PICTURE_PX)
    shown = np.zeros((-(-(y1 - y0) // coarse) * side, -(-(x1 - x0) // coarse) * side, 2), dtype=np.uint8)
    used = 0
    for (x, y), record in held.items():
        try:
            grey, valid = codec.decode_tile(*store.read(record))
        except (TileDamagedError, ValueError):
            continue
        left, top = (x - x0) // coarse * side, (y - y0) // coarse * side
        here = np.s_[top : top + side, left : left + side]
        shown[(*here, 0)] = cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA)
        shown[(*here, 1)] = cv2.resize(valid.astype(np.uint8) * 255, (side, side), interpolation=cv2.INTER_AREA)
        used += 1
    if not used:
        return None, 0
    grey = shown[..., 0]
    made, data = cv2.imencode(".png", np.dstack([grey, grey, grey, shown[..., 1]]))
    assert made
    return data.tobytes(), used
