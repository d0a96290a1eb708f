"""A round hill on level ground, as a function and as the grid that a flight carries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.raster_terrain import RasterTerrain
from gps_denied_onboard.geometry.terrain import FlatTerrain, TerrainGrid
from gps_denied_onboard.messages import FloatArray

STEP_DEG = 1e-4
POSTS = 301
HEIGHT_M, RADIUS_M = 60.0, 250.0


def hill_m(east_m: FloatArray, north_m: FloatArray) -> FloatArray:
    """Height over the level ground, its top 120 m east and 80 m south of the origin."""
    return HEIGHT_M * np.exp(-((east_m - 120.0) ** 2 + (north_m + 80.0) ** 2) / (2.0 * RADIUS_M**2))


def hill_grid(local: LocalFrame, sigma_m: float = 2.0) -> TerrainGrid:
    """The hill on ground of the origin's altitude, about 11 m between posts, 3 km a side."""
    south, west = local.latitude_deg - STEP_DEG * POSTS / 2, local.longitude_deg - STEP_DEG * POSTS / 2
    latitude, longitude = south + np.arange(POSTS) * STEP_DEG, west + np.arange(POSTS) * STEP_DEG
    at = local.enu_from_geodetic(latitude[:, None], longitude[None, :], local.altitude_m)
    heights = (local.altitude_m + hill_m(at[..., 0], at[..., 1])).astype(np.float32)
    return TerrainGrid(south, west, STEP_DEG, STEP_DEG, heights, sigma_m)


def hill(local: LocalFrame, offset_m: float = 0.0, factor: float = 1.0) -> RasterTerrain:
    """The hill as a flight has it, its heights wrong by a factor and an offset."""
    grid = hill_grid(local)
    wrong = (grid.heights_amsl_m * factor + offset_m).astype(np.float32)
    return RasterTerrain(local, replace(grid, heights_amsl_m=wrong), FlatTerrain(local, local.altitude_m, 5.0))
