"""The ground by a grid of heights: where it is, how well that is known, where a ray meets it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gps_denied_onboard.geometry.geodesy import EARTH_RADIUS_M, LocalFrame
from gps_denied_onboard.geometry.raster_terrain import ERROR_LENGTH_M, RasterTerrain
from gps_denied_onboard.geometry.terrain import FlatTerrain, meet_ground
from tests.gps_denied_onboard.geometry.hills import hill, hill_grid, hill_m

LOCAL = LocalFrame(48.0, 37.0, 150.0)


def test_heights_are_those_of_the_ground() -> None:
    """Between posts 11 m apart the hill is met to 0.1 m, and the earth's curvature is taken off."""
    places = np.random.default_rng(2).uniform(-900.0, 900.0, (200, 2))
    found = hill(LOCAL).ups_m(places)
    expected = hill_m(places[:, 0], places[:, 1]) - (places**2).sum(axis=1) / (2.0 * EARTH_RADIUS_M)
    np.testing.assert_allclose(found, expected, atol=0.1)
    assert hill(LOCAL).up_m(places[3]) == pytest.approx(found[3])


def test_a_hole_is_flat_and_says_how_little_is_known_there() -> None:
    """Without a post the flat model counts, its sigma that of the hills around; outside of the grid, too."""
    grid = hill_grid(LOCAL)
    heights = grid.heights_amsl_m.copy()
    heights[140:170, 140:170] = np.nan
    terrain = RasterTerrain(LOCAL, replace(grid, heights_amsl_m=heights), FlatTerrain(LOCAL, 155.0, 5.0))
    spread_m = float(np.nanstd(heights))
    for place in (np.zeros(2), np.array([9000.0, 0.0])):
        assert not terrain.knows(place)
        assert terrain.up_m(place) == pytest.approx(5.0 - float(place @ place) / (2.0 * EARTH_RADIUS_M))
        assert terrain.sigma_m(place, 0.0) == pytest.approx(math.hypot(5.0, spread_m), rel=0.1)
    assert terrain.knows(np.array([600.0, 600.0]))
    assert terrain.sigma_m(np.array([600.0, 600.0]), 0.0) == pytest.approx(2.0)


def test_an_unsure_place_has_an_unsure_height() -> None:
    """On the hill's flank the slope times the place's sigma counts; of an unknown place, the spread of all heights."""
    terrain = hill(LOCAL)
    flank = np.array([120.0 + 250.0, -80.0])
    slope = 60.0 / 250.0 * math.exp(-0.5)
    assert terrain.sigma_m(flank, 20.0) == pytest.approx(math.hypot(2.0, slope * 20.0), rel=0.1)
    assert terrain.sigma_m(flank, math.inf) == pytest.approx(math.hypot(2.0, 10.0), rel=0.3)
    assert terrain.slope_sigma_rad == pytest.approx(2.0 / ERROR_LENGTH_M)


def test_rays_meet_the_hill() -> None:
    """Rays up to 45 degrees off end on the ground and on the ray, to a decimetre; one that goes up never does."""
    terrain, position = hill(LOCAL), np.array([0.0, 0.0, 400.0])
    slant = np.random.default_rng(3).uniform(-1.0, 1.0, (50, 2))
    rays = np.column_stack([slant, -np.ones(50)])
    met = meet_ground(terrain, position, np.vstack([rays, [0.1, 0.0, 0.5]]))
    assert np.isnan(met[-1, :2]).all()
    np.testing.assert_allclose(met[:-1, 2], terrain.ups_m(met[:-1, :2]), atol=1e-9)
    np.testing.assert_allclose(met[:-1, :2], slant * (400.0 - met[:-1, 2:]), atol=0.3)
