"""Heights in the colours of tiles are those that rasterio reads of the same pictures."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling
from rasterio.transform import from_bounds, from_origin
from rasterio.warp import reproject

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry import geodesy
from gps_denied_operator.terrain.height_tiles import read_height_tiles

from . import making

ZOOM, X0, Y0 = 12, 2467, 1409


def packed_mbtiles(folder: Path, path: Path) -> Path:
    """An MBTiles file (rows from the south) of a folder's tiles."""
    with sqlite3.connect(path) as database:
        columns = "zoom_level integer, tile_column integer, tile_row integer, tile_data blob"
        database.execute(f"CREATE TABLE tiles ({columns})")
        for file in folder.rglob("*.png"):
            zoom, x, y = int(file.parts[-3]), int(file.parts[-2]), int(file.stem)
            values = (zoom, x, (1 << zoom) - 1 - y, file.read_bytes())
            database.execute("INSERT INTO tiles VALUES (?, ?, ?, ?)", values)
    return path


@pytest.mark.parametrize(("pack", "step_m"), [(making.terrarium, 1 / 256), (making.mapbox, 0.1)])
@pytest.mark.parametrize("kind", ["folder", "mbtiles"])
@pytest.mark.parametrize("size", [256, pytest.param(512, marks=pytest.mark.slow)])
def test_they_are_those_of_rasterio(tmp_path: Path, pack: Any, step_m: float, kind: str, size: int) -> None:
    """The grid's posts are the colours' heights as GDAL's warp from Web-Mercator gives them, and the hill's own."""
    folder = making.tile_folder(tmp_path / "tiles", ZOOM, X0, Y0, 2, pack, size=size)
    path = folder if kind == "folder" else packed_mbtiles(folder, tmp_path / "a.mbtiles")
    read = read_height_tiles(path, None)
    grid = read.grid
    mosaic = np.empty((2 * size, 2 * size), dtype=np.float32)
    for x in range(2):
        for y in range(2):
            with rasterio.open(folder / str(ZOOM) / str(X0 + x) / f"{Y0 + y}.png") as dataset:
                red, green, blue = dataset.read().astype(float)
            if pack is making.terrarium:
                metres = red * 256.0 + green + blue / 256.0 - 32768.0
            else:
                metres = -10000.0 + (red * 65536.0 + green * 256.0 + blue) * 0.1
            mosaic[y * size : (y + 1) * size, x * size : (x + 1) * size] = metres
    side_m = 2.0 * geodesy.MERCATOR_HALF_M / 2**ZOOM
    west_m, north_m = X0 * side_m - geodesy.MERCATOR_HALF_M, geodesy.MERCATOR_HALF_M - Y0 * side_m
    placed = from_bounds(west_m, north_m - 2 * side_m, west_m + 2 * side_m, north_m, 2 * size, 2 * size)
    rows, columns = grid.heights_amsl_m.shape
    wanted = np.empty((rows, columns), dtype=np.float32)
    target = from_origin(
        grid.west_deg - grid.step_lon_deg / 2, grid.south_deg + (rows - 0.5) * grid.step_lat_deg,
        grid.step_lon_deg, grid.step_lat_deg,
    )  # fmt: skip
    reproject(
        mosaic, wanted, src_transform=placed, src_crs="EPSG:3857", dst_transform=target, dst_crs="EPSG:4326",
        resampling=Resampling.bilinear, tolerance=0.0,
    )  # fmt: skip
    np.testing.assert_allclose(grid.heights_amsl_m[2:-2, 2:-2], wanted[::-1][2:-2, 2:-2], atol=0.02)
    latitudes = grid.south_deg + grid.step_lat_deg * np.arange(rows)[:, None]
    longitudes = grid.west_deg + grid.step_lon_deg * np.arange(columns)[None, :]
    np.testing.assert_allclose(grid.heights_amsl_m, making.hill(latitudes, longitudes), atol=0.6 + step_m)


def test_a_zoom_as_fine_as_posts_is_taken(tmp_path: Path) -> None:
    """Of several zooms the finest is read that is not finer than posts may be; finer ones alone are averaged."""
    folder = making.tile_folder(tmp_path / "tiles", 15, X0 * 8, Y0 * 8, 2, making.terrarium)
    alone = read_height_tiles(folder, None).grid
    assert 8.9 < alone.step_lat_deg * 111_195 < 18.0
    making.tile_folder(folder, ZOOM, X0, Y0, 1, making.terrarium)
    grid = read_height_tiles(folder, None).grid
    assert grid.heights_amsl_m.shape[1] == 256
    assert grid.step_lat_deg * 111_195 == pytest.approx(geodesy.mercator_resolution_m(49.0, ZOOM), rel=0.01)


def test_a_missing_tile_and_the_floor_of_the_sea_are_holes(tmp_path: Path) -> None:
    """Where a tile is missing, cannot be read, or lies 3 km under the sea, there is no height, and it is told."""
    folder = making.tile_folder(tmp_path / "tiles", ZOOM, X0, Y0, 3, making.terrarium)
    (folder / str(ZOOM) / str(X0) / f"{Y0}.png").unlink()
    claims = bytearray((folder / str(ZOOM) / str(X0 + 1) / f"{Y0}.png").read_bytes())
    claims[33:37] = b"\xff\xff\xff\x00"  # of the first part of its pixels: 4 GB
    (folder / str(ZOOM) / str(X0 + 1) / f"{Y0}.png").write_bytes(claims)
    deep = making.tile_png(making.terrarium(np.full((256, 256), -3000.0)))
    (folder / str(ZOOM) / str(X0 + 2) / f"{Y0}.png").write_bytes(deep)
    read = read_height_tiles(folder, None, "xyz")
    share = np.isnan(read.grid.heights_amsl_m).mean()
    assert 0.32 < share < 0.35
    assert sum("holes" in note for note in read.notes) == 2
    assert any("claims more bytes than it has" in note for note in read.notes)


@pytest.mark.parametrize("kind", ["jpeg", "picture", "grey", "mixed", "empty"])
def test_what_are_no_heights_is_refused(tmp_path: Path, kind: str) -> None:
    """Lossy tiles, pictures, grey tiles and empty ones are no heights; a tile packed another way is a hole."""
    import cv2

    folder = making.tile_folder(tmp_path / "tiles", ZOOM, X0, Y0, 2, making.terrarium)
    rng = np.random.default_rng(7)
    for file in sorted(folder.rglob("*.png")):
        if kind == "jpeg":
            file.write_bytes(cv2.imencode(".jpg", np.full((256, 256, 3), 128, dtype=np.uint8))[1].tobytes())
        elif kind == "picture":
            file.write_bytes(making.tile_png(rng.integers(0, 255, (256, 256, 3), dtype=np.uint8)))
        elif kind == "grey":
            file.write_bytes(cv2.imencode(".png", np.full((256, 256), 128, dtype=np.uint8))[1].tobytes())
        elif kind == "empty":
            file.write_bytes(making.tile_png(np.zeros((256, 256, 3), dtype=np.uint8)))
    if kind == "mixed":
        last = sorted(folder.rglob("*.png"))[-1]
        last.write_bytes(making.tile_png(making.mapbox(np.full((256, 256), 300.0))))
        read = read_height_tiles(folder, None, "xyz")
        assert 0.2 < np.isnan(read.grid.heights_amsl_m).mean() < 0.3
        return
    with pytest.raises(UserError, match="no Terrarium or Mapbox RGB"):
        read_height_tiles(folder, None, "xyz")
