"""Heights of rasters are those that rasterio and pyproj give, by numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling
from rasterio.transform import Affine, from_origin
from rasterio.vrt import WarpedVRT
from rasterio.warp import reproject, transform_bounds
from scipy.ndimage import binary_erosion

from gps_denied_onboard.geometry.grid_heights import grid_heights_amsl_m
from gps_denied_onboard.geometry.terrain import TerrainGrid
from gps_denied_operator.terrain.rasters import POST_M2_MIN, read_raster

from . import making


def middles(grid: TerrainGrid) -> tuple[Any, Any]:
    """Latitude and longitude of all posts."""
    rows, columns = grid.heights_amsl_m.shape
    latitudes = grid.south_deg + grid.step_lat_deg * np.arange(rows)
    return np.broadcast_arrays(latitudes[:, None], grid.west_deg + grid.step_lon_deg * np.arange(columns)[None, :])


def sampled(path: Path, grid: TerrainGrid) -> Any:
    """What rasterio's own sampling gives at a grid's posts."""
    latitudes, longitudes = middles(grid)
    with rasterio.open(path) as dataset:
        places = zip(longitudes.ravel(), latitudes.ravel(), strict=True)
        return np.array([value[0] for value in dataset.sample(places)]).reshape(latitudes.shape)


@pytest.mark.slow
@pytest.mark.parametrize("point", [False, True])
def test_a_raster_on_degrees_keeps_its_posts(tmp_path: Path, point: bool) -> None:
    """Heights on latitude and longitude come through unchanged, whether a pixel is an area or a point."""
    heights, transform = making.mountains()
    path = making.geotiff(tmp_path / "a.tif", heights, transform)
    if point:
        with rasterio.open(path, "r+") as file:
            file.update_tags(AREA_OR_POINT="Point")
    grid = read_raster(path, None, None).grid
    np.testing.assert_array_equal(grid.heights_amsl_m, heights[::-1])
    np.testing.assert_array_equal(sampled(path, grid), grid.heights_amsl_m)


def test_an_srtm_file_is_placed_by_its_name(tmp_path: Path) -> None:
    """The corner posts lie on whole degrees, the voids are holes, and rasterio reads the same."""
    heights = np.random.default_rng(5).integers(0, 3000, (1201, 1201))
    heights[100, 200] = -32768
    path = making.hgt(tmp_path / "S03W061.hgt", heights)
    read = read_raster(path, None, None)
    grid = read.grid
    assert (grid.south_deg, grid.west_deg) == (pytest.approx(-3.0, abs=1e-9), pytest.approx(-61.0, abs=1e-9))
    assert (grid.step_lat_deg, grid.step_lon_deg) == (pytest.approx(1 / 1200), pytest.approx(1 / 1200))
    assert np.isnan(grid.heights_amsl_m[1100, 200])
    np.testing.assert_array_equal(np.nan_to_num(grid.heights_amsl_m[::-1], nan=-32768), heights)
    with rasterio.open(path) as dataset:
        (value,) = next(dataset.sample([(-60.25, -2.75)]))
    assert grid_heights_amsl_m(grid, np.array(-2.75), np.array(-60.25)) == value


@pytest.mark.parametrize("crs", ["EPSG:32616", "EPSG:3857", "EPSG:3035"])
def test_another_projection_is_that_of_rasterio(tmp_path: Path, crs: str) -> None:
    """Posts of heights in other projections are those that GDAL's bilinear warp gives, to centimetres."""
    heights, transform = making.mountains()
    if crs == "EPSG:3035":  # a place in Europe
        transform = from_origin(10.0, 50.0, transform.a, transform.a)
    source = tmp_path / "degrees.tif"
    making.geotiff(source, heights.astype(np.float32), transform, "EPSG:4326")
    with rasterio.open(source) as dataset:
        box = transform_bounds("EPSG:4326", crs, *dataset.bounds)
        shape = (int((box[3] - box[1]) / 90.0), int((box[2] - box[0]) / 90.0))
        placed = from_origin(box[0], box[3], 90.0, 90.0)
        warped = np.full(shape, np.nan, dtype=np.float32)
        reproject(
            rasterio.band(dataset, 1), warped, dst_transform=placed, dst_crs=crs, dst_nodata=np.nan,
            resampling=Resampling.bilinear,
        )  # fmt: skip
    path = making.geotiff(tmp_path / "plane.tif", warped, placed, crs, nodata=np.nan)
    grid = read_raster(path, None, None).grid
    rows, columns = grid.heights_amsl_m.shape
    north_west = from_origin(
        grid.west_deg - grid.step_lon_deg / 2, grid.south_deg + (rows - 0.5) * grid.step_lat_deg,
        grid.step_lon_deg, grid.step_lat_deg,
    )  # fmt: skip
    with rasterio.open(path) as dataset, WarpedVRT(
        dataset, crs="EPSG:4326", transform=north_west, width=columns, height=rows, nodata=np.nan,
        resampling=Resampling.bilinear, tolerance=0.001,
    ) as seen:  # fmt: skip
        wanted = seen.read(1)
    both = np.isfinite(grid.heights_amsl_m) & np.isfinite(wanted[::-1])
    inner = binary_erosion(both, iterations=2)  # at an edge GDAL takes the pixels that are there, we take none
    assert inner.mean() > 0.6
    assert np.abs(grid.heights_amsl_m - wanted[::-1])[inner].max() < 0.05


def test_a_fine_raster_is_averaged(tmp_path: Path) -> None:
    """Pixels of 1 m become posts of 80 m2 and more, each the mean that rasterio reads of the same pixels."""
    rng = np.random.default_rng(6)
    heights = (200.0 + rng.normal(0.0, 3.0, (900, 990))).astype(np.float32)
    heights[:300, :300] = -77.0
    heights[15:300:10, 15:300:10] = 2000.0  # single pixels that are no ground for a post
    path = making.geotiff(
        tmp_path / "fine.tif", heights, from_origin(500_000.0, 5_500_000.0, 1.0, 1.0), "EPSG:32637", nodata=-77.0
    )
    grid = read_raster(path, None, None).grid
    step_m = grid.step_lat_deg * 111_195.0
    assert 9.0 <= step_m <= 11.0
    assert step_m**2 > POST_M2_MIN
    with rasterio.open(path) as dataset:
        mean = dataset.read(1, out_shape=(100, 110), resampling=Resampling.average, masked=True)
    mean = np.ma.masked_greater(mean, 1000.0)
    known = grid.heights_amsl_m[np.isfinite(grid.heights_amsl_m)]
    assert np.mean(known) == pytest.approx(float(mean.mean()), abs=0.05)
    assert known.std() < 1.1 * float(mean.std())
    assert 190.0 < known.min() < known.max() < 210.0


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:4269"])
def test_longitudes_from_0_to_360_lie_where_they_belong(tmp_path: Path, crs: str) -> None:
    """A file of half a turn to 360, as climate and sea-floor models come, holds the heights of the one from -180."""
    heights, transform = making.mountains()
    signed = making.geotiff(tmp_path / "a.tif", heights, transform, crs)
    turned = making.geotiff(tmp_path / "b.tif", heights, Affine.translation(360.0, 0.0) @ transform, crs)
    west, south, east, north = making.MOUNTAINS_BOX
    for box in (None, (west + 0.1, south + 0.1, east - 0.1, north - 0.1)):
        expected, grid = (read_raster(path, 1.0, box).grid for path in (signed, turned))
        assert (grid.south_deg, grid.west_deg) == pytest.approx((expected.south_deg, expected.west_deg), abs=1.5e-3)
        there = (south + 0.14, west + 0.15)
        assert grid_heights_amsl_m(grid, *there) == pytest.approx(grid_heights_amsl_m(expected, *there), abs=0.2)


def test_a_box_of_a_large_raster(tmp_path: Path) -> None:
    """Only what --bbox names is read; its posts are those of the whole."""
    heights, transform = making.mountains()
    path = making.geotiff(tmp_path / "a.tif", heights, transform)
    box = (-84.30, 36.50, -84.20, 36.60)
    grid = read_raster(path, None, box).grid
    whole = read_raster(path, None, None).grid
    assert grid.heights_amsl_m.size < 0.15 * whole.heights_amsl_m.size
    latitudes, longitudes = middles(grid)
    np.testing.assert_allclose(grid_heights_amsl_m(whole, latitudes, longitudes), grid.heights_amsl_m, atol=0.01)
    assert grid.west_deg < box[0]
    assert grid.south_deg < box[1]


def test_scale_offset_and_feet(tmp_path: Path) -> None:
    """A band's own scale and offset count, and feet of both kinds become metres."""
    heights, transform = making.mountains()
    for unit, metres in (("ft", 0.3048), ("US survey foot", 1200 / 3937), ("metre", 1.0)):
        path = making.geotiff(tmp_path / "a.tif", heights * np.int16(10), transform, "EPSG:4326", unit=unit)
        with rasterio.open(path, "r+") as file:
            file.scales, file.offsets = (0.2,), (-30.0,)
        read = read_raster(path, None, None)
        np.testing.assert_allclose(read.grid.heights_amsl_m, (heights[::-1] * 2.0 - 30.0) * metres, rtol=1e-6)
        assert (read.unit_m, read.unit_known) == (pytest.approx(metres), True)
