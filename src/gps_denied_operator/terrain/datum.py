"""From which surface heights are counted, in which unit, and how they are brought to metres above EGM96.

EGM96 and EGM2008 stand for mean sea level; the grids of their heights over the ellipsoid are no part of PROJ's wheel.
Where they are installed (PROJ finds them by name, and never fetches them here) heights are converted; without them only
what is known of the difference can be told, as a sigma or as a refusal.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from dataclasses import dataclass
from enum import Enum

import numpy as np
import pyproj
from pyproj.datadir import get_user_data_dir  # type: ignore[attr-defined]
from pyproj.transformer import AreaOfInterest, TransformerGroup

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.terrain import TerrainGrid

EGM2008_SIGMA_M = 2.0
"""Of heights over EGM2008 that stand for those over EGM96: PROJ gives each model 1 m, and 2 m the way between them."""
US_SURVEY_FOOT_M = 1200.0 / 3937.0
FOOT_M = 0.3048
_ROWS_AT_ONCE = 256


class Datum(Enum):
    """Surfaces that an operator can name."""

    EGM96 = "egm96"
    EGM2008 = "egm2008"
    ELLIPSOID = "ellipsoid"


class Unit(Enum):
    """Units that an operator can name."""

    METRE = "m"
    FOOT = "ft"


_CRS = {Datum.EGM96: 9707, Datum.EGM2008: 9518, Datum.ELLIPSOID: 4979}
_VERTICAL = {5773: Datum.EGM96, 3855: Datum.EGM2008}
_METRES = {"m", "metre", "metres", "meter", "meters", "mtr"}
_FEET = {"ft", "foot", "feet", "international foot"}
_US_FEET = {"us-ft", "ftus", "us survey foot", "us survey feet", "foot_us", "survey foot", "survey feet"}


@dataclass(frozen=True, slots=True)
class Vertical:
    """Where heights are counted from: a name to be told, the system of latitude, longitude and height (WGS 84), and
    metres a unit of that system's height."""

    name: str
    crs: pyproj.CRS
    unit_m: float = 1.0


def vertical_of(datum: Datum) -> Vertical:
    """Of one that the operator named."""
    return Vertical(datum.value, pyproj.CRS.from_epsg(_CRS[datum]))


def vertical_told(crs: pyproj.CRS) -> Vertical | None:
    """What a coordinate system tells of heights; None where it is of the horizontal alone."""
    while crs.is_bound and crs.source_crs is not None:
        crs = crs.source_crs
    if crs.is_compound:
        part = crs.sub_crs_list[1]
        while part.is_bound and part.source_crs is not None:
            part = part.source_crs
        factor = float(part.axis_info[0].unit_conversion_factor) if part.axis_info else 1.0
        name = part.name.lower().replace(" ", "")
        known = _VERTICAL.get(part.to_epsg() or 0)
        if known is None:
            known = Datum.EGM96 if "egm96" in name else Datum.EGM2008 if "egm2008" in name or "egm08" in name else None
        if known is not None:
            return Vertical(known.value, vertical_of(known).crs, factor)
        whole = pyproj.crs.CompoundCRS(f"WGS 84 + {part.name}", [pyproj.CRS.from_epsg(4326), part])
        return Vertical(part.name, whole, factor)
    if len(crs.axis_info) == 3:
        return Vertical(
            Datum.ELLIPSOID.value, vertical_of(Datum.ELLIPSOID).crs, crs.axis_info[2].unit_conversion_factor
        )
    return None


def unit_told(name: str) -> float | None:
    """Metres of a unit by the name that a file gives it; None without one, NaN for one that is not known here."""
    plain = name.strip().lower().replace("_", " ")
    if not plain:
        return None
    if plain in _METRES:
        return 1.0
    if plain in _FEET:
        return FOOT_M
    return US_SURVEY_FOOT_M if plain.replace(" ", "") in {us.replace(" ", "") for us in _US_FEET} else math.nan


def to_egm96(grid: TerrainGrid, vertical: Vertical) -> tuple[TerrainGrid, str]:
    """A grid whose heights, in metres, are counted from `vertical`, brought to EGM96; and a note, or "".

    UserError where PROJ cannot: it lacks the grid file, or knows no way.
    """
    if vertical.name == Datum.EGM96.value:
        return grid, ""
    rows, columns = grid.heights_amsl_m.shape
    west, south = grid.west_deg, grid.south_deg
    area = AreaOfInterest(west, south, west + columns * grid.step_lon_deg, south + rows * grid.step_lat_deg)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of missing grids: told below
        group = TransformerGroup(
            vertical.crs, _CRS[Datum.EGM96], always_xy=True, area_of_interest=area, allow_ballpark=False
        )
    lacking = sorted({one.short_name for op in group.unavailable_operations for one in op.grids if one.short_name})
    if not group.transformers:
        if vertical.name == Datum.EGM2008.value:
            sigma_m = math.hypot(grid.sigma_m, EGM2008_SIGMA_M)
            return dataclasses.replace(grid, sigma_m=sigma_m), (
                f"heights over EGM2008 are taken as over EGM96, with {EGM2008_SIGMA_M:g} m more of sigma: PROJ lacks "
                f"{' and '.join(lacking) or 'the grids'} to convert them"
            )
        raise UserError(
            f"Heights over {vertical.name} cannot be brought to mean sea level (EGM96): PROJ lacks "
            f"{' or '.join(lacking) or 'a way between them'}. Put that file into {get_user_data_dir()} "
            "(`pyproj sync --file NAME` where there is a network), or convert the raster before with "
            "`gdalwarp -t_srs EPSG:9707` on a machine that has it."
        )
    transformer = group.transformers[0]
    longitudes = west + np.arange(columns) * grid.step_lon_deg
    out = np.empty((rows, columns), dtype="<f4")
    for first in range(0, rows, _ROWS_AT_ONCE):
        part = np.asarray(grid.heights_amsl_m[first : first + _ROWS_AT_ONCE], dtype=float)
        latitudes = south + (first + np.arange(len(part))) * grid.step_lat_deg
        lon, lat = np.meshgrid(longitudes, latitudes)
        known = np.isfinite(part)
        moved = transformer.transform(lon[known], lat[known], part[known] / vertical.unit_m)[2]
        out[first : first + len(part)][known] = np.where(np.isfinite(moved), moved, np.nan)
        out[first : first + len(part)][~known] = np.nan
    if np.isnan(out).sum() > np.isnan(grid.heights_amsl_m).sum():
        raise UserError(
            f"PROJ's grid for heights over {vertical.name} ends within the file's area: give the whole grid, or cut "
            "the file with --bbox."
        )
    accuracy_m = transformer.accuracy if transformer.accuracy is not None and transformer.accuracy > 0.0 else 2.0
    told = f"heights over {vertical.name} were brought to EGM96 by PROJ ({transformer.description}), {accuracy_m:g} m"
    return dataclasses.replace(grid, heights_amsl_m=out, sigma_m=math.hypot(grid.sigma_m, accuracy_m)), told
