"""Height of the ground under a place, in the local frame; pure."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from gps_denied_onboard.geometry.geodesy import EARTH_RADIUS_M, LocalFrame
from gps_denied_onboard.messages import FloatArray

HeightArray: TypeAlias = npt.NDArray[np.floating[Any]]
"""Heights as they are kept (float32) or worked out."""
MEETING_TURNS, MEETING_M = 12, 0.5
"""A ray has met the ground when the next turn moves the place by less than this, or after so many turns."""


class Terrain(Protocol):
    """The ground: heights over the tangent plane at the local frame's origin, and how wrong they may be."""

    @property
    def flat(self) -> FlatTerrain | None:
        """The flat model to fall back to; None where this is that model itself."""
        ...

    @property
    def slope_sigma_rad(self) -> float:
        """How wrong the slope of the ground may be over some hundred metres; 0: less than anybody needs to know."""
        ...

    def up_m(self, east_north_m: FloatArray) -> float:
        """Height at (east, north)."""
        ...

    def ups_m(self, east_north_m: FloatArray) -> FloatArray:
        """(N,) heights of (N, 2) places."""
        ...

    def knows(self, east_north_m: FloatArray) -> bool:
        """Whether there is a height at (east, north), and not only one that stands in for it."""
        ...

    def sigma_m(self, east_north_m: FloatArray, place_sigma_m: float) -> float:
        """One sigma of the height at a place that is known to `place_sigma_m`; infinite: it is not known at all."""
        ...


def meet_ground(terrain: Terrain, position_enu_m: FloatArray, rays_enu: FloatArray) -> FloatArray:
    """(N, 3) points where (N, 3) rays from a position (3,) meet the ground; NaN for rays that do not go down.

    Each turn takes the height where the last one ended: right where the ground is less steep than the rays.
    """
    down = np.where(rays_enu[:, 2] < -1e-6, -rays_enu[:, 2], np.nan)
    slant = rays_enu[:, :2] / down[:, None]
    place = np.broadcast_to(position_enu_m[:2], slant.shape)
    for _ in range(MEETING_TURNS):
        before, up = place, terrain.ups_m(place)
        place = position_enu_m[:2] + slant * (position_enu_m[2] - up)[:, None]
        if not float(np.nanmax(np.abs(place - before), initial=0.0)) > MEETING_M:
            break
    return np.column_stack([place, terrain.ups_m(place)])


class FlatTerrain:
    """Ground of one altitude above sea level; in the tangent plane it falls off with the earth's curvature."""

    flat = None
    slope_sigma_rad = 0.0

    def __init__(self, local: LocalFrame, ground_altitude_m: float, sigma_m: float) -> None:
        self._origin_up_m = ground_altitude_m - local.altitude_m
        self._sigma_m = sigma_m

    def up_m(self, east_north_m: FloatArray) -> float:
        """See `Terrain`; good to 0.1 m at 30 km."""
        e, n = float(east_north_m[0]), float(east_north_m[1])
        return self._origin_up_m - (e * e + n * n) / (2.0 * EARTH_RADIUS_M)

    def ups_m(self, east_north_m: FloatArray) -> FloatArray:
        """See `Terrain`."""
        return np.asarray(self._origin_up_m - np.sum(np.square(east_north_m), axis=1) / (2.0 * EARTH_RADIUS_M))

    def rougher(self, sigma_m: float) -> FlatTerrain:
        """The same where the ground is known to be as uneven as `sigma_m`, too."""
        made = copy.copy(self)
        made._sigma_m = math.hypot(self._sigma_m, sigma_m)
        return made

    def knows(self, east_north_m: FloatArray) -> bool:  # noqa: ARG002
        """See `Terrain`."""
        return True

    def sigma_m(self, east_north_m: FloatArray, place_sigma_m: float) -> float:  # noqa: ARG002
        """See `Terrain`."""
        return self._sigma_m


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
    heights_amsl_m: HeightArray
    sigma_m: float
