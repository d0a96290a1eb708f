"""A frame laid on the map under its true pose lies on the map."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.camera import ground_points
from gps_denied_onboard.geometry.rotations import nadir_camera_to_enu
from gps_denied_onboard.imaging.orthorectify import MapGrid, Orthorectifier, Undistorter, pixels_from_cells
from gps_denied_onboard.messages import Frame

from .shifts import shift_px


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_picture_from_a_known_pose_lies_on_the_map(painted_ground: Any, level: int) -> None:
    """Laid on the map's cells, lens distortion included, the picture is off by less than half a cell everywhere."""
    pose = painted_ground.pose()
    rectifier = Orthorectifier(painted_ground.frame(pose), Undistorter(painted_ground.camera))
    grid = MapGrid.at(painted_ground.local, painted_ground.zoom, level, pose[0][:2], 0.0)
    laid = rectifier.orthorectify(grid, *pose)
    assert laid is not None
    h, w = laid.valid.shape
    grey, valid = painted_ground.mosaic().window(level, laid.x0, laid.y0, w, h)
    assert valid.all()
    size = 96 // 2**level
    shifts = []
    for y in range(0, h - size, size):
        for x in range(0, w - size, size):
            here = np.s_[y : y + size, x : x + size]
            if laid.valid[here].all():
                shift, response = cv2.phaseCorrelate(
                    laid.image[here].astype(np.float64),
                    grey[here].astype(np.float64),
                    cv2.createHanningWindow((size, size), cv2.CV_64F),
                )
                if response > 0.3:
                    shifts.append(shift)
    assert len(shifts) >= 8
    assert float(np.max(np.hypot(*np.array(shifts).T))) < 0.5


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_nothing_is_half_a_pixel_off(painted_ground: Any, level: int) -> None:
    """The shift that fits the picture best to the map is nothing, at the picture's own scale and shrunk for the map."""
    pose = painted_ground.pose()
    rectifier = Orthorectifier(painted_ground.frame(pose), Undistorter(painted_ground.camera))
    laid = rectifier.orthorectify(MapGrid.at(painted_ground.local, painted_ground.zoom, level, pose[0][:2], 0.0), *pose)
    assert laid is not None
    h, w = laid.valid.shape
    grey, _ = painted_ground.mosaic().window(level, laid.x0, laid.y0, w, h)
    assert shift_px(laid.image, grey, laid.valid) == pytest.approx([0.0, 0.0], abs=0.05)


@pytest.mark.parametrize("level", [0, 1])
def test_cells_are_valid_that_the_frame_shows(painted_ground: Any, level: int) -> None:
    """A cell counts where its middle lies within the frame's outermost edges, and a rim of half a cell more."""
    camera = replace(painted_ground.camera, distortion_model="none", distortion=())
    pose = painted_ground.pose()
    grid = MapGrid.at(painted_ground.local, painted_ground.zoom, level, pose[0][:2], 0.0)
    laid = Orthorectifier(painted_ground.frame(pose), Undistorter(camera)).orthorectify(grid, *pose)
    assert laid is not None
    h, w = laid.valid.shape
    x, y = np.meshgrid(laid.x0 + 0.5 + np.arange(w), laid.y0 + 0.5 + np.arange(h))
    pixels = pixels_from_cells(laid, np.stack([x, y], axis=-1).reshape(-1, 2)).reshape(h, w, 2)
    size = (camera.width_px, camera.height_px)
    depth_px = np.minimum(pixels + 0.5, np.array(size) - 0.5 - pixels).min(axis=-1)  # inside the edges where above 0
    shown = depth_px > 0.0
    assert (shown & ~laid.valid).sum() < 0.1 * (h + w)
    assert (laid.valid & ~shown).sum() < 0.8 * (h + w)


def test_cells_outside_of_the_lens_are_not_valid(painted_ground: Any) -> None:
    """Where a pincushion lens has no pixel of the ideal picture's corners, the cells there hold no data."""
    camera = replace(painted_ground.camera, distortion=(0.25, 0.0, 0.0, 0.0))
    pose = painted_ground.pose()
    grid = MapGrid.at(painted_ground.local, painted_ground.zoom, 0, pose[0][:2], 0.0)
    laid = Orthorectifier(painted_ground.frame(pose), Undistorter(camera)).orthorectify(grid, *pose)
    assert laid is not None
    h, w = laid.valid.shape
    x, y = np.meshgrid(laid.x0 + 0.5 + np.arange(w), laid.y0 + 0.5 + np.arange(h))
    ideal = pixels_from_cells(laid, np.stack([x, y], axis=-1).reshape(-1, 2))
    seen = camera.distort((ideal - (camera.cx_px, camera.cy_px)) / (camera.fx_px, camera.fy_px)).reshape(h, w, 2)
    outside_px = np.maximum(-seen, seen - (camera.width_px - 1, camera.height_px - 1)).max(axis=-1)
    assert not laid.valid[outside_px > 1.5].any()
    assert laid.valid[outside_px < -1.5].mean() > 0.99
    assert (outside_px[laid.valid] < 1.5).all()


def test_cells_and_pixels_agree_with_the_camera_model(painted_ground: Any) -> None:
    """The pixel of a cell is where the camera model sees that piece of ground, to a twentieth of a pixel."""
    pose = painted_ground.pose()
    camera = painted_ground.camera
    grid = MapGrid.at(painted_ground.local, painted_ground.zoom, 0, pose[0][:2], 0.0)
    laid = Orthorectifier(painted_ground.frame(pose), Undistorter(camera)).orthorectify(grid, *pose)
    assert laid is not None
    pixels = np.array([[30.0, 40.0], [240.0, 180.0], [450.0, 330.0]])
    cells = grid.cell_from_enu(ground_points(camera, pixels, *pose, 0.0)[:, :2])
    ideal = pixels_from_cells(laid, cells)
    seen = camera.distort((ideal - (camera.cx_px, camera.cy_px)) / (camera.fx_px, camera.fy_px))
    assert seen == pytest.approx(pixels, abs=0.05)


def test_the_grid_is_the_map_plane(painted_ground: Any) -> None:
    """Cells and ENU go there and back, and agree with the projection to 5 cm over 300 m."""
    grid = MapGrid.at(painted_ground.local, 18, 1, np.array([50.0, 60.0]), 0.0)
    enu = np.array([[50.0, 60.0], [350.0, 60.0], [50.0, -240.0]])
    cells = grid.cell_from_enu(enu)
    assert grid.enu_from_cell(cells) == pytest.approx(enu)
    exact = painted_ground.local.mercator_px_from_enu(np.column_stack([enu, np.zeros(3)]), 17.0)
    assert cells * grid.gsd_m == pytest.approx(exact * grid.gsd_m, abs=0.05)


def test_poses_that_do_not_look_at_the_ground(painted_ground: Any) -> None:
    """A frame that holds the horizon is not laid."""
    pose = painted_ground.pose()
    rectifier = Orthorectifier(painted_ground.frame(pose), Undistorter(painted_ground.camera))
    grid = MapGrid.at(painted_ground.local, 18, 0, pose[0][:2], 0.0)
    sideways = painted_ground.pose(tilt_rad=(math.radians(80.0), 0.0))
    assert rectifier.orthorectify(grid, *sideways) is None
    assert rectifier.orthorectify(grid, pose[0], -nadir_camera_to_enu(0.0)) is None


def test_frames_of_another_size(painted_ground: Any) -> None:
    """A frame that the calibration is not for is refused; colours and no distortion are fine."""
    lens = Undistorter(painted_ground.camera)
    with pytest.raises(UserError, match="frame is 320x240 px, the camera calibration is for 480x360"):
        Orthorectifier(Frame(0, 0, np.zeros((240, 320), np.uint8)), lens)
    plain = Undistorter(replace(painted_ground.camera, distortion_model="none", distortion=()))
    picture = np.full((360, 480, 3), 90, np.uint8)
    grey, valid = plain.apply(picture)
    assert grey.shape == (360, 480)
    assert valid is None
