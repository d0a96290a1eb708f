"""The shape of the ground: relief, gentle or hilly, and the course of the rivers, defined everywhere, not stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gps_denied_onboard.messages import FloatArray
from gps_denied_sim.noise import lattice_noise

EARTH_RADIUS_M = 6371000.0


@dataclass(frozen=True, slots=True)
class WorldStyle:
    """What kind of land it is. Areas in hectares, fractions of the cells of about 1.2 km. `relief_m` is how far hills
    rise over valleys some kilometres away, with slopes to 25 degrees at 300 m; 0: only the gentle relief of all."""

    field_area_ha: tuple[float, float] = (2.0, 14.0)
    forest_fraction: float = 0.10
    village_fraction: float = 0.11
    meadow_fraction: float = 0.08
    boundary_hedge: float = 0.24
    boundary_track: float = 0.24
    boundary_none: float = 0.14
    copse_fraction: float = 0.07
    river_cell_m: float = 3400.0
    lake_level: float = 0.93
    row_contrast: float = 1.0
    relief_m: float = 0.0


DEFAULT_STYLE = WorldStyle()
LOW_TEXTURE_STYLE = WorldStyle(
    field_area_ha=(40.0, 110.0),
    forest_fraction=0.03,
    village_fraction=0.03,
    meadow_fraction=0.20,
    boundary_hedge=0.06,
    boundary_track=0.20,
    boundary_none=0.45,
    copse_fraction=0.01,
    lake_level=0.6,
    row_contrast=0.45,
)


class Terrain:
    """Relief and water of one world; x is metres east, y metres north of the world's origin."""

    def __init__(self, seed: int, style: WorldStyle) -> None:
        self._salt = (seed * 2654435761 + 12345) & 0x7FFFFFFF
        self._style = style

    def relief_m(self, x_m: npt.ArrayLike, y_m: npt.ArrayLike) -> FloatArray:
        """Height above the level of the world's origin: +-12 m over kilometres, some metres over hundreds; hills."""
        s = self._salt
        x, y = np.asarray(x_m, dtype=np.float64), np.asarray(y_m, dtype=np.float64)
        land = 12.0 * lattice_noise(x, y, 2300.0, s + 1) + 4.0 * lattice_noise(x, y, 700.0, s + 2)
        land = land + 1.2 * lattice_noise(x, y, 220.0, s + 3)
        valley = self._river_m(x, y) / 160.0
        gentle = np.asarray(land - 4.0 * np.exp(-np.square(valley)))
        return gentle if self._style.relief_m == 0.0 else gentle + self._hills_m(x, y)

    def _hills_m(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Hills of three sizes; higher ones are wider, so that no slope gets steeper than 25 degrees."""
        relief_m = self._style.relief_m
        cell_m = 700.0 + 4.0 * relief_m
        shares = ((0.52, 1.0), (0.15, 0.4), (0.06, 0.2))
        parts = (
            share * lattice_noise(x, y, size * cell_m, self._salt + 31 + k) for k, (share, size) in enumerate(shares)
        )
        return np.asarray(relief_m * sum(parts))

    def height_m(self, x_m: npt.ArrayLike, y_m: npt.ArrayLike) -> FloatArray:
        """ENU up of the ground in the tangent plane at the origin: relief less the earth's curvature."""
        x, y = np.asarray(x_m, dtype=np.float64), np.asarray(y_m, dtype=np.float64)
        return np.asarray(self.relief_m(x, y) - (x * x + y * y) / (2.0 * EARTH_RADIUS_M))

    def water_margin_m(self, x_m: npt.ArrayLike, y_m: npt.ArrayLike) -> FloatArray:
        """About the distance to the nearest shore in metres, negative in rivers and lakes."""
        x, y = np.asarray(x_m, dtype=np.float64), np.asarray(y_m, dtype=np.float64)
        width = 9.0 + 5.0 * lattice_noise(x, y, 900.0, self._salt + 7)
        river = self._river_m(x, y) - width
        level, slope = self._level_and_slope(x, y, self._lake)
        lake = (self._style.lake_level - level) / np.maximum(slope, 2e-4)
        return np.asarray(np.minimum(river, lake))

    def _river(self, x: FloatArray, y: FloatArray) -> FloatArray:
        c = self._style.river_cell_m
        return (
            lattice_noise(x, y, c, self._salt + 11)
            + 0.13 * lattice_noise(x, y, c / 5.3, self._salt + 12)
            + 0.02 * lattice_noise(x, y, c / 17.0, self._salt + 13)
            - 0.12
        )

    def _lake(self, x: FloatArray, y: FloatArray) -> FloatArray:
        return lattice_noise(x, y, 1300.0, self._salt + 21) + 0.10 * lattice_noise(x, y, 240.0, self._salt + 22)

    def _river_m(self, x: FloatArray, y: FloatArray) -> FloatArray:
        level, slope = self._level_and_slope(x, y, self._river)
        return np.asarray(np.abs(level) / np.maximum(slope, 1.5e-4))

    @staticmethod
    def _level_and_slope(x: FloatArray, y: FloatArray, function) -> tuple[FloatArray, FloatArray]:  # type: ignore[no-untyped-def]
        """Value of `function` and the size of its gradient per metre (forward differences over 4 m)."""
        level = function(x, y)
        gx, gy = (function(x + 4.0, y) - level) / 4.0, (function(x, y + 4.0) - level) / 4.0
        return level, np.hypot(gx, gy)
