"""Heights between the posts of a grid of latitude and longitude; pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gps_denied_onboard.geometry.terrain import HeightArray, TerrainGrid
from gps_denied_onboard.messages import FloatArray

EDGE_POSTS = 0.5
"""A post stands for the ground around it, half a step each way: so far beyond the outermost ones is still the grid."""
_ON_A_POST = 1e-6
IndexArray = npt.NDArray[np.intp]


def grid_heights_amsl_m(grid: TerrainGrid, latitude_deg: FloatArray, longitude_deg: FloatArray) -> FloatArray:
    """Heights above mean sea level by bilinear interpolation, of places of any shape that broadcasts.

    NaN outside of the grid, and where one of the posts that count has none.
    """
    heights = grid.heights_amsl_m
    row = (np.asarray(latitude_deg, dtype=float) - grid.south_deg) / grid.step_lat_deg
    column = (np.asarray(longitude_deg, dtype=float) - grid.west_deg) / grid.step_lon_deg
    return bilinear(heights, row, column)


def bilinear(values: HeightArray, row: FloatArray, column: FloatArray) -> FloatArray:
    """Values (rows, columns) at fractional rows and columns, which broadcast; NaN more than half a cell outside, and
    where a cell that counts is NaN."""
    row, column = np.broadcast_arrays(np.asarray(row, dtype=float), np.asarray(column, dtype=float))
    last_row, last_column = values.shape[0] - 1, values.shape[1] - 1
    inside = (row >= -EDGE_POSTS) & (row <= last_row + EDGE_POSTS)
    inside &= (column >= -EDGE_POSTS) & (column <= last_column + EDGE_POSTS)
    r0, r1, down = _neighbours(np.where(inside, row, 0.0), last_row)
    c0, c1, right = _neighbours(np.where(inside, column, 0.0), last_column)
    upper = values[r0, c0] * (1.0 - right) + values[r0, c1] * right
    lower = values[r1, c0] * (1.0 - right) + values[r1, c1] * right
    return np.where(inside, upper * (1.0 - down) + lower * down, np.nan)


def _neighbours(at: FloatArray, last: int) -> tuple[IndexArray, IndexArray, FloatArray]:
    """The two cells at whose middles `at` lies between, and how far from the first: on one, both are that."""
    at = np.clip(at, 0.0, last)
    first = np.floor(at + _ON_A_POST).astype(np.intp)
    part = np.where(at - first < _ON_A_POST, 0.0, at - first)
    return first, np.where(part > 0.0, np.minimum(first + 1, last), first), part
