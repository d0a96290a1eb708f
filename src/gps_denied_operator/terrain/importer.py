"""Import of a file of heights: read, held against what is known, brought to metres over EGM96, and kept."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.grid_heights import grid_heights_amsl_m
from gps_denied_onboard.geometry.terrain import TerrainGrid
from gps_denied_onboard.tiles.terrain_file import SIGMA_M_MAX, terrain_summary
from gps_denied_operator.terrain.datum import FOOT_M, Datum, Unit, Vertical, to_egm96, vertical_of
from gps_denied_operator.terrain.height_tiles import read_height_tiles
from gps_denied_operator.terrain.library import keep_heights, stored_heights
from gps_denied_operator.terrain.rasters import Box, ReadHeights, read_raster
from gps_denied_operator.tiles.raster import fingerprint

SIGMA_M = 10.0
"""Of heights whose maker's figure is not given: what global models hold for 30 m posts."""
COMPARED_POSTS = 60
COMPARED_MIN = 20
COMPARED_HEIGHT_M = 30.0
FEET_RATIO, FEET_RATIO_OFF = 1.0 / FOOT_M, 0.15
APART_SIGMAS = 3.0


@dataclass(frozen=True, slots=True)
class HowToRead:
    """What the operator says of a file: None and "auto" leave it to the file. sigma_m: of its heights; box: only this
    area, west, south, east, north in degrees."""

    datum: Datum | None = None
    unit: Unit | None = None
    sigma_m: float = SIGMA_M
    bbox_deg: Box | None = None
    rows: str = "auto"

    def __post_init__(self) -> None:
        if not 0.1 <= self.sigma_m <= SIGMA_M_MAX / 2.0:
            raise UserError(
                f"--sigma-m is {self.sigma_m:g}: give one sigma of the heights, 0.1 to {SIGMA_M_MAX / 2:g} m."
            )


def import_heights(path: Path, how: HowToRead, root: Path) -> dict[str, Any]:
    """Import one file or folder into a store's folder; what was done, for machines. UserError with what to do.

    The same file again replaces what it gave before; unchanged, the outcome is `idempotent_no_op`.
    """
    tiled = path.is_dir() or path.suffix.lower() == ".mbtiles"
    unit_m = None if how.unit is None else 1.0 if how.unit is Unit.METRE else FOOT_M
    if tiled and how.unit is Unit.FOOT:
        raise UserError(f"{path}: Terrarium and Mapbox RGB tiles hold metres by their definition: leave --unit out.")
    read = read_height_tiles(path, how.bbox_deg, how.rows) if tiled else read_raster(path, unit_m, how.bbox_deg)
    vertical, notes = _vertical(path, read, how.datum)
    grid, told = to_egm96(dataclasses.replace(read.grid, sigma_m=how.sigma_m), vertical)
    name = _name(path, how.bbox_deg)
    notes = [*read.notes, *notes, *([told] if told else [])]
    notes += _doubts(path, read, grid, root, name)
    about = {
        "file": str(path), "kind": "tiles" if tiled else "raster", "datum": vertical.name,
        "stored_datum": Datum.EGM96.value, "unit": (Unit.METRE if read.unit_m == 1.0 else Unit.FOOT).value,
        "notes": notes,
    }  # fmt: skip
    changed = keep_heights(root, name, grid, about)
    return {
        "name": name, "outcome": "success" if changed else "idempotent_no_op", **about, **terrain_summary(grid),
    }  # fmt: skip


def _vertical(path: Path, read: ReadHeights, asked: Datum | None) -> tuple[Vertical, list[str]]:
    """Where the heights are counted from: as the file says, as the operator does, as `.hgt` files are. UserError where
    nobody says, or two say it differently."""
    told = read.vertical
    known = {one.value for one in Datum}
    if told is not None and asked is not None and told.name != asked.value:
        if told.name in known:
            raise UserError(
                f"{path} says that its heights are over {told.name}, --datum says {asked.value}: leave --datum out, or "
                "mend the file's coordinate system with `gdal_edit.py -a_srs`."
            )
        return vertical_of(asked), [f"its heights are over {told.name} and were taken as over {asked.value}, as asked"]
    if told is not None:
        return told, []
    if asked is not None:
        return vertical_of(asked), []
    if path.suffix.lower() == ".hgt":
        return vertical_of(Datum.EGM96), ["heights of an .hgt file are over EGM96 by SRTM's definition"]
    raise UserError(
        f"{path} does not say from which surface its heights are counted: say it with --datum egm96 (SRTM, Terrarium, "
        "most older models), egm2008 (Copernicus, FABDEM, AW3D in its later versions) or ellipsoid (GPS heights)."
    )


def _name(path: Path, bbox_deg: Box | None) -> str:
    """The same for the same file and box, whatever its path."""
    real = path.resolve()
    source = hashlib.sha256(str(real).encode()).hexdigest() if path.is_dir() else fingerprint(path)
    digest = hashlib.sha256(f"{source} {bbox_deg}".encode()).hexdigest()[:8]
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", real.stem if not path.is_dir() else real.name).strip("-")[:60]
    return f"{stem or 'heights'}-{digest}"


def _doubts(path: Path, read: ReadHeights, grid: TerrainGrid, root: Path, name: str) -> list[str]:
    """What other evidence says against the heights; UserError where it is plain that they are feet."""
    notes = []
    if read.foot_crs and not read.unit_known:
        notes.append(
            "its places are in feet and nobody says in what its heights are, taken as metres: check one height"
        )
    for other in stored_heights(root):
        if other.name == name:
            continue
        here, there = _compared(grid, other.grid)
        if here.size < COMPARED_MIN:
            continue
        high = np.abs(there) >= COMPARED_HEIGHT_M
        ratio = float(np.median(here[high] / there[high])) if high.sum() >= COMPARED_MIN else math.nan
        if abs(ratio - FEET_RATIO) < FEET_RATIO_OFF:
            told = f"its heights are {ratio:.2f} times those of '{other.name}' at the same places: they look like feet"
            if not read.unit_known:
                raise UserError(f"{path}: {told}. Give --unit ft, or --unit m if they are metres all the same.")
            notes.append(told)
            continue
        apart_m, spread_m = float(np.median(here - there)), float(np.std(here - there))
        sigma_m = math.hypot(grid.sigma_m, other.grid.sigma_m)
        if abs(apart_m) > APART_SIGMAS * sigma_m or spread_m > APART_SIGMAS * sigma_m:
            notes.append(
                f"its heights differ from those of '{other.name}' at the same places by {apart_m:+.1f} m in the middle "
                f"and {spread_m:.1f} m rms around that: check datum, unit and place of both"
            )
    return notes


def _compared(grid: TerrainGrid, other: TerrainGrid) -> tuple[Any, Any]:
    """Heights of both at the same places all over their common area."""
    rows, columns = other.heights_amsl_m.shape
    own_rows, own_columns = grid.heights_amsl_m.shape
    south, west = max(grid.south_deg, other.south_deg), max(grid.west_deg, other.west_deg)
    north = min(grid.south_deg + own_rows * grid.step_lat_deg, other.south_deg + rows * other.step_lat_deg)
    east = min(grid.west_deg + own_columns * grid.step_lon_deg, other.west_deg + columns * other.step_lon_deg)
    if north <= south or east <= west:
        return np.empty(0), np.empty(0)
    latitudes = np.linspace(south, north, COMPARED_POSTS)[:, None]
    longitudes = np.linspace(west, east, COMPARED_POSTS)[None, :]
    here, there = (grid_heights_amsl_m(one, latitudes, longitudes) for one in (grid, other))
    both = np.isfinite(here) & np.isfinite(there)
    return here[both], there[both]
