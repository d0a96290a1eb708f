"""The ground by a grid of heights; pure."""

from __future__ import annotations

import math

import numpy as np

from gps_denied_onboard.geometry.geodesy import EARTH_RADIUS_M, LocalFrame
from gps_denied_onboard.geometry.grid_heights import grid_heights_amsl_m
from gps_denied_onboard.geometry.terrain import FlatTerrain, TerrainGrid
from gps_denied_onboard.messages import FloatArray

ERROR_LENGTH_M = 250.0
"""Within about this distance the heights of a raster are wrong alike: the slope that it shows is wrong by their sigma
over this (SRTM's errors are alike over some hundreds of metres, after Rodriguez, Morris and Belz, 2006)."""
SPREAD_M_MAX = 100.0
"""Where the heights are not believed, their spread is not taken for more."""
COURSE = np.linspace(0.0, 2.0 * math.pi, 8, endpoint=False)


class RasterTerrain:
    """Ground by a grid of heights, bilinear between its posts; where it has none, flat."""

    def __init__(self, local: LocalFrame, grid: TerrainGrid, flat: FlatTerrain) -> None:
        """`flat` is taken for the holes of the grid and around it."""
        self._local = local
        self._grid = grid
        heights = grid.heights_amsl_m
        known = heights[:: max(1, heights.shape[0] // 256), :: max(1, heights.shape[1] // 256)]
        known = known[np.isfinite(known)]
        self._spread_m = float(known.std()) if known.size else 0.0
        self._flat = flat.rougher(min(self._spread_m, SPREAD_M_MAX))

    @property
    def flat(self) -> FlatTerrain:
        """See `Terrain`."""
        return self._flat

    @property
    def slope_sigma_rad(self) -> float:
        """See `Terrain`."""
        return self._grid.sigma_m / ERROR_LENGTH_M

    def up_m(self, east_north_m: FloatArray) -> float:
        """See `Terrain`."""
        return float(self.ups_m(np.asarray(east_north_m, dtype=np.float64)[None, :2])[0])

    def ups_m(self, east_north_m: FloatArray) -> FloatArray:
        """See `Terrain`."""
        known = self._known_ups_m(east_north_m)
        holes = np.isnan(known)
        return np.where(holes, self._flat.ups_m(east_north_m), known) if holes.any() else known

    def knows(self, east_north_m: FloatArray) -> bool:
        """See `Terrain`."""
        return bool(np.isfinite(self._known_ups_m(np.asarray(east_north_m, dtype=np.float64)[None, :2])[0]))

    def sigma_m(self, east_north_m: FloatArray, place_sigma_m: float) -> float:
        """See `Terrain`. In a hole the ground may lie as high or low as anywhere in the grid."""
        here = np.asarray(east_north_m, dtype=np.float64)[:2]
        if not self.knows(here):
            return self._flat.sigma_m(here, place_sigma_m)
        if not math.isfinite(place_sigma_m):
            return math.hypot(self._grid.sigma_m, self._spread_m)
        around = here + place_sigma_m * math.sqrt(2.0) * np.column_stack([np.cos(COURSE), np.sin(COURSE)])
        off = self.ups_m(around) - self.up_m(here)
        return math.hypot(self._grid.sigma_m, min(float(np.sqrt(np.mean(off * off))), 2.0 * self._spread_m))

    def _known_ups_m(self, east_north_m: FloatArray) -> FloatArray:
        """(N,) heights of (N, 2) places, NaN where the grid has none."""
        fall = np.sum(np.square(east_north_m), axis=1) / (2.0 * EARTH_RADIUS_M)
        geodetic = self._local.geodetic_from_enu(np.column_stack([east_north_m, -fall]))
        amsl_m = grid_heights_amsl_m(self._grid, geodetic[:, 0], geodetic[:, 1])
        return np.asarray(amsl_m - self._local.altitude_m - fall)
