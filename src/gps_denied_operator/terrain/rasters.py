"""Heights of a GeoTIFF, COG or SRTM `.hgt`: read in strips, made coarser than 80 m2 a post, laid onto latitude and
longitude. All that is not a height on earth is a hole or a refusal, never a height."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import rasterio
from rasterio.windows import Window

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.grid_heights import bilinear
from gps_denied_onboard.geometry.terrain import TerrainGrid
from gps_denied_onboard.messages import FloatArray
from gps_denied_onboard.tiles.terrain_file import HEIGHT_M_MAX, HEIGHT_M_MIN, LATITUDE_DEG_MAX, POSTS_MAX
from gps_denied_operator.terrain.datum import Vertical, unit_told, vertical_told
from gps_denied_operator.tiles.datum import crs_of, datum_accuracy, degrees_of
from gps_denied_operator.tiles.open_raster import OpenRaster, read_window, within_half_turn

POST_M2_MIN = 80.0
"""Ground that a post stands for at least: 400 km2 and 2 km around them are 29 MB."""
METRES_PER_DEG = 111_194.9
PIXELS_MAX = 4_000_000_000
CHUNK_PX = 4_000_000
FULL_SHARE = 0.5
"""Of the pixels that make up one post, those that must hold a height."""
VOIDS = (-9999.0, -32768.0, -32767.0, 32767.0, -99999.0, 9999.0, 65535.0)
"""What programs write where they know no height, declared or not."""
EDGE_POINTS = 33
FOOT_CRS_M = 0.3048
Box = tuple[float, float, float, float]
"""West, south, east, north in degrees."""
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class ReadHeights:
    """Heights in metres over a surface that is still to be told where `vertical` is None; grid.sigma_m is not set yet.

    unit: as it was read, 'm' or 'ft'; unit_known: the file said so, or the operator. foot_crs: its own places are in
    feet. notes: what to know, in words.
    """

    grid: TerrainGrid
    vertical: Vertical | None
    unit_m: float
    unit_known: bool
    foot_crs: bool
    notes: tuple[str, ...]


def read_raster(path: Path, unit_m: float | None, bbox_deg: Box | None) -> ReadHeights:
    """Read a raster's first band as heights. unit_m: metres of the unit that the operator named, or None.

    bbox_deg: west, south, east, north; read only these. UserError where it is no raster of heights on earth.
    """
    # GDAL leaves the vertical part of an older GeoTIFF (1.0) out unless it is asked for.
    with rasterio.Env(GTIFF_REPORT_COMPD_CS=True), OpenRaster(path) as opened:
        dataset = opened.dataset
        crs = _check(path, dataset)
        vertical = vertical_told(crs)
        factor, known = _unit(path, dataset, vertical, unit_m)
        flat = _flat(crs)
        if not flat.is_geographic and not flat.is_projected:
            raise UserError(f"{path} is in a local system without a place on earth: give it one with gdal_edit.py.")
        place = degrees_of(path, flat)
        window = _window(path, dataset, flat, bbox_deg)
        shrink = _shrink(dataset, place, window)
        posts = (window.width // shrink) * (window.height // shrink)
        if posts > POSTS_MAX or window.width * window.height > PIXELS_MAX:
            raise UserError(
                f"{path} holds {posts:.1e} posts, more than the {POSTS_MAX:.1e} of one import: give the area with "
                "--bbox W,S,E,N."
            )
        strips = _Strips(path, dataset, factor)
        cells = strips.read(window, shrink)
        transform = dataset.transform @ rasterio.Affine(
            shrink, 0.0, window.col_off, 0.0, shrink, window.row_off
        )  # of a cell's corner
        if flat.is_geographic:
            transform = within_half_turn(transform, cells.shape[1], cells.shape[0])
        foot = bool(flat.axis_info) and abs(flat.axis_info[0].unit_conversion_factor - FOOT_CRS_M) < 1e-3
        grid = _on_degrees(path, cells, transform, flat)
        accuracy = datum_accuracy(path, flat, _bounds(grid))
    return ReadHeights(grid, vertical, factor, known, foot and flat.is_projected, (*accuracy.notes, *strips.notes()))


def _check(path: Path, dataset: Any) -> pyproj.CRS:
    if dataset.count < 1 or dataset.width < 2 or dataset.height < 2:
        raise UserError(f"{path} holds no raster of heights ({dataset.width}x{dataset.height} pixels): give another.")
    kind = np.dtype(dataset.dtypes[0])
    if kind == np.uint8 or kind.kind not in "iuf":
        raise UserError(
            f"{path} holds {kind} values, a picture or a hillshade and no heights: give heights as 16-bit or float; "
            "a map's pictures go into `operator-tool tiles import`."
        )
    if dataset.crs is None or dataset.transform.is_identity:
        raise UserError(
            f"{path} is not placed on the map: give it its corners and coordinate system with "
            f"`gdal_edit.py -a_srs EPSG:<code> -a_ullr <x0> <y0> <x1> <y1> {path.name}`."
        )
    return crs_of(path, dataset)


def _flat(crs: pyproj.CRS) -> pyproj.CRS:
    """The part of a coordinate system that is of places, without heights."""
    while crs.is_bound and crs.source_crs is not None and len(crs.source_crs.axis_info) != 2:
        crs = crs.source_crs
    return crs.sub_crs_list[0] if crs.is_compound else crs.to_2d()


def _unit(path: Path, dataset: Any, vertical: Vertical | None, asked_m: float | None) -> tuple[float, bool]:
    """Metres of the file's unit of height, and whether anybody said so. UserError where two say it differently."""
    band = unit_told(str(dataset.units[0] or ""))
    told = [m for m in (band, vertical.unit_m if vertical is not None else None) if m is not None]
    if any(math.isnan(m) for m in told) and asked_m is None:
        raise UserError(f"{path} gives its heights in '{dataset.units[0]}': say --unit m or --unit ft.")
    told = [m for m in told if not math.isnan(m)]
    said = [*told, *([asked_m] if asked_m is not None else [])]
    if said and max(said) - min(said) > 1e-4:
        raise UserError(
            f"{path}: its unit of height is told as {' and as '.join(f'{m:g} m' for m in said)}: mend the file with "
            "`gdal_edit.py -units m`, or leave --unit out."
        )
    return (told or said or [1.0])[0], bool(said)


def _window(path: Path, dataset: Any, flat: pyproj.CRS, bbox_deg: Box | None) -> Window:
    """The pixels of a box and two around it; all of them without one."""
    whole = Window(0, 0, dataset.width, dataset.height)
    if bbox_deg is None:
        return whole
    west, south, east, north = bbox_deg
    t = np.linspace(0.0, 1.0, EDGE_POINTS)
    lon = np.concatenate([west + t * (east - west)] * 2 + [np.full(EDGE_POINTS, e) for e in (west, east)])
    lat = np.concatenate([np.full(EDGE_POINTS, e) for e in (south, north)] + [south + t * (north - south)] * 2)
    x, y = pyproj.Transformer.from_crs(4326, flat, always_xy=True).transform(lon, lat)
    if flat.is_geographic and np.max(x) < dataset.transform.c:  # a file that counts from 0 to 360
        x = np.asarray(x) + 360.0
    columns, rows = ~dataset.transform @ (np.asarray(x), np.asarray(y))
    if not (np.isfinite(columns).all() and np.isfinite(rows).all()):
        raise UserError(f"{path}: its coordinate system does not reach --bbox: give a box within the file.")
    c0, c1 = max(math.floor(columns.min()) - 2, 0), min(math.ceil(columns.max()) + 2, dataset.width)
    r0, r1 = max(math.floor(rows.min()) - 2, 0), min(math.ceil(rows.max()) + 2, dataset.height)
    if c1 - c0 < 2 or r1 - r0 < 2:
        raise UserError(f"{path} holds nothing of --bbox {west:g},{south:g},{east:g},{north:g}: give another file.")
    return Window(c0, r0, c1 - c0, r1 - r0)


def _pixel_m2(place: pyproj.Transformer, transform: Any, column: float, row: float) -> float:
    """Ground under a pixel at a column and row; `place` leads to longitude and latitude."""
    places = [transform @ at for at in ((column, row), (column + 1, row), (column, row + 1))]
    lon, lat = place.transform(*np.array(places).T)
    sides = pyproj.Geod(ellps="WGS84").inv([lon[0]] * 2, [lat[0]] * 2, lon[1:], lat[1:])[2]
    return float(sides[0] * sides[1])


def _shrink(dataset: Any, place: pyproj.Transformer, window: Window) -> int:
    """How many pixels a side make up one post."""
    column, row = window.col_off + window.width / 2.0, window.row_off + window.height / 2.0
    area_m2 = _pixel_m2(place, dataset.transform, column, row)
    if not (math.isfinite(area_m2) and area_m2 > 0.0):
        raise UserError("the raster's coordinate system does not lead to a place on earth: give it the right one.")
    return max(math.ceil(math.sqrt(POST_M2_MIN / area_m2) - 1e-3), 1)


def block_means(metres: FloatArray, shrink: int) -> FloatArray:
    """Means of shrink x shrink heights (rows, columns), NaN where too few of them are known."""
    if shrink == 1:
        return metres
    rows, columns = metres.shape
    blocks = metres.reshape(rows // shrink, shrink, columns // shrink, shrink)
    known = np.isfinite(blocks).sum(axis=(1, 3))
    enough = known >= max(FULL_SHARE * shrink * shrink, 1.0)
    return np.where(enough, np.nansum(blocks, axis=(1, 3)) / np.maximum(known, 1), np.nan)


@dataclass(slots=True)
class _Strips:
    """Reads a band from the top down, and keeps count of what is no height."""

    path: Path
    dataset: Any
    unit_m: float
    infinite: int = 0
    undeclared: int = 0
    void: float = math.nan

    def read(self, window: Window, shrink: int) -> FloatArray:
        """Heights in metres (rows, columns) of the means of shrink x shrink pixels, NaN where too few hold one."""
        rows, columns = int(window.height) // shrink, int(window.width) // shrink
        out = np.full((rows, columns), np.nan, dtype="<f4")
        at_once = max(CHUNK_PX // (shrink * shrink * columns), 1)
        for first in range(0, rows, at_once):
            count = min(at_once, rows - first)
            part = Window(window.col_off, window.row_off + first * shrink, columns * shrink, count * shrink)
            metres = self._metres(read_window(self.path, self.dataset, [1], part, masked=True)[0])
            out[first : first + count] = block_means(metres, shrink)
        if np.isnan(out).all():
            raise UserError(f"{self.path} holds no height at all, here every pixel is empty: give another file or box.")
        return out

    def _metres(self, values: Any) -> FloatArray:
        raw = np.asarray(np.ma.filled(values.astype(float), np.nan))
        endless = np.isinf(raw)
        self.infinite += int(endless.sum())
        raw[endless] = np.nan
        metres = (raw * self.dataset.scales[0] + self.dataset.offsets[0]) * self.unit_m
        beyond = (metres < HEIGHT_M_MIN) | (metres >= HEIGHT_M_MAX)
        if beyond.any():
            void = beyond & (np.isin(raw, VOIDS) | (np.abs(raw) >= 1e30))
            if (beyond & ~void).any():
                worst = metres[beyond & ~void]
                lowest, highest = float(worst.min()), float(worst.max())
                raise UserError(
                    f"{self.path} holds heights of {lowest:.0f} to {highest:.0f} m, and ground on earth lies between "
                    f"{HEIGHT_M_MIN:.0f} and {HEIGHT_M_MAX:.0f} m: give --unit ft if they are feet, declare what "
                    "stands for no data (`gdal_edit.py -a_nodata VALUE`), or give another file."
                )
            self.undeclared += int(void.sum())
            self.void = float(raw[void][0])
            metres[void] = np.nan
        return np.asarray(metres)

    def notes(self) -> tuple[str, ...]:
        out = []
        if self.undeclared:
            out.append(f"{self.undeclared} pixels hold {self.void:g}, not declared as no data: taken as holes")
        if self.infinite:
            out.append(f"{self.infinite} pixels are infinite: taken as holes")
        return tuple(out)


def _on_degrees(path: Path, cells: FloatArray, transform: Any, flat: pyproj.CRS) -> TerrainGrid:
    """Cells of a raster, whose corners `transform` places, as a grid of latitude and longitude: their own, where they
    lie on one already."""
    rows, columns = cells.shape
    if flat.to_epsg() == 4326 and transform.b == transform.d == 0.0 and transform.a > 0.0 > transform.e:
        west, north = transform @ (0.5, 0.5)
        south = north + (rows - 1) * transform.e
        return TerrainGrid(south, west, -transform.e, transform.a, cells[::-1], math.nan)
    place = pyproj.Transformer.from_crs(flat, 4326, always_xy=True)
    u, v = np.linspace(0.5, columns - 0.5, EDGE_POINTS), np.linspace(0.5, rows - 0.5, EDGE_POINTS)
    at_u = np.concatenate([u, u, np.full(EDGE_POINTS, u[0]), np.full(EDGE_POINTS, u[-1])])
    at_v = np.concatenate([np.full(EDGE_POINTS, v[0]), np.full(EDGE_POINTS, v[-1]), v, v])
    lon, lat = place.transform(*(transform @ (at_u, at_v)))
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        raise UserError(f"{path} reaches beyond what its coordinate system can place: cut it with --bbox.")
    west, south, east, north = (float(f(e)) for e, f in ((lon, np.min), (lat, np.min), (lon, np.max), (lat, np.max)))
    step_lat = math.sqrt(_pixel_m2(place, transform, columns / 2, rows / 2)) / METRES_PER_DEG
    step_lon = step_lat / math.cos(math.radians(min(max(abs(south), abs(north)), LATITUDE_DEG_MAX)))
    shape = (math.floor((north - south) / step_lat) + 1, math.floor((east - west) / step_lon) + 1)
    if min(shape) < 2 or shape[0] * shape[1] > POSTS_MAX:
        raise UserError(f"{path} covers {shape[0]} x {shape[1]} posts: give the area of the flight with --bbox.")
    back = pyproj.Transformer.from_crs(4326, flat, always_xy=True)
    out = np.full(shape, np.nan, dtype="<f4")
    longitudes = west + np.arange(shape[1]) * step_lon
    for first in range(0, shape[0], _ROWS_AT_ONCE):
        latitudes = south + np.arange(first, min(first + _ROWS_AT_ONCE, shape[0])) * step_lat
        x, y = back.transform(*np.meshgrid(longitudes, latitudes))
        column, row = ~transform @ (np.asarray(x), np.asarray(y))
        out[first : first + len(latitudes)] = bilinear(cells, row - 0.5, column - 0.5)
    return TerrainGrid(south, west, step_lat, step_lon, out, math.nan)


def _bounds(grid: TerrainGrid) -> tuple[float, float, float, float]:
    rows, columns = grid.heights_amsl_m.shape
    return (
        grid.west_deg, grid.south_deg, grid.west_deg + (columns - 1) * grid.step_lon_deg,
        grid.south_deg + (rows - 1) * grid.step_lat_deg,
    )  # fmt: skip
