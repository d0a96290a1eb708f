"""Files of heights for the tests: the simulator's hills, and smoother ones."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio
from rasterio.transform import Affine, from_origin

from gps_denied_onboard.geometry import geodesy
from gps_denied_sim.scenarios import make_scenario
from gps_denied_sim.scene.terrain import Terrain

MOUNTAINS_BOX = (-84.413750, 36.446250, -84.077917, 36.732917)
"""West, south, east, north of the edges of its pixels."""
SEED, STEEPER, LEVEL_M = 1, 2.0, 650.0


@functools.cache
def mountains() -> tuple[Any, Affine]:
    """Heights in whole metres (344, 403) every 3", and the transform of their pixels' corners (EPSG:4326).

    They are the ground of the simulator's scenario relief-300, twice as high: slopes to 40 degrees, as real mountains
    have. Nothing writes to them: every test gets the same array.
    """
    west, south, east, north = MOUNTAINS_BOX
    transform = from_origin(west, north, 1.0 / 1200.0, 1.0 / 1200.0)
    longitudes, latitudes = transform @ np.meshgrid(np.arange(403) + 0.5, np.arange(344) + 0.5)
    frame = geodesy.LocalFrame((south + north) / 2.0, (west + east) / 2.0, LEVEL_M)
    at = frame.enu_from_geodetic(latitudes, longitudes, LEVEL_M)
    relief_m = Terrain(SEED, make_scenario("relief-300", SEED, 60.0).style).relief_m(at[..., 0], at[..., 1])
    heights = np.round(LEVEL_M + STEEPER * relief_m).astype(np.int16)
    heights.setflags(write=False)
    return heights, transform


def geotiff(path: Path, values: Any, transform: Affine, crs: str = "EPSG:9707", **options: Any) -> Path:
    """Write one band; `unit` is the band's."""
    unit = options.pop("unit", "")
    profile = {"height": values.shape[0], "width": values.shape[1], "count": 1, "dtype": values.dtype} | options
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, **profile) as file:
        file.write(values, 1)
        if unit:
            file.units = (unit,)
    return path


def hgt(path: Path, heights: Any) -> Path:
    """Write an SRTM file of (1201, 1201) or (3601, 3601) heights, the northernmost row first."""
    heights.astype(">i2").tofile(path)
    return path


def terrarium(heights: Any) -> Any:
    """Colours (rows, columns, 3) red, green, blue of heights."""
    packed = np.round((heights + 32768.0) * 256.0).astype(np.int64)
    return np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=-1).astype(np.uint8)


def mapbox(heights: Any) -> Any:
    """Colours (rows, columns, 3) red, green, blue of heights."""
    packed = np.round((heights + 10000.0) / 0.1).astype(np.int64)
    return np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=-1).astype(np.uint8)


def hill(latitude_deg: Any, longitude_deg: Any) -> Any:
    """Smooth heights of 200 to 400 m over kilometres."""
    return 300.0 + 70.0 * np.sin(np.radians(latitude_deg) * 9000.0) + 30.0 * np.cos(np.radians(longitude_deg) * 7000.0)


def tile_png(colours: Any) -> bytes:
    """A PNG of red, green, blue."""
    made, data = cv2.imencode(".png", np.ascontiguousarray(colours[..., ::-1]))
    assert made
    return data.tobytes()


def tile_folder(
    path: Path, zoom: int, x0: int, y0: int, side: int, pack: Callable[[Any], Any], heights: Any = hill, size: int = 256
) -> Path:
    """Write side x side tiles of heights at their pixels' middles as <z>/<x>/<y>.png."""
    for x in range(x0, x0 + side):
        for y in range(y0, y0 + side):
            places = tile_places(zoom, x, y, size)
            file = path / str(zoom) / str(x) / f"{y}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(tile_png(pack(heights(places[..., 0], places[..., 1]))))
    return path


def tile_places(zoom: int, x: int, y: int, size: int = 256) -> Any:
    """Latitude and longitude (size, size, 2) of a tile's pixels' middles."""
    steps = (np.arange(size) + 0.5) * 256.0 / size
    u, v = np.meshgrid(x * 256 + steps, y * 256 + steps)
    pixels = np.stack([u, v], axis=-1).reshape(-1, 2)
    return np.asarray(geodesy.geodetic_from_mercator_px(pixels, zoom)).reshape(size, size, 2)
