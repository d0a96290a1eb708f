"""The tile grid: Web-Mercator z/x/y tiles of 256 px, x east from -180 degrees, y south from 85.05 degrees.

Pixel coordinates are global and continuous, pixel centres at +0.5 (see gps_denied_onboard.geometry.geodesy).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from uuid import NAMESPACE_URL, UUID, uuid5

from gps_denied_onboard.geometry import geodesy

TILE_PX = 256
SQUARE_TILES = 32
"""Tiles along the side of a square, in which rows are fetched, digests made and tiles sent on."""
ZOOM_MAX = 24
LATITUDE_MAX_DEG = math.degrees(math.atan(math.sinh(math.pi)))  # the square world ends here, 85.0511 degrees


@dataclass(frozen=True, slots=True, order=True)
class TileKey:
    """A tile's name: place, source and, for a tile made in flight, the flight."""

    source: str
    zoom: int
    x: int
    y: int
    flight_id: UUID | None = None

    @property
    def tile_size_m(self) -> float:
        return tile_size_m(self.zoom, self.y)


def flight_uuid(flight_id: str) -> UUID:
    """Return what tiles call the flight that made them, by the name that its recording has."""
    return uuid5(NAMESPACE_URL, flight_id)


@lru_cache(maxsize=4096)
def tile_size_m(zoom: int, y: int) -> float:
    """Return the ground size of a tile along its middle parallel, metres, rounded to 1 mm so that it can identify."""
    latitude_deg = float(geodesy.geodetic_from_mercator_px([128.0, (y + 0.5) * TILE_PX], zoom)[0])
    return round(geodesy.mercator_resolution_m(latitude_deg, zoom) * TILE_PX, 3)


def tile_range(west_deg: float, south_deg: float, east_deg: float, north_deg: float, zoom: int) -> tuple[int, ...]:
    """Return (x0, y0, x1, y1) of the tiles that a box touches, x1 and y1 not included.

    The box must not cross the 180th meridian (west <= east); latitudes beyond the grid are cut to it.
    """
    if west_deg > east_deg or south_deg > north_deg:
        raise ValueError(f"not a box: west {west_deg}, south {south_deg}, east {east_deg}, north {north_deg}")
    south_deg, north_deg = max(south_deg, -LATITUDE_MAX_DEG), min(north_deg, LATITUDE_MAX_DEG)
    corners = geodesy.mercator_px_from_geodetic([north_deg, south_deg], [west_deg, east_deg], zoom) / TILE_PX
    count = 1 << zoom
    x0, y0 = (min(max(math.floor(value + 1e-9), 0), count - 1) for value in corners[0])
    x1, y1 = (min(max(math.ceil(value - 1e-9), 1), count) for value in corners[1])
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)
