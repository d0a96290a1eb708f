"""Maps drawn for tests: smooth bright spots at known places, in any coordinate system, depth and format."""

from __future__ import annotations

import functools
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyproj
import rasterio
from rasterio.enums import ColorInterp

LATITUDE_DEG, LONGITUDE_DEG = 48.42, 37.10
WIDTH, HEIGHT = 460, 420
SPOT_SIGMA_PX = 4.0
SPOTS_PX = np.array([(70.0, 60.0), (400.0, 60.0), (230.0, 210.5), (80.3, 350.7), (410.0, 370.0)])  # column, row


@dataclass(frozen=True)
class Drawn:
    """A drawn map: its file, and where the spots are on the ground, (N, 2) longitude and latitude in degrees."""

    path: Path
    spots_deg: np.ndarray


@functools.cache
def spots() -> np.ndarray:
    """Return (HEIGHT, WIDTH) floats: textured ground of 0.2, a dark and a bright field, spots up to 0.95."""
    v, u = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    picture = 0.2 + 0.02 * np.sin(u / 9.0) * np.sin(v / 7.0)
    picture[130:170, 100:150], picture[130:170, 300:350] = 0.02, 0.95
    for column, row in SPOTS_PX:
        picture += 0.73 * np.exp(-((u - column) ** 2 + (v - row) ** 2) / (2 * SPOT_SIGMA_PX**2))
    return kept(np.clip(picture, 0.0, 1.0))


def kept(picture: np.ndarray) -> np.ndarray:
    """A picture that many tests draw from and none changes."""
    picture.flags.writeable = False
    return picture


def placed(epsg: int, resolution_m: float, turn_deg: float = 0.0) -> rasterio.Affine:
    """Return the geotransform of a map around the test's place; resolution in metres also for degrees."""
    crs = pyproj.CRS.from_epsg(epsg)
    x, y = pyproj.Transformer.from_crs(4326, crs, always_xy=True).transform(LONGITUDE_DEG, LATITUDE_DEG)
    scale = (resolution_m / 74_000.0, resolution_m / 111_200.0) if crs.is_geographic else (resolution_m, resolution_m)
    move = rasterio.Affine.translation
    turned = rasterio.Affine.rotation(turn_deg) @ rasterio.Affine.scale(scale[0], -scale[1])
    return move(x, y) @ turned @ move(-WIDTH / 2, -HEIGHT / 2)


def draw(
    path: Path, bands: np.ndarray, *, epsg: int = 32637, resolution_m: float = 0.5, turn_deg: float = 0.0,
    colormap: dict[int, tuple[int, ...]] | None = None, alpha: bool = False, mask: np.ndarray | None = None,
    **profile: Any,
) -> Drawn:  # fmt: skip
    """Write (bands, height, width) as a GeoTIFF."""
    place = placed(epsg, resolution_m, turn_deg)
    made = {"driver": "GTiff", "width": bands.shape[2], "height": bands.shape[1], "count": len(bands),
            "dtype": bands.dtype.name,
            "crs": f"EPSG:{epsg}", "transform": place} | profile  # fmt: skip
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", **made) as dataset:
        if alpha:
            dataset.colorinterp = [*list(dataset.colorinterp)[: len(bands) - 1], ColorInterp.alpha]
        dataset.write(bands)
        if colormap is not None:
            dataset.write_colormap(1, colormap)
        if mask is not None:
            dataset.write_mask(mask)
    return Drawn(path, spots_deg(place, epsg))


def spots_deg(place: rasterio.Affine, epsg: int) -> np.ndarray:
    ground = [place @ (float(column), float(row)) for column, row in SPOTS_PX]
    to_degrees = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)
    return np.array([to_degrees.transform(*point) for point in ground])


@functools.cache
def eight_bit() -> np.ndarray:
    return kept(np.rint(spots() * 255).astype(np.uint8))


def hole() -> np.ndarray:
    """Return (HEIGHT, WIDTH) where the map has data: all but the western edge and a block, away from the spots."""
    seen = np.ones((HEIGHT, WIDTH), dtype=bool)
    seen[:, :30] = False
    seen[270:330, 200:330] = False
    return seen


def spot_errors_px(
    grey: np.ndarray, valid: np.ndarray, corner_px: tuple[int, int], zoom: int, drawn: Drawn
) -> np.ndarray:
    """Return the distance in pixels of each spot in a Web-Mercator window from where pyproj puts it."""
    to_mercator = pyproj.Transformer.from_crs(4326, 3857, always_xy=True)
    half = 20_037_508.342789244
    errors = []
    for longitude, latitude in drawn.spots_deg:
        east, north = to_mercator.transform(longitude, latitude)
        scale = 256 * 2**zoom / (2 * half)
        expected = np.array([(east + half) * scale, (half - north) * scale]) - corner_px
        reach = 16
        u0, v0 = (round(value) - reach for value in expected)
        part = grey[v0 : v0 + 2 * reach, u0 : u0 + 2 * reach].astype(float)
        assert part.shape == (2 * reach, 2 * reach)
        assert valid[v0 : v0 + 2 * reach, u0 : u0 + 2 * reach].all()
        weight = np.clip(part - 0.5 * (part.max() + np.median(part)), 0.0, None)
        assert weight.max() > 30
        v, u = np.mgrid[: 2 * reach, : 2 * reach] + 0.5
        found = np.array([(weight * u).sum(), (weight * v).sum()]) / weight.sum() + (u0, v0)
        errors.append(np.hypot(*(found - expected)))
    return np.array(errors)


def xyz_tiles(zoom: int, tile_px: int = 256) -> tuple[dict[tuple[int, int], np.ndarray], np.ndarray]:
    """Return tiles {(x, y): (tile_px, tile_px) grey} of 4x3 places at a zoom, and the spots' degrees."""
    middle = pyproj.Transformer.from_crs(4326, 3857, always_xy=True).transform(LONGITUDE_DEG, LATITUDE_DEG)
    half, count = 20_037_508.342789244, 2**zoom
    x0, y0 = int((middle[0] + half) / (2 * half) * count) - 2, int((half - middle[1]) / (2 * half) * count) - 1
    whole = np.full((3 * tile_px, 4 * tile_px), 50, dtype=np.uint8)
    drawn = eight_bit()
    whole[40 : 40 + drawn.shape[0] : 1, 30 : 30 + drawn.shape[1]] = drawn
    size_m = 2 * half / count / tile_px
    place = rasterio.Affine(
        size_m, 0, (x0 * tile_px + 30) * size_m - half, 0, -size_m, half - (y0 * tile_px + 40) * size_m
    )
    cut = {
        (x0 + i, y0 + j): whole[j * tile_px : (j + 1) * tile_px, i * tile_px : (i + 1) * tile_px]
        for i in range(4)
        for j in range(3)
    }
    return cut, spots_deg(place, 3857)


def write_mbtiles(path: Path, zoom: int, tiles: dict[tuple[int, int], np.ndarray], form: str = "png") -> None:
    """Write tiles as MBTiles 1.3, rows counted from the south."""
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE metadata (name text, value text)")
        database.execute(
            "CREATE TABLE tiles (zoom_level integer, tile_column integer, tile_row integer, tile_data blob)"
        )
        database.execute("INSERT INTO metadata VALUES ('format', ?)", (form,))
        for (x, y), tile in tiles.items():
            data = bytes(cv2.imencode(f".{form}", tile)[1])
            database.execute("INSERT INTO tiles VALUES (?, ?, ?, ?)", (zoom, x, 2**zoom - 1 - y, data))
    database.close()
