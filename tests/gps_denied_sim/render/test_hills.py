"""The simulator's hills: as steep and high as told, seen where they stand, and sold as wrongly as real heights are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.raster_terrain import RasterTerrain
from gps_denied_onboard.geometry.rotations import exp_rotation, nadir_camera_to_enu
from gps_denied_onboard.geometry.terrain import FlatTerrain
from gps_denied_sim.render.appearance import camera_look
from gps_denied_sim.render.sim_camera import SimCamera, make_camera
from gps_denied_sim.render.world import GroundPicture, World
from gps_denied_sim.scenarios import RELIEF_M, make_scenario
from gps_denied_sim.sensors.height_raster import ERROR_SIGMA_M, height_raster
from gps_denied_sim.vehicle.flight import fly, make_air
from gps_denied_sim.vehicle.route import make_route


@pytest.mark.parametrize(
    "name", [n if n == "relief-300" else pytest.param(n, marks=pytest.mark.slow) for n in RELIEF_M]
)
def test_hills_are_as_high_and_steep_as_told(name: str) -> None:
    """Over 6 km they rise by what the name says, a third more or less; no slope exceeds 25 degrees by much."""
    for seed in (1, 8):
        terrain = World(seed, make_scenario(name, seed, 60.0).style).terrain
        at = np.arange(-3000.0, 3000.0, 20.0)
        heights = terrain.relief_m(at[None, :], at[:, None])
        slope = np.degrees(np.arctan(np.hypot(*np.gradient(heights, 20.0))))
        assert RELIEF_M[name] * 0.7 < np.ptp(heights) < RELIEF_M[name] * 1.35 + 25.0
        assert float(slope.max()) < 27.0


def test_a_pixel_shows_the_hill_that_it_looks_at() -> None:
    """Over 300 m of relief, banked too, the ground that is drawn projects back onto its pixels, to half of one."""
    scenario = make_scenario("relief-300", 6, 20.0)
    flight = fly(scenario, make_route(scenario, 6, 20.0), make_air(6), 6, 20.0, 100.0)
    camera, _ = make_camera(6)
    eye = SimCamera(camera, flight, GroundPicture(World(6, scenario.style), camera_look(6), 0.8), 6)
    position = flight.at(7.31)[0]
    for bank_deg in (0.0, 30.0):
        rotation = exp_rotation(np.array([math.radians(bank_deg), 0.0, 0.0])) @ nadir_camera_to_enu(0.5)
        nodes = eye.ground_nodes(position, rotation).reshape(-1, 2)
        points = np.column_stack([nodes, eye.ground.world.height_m(nodes[:, 0], nodes[:, 1])])
        off = np.abs(camera.model.project((points - position) @ rotation) - eye.node_pixels)
        assert float(off.max()) < 0.5, bank_deg


@pytest.mark.slow
def test_bought_heights_are_wrong_as_real_ones() -> None:
    """Off by 10 m, alike at 60 m, no more at 900 m; woods stand on them."""
    scenario = make_scenario("relief-150", 5, 60.0)
    world, frame = World(5, scenario.style), LocalFrame(48.3, 37.1, 120.0)
    grid = height_raster(world, frame, np.array([-1500.0, -1500.0]), np.array([1500.0, 1500.0]), 5)
    terrain = RasterTerrain(frame, grid, FlatTerrain(frame, 120.0, 5.0))
    at = np.arange(-1400.0, 1400.0, 60.0)
    places = np.stack(np.meshgrid(at, at), axis=-1).reshape(-1, 2)
    off = (terrain.ups_m(places) - world.height_m(places[:, 0], places[:, 1])).reshape(len(at), len(at))
    off = off - np.median(off)
    assert 0.6 * ERROR_SIGMA_M < float(off.std()) < 1.5 * ERROR_SIGMA_M
    near, far = (float((off[:, k:] * off[:, :-k]).mean() / off.var()) for k in (1, 15))
    assert near > 0.7
    assert far < 0.4
