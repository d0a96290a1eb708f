"""Height of the ground under a place, in the local frame; pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gps_denied_onboard.geometry.geodesy import EARTH_RADIUS_M, LocalFrame
from gps_denied_onboard.messages import FloatArray


class FlatTerrain:
    """Ground of one altitude above sea level; in the tangent plane it falls off with the earth's curvature."""

    def __init__(self, local: LocalFrame, ground_altitude_m: float, sigma_m: float) -> None:
        self._origin_up_m = ground_altitude_m - local.altitude_m
        self.sigma_m = sigma_m

    def up_m(self, east_north_m: FloatArray) -> float:
        """Ground height over the origin's tangent plane at (east, north), good to 0.1 m at 30 km."""
        e, n = float(east_north_m[0]), float(east_north_m[1])
        return self._origin_up_m - (e * e + n * n) / (2.0 * EARTH_RADIUS_M)

    def ups_m(self, east_north_m: FloatArray) -> FloatArray:
        """The same for (N, 2) places."""
        return np.asarray(self._origin_up_m - np.sum(np.square(east_north_m), axis=1) / (2.0 * EARTH_RADIUS_M))


@dataclass(frozen=True, slots=True)
class TerrainGrid:
    """Heights of the ground at posts of a regular grid of latitude and longitude (WGS 84).

    heights_amsl_m is (rows, columns) float32 above mean sea level (EGM96), NaN where nothing is known; it may be
    mapped from a file. Row 0 is the southernmost, column 0 the westernmost; a post's own place is
    (south_deg + row * step_lat_deg, west_deg + column * step_lon_deg). sigma_m is one sigma of a post's height, with
    the error of its vertical datum.
    """

    south_deg: float
    west_deg: float
    step_lat_deg: float
    step_lon_deg: float
    heights_amsl_m: FloatArray
    sigma_m: float
