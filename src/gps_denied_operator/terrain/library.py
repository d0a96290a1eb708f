"""The heights that an operator has imported: files beside the tile store, and the grid of a mission made of them."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from gps_denied_onboard.atomic_file import write_whole
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.grid_heights import grid_heights_amsl_m
from gps_denied_onboard.geometry.terrain import TerrainGrid
from gps_denied_onboard.tiles.terrain_file import POSTS_MAX, read_terrain, terrain_bytes, terrain_summary
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import read_file
from gps_denied_onboard.untrusted.folders import is_plain, plain_files
from gps_denied_onboard.untrusted.json import of_kind, read_json
from gps_denied_operator.terrain.rasters import METRES_PER_DEG, Box

FOLDER = "terrain"
MARGIN_M = 2000.0
"""Of heights around a mission's box: from 1 km up the camera sees that far in a turn."""
ABOUT_BYTES_MAX = 64 * 1024
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class StoredHeights:
    """One import: its name, its grid, mapped from its file, and what was told of where it came from."""

    name: str
    grid: TerrainGrid
    about: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, **self.about, **terrain_summary(self.grid)}


@dataclass(frozen=True, slots=True)
class MissionHeights:
    """The heights of a mission's box and its margin; `data` is their file. holes_share: of the box alone, 0 to 1."""

    grid: TerrainGrid
    data: bytes
    names: tuple[str, ...]
    holes_share: float

    @property
    def told(self) -> str:
        holes = f", {100.0 * self.holes_share:.1f} % of the box without a height" if self.holes_share > 0.0 else ""
        step_m = self.grid.step_lat_deg * METRES_PER_DEG
        return (
            f"heights every {step_m:.0f} m of {', '.join(self.names)}, sigma {self.grid.sigma_m:.1f} m, "
            f"{len(self.data) / 1e6:.1f} MB{holes}"
        )


def stored_heights(root: Path) -> list[StoredHeights]:
    """All imports below a tile store's folder, by name. UserError names one that is damaged."""
    found = []
    for file in plain_files(root / FOLDER, "*.grid"):
        try:
            told = of_kind(
                read_json(read_file(file.with_suffix(".json"), ABOUT_BYTES_MAX), str(file), ABOUT_BYTES_MAX),
                dict, str(file),
            )  # fmt: skip
        except (OSError, UntrustedError) as error:
            raise UserError(f"{file} lacks the notes beside it ({error}): remove it and import it again.") from None
        found.append(StoredHeights(file.stem, read_terrain(file), told))
    return found


def has_heights(root: Path, name: str) -> bool:
    """Whether there is an import of that name."""
    return is_plain(root / FOLDER / f"{name}.grid") and is_plain(root / FOLDER / f"{name}.json")


def keep_heights(root: Path, name: str, grid: TerrainGrid, about: Mapping[str, Any]) -> bool:
    """Store an import under its name, in place of one of that name; False where the same heights were stored."""
    file, notes = root / FOLDER / f"{name}.grid", root / FOLDER / f"{name}.json"
    data = terrain_bytes(grid)
    told = orjson.dumps(about, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
    same = is_plain(file) and file.read_bytes() == data
    write_whole(notes, told)
    if not same:
        write_whole(file, data)
    return not same


def remove_heights(root: Path, name: str) -> None:
    """Remove an import. UserError where there is none of that name."""
    file = root / FOLDER / f"{name}.grid"
    if NAME.fullmatch(name) is None or not is_plain(file):
        known = ", ".join(path.stem for path in plain_files(root / FOLDER, "*.grid")) or "none"
        raise UserError(f"There are no heights '{name}' in {root}; there are: {known}.")
    file.unlink()
    file.with_suffix(".json").unlink(missing_ok=True)


def with_margin(bbox_deg: Box, margin_m: float = MARGIN_M) -> Box:
    """A box and `margin_m` around it; it may reach beyond the 180th meridian."""
    west, south, east, north = bbox_deg
    lat_margin = margin_m / METRES_PER_DEG
    lon_margin = lat_margin / math.cos(math.radians(max(abs(south), abs(north))))
    return west - lon_margin, south - lat_margin, east + lon_margin, north + lat_margin


def mission_heights(root: Path, bbox_deg: Box, margin_m: float = MARGIN_M) -> MissionHeights | None:
    """The heights of a box (west, south, east, north) and `margin_m` around it, of all imports that touch it.

    Its posts are those of the finest of them, so that one file's heights are copied and not interpolated; the surer
    ones win, holes are filled by the next, and the sigma is that of the least sure one used. None where no import
    holds a height of the box.
    """
    wide = with_margin(bbox_deg, margin_m)
    near = [one for one in stored_heights(root) if _overlaps(one.grid, wide)]
    if not near:
        return None
    finest = min(near, key=lambda one: one.grid.step_lat_deg * one.grid.step_lon_deg).grid
    grid = _lattice(finest, wide)
    names, sigma_m = [], 0.0
    for one in sorted(near, key=lambda one: (one.grid.sigma_m, one.grid.step_lat_deg)):
        if _fill(grid, one.grid):
            names.append(one.name)
            sigma_m = one.grid.sigma_m  # the largest so far: they come in this order
    holes = _holes(grid, bbox_deg)
    if holes >= 1.0:
        return None
    if grid.step_lat_deg > 1.5 * finest.step_lat_deg:
        sigma_m = math.hypot(sigma_m, _lost_m(grid, finest))
    made = dataclasses.replace(grid, sigma_m=sigma_m)
    return MissionHeights(made, terrain_bytes(made), tuple(names), holes)


def _overlaps(grid: TerrainGrid, box: Box) -> bool:
    rows, columns = grid.heights_amsl_m.shape
    east, north = grid.west_deg + columns * grid.step_lon_deg, grid.south_deg + rows * grid.step_lat_deg
    return grid.west_deg <= box[2] and east >= box[0] and grid.south_deg <= box[3] and north >= box[1]


def _lattice(finest: TerrainGrid, box: Box) -> TerrainGrid:
    """A grid without heights over a box, on the posts of another, or on every second, third ... of them."""
    times = 1
    while True:
        step_lat, step_lon = times * finest.step_lat_deg, times * finest.step_lon_deg
        south = finest.south_deg + math.floor((box[1] - finest.south_deg) / step_lat) * step_lat
        west = finest.west_deg + math.floor((box[0] - finest.west_deg) / step_lon) * step_lon
        shape = (math.ceil((box[3] - south) / step_lat) + 1, math.ceil((box[2] - west) / step_lon) + 1)
        if shape[0] * shape[1] <= POSTS_MAX:
            return TerrainGrid(south, west, step_lat, step_lon, np.full(shape, np.nan, dtype="<f4"), math.nan)
        times += 1


def _fill(grid: TerrainGrid, source: TerrainGrid) -> bool:
    """Put a source's heights where a grid has none yet; whether there were any."""
    heights = grid.heights_amsl_m
    rows, columns = heights.shape
    longitudes = grid.west_deg + np.arange(columns) * grid.step_lon_deg
    used = False
    for first in range(0, rows, _ROWS_AT_ONCE):
        part = heights[first : first + _ROWS_AT_ONCE]
        latitudes = grid.south_deg + np.arange(first, first + len(part)) * grid.step_lat_deg
        found = grid_heights_amsl_m(source, np.asarray(latitudes)[:, None], np.asarray(longitudes)[None, :])
        takes = np.isnan(part) & np.isfinite(found)
        part[takes] = found[takes]
        used |= bool(takes.any())
    return used


def _holes(grid: TerrainGrid, bbox_deg: Box) -> float:
    """Share of a box's posts without a height."""
    west, south, east, north = bbox_deg
    r0, r1 = (math.floor((edge - grid.south_deg) / grid.step_lat_deg) for edge in (south, north))
    c0, c1 = (math.floor((edge - grid.west_deg) / grid.step_lon_deg) for edge in (west, east))
    return float(np.isnan(grid.heights_amsl_m[r0 : r1 + 2, c0 : c1 + 2]).mean())


def _lost_m(grid: TerrainGrid, finest: TerrainGrid) -> float:
    """What a coarser grid loses against the finer one: rms in metres in the middles of its cells, where it is most."""
    rows, columns = grid.heights_amsl_m.shape
    down = np.floor(np.linspace(0.0, rows - 2.0, min(rows - 1, 500))) + 0.5
    right = np.floor(np.linspace(0.0, columns - 2.0, min(columns - 1, 500))) + 0.5
    latitudes = np.asarray(grid.south_deg + down[:, None] * grid.step_lat_deg)
    longitudes = np.asarray(grid.west_deg + right[None, :] * grid.step_lon_deg)
    lost = grid_heights_amsl_m(grid, latitudes, longitudes) - grid_heights_amsl_m(finest, latitudes, longitudes)
    return float(np.sqrt(np.nanmean(np.square(lost)))) if np.isfinite(lost).any() else 0.0
