"""Georeferenced rasters in any CRS, read as Web-Mercator pictures with validity.

Everything is brought to 8-bit grey or RGB with an alpha band by a virtual dataset first (palette looked up, 16 bit and
float stretched between percentiles, declared nodata, masks, alpha and undeclared collars turned into alpha) and warped
then: interpolating a palette's indices or across nodata would make up colours.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyproj
import rasterio
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry import geodesy
from gps_denied_onboard.tiles.grid import LATITUDE_MAX_DEG, TILE_PX, tile_range
from gps_denied_operator.tiles import expand
from gps_denied_operator.tiles.bands import BandPlan, band_plan
from gps_denied_operator.tiles.datum import crs_of, datum_accuracy, degrees_of
from gps_denied_operator.tiles.open_raster import OpenRaster, geotransform, rpc_beside

ZOOM_DEFAULT_MAX = 20
UPSAMPLING_MAX = 2.0
AVERAGE_FROM = 1.5  # source pixels a tile pixel; from here on the mean of them, below it cubic interpolation
# A row of squares of a raster in strips, 40,000 px wide, is decoded once. rasterio hands the number on as bytes, and
# with a cache of nothing GDAL warps each square once for each of its bands.
GDAL_CACHE_BYTES = 128 * 1024 * 1024
WARP_MEMORY_MB = 64
WORKERS_MAX = 4
ALIGN_TILES = 8  # a side of the squares in which rasters are best read
EDGE_POINTS = 33


@dataclass(frozen=True, slots=True)
class MapRaster:
    """A raster that can be turned into tiles: where it lies and how fine it is.

    bounds_deg: west, south, east, north. ground_resolution_m_px: of its own pixel, at its centre. fingerprint: of the
    file's size and samples of its contents, so that a second import of the same file is known as such.
    outline_deg: longitude, latitude around the extent. datum_accuracy_m: of the way to WGS 84, as PROJ tells it. notes:
    what to know of it, in words.
    """

    path: Path
    bounds_deg: tuple[float, float, float, float]
    ground_resolution_m_px: float
    captured_at: datetime | None
    fingerprint: str
    datum_accuracy_m: float | None = None
    notes: tuple[str, ...] = ()
    outline_deg: tuple[tuple[float, float], ...] = ()

    @classmethod
    def open(cls, path: Path) -> MapRaster:
        """Look at a raster; UserError where it cannot be placed on the map, with what to do."""
        with OpenRaster(path) as opened:
            dataset = opened.dataset
            _check_georeference(path, dataset)
            bounds = _bounds_deg(path, dataset)
            outline = _outline_deg(path, dataset)
            resolution_m = _ground_resolution_m(path, dataset)
            captured_at = _captured_at(dataset)
            datum = datum_accuracy(path, crs_of(path, dataset), bounds)
            notes = (*datum.notes, *_band_notes(path, dataset))
        return cls(path, bounds, resolution_m, captured_at, fingerprint(path), datum.accuracy_m, notes, outline)

    def covered_px(self, zoom: int) -> float:
        """Return the area of the extent in pixels of a zoom, with or without data."""
        longitude, latitude = np.array(self.outline_deg).T
        x, y = geodesy.mercator_px_from_geodetic(latitude, longitude, zoom).T
        return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2.0)

    def default_zoom(self) -> int:
        """Return the zoom whose pixel is the nearest finer than or equal to the raster's own, 20 at most."""
        latitude_deg = (self.bounds_deg[1] + self.bounds_deg[3]) / 2
        zoom = math.ceil(
            math.log2(geodesy.mercator_resolution_m(latitude_deg, 0.0) / self.ground_resolution_m_px) - 1e-3
        )
        return min(max(zoom, 0), ZOOM_DEFAULT_MAX)

    def check_zoom(self, zoom: int) -> int:
        """Return the zoom; UserError where it would enlarge the raster's pixels more than twice."""
        latitude_deg = (self.bounds_deg[1] + self.bounds_deg[3]) / 2
        if geodesy.mercator_resolution_m(latitude_deg, zoom) * UPSAMPLING_MAX < self.ground_resolution_m_px * (
            1 - 1e-3
        ):
            raise UserError(
                f"Zoom {zoom} is finer than {self.path} can fill: its pixels are {self.ground_resolution_m_px:.2f} m. "
                f"Give --zoom {self.default_zoom()} or less, or leave it out."
            )
        return zoom

    def tile_range(self, zoom: int) -> tuple[int, int, int, int]:
        """Return (x0, y0, x1, y1) of the tiles that the raster's extent touches, x1 and y1 not included."""
        x0, y0, x1, y1 = tile_range(*self.bounds_deg, zoom)
        return x0, y0, x1, y1


class RasterReader:
    """An open raster at one zoom. Not to be shared by threads: each opens its own."""

    def __init__(self, raster: MapRaster, zoom: int) -> None:
        self._path = raster.path
        x0, y0, x1, y1 = raster.tile_range(zoom)
        # GDAL warps blocks of 512 px, and warps them once for each band where a read cuts through them.
        self._x0, self._y0 = x0 // ALIGN_TILES * ALIGN_TILES, y0 // ALIGN_TILES * ALIGN_TILES
        resolution = 2.0 * geodesy.MERCATOR_HALF_M / (TILE_PX * 2.0**zoom)
        corner_m = (
            self._x0 * TILE_PX * resolution - geodesy.MERCATOR_HALF_M,
            geodesy.MERCATOR_HALF_M - self._y0 * TILE_PX * resolution,
        )
        latitude_deg = (raster.bounds_deg[1] + raster.bounds_deg[3]) / 2
        shrinking = geodesy.mercator_resolution_m(latitude_deg, zoom) / raster.ground_resolution_m_px
        method = rasterio.enums.Resampling.average if shrinking >= AVERAGE_FROM else rasterio.enums.Resampling.cubic
        self._open = contextlib.ExitStack()
        try:
            source = self._open.enter_context(OpenRaster(raster.path)).dataset
            eight_bit = self._open.enter_context(rasterio.open(expand.eight_bit_vrt(raster.path, source)))
            # Near enough to exact, at no cost, that how the picture is cut does not show: GDAL's own tolerance of
            # 0.125 px moves pixels by where a read begins.
            self._warped = self._open.enter_context(
                WarpedVRT(
                    eight_bit,
                    crs="EPSG:3857",
                    transform=rasterio.Affine(resolution, 0.0, corner_m[0], 0.0, -resolution, corner_m[1]),
                    width=(x1 - self._x0) * TILE_PX,
                    height=(y1 - self._y0) * TILE_PX,
                    resampling=method,
                    tolerance=0.001,
                    add_alpha=eight_bit.count in {1, 3},
                    warp_mem_limit=WARP_MEMORY_MB,
                    NUM_THREADS=str(min(WORKERS_MAX, len(os.sched_getaffinity(0)))),
                )
            )
        except BaseException:
            self._open.close()
            raise

    def read(self, x: int, y: int, columns: int, rows: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        """Return the picture of a box of tiles, RGB or grey, and validity.

        Shapes (256 rows, 256 columns, 3) or (256 rows, 256 columns). Pixels without data are 0.
        UserError where the file is truncated or damaged.
        """
        window = Window((x - self._x0) * TILE_PX, (y - self._y0) * TILE_PX, columns * TILE_PX, rows * TILE_PX)
        try:
            with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
                bands = self._warped.read(window=window)
        except (RasterioError, RuntimeError) as error:
            raise damaged(self._path, error) from error
        valid = bands[-1] >= 128
        colours = bands[:-1] if valid.all() else np.where(valid, bands[:-1], 0)
        picture: npt.NDArray[np.uint8] = colours[0] if len(colours) == 1 else cv2.merge(list(colours))
        return picture, valid

    def close(self) -> None:
        self._open.close()


def _band_notes(path: Path, dataset: Any) -> tuple[str, ...]:
    if dataset.colorinterp[0] == rasterio.enums.ColorInterp.palette:
        plan = BandPlan((1,), 0, 0.0, False, ())
    else:
        plan = band_plan(path, dataset)
    collar = None if plan.alpha else expand.undeclared_collar(path, dataset, plan.colours)
    if collar is not None:
        return (
            *plan.notes,
            f"a corner or edge is filled with {collar:g}, which the file does not declare: taken as no data "
            "(`gdal_edit.py -a_nodata` declares another value)",
        )
    blackish = 0 if plan.alpha else expand.blackish_collar(path, dataset, plan.colours)
    if blackish:
        return (
            *plan.notes,
            f"a corner is nearly black (up to {blackish}) and counts as ground; where it is a collar that lossy "
            f"compression blurred, run `nearblack -setmask -o new.tif {path.name}` and import that",
        )
    return plan.notes


def damaged(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path} cannot be read to its end, it is truncated or damaged ({str(error).splitlines()[0]}): copy it again "
        "from where it came and run the same command; what is stored already stays."
    )


def fingerprint(path: Path) -> str:
    """Return 32 hex digits of a file's size, head, tail and 62 samples in between (64 KiB each)."""
    size, chunk = path.stat().st_size, 65_536
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        for i in range(64):
            file.seek(max(size - chunk, 0) * i // 63)
            digest.update(file.read(chunk))
    return digest.hexdigest()[:32]


def _rpc_only(path: Path) -> UserError:
    return UserError(
        f"{path} is placed by RPCs only (a satellite's camera model): straighten it over a terrain model with "
        f"`gdalwarp -rpc -to RPC_DEM=terrain.tif -t_srs EPSG:<UTM code> {path.name} straight.tif` and import that."
    )


def _check_georeference(path: Path, dataset: Any) -> None:
    if dataset.count < 1 and dataset.subdatasets:
        first = ", ".join(str(name)[:120] for name in dataset.subdatasets[:3])
        raise UserError(
            f"{path} holds {len(dataset.subdatasets)} rasters ({first}): take one out with `gdal_translate NAME "
            "out.tif` and import that."
        )
    if dataset.width < 2 or dataset.height < 2 or dataset.count < 1:
        raise UserError(f"{path} has no picture in it ({dataset.width}x{dataset.height} pixels): give another file.")
    if dataset.transform.is_identity:
        if dataset.gcps[0]:
            raise UserError(
                f"{path} is placed by control points only: straighten it with `gdalwarp {path.name} straight.tif` and "
                "import that."
            )
        if dataset.rpcs is not None or rpc_beside(path):
            raise _rpc_only(path)
        if dataset.tags(ns="GEOLOCATION"):
            raise UserError(
                f"{path} is placed by arrays of positions only: straighten it with `gdalwarp -geoloc -t_srs "
                f"EPSG:<UTM code> {path.name} straight.tif` and import that."
            )
        if dataset.tags().get("EXIF_GPSLatitude"):
            raise UserError(
                f"{path} is a single photograph with a position, no map: make an orthophoto of such pictures first "
                "(OpenDroneMap, Metashape, PIX4D) and import that."
            )
        raise UserError(f"{path} says nowhere where it lies: give it its corners with `gdal_edit.py -a_ullr ...`.")
    if dataset.crs is None and (dataset.rpcs is not None or rpc_beside(path)):
        raise _rpc_only(path)
    if dataset.crs is None:
        raise UserError(
            f"{path} has no coordinate system: give it one with `gdal_edit.py -a_srs EPSG:<code> {path.name}`."
        )


def _edge(path: Path, dataset: Any) -> tuple[npt.NDArray[np.float64], ...]:
    """Return longitude and latitude of points around the extent."""
    ends = np.linspace(0.0, 1.0, EDGE_POINTS)
    zeros, ones = np.zeros(EDGE_POINTS), np.ones(EDGE_POINTS)
    columns = np.concatenate([ends, ones, ends[::-1], zeros]) * dataset.width
    rows = np.concatenate([zeros, ends, ones, ends[::-1]]) * dataset.height
    return _degrees(path, dataset, columns, rows)


def _outline_deg(path: Path, dataset: Any) -> tuple[tuple[float, float], ...]:
    return tuple((float(lon), float(lat)) for lon, lat in zip(*_edge(path, dataset), strict=True))


def _bounds_deg(path: Path, dataset: Any) -> tuple[float, float, float, float]:
    longitude, latitude = _edge(path, dataset)
    if np.abs(np.diff(longitude)).max() > 180.0:
        raise _crosses(path)
    if np.abs(latitude).max() > LATITUDE_MAX_DEG:
        raise UserError(
            f"{path} reaches {latitude[np.abs(latitude).argmax()]:.1f} degrees of latitude, the tile grid ends at "
            f"{LATITUDE_MAX_DEG:.2f}: cut it there with `gdalwarp -te`."
        )
    return float(longitude.min()), float(latitude.min()), float(longitude.max()), float(latitude.max())


def _crosses(path: Path) -> UserError:
    return UserError(
        f"{path} crosses the 180th meridian, where the tile grid is cut: split it there with `gdalwarp -te` and "
        "import both halves."
    )


def _degrees(
    path: Path, dataset: Any, columns: npt.ArrayLike, rows: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], ...]:
    """Return WGS84 longitude and latitude of pixel corners."""
    place = geotransform(dataset)
    u, v = np.asarray(columns, dtype=float), np.asarray(rows, dtype=float)
    east, north = place.a * u + place.b * v + place.c, place.d * u + place.e * v + place.f
    longitude, latitude = degrees_of(path, crs_of(path, dataset)).transform(east, north)
    good = np.isfinite(longitude) & np.isfinite(latitude) & (np.abs(latitude) <= 90.0) & (np.abs(longitude) <= 180.001)
    if dataset.crs.is_geographic and 180.001 < np.abs(longitude).max() <= 360.0 and np.abs(latitude).max() <= 90.0:
        raise _crosses(path)
    if not good.all():
        raise UserError(
            f"{path} lies outside of what its coordinate system ({dataset.crs}) covers, so one of them is wrong: give "
            f"it the right one with `gdal_edit.py -a_srs EPSG:<code> {path.name}`."
        )
    return np.asarray(longitude), np.asarray(latitude)


def _ground_resolution_m(path: Path, dataset: Any) -> float:
    column, row = dataset.width / 2, dataset.height / 2
    longitude, latitude = _degrees(
        path, dataset, [column - 0.5, column + 0.5, column, column], [row, row, row - 0.5, row + 0.5]
    )
    _, _, size_m = pyproj.Geod(ellps="WGS84").inv(longitude[::2], latitude[::2], longitude[1::2], latitude[1::2])
    resolution_m = float(math.sqrt(size_m[0] * size_m[1]))
    if not 1e-3 <= resolution_m <= 1e3:
        raise UserError(
            f"{path} would have pixels of {resolution_m:.3g} m, so its coordinate system ({str(dataset.crs)[:80]}) is "
            "wrong, or it is no map to fly with: give it the right one with `gdal_edit.py -a_srs EPSG:<code> "
            f"{path.name}`."
        )
    return resolution_m


def _captured_at(dataset: Any) -> datetime | None:
    with contextlib.suppress(ValueError):
        return datetime.strptime(dataset.tags().get("TIFFTAG_DATETIME", ""), "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
    return None
