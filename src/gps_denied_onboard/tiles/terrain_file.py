"""The file of a grid of heights: written by the workstation, mapped read-only on board, with NumPy alone.

A header of 64 bytes, little-endian (magic, rows, columns, south, west, steps in latitude and longitude in degrees,
sigma in metres), then the posts as float32 metres above mean sea level (EGM96), row after row from the south-west,
NaN where nothing is known. The same grid gives the same bytes.
"""

from __future__ import annotations

import hashlib
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

from gps_denied_onboard.atomic_file import write_whole
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.geodesy import EARTH_RADIUS_M
from gps_denied_onboard.geometry.terrain import TerrainGrid
from gps_denied_onboard.tiles import files
from gps_denied_onboard.untrusted.text import shown

MAGIC = b"GDTERR01"
HEADER_BYTES = 64
BYTES_MAX = 128 * 1024 * 1024
POSTS_MAX = (BYTES_MAX - HEADER_BYTES) // 4
HEIGHT_M_MIN, HEIGHT_M_MAX = -500.0, 8849.0
"""Ground on earth lies between these: from the shore of the Dead Sea to the highest summit."""
SIGMA_M_MAX = 200.0
STEP_DEG_MIN, STEP_DEG_MAX = 1e-6, 1.0
LATITUDE_DEG_MAX = 85.0
_HEAD = struct.Struct("<8s2I5d")
_ROWS_AT_ONCE = 512


class TerrainFileError(UserError):
    """A file of heights that cannot be used; nothing of it is."""


def terrain_bytes(grid: TerrainGrid) -> bytes:
    """A grid's file. TerrainFileError where the grid is none that may fly."""
    rows, columns = grid.heights_amsl_m.shape
    numbers = (grid.south_deg, grid.west_deg, grid.step_lat_deg, grid.step_lon_deg, grid.sigma_m)
    heights = np.ascontiguousarray(grid.heights_amsl_m, dtype="<f4")
    heights = np.where(np.isnan(heights), np.float32(np.nan), heights)  # one kind of NaN: the same bytes
    data = _HEAD.pack(MAGIC, rows, columns, *numbers).ljust(HEADER_BYTES, b"\0") + heights.tobytes()
    parse_terrain(data, "the grid of heights")
    return data


def write_terrain(path: Path, grid: TerrainGrid) -> None:
    """Write a grid's file whole or not at all. UserError where the disk is full or the grid none that may fly."""
    write_whole(path, terrain_bytes(grid))


def read_terrain(path: Path, sha256: str = "") -> TerrainGrid:
    """The grid of a file, mapped read-only.

    sha256: in hex, of the file that was signed: what is mapped is hashed, so that nothing else is used.
    TerrainFileError where the file is missing, another one, damaged or hostile.
    """
    name = shown(path)
    try:
        data = files.map_file(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is empty"
        raise TerrainFileError(f"The heights {name} cannot be read ({reason}); import or build them again.") from None
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        raise TerrainFileError(f"The heights {name} are not the file that was signed; build the cache again.")
    return parse_terrain(data, name)


def parse_terrain(data: bytes | memoryview, name: str) -> TerrainGrid:
    """The grid of a file's bytes, over which its heights are a read-only view. TerrainFileError, naming it `name`."""
    view = memoryview(data)
    if not HEADER_BYTES <= len(view) <= BYTES_MAX:
        raise _unusable(name, f"{len(view)} bytes, where {HEADER_BYTES} to {BYTES_MAX} may be")
    magic, rows, columns, south, west, step_lat, step_lon, sigma_m = _HEAD.unpack_from(view)
    if magic != MAGIC or any(view[_HEAD.size : HEADER_BYTES]):
        raise _unusable(name, "it does not begin as such a file does")
    if rows < 2 or columns < 2 or HEADER_BYTES + 4 * rows * columns != len(view):
        raise _unusable(name, f"{rows} x {columns} posts are not what {len(view)} bytes hold: it is truncated, or more")
    if not all(map(math.isfinite, (south, west, step_lat, step_lon, sigma_m))):
        raise _unusable(name, "a number of its header is none")
    if not (STEP_DEG_MIN <= step_lat <= STEP_DEG_MAX and STEP_DEG_MIN <= step_lon <= STEP_DEG_MAX):
        raise _unusable(name, f"posts {step_lat:g} and {step_lon:g} degrees apart")
    north, east = south + (rows - 1) * step_lat, west + (columns - 1) * step_lon
    if not (south >= -LATITUDE_DEG_MAX and north <= LATITUDE_DEG_MAX and west >= -181.0 and east <= 181.0):
        raise _unusable(name, f"its box {west:g}, {south:g}, {east:g}, {north:g} is none on earth")
    if not 0.0 < sigma_m <= SIGMA_M_MAX:
        raise _unusable(name, f"a sigma of {sigma_m:g} m")
    heights = np.frombuffer(view, dtype="<f4", offset=HEADER_BYTES).reshape(rows, columns)
    for first in range(0, rows, _ROWS_AT_ONCE):  # a part at a time: the file may be larger than what is free
        part = heights[first : first + _ROWS_AT_ONCE]
        if not (np.isnan(part) | ((part >= HEIGHT_M_MIN) & (part < HEIGHT_M_MAX))).all():
            raise _unusable(name, f"heights beyond {HEIGHT_M_MIN:g} to {HEIGHT_M_MAX:g} m")
    return TerrainGrid(south, west, step_lat, step_lon, heights, sigma_m)


def terrain_summary(grid: TerrainGrid) -> dict[str, Any]:
    """What a grid is, for machines: box (west, south, east, north in degrees), posts, their distance in m, sigma,
    lowest and highest in m (None where nothing is known), and the share of posts without a height."""
    heights = grid.heights_amsl_m
    rows, columns = heights.shape
    north, east = grid.south_deg + (rows - 1) * grid.step_lat_deg, grid.west_deg + (columns - 1) * grid.step_lon_deg
    known = heights[~np.isnan(heights)]
    return {
        "box_deg": [round(edge, 7) for edge in (grid.west_deg, grid.south_deg, east, north)],
        "rows": rows, "columns": columns, "step_m": round(math.radians(grid.step_lat_deg) * EARTH_RADIUS_M, 2),
        "sigma_m": round(grid.sigma_m, 3), "lowest_m": round(float(known.min()), 2) if known.size else None,
        "highest_m": round(float(known.max()), 2) if known.size else None,
        "holes_share": round(1.0 - known.size / heights.size, 6),
    }  # fmt: skip


def _unusable(name: str, why: str) -> TerrainFileError:
    return TerrainFileError(f"{name} is no file of heights that can be used ({why}); import or build them again.")
