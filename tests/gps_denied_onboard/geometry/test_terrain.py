"""The ground's height in the tangent plane."""

from __future__ import annotations

import numpy as np
import pytest

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.terrain import FlatTerrain


def test_ground_of_one_altitude_falls_off_with_the_earth() -> None:
    """Up to 30 km away the height agrees with WGS84 to 0.3 m."""
    local = LocalFrame(48.0, 37.0, 150.0)
    terrain = FlatTerrain(local, 130.0, 5.0)
    east_north = np.array([[0.0, 0.0], [5e3, 0.0], [0.0, -2e4], [2e4, 2e4]])
    geodetic = local.geodetic_from_enu(np.column_stack([east_north, terrain.ups_m(east_north)]))
    assert geodetic[:, 2] == pytest.approx(130.0, abs=0.3)
    assert terrain.up_m(east_north[0]) == pytest.approx(-20.0)
    assert [terrain.up_m(p) for p in east_north] == pytest.approx(terrain.ups_m(east_north).tolist())
