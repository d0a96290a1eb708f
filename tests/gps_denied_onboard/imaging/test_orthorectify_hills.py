"""A frame laid over a hill lies on the map, an orthophoto."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from gps_denied_onboard.geometry.terrain import meet_ground
from gps_denied_onboard.imaging.orthorectify import MapGrid, Orthorectifier, Undistorter, pixels_from_cells
from gps_denied_onboard.messages import Frame
from tests.gps_denied_onboard.geometry.hills import hill

from .shifts import shift_px


def over_the_hill(ground: Any, pose: Any) -> Frame:
    """What the camera sees of the map's ground draped over the hill: each pixel's ray is followed to it."""
    camera = ground.camera
    x, y = np.meshgrid(np.arange(camera.width_px), np.arange(camera.height_px))
    rays = camera.bearings(np.stack([x, y], axis=-1).reshape(-1, 2)) @ pose[1].T
    met = meet_ground(hill(ground.local), pose[0], rays)
    at = ground.local.mercator_px_from_enu(met, ground.zoom) - np.array([ground._x0, ground._y0]) * 256.0 - 0.5
    maps = at.reshape(*x.shape, 2).astype(np.float32)
    return Frame(0, 7, np.asarray(cv2.remap(ground.canvas, maps[..., 0], maps[..., 1], cv2.INTER_LINEAR), np.uint8))


def test_a_picture_of_a_hill_lies_on_the_map(painted_ground: Any) -> None:
    """Laid on the hill the picture is the map but for its resampling; laid on the plane it is off by far more."""
    pose = painted_ground.pose(tilt_rad=(0.12, -0.2))
    terrain = hill(painted_ground.local)
    rectifier = Orthorectifier(over_the_hill(painted_ground, pose), Undistorter(painted_ground.camera), terrain)
    grid = MapGrid.at(painted_ground.local, painted_ground.zoom, 1, pose[0][:2], terrain.up_m(pose[0][:2]))
    off = []
    for plane in (False, True):
        laid = rectifier.orthorectify(grid, *pose, plane=plane)
        assert laid is not None
        h, w = laid.valid.shape
        grey, valid = painted_ground.mosaic().window(1, laid.x0, laid.y0, w, h)
        both = laid.valid & valid
        assert both.sum() > 0.4 * h * w
        difference = np.abs(cv2.blur(laid.image, (3, 3)).astype(float) - cv2.blur(grey, (3, 3)))
        off.append(float(difference[both].mean()))
    assert off[0] < 0.4 * off[1]


@pytest.mark.parametrize("level", [0, 1, 2])
def test_on_a_hill_nothing_is_half_a_pixel_off(painted_ground: Any, level: int) -> None:
    """The shift that fits the picture best to the map is nothing, at the picture's own scale and shrunk."""
    pose, terrain = painted_ground.pose(), hill(painted_ground.local)
    rectifier = Orthorectifier(over_the_hill(painted_ground, pose), Undistorter(painted_ground.camera), terrain)
    grid = MapGrid.at(painted_ground.local, painted_ground.zoom, level, pose[0][:2], terrain.up_m(pose[0][:2]))
    laid = rectifier.orthorectify(grid, *pose)
    assert laid is not None
    h, w = laid.valid.shape
    grey, _ = painted_ground.mosaic().window(level, laid.x0, laid.y0, w, h)
    assert shift_px(laid.image, grey, laid.valid) == pytest.approx([0.0, 0.0], abs=0.06)


def test_cells_on_a_hill_have_the_pixels_that_see_them(painted_ground: Any) -> None:
    """The pixel of a cell is where the camera sees that piece of the hill, to a twentieth of a pixel."""
    pose, terrain, camera = painted_ground.pose(), hill(painted_ground.local), painted_ground.camera
    grid = MapGrid.at(painted_ground.local, painted_ground.zoom, 0, pose[0][:2], terrain.up_m(pose[0][:2]))
    laid = Orthorectifier(painted_ground.frame(pose), Undistorter(camera), terrain).orthorectify(grid, *pose)
    assert laid is not None
    pixels = np.array([[30.0, 40.0], [240.0, 180.0], [450.0, 330.0]])
    cells = grid.cell_from_enu(meet_ground(terrain, pose[0], camera.bearings(pixels) @ pose[1].T)[:, :2])
    ideal = pixels_from_cells(laid, cells)
    seen = camera.distort((ideal - (camera.cx_px, camera.cy_px)) / (camera.fx_px, camera.fy_px))
    assert seen == pytest.approx(pixels, abs=0.3)
