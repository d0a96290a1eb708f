"""WGS84, the local ENU tangent plane and Web-Mercator pixels, all through pyproj; pure.

Heights above mean sea level are used as ellipsoidal heights: over the tens of kilometres of a flight the geoid's
separation is one constant, which cancels between the map's ground and the aircraft.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt
import pyproj

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import FloatArray

TILE_SIZE_PX = 256
WGS84_SEMI_MAJOR_M = 6378137.0
"""Of the ellipsoid, and the radius of the sphere of Web-Mercator."""
MERCATOR_HALF_M = math.pi * WGS84_SEMI_MAJOR_M
MERCATOR_LATITUDE_LIMIT_DEG = 85.05112878
EARTH_RADIUS_M = 6371008.8
"""Mean radius (IUGG)."""
CHI2_95_2DOF = 5.991
"""95 % quantile of chi-square with two degrees of freedom: a 95 % ellipse's axis is its root times sigma."""


def check_latitude_longitude(latitude_deg: float, longitude_deg: float, what: str) -> None:
    """Raise UserError when the pair is not a place on earth that Web-Mercator tiles can show."""
    if not (math.isfinite(latitude_deg) and math.isfinite(longitude_deg)):
        raise UserError(f"{what}: latitude and longitude must be finite numbers, got {latitude_deg}, {longitude_deg}.")
    if abs(latitude_deg) > MERCATOR_LATITUDE_LIMIT_DEG or abs(longitude_deg) > 180.0:
        raise UserError(
            f"{what}: latitude {latitude_deg}, longitude {longitude_deg} is outside the map "
            f"(+-{MERCATOR_LATITUDE_LIMIT_DEG:.2f}, +-180 degrees); are the two swapped?"
        )


def signed_longitude(longitude_deg: float) -> float:
    """A longitude that was counted from 0 to 360 to the east as one of -180 to 180; every other one as it is."""
    return longitude_deg - 360.0 if 180.0 < longitude_deg <= 360.0 else longitude_deg


class LocalFrame:
    """East-north-up tangent plane at an origin on WGS84.

    All arrays are (N, 3) or (3,) with columns as named; outputs have the shape of the input.
    """

    def __init__(self, latitude_deg: float, longitude_deg: float, altitude_m: float) -> None:
        check_latitude_longitude(latitude_deg, longitude_deg, "origin of the local frame")
        # Plain numbers: the text of NumPy's own, "np.float64(48.5)", is a zero to PROJ, without a word.
        self.latitude_deg, self.longitude_deg = float(latitude_deg), float(longitude_deg)
        self.altitude_m = float(altitude_m)
        self._pipeline = pyproj.Transformer.from_pipeline(
            "+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad +step +proj=cart +ellps=WGS84 "
            f"+step +proj=topocentric +ellps=WGS84 +lon_0={self.longitude_deg!r} "
            f"+lat_0={self.latitude_deg!r} +h_0={self.altitude_m!r}"
        )

    def enu_from_geodetic(
        self, latitude_deg: npt.ArrayLike, longitude_deg: npt.ArrayLike, altitude_m: npt.ArrayLike
    ) -> FloatArray:
        """(..., 3) ENU metres of geodetic positions (broadcast together)."""
        lat, lon, alt = np.broadcast_arrays(latitude_deg, longitude_deg, altitude_m)
        e, n, u = self._pipeline.transform(lon.astype(float), lat.astype(float), alt.astype(float))
        return np.stack([e, n, u], axis=-1)

    def geodetic_from_enu(self, position_enu_m: npt.ArrayLike) -> FloatArray:
        """(..., 3) latitude deg, longitude deg, altitude m of ENU positions."""
        p = np.asarray(position_enu_m, dtype=float)
        lon, lat, alt = self._pipeline.transform(
            p[..., 0].copy(), p[..., 1].copy(), p[..., 2].copy(), direction=pyproj.enums.TransformDirection.INVERSE
        )
        return np.stack([lat, lon, alt], axis=-1)

    def mercator_px_from_enu(self, position_enu_m: npt.ArrayLike, zoom: float) -> FloatArray:
        """(..., 2) global Web-Mercator pixel coordinates at `zoom` (may be fractional); pixel centres at +0.5."""
        geodetic = self.geodetic_from_enu(position_enu_m)
        return mercator_px_from_geodetic(geodetic[..., 0], geodetic[..., 1], zoom)

    def enu_from_mercator_px(self, pixel: npt.ArrayLike, zoom: float, altitude_m: npt.ArrayLike) -> FloatArray:
        """(..., 3) ENU metres of ground points given by Web-Mercator pixel and altitude."""
        geodetic = geodetic_from_mercator_px(pixel, zoom)
        return self.enu_from_geodetic(geodetic[..., 0], geodetic[..., 1], altitude_m)


@functools.lru_cache(maxsize=1)
def _mercator() -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(4326, 3857, always_xy=True)


def mercator_px_from_geodetic(latitude_deg: npt.ArrayLike, longitude_deg: npt.ArrayLike, zoom: float) -> FloatArray:
    """(..., 2) global Web-Mercator pixel coordinates, x east, y south, 256 * 2**zoom pixels around the world."""
    lat, lon = np.broadcast_arrays(latitude_deg, longitude_deg)
    x, y = _mercator().transform(lon.astype(float), lat.astype(float))
    scale = TILE_SIZE_PX * 2.0**zoom / (2.0 * MERCATOR_HALF_M)
    return np.stack([(np.asarray(x) + MERCATOR_HALF_M) * scale, (MERCATOR_HALF_M - np.asarray(y)) * scale], axis=-1)


def geodetic_from_mercator_px(pixel: npt.ArrayLike, zoom: float) -> FloatArray:
    """(..., 2) latitude and longitude in degrees of global Web-Mercator pixel coordinates."""
    p = np.asarray(pixel, dtype=float)
    scale = 2.0 * MERCATOR_HALF_M / (TILE_SIZE_PX * 2.0**zoom)
    lon, lat = _mercator().transform(
        p[..., 0] * scale - MERCATOR_HALF_M,
        MERCATOR_HALF_M - p[..., 1] * scale,
        direction=pyproj.enums.TransformDirection.INVERSE,
    )
    return np.stack([np.asarray(lat), np.asarray(lon)], axis=-1)


def mercator_resolution_m(latitude_deg: float, zoom: float) -> float:
    """Ground size in metres of one Web-Mercator pixel at a latitude (spherical scale, good to 0.7 %)."""
    return 2.0 * MERCATOR_HALF_M / float(TILE_SIZE_PX * 2.0**zoom) * math.cos(math.radians(latitude_deg))


def error_ellipse_95(covariance_enu_m2: FloatArray) -> tuple[float, float, float]:
    """Semi-major and semi-minor axis in m and azimuth of the major axis in deg of the 95 % horizontal ellipse.

    The radius factor is sqrt(CHI2_95_2DOF).
    """
    values, vectors = np.linalg.eigh(covariance_enu_m2[:2, :2])
    minor, major = (math.sqrt(CHI2_95_2DOF * max(float(v), 0.0)) for v in values)
    azimuth_deg = math.degrees(math.atan2(float(vectors[0, 1]), float(vectors[1, 1]))) % 180.0
    return major, minor, azimuth_deg
