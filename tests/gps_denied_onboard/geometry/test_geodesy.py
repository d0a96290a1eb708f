"""Coordinates: published values and round trips."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.geodesy import (
    LocalFrame,
    error_ellipse_95,
    geodetic_from_mercator_px,
    mercator_px_from_geodetic,
    mercator_resolution_m,
)

LATITUDES = st.floats(-80.0, 80.0)
LONGITUDES = st.floats(-179.9, 179.9)


def test_matterhorn_from_zermatt() -> None:
    """ENU agrees with the published example of MATLAB's geodetic2enu to 0.1 m."""
    zermatt = LocalFrame(46.017, 7.750, 1673.0)
    assert zermatt.enu_from_geodetic(45.976, 7.658, 4531.0) == pytest.approx([-7134.8, -4556.3, 2852.4], abs=0.1)


def test_numbers_of_numpy_make_the_same_frame() -> None:
    """An origin out of an array is the same place as that of plain numbers, not one on the equator."""
    plain, numpy = LocalFrame(46.017, 7.750, 1673.0), LocalFrame(*np.array([46.017, 7.750, 1673.0]))
    assert (
        numpy.enu_from_geodetic(45.976, 7.658, 4531.0).tolist()
        == plain.enu_from_geodetic(45.976, 7.658, 4531.0).tolist()
    )


def test_chicago_in_mercator_pixels() -> None:
    """Pixels agree with the published example of the Google Maps documentation (zoom 0 and 3)."""
    assert mercator_px_from_geodetic(41.85, -87.65, 0) == pytest.approx([65.67111111, 95.17492655], abs=1e-6)
    assert np.floor(mercator_px_from_geodetic(41.85, -87.65, 3)).tolist() == [525.0, 761.0]


def test_resolution_of_zoom_18() -> None:
    """A pixel of zoom 18 is 0.597 m at the equator, as OpenStreetMap publishes, and half of that at 60 degrees."""
    assert mercator_resolution_m(0.0, 18) == pytest.approx(0.597, abs=5e-4)
    assert mercator_resolution_m(60.0, 18) == pytest.approx(0.597 / 2, abs=5e-4)


@settings(max_examples=50, deadline=None)
@given(LATITUDES, LONGITUDES, st.floats(-30e3, 30e3), st.floats(-30e3, 30e3), st.floats(-500.0, 5000.0))
def test_enu_and_back(latitude: float, longitude: float, east: float, north: float, up: float) -> None:
    """ENU to geodetic and back returns to 0.1 mm."""
    local = LocalFrame(latitude, longitude, 123.0)
    geodetic = local.geodetic_from_enu([east, north, up])
    assert local.enu_from_geodetic(*geodetic) == pytest.approx([east, north, up], abs=1e-4)


@settings(max_examples=50, deadline=None)
@given(LATITUDES, LONGITUDES, st.floats(0.0, 20.0))
def test_mercator_and_back(latitude: float, longitude: float, zoom: float) -> None:
    """Mercator pixels to geodetic and back returns to a billionth of a degree."""
    there = geodetic_from_mercator_px(mercator_px_from_geodetic(latitude, longitude, zoom), zoom)
    assert there == pytest.approx([latitude, longitude], abs=1e-9)


def test_shapes_are_kept() -> None:
    """Many points go through at once, in any shape."""
    local = LocalFrame(48.0, 37.0, 0.0)
    points = np.arange(24.0).reshape(2, 4, 3)
    there = local.enu_from_geodetic(*np.moveaxis(local.geodetic_from_enu(points), -1, 0))
    assert there == pytest.approx(points, abs=1e-6)
    assert local.mercator_px_from_enu(points, 17.5).shape == (2, 4, 2)


@pytest.mark.parametrize(
    ("place", "says"),
    [((math.nan, 0.0), "finite"), ((86.0, 0.0), "swapped"), ((0.0, 181.0), "swapped"), ((37.0, math.inf), "finite")],
)
def test_places_that_are_not_on_the_map(place: tuple[float, float], says: str) -> None:
    """An origin off the map is refused with what may have gone wrong."""
    with pytest.raises(UserError, match=says):
        LocalFrame(*place, 0.0)


@pytest.mark.parametrize("azimuth_deg", [0.0, 30.0, 90.0, 135.0, 179.0])
def test_error_ellipse(azimuth_deg: float) -> None:
    """An ellipse of known axes comes back with its azimuth from north; 95 % is 2.4477 sigma."""
    along = np.array([math.sin(math.radians(azimuth_deg)), math.cos(math.radians(azimuth_deg))])
    covariance = np.eye(2) + (9.0 - 1.0) * np.outer(along, along)
    major, minor, azimuth = error_ellipse_95(covariance)
    assert (major, minor) == pytest.approx((3 * 2.4477, 2.4477), abs=1e-3)
    assert math.remainder(azimuth - azimuth_deg, 180.0) == pytest.approx(0.0, abs=1e-6)


def test_error_ellipse_holds_95_percent() -> None:
    """Of seeded samples 95 % lie inside the ellipse."""
    covariance = np.array([[9.0, 4.0], [4.0, 5.0]])
    major, minor, azimuth_deg = error_ellipse_95(covariance)
    samples = np.random.default_rng(1).multivariate_normal([0, 0], covariance, 20_000)
    azimuth = math.radians(azimuth_deg)
    along = samples @ [math.sin(azimuth), math.cos(azimuth)]
    across = samples @ [math.cos(azimuth), -math.sin(azimuth)]
    inside = np.mean((along / major) ** 2 + (across / minor) ** 2 <= 1.0)
    assert inside == pytest.approx(0.95, abs=0.006)
