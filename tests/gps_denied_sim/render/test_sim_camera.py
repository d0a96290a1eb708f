"""A pixel shows the ground that the camera model says it shows."""

from __future__ import annotations

import numpy as np

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_sim.render.appearance import camera_look, map_look, warp
from gps_denied_sim.render.map_tiles import TilePainter, tiles_around
from gps_denied_sim.render.sim_camera import SimCamera, make_camera
from gps_denied_sim.render.world import GroundPicture, World
from gps_denied_sim.scenarios import make_scenario
from gps_denied_sim.vehicle.flight import fly, make_air
from gps_denied_sim.vehicle.route import make_route


def make_eye(seed: int) -> SimCamera:
    """An eye on a short flight."""
    scenario = make_scenario("cruise", seed, 20.0)
    flight = fly(scenario, make_route(scenario, seed, 20.0), make_air(seed), seed, 20.0, 100.0)
    camera, _ = make_camera(seed)
    return SimCamera(camera, flight, GroundPicture(World(seed), camera_look(seed), 0.8), seed)


def test_nodes_project_back_to_their_pixels() -> None:
    """Ground points that the renderer samples project through lens and pose onto the pixels they were cast from."""
    eye = make_eye(6)
    position, body = eye.flight.at(7.31)
    rotation = body @ eye.camera.rotation_camera_to_body
    nodes = eye.ground_nodes(position, rotation)
    x, y = nodes[..., 0].ravel(), nodes[..., 1].ravel()
    points = np.stack([x, y, eye.ground.world.height_m(x, y)], axis=1)
    pixels = eye.camera.model.project((points - position) @ rotation)
    assert np.abs(pixels - eye.node_pixels).max() < 0.05


def test_calibration_is_nearly_but_not_quite_the_truth() -> None:
    """The calibration misses the lens by a little and the mount by two to six degrees."""
    for seed in range(5):
        true, known = make_camera(seed)
        assert 0.0 < abs(known.fx_px / true.model.fx_px - 1.0) < 0.004
        turned = known.mount.T @ true.rotation_camera_to_body
        tilt = np.degrees(np.arccos(np.clip(turned[2, 2], -1.0, 1.0)))
        assert 1.9 < tilt < 6.1


def test_tile_pixels_lie_where_mercator_says() -> None:
    """A tile shows the map look of the ground under its pixels, with its geo-referencing error of about 1 m."""
    world = World(2)
    frame = LocalFrame(48.37, 37.11, 140.0)
    ground = GroundPicture(world, map_look(2), 0.8)
    painter = TilePainter(ground, frame)
    x, y = tiles_around(frame, np.array([[300.0, 250.0, 0.0]]), 10.0, whole_box=True)[0]
    block = painter.block(x, y)
    rng = np.random.default_rng(0)
    pixels = rng.integers(60, 1000, (400, 2))
    at = frame.enu_from_mercator_px(pixels + 0.5 + np.array([x, y]) * 256.0, 18, 140.0)[:, :2]
    shown = warp(ground.look, at, world.seed)
    assert 0.2 < np.abs(shown - at).max() < 4.0
    mosaic, x0, y0 = ground.mosaic(shown[:, 0].min(), shown[:, 1].min(), shown[:, 0].max(), shown[:, 1].max())
    column, row = (shown[:, 0] - x0) / 0.8, (y0 - shown[:, 1]) / 0.8
    nearest = mosaic[np.round(row).astype(int), np.round(column).astype(int)].astype(float)
    wrong = mosaic[np.round(row).astype(int), np.round(column).astype(int) - 8].astype(float)
    got = block[pixels[:, 1], pixels[:, 0]].astype(float)
    assert np.abs(got - nearest).mean() < 0.5 * np.abs(got - wrong).mean()
