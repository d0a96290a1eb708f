"""Heights of the simulated ground as a provider sells them: posts, whole metres, crowns of trees, and an error."""

from __future__ import annotations

import numpy as np

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.terrain import TerrainGrid
from gps_denied_onboard.messages import FloatArray
from gps_denied_sim.noise import lattice_noise, stream
from gps_denied_sim.render.world import World

STEP_DEG = 1.0 / 3600.0
"""An arc second between posts: 31 m to the north and about 20 m to the east."""
ERROR_SIGMA_M = 10.0
ERROR_CELL_M = 700.0
"""Size of the cells of the error, which is alike within some 300 m."""
NOISE_SIGMA_M = 1.5
CANOPY_SHARE = 0.7
"""How much of a crown's height a radar or a stereo picture takes for the ground."""


def height_raster(
    world: World, frame: LocalFrame, south_west_m: FloatArray, north_east_m: FloatArray, seed: int
) -> TerrainGrid:
    """The heights over the rectangle of world x, y between two corners (2,), wrong by ERROR_SIGMA_M."""
    corners = frame.geodetic_from_enu([[*south_west_m, 0.0], [*north_east_m, 0.0]])
    south, west = (np.floor(corners[0, :2] / STEP_DEG) - 2.0) * STEP_DEG
    rows, columns = (np.ceil((corners[1, :2] - (south, west)) / STEP_DEG) + 3).astype(int)
    latitude, longitude = south + np.arange(rows) * STEP_DEG, west + np.arange(columns) * STEP_DEG
    at = frame.enu_from_geodetic(latitude[:, None], longitude[None, :], frame.altitude_m)
    x, y = at[..., 0], at[..., 1]
    rng = stream(seed, "height-raster")
    error = lattice_noise(x, y, ERROR_CELL_M, int(rng.integers(1 << 30)))
    error = error * (ERROR_SIGMA_M / max(float(error.std()), 1e-6)) + rng.normal(0.0, NOISE_SIGMA_M, x.shape)
    heights = frame.altitude_m + world.terrain.relief_m(x, y) + _canopy_m(world, frame, south, west, x, y) + error
    return TerrainGrid(
        float(south), float(west), STEP_DEG, STEP_DEG, np.round(heights).astype(np.float32), ERROR_SIGMA_M
    )


def _canopy_m(world: World, frame: LocalFrame, south: float, west: float, x: FloatArray, y: FloatArray) -> FloatArray:
    """(rows, columns) mean height of the crowns around each post at world x, y."""
    cells = world.land.cells_in(float(x.min()), float(y.min()), float(x.max()), float(y.max()))
    trees = np.concatenate([np.zeros((0, 5)), *(cell.trees for cell in cells)])
    geodetic = frame.geodetic_from_enu(np.column_stack([trees[:, :2], np.zeros(len(trees))]))
    row = np.round((geodetic[:, 0] - south) / STEP_DEG).astype(int)
    column = np.round((geodetic[:, 1] - west) / STEP_DEG).astype(int)
    inside = (row >= 0) & (row < x.shape[0]) & (column >= 0) & (column < x.shape[1])
    area = np.pi * trees[inside, 2] ** 2
    crowns, volume = np.zeros(x.shape), np.zeros(x.shape)
    np.add.at(crowns, (row[inside], column[inside]), area)
    np.add.at(volume, (row[inside], column[inside]), area * trees[inside, 3])
    post_m2 = abs(float((x[0, 1] - x[0, 0]) * (y[1, 0] - y[0, 0])))
    return np.asarray(CANOPY_SHARE * volume / np.maximum(crowns, post_m2))
