"""How well a raster's coordinate system leads to WGS 84: PROJ's own word for the operation that it takes.

PROJ answers for any datum; where it knows no operation it lets latitude and longitude stand ("ballpark"), which is off
by a hundred metres and more for datums that were not made for the satellites.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyproj
from pyproj.transformer import AreaOfInterest, TransformerGroup
from rasterio.errors import RasterioError

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.geodesy import WGS84_SEMI_MAJOR_M

SILENT_M = 3.0
"""Accuracies up to this are as good as the map; above it, or where a better operation lacks its grid, it is told."""
SATELLITE_ELLIPSOIDS = {(WGS84_SEMI_MAJOR_M, 298.257223563), (WGS84_SEMI_MAJOR_M, 298.257222101)}
"""Semi-major axis in metres and inverse flattening of WGS 84 and GRS 80: datums on them differ by 2 m or less."""


@dataclass(frozen=True, slots=True)
class DatumAccuracy:
    """Metres that PROJ gives the way to WGS 84 (None: it does not say), the operation's name, and notes."""

    accuracy_m: float | None
    operation: str
    notes: tuple[str, ...]


def datum_accuracy(path: Path, crs: pyproj.CRS, bounds_deg: Sequence[float]) -> DatumAccuracy:
    """Ask PROJ; bounds_deg: west, south, east, north. UserError where the datum is not known."""
    west, south, east, north = bounds_deg
    area = AreaOfInterest(west, south, east, north)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of missing grids: told below
            group = TransformerGroup(crs, 4326, always_xy=True, area_of_interest=area)
            best = group.transformers[0]
    except (pyproj.exceptions.ProjError, IndexError) as error:
        raise UserError(
            f"{path} has a coordinate system that does not lead to latitude and longitude ({error}): give it the right "
            f"one with `gdal_edit.py -a_srs EPSG:<code> {path.name}`."
        ) from error
    if "ballpark" in best.description.lower():
        return _without_datum(path, crs, best.description, (south + north) / 2.0, (west + east) / 2.0)
    accuracy = float(best.accuracy) if best.accuracy is not None and best.accuracy >= 0.0 else None
    notes = []
    name = crs.name if crs.to_epsg() is None else f"EPSG:{crs.to_epsg()}"
    better = [float(op.accuracy) for op in group.unavailable_operations if op.accuracy is not None and op.accuracy >= 0]
    lacking = better and (accuracy is None or min(better) < accuracy)
    if accuracy is None:
        notes.append(f"PROJ does not say how well {name} leads to WGS 84 ({best.description}): check a known place")
    elif lacking or accuracy > SILENT_M:
        told = f"{name} leads to WGS 84 to {accuracy:g} m only"
        if lacking:
            grids = sorted({grid.short_name for op in group.unavailable_operations[:1] for grid in op.grids})
            told += f"; to {min(better):g} m with {', '.join(grids) or 'a grid file'}, which is not installed"
        notes.append(f"{told}: positions on this map may be off by as much")
    return DatumAccuracy(accuracy, best.description, tuple(notes))


def _without_datum(
    path: Path, crs: pyproj.CRS, operation: str, latitude_deg: float, longitude_deg: float
) -> DatumAccuracy:
    """A datum without an operation to WGS 84: taken as WGS 84 on its ellipsoids, refused on others."""
    ellipsoid = crs.ellipsoid
    axes = (ellipsoid.semi_major_metre, round(ellipsoid.inverse_flattening, 9)) if ellipsoid else (0.0, 0.0)
    method = crs.coordinate_operation.method_name.lower() if crs.coordinate_operation else ""
    if axes[0] == WGS84_SEMI_MAJOR_M and axes[1] == 0.0 and "mercator" in method and "transverse" not in method:
        return DatumAccuracy(None, operation, ())  # web maps before EPSG:3857
    if axes in SATELLITE_ELLIPSOIDS:
        return DatumAccuracy(
            None, operation,
            (f"its datum is not named; on the ellipsoid {ellipsoid.name if ellipsoid else ''} it is taken as WGS 84 "
             "(of ETRS89, NAD83 and the like: 2 m off or less)",),
        )  # fmt: skip
    if crs.to_epsg(min_confidence=100) is not None:
        area = f" (made for {crs.area_of_use.name})" if crs.area_of_use else ""
        raise UserError(
            f"{path} lies at {latitude_deg:.2f}, {longitude_deg:.2f} by its coordinate system EPSG:{crs.to_epsg()}, "
            f"{crs.name}{area}, where PROJ knows no way from its datum to WGS 84: only a ballpark offset, 100 m off "
            f"and more. Where that is the wrong system, name the right one with `gdal_edit.py -a_srs EPSG:<code> "
            f"{path.name}`; else convert it by your survey office's parameters, `gdalwarp -s_srs '+proj=... "
            f"+towgs84=...' -t_srs EPSG:4326 {path.name} new.tif`."
        )
    raise UserError(
        f"{path} does not name its datum, or one that PROJ cannot bring to WGS 84 ({crs.name}, ellipsoid "
        f"{ellipsoid.name if ellipsoid else 'not known'}: only a ballpark offset, 100 m off and more): name it with "
        f"`gdal_edit.py -a_srs EPSG:<code> {path.name}`, as EPSG:28407 for a Gauss-Krueger zone 7 on Pulkovo 1942."
    )


def crs_of(path: Path, dataset: Any) -> pyproj.CRS:
    """The coordinate system of an opened raster that has one. UserError where it cannot be read."""
    try:
        return pyproj.CRS.from_wkt(dataset.crs.to_wkt())
    except (pyproj.exceptions.ProjError, RasterioError) as error:
        raise UserError(
            f"{path} has a coordinate system that cannot be read ({error}): give it the right one with "
            f"`gdal_edit.py -a_srs EPSG:<code> {path.name}`."
        ) from error


def degrees_of(path: Path, crs: pyproj.CRS) -> pyproj.Transformer:
    """From a raster's coordinates to WGS84 longitude and latitude. UserError where they are of no place on earth."""
    try:
        return pyproj.Transformer.from_crs(crs, 4326, always_xy=True)
    except pyproj.exceptions.ProjError as error:
        raise UserError(
            f"{path} has a coordinate system that does not lead to latitude and longitude ({error}): give it the right "
            f"one with `gdal_edit.py -a_srs EPSG:<code> {path.name}`."
        ) from error
