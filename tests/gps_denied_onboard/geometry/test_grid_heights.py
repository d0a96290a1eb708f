"""Heights between the posts of a grid."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from gps_denied_onboard.geometry.grid_heights import grid_heights_amsl_m
from gps_denied_onboard.geometry.terrain import TerrainGrid


def made(rows: int = 40, columns: int = 30) -> TerrainGrid:
    heights = np.random.default_rng(3).uniform(0.0, 500.0, (rows, columns)).astype("<f4")
    return TerrainGrid(48.0, 37.0, 0.001, 0.0015, heights, 5.0)


def test_they_are_those_of_scipy() -> None:
    """Between posts, on posts and on the outermost ones the heights are SciPy's bilinear ones."""
    grid = made()
    axes = (48.0 + 0.001 * np.arange(40), 37.0 + 0.0015 * np.arange(30))
    reference = RegularGridInterpolator(axes, grid.heights_amsl_m.astype(float))
    rng = np.random.default_rng(4)
    places = np.stack([rng.uniform(axes[0][0], axes[0][-1], 5000), rng.uniform(axes[1][0], axes[1][-1], 5000)], axis=1)
    found = grid_heights_amsl_m(grid, places[:, 0], places[:, 1])
    np.testing.assert_allclose(found, reference(places), atol=2e-3)
    on_posts = grid_heights_amsl_m(grid, axes[0][:, None], axes[1][None, :])
    np.testing.assert_allclose(on_posts, grid.heights_amsl_m, atol=1e-2)


def test_a_hole_is_no_height() -> None:
    """Around a post without height nothing is known; on its neighbours all is."""
    grid = made()
    grid.heights_amsl_m[10, 10] = np.nan
    latitudes = 48.0 + 0.001 * np.array([9.5, 10.0, 10.9, 9.0, 11.0])
    found = grid_heights_amsl_m(grid, latitudes, np.full(5, 37.0 + 0.0015 * 10))
    assert np.isnan(found).tolist() == [True, True, True, False, False]


def test_outside_there_is_nothing() -> None:
    """Half a step beyond the outermost post is the last height; further there is none."""
    grid = made()
    found = grid_heights_amsl_m(grid, np.array([48.0 - 0.0004, 48.0 - 0.0006, 90.0, np.nan]), np.full(4, 37.0))
    assert found[0] == grid.heights_amsl_m[0, 0]
    assert np.isnan(found[1:]).all()
