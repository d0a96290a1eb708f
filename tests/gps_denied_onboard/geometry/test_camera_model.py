"""The camera model: distortion there and back, as OpenCV has it; calibrations that cannot be."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.camera import CameraModel, ground_points
from gps_denied_onboard.geometry.rotations import nadir_camera_to_enu

BROWN = CameraModel(1368, 912, 1650.0, 1655.0, 690.0, 450.0, "brown", (-0.11, 0.05, 4e-4, -3e-4, 0.01))
FISHEYE = CameraModel(1000, 800, 600.0, 602.0, 505.0, 396.0, "fisheye", (0.05, -0.01, 0.003, -0.001))
PLAIN = CameraModel(640, 480, 500.0, 500.0, 319.5, 239.5)
CAMERAS = pytest.mark.parametrize("camera", [BROWN, FISHEYE, PLAIN], ids=lambda c: c.distortion_model)


def pixels_of(camera: CameraModel) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(0, camera.width_px - 1, 12), np.linspace(0, camera.height_px - 1, 9))
    return np.stack([x, y], axis=-1).reshape(-1, 2)


@CAMERAS
def test_pixels_to_rays_and_back(camera: CameraModel) -> None:
    """Every pixel of the frame survives undistortion and distortion to a thousandth of a pixel."""
    pixels = pixels_of(camera)
    assert camera.distort(camera.undistort(pixels)) == pytest.approx(pixels, abs=1e-3)
    rays = camera.bearings(pixels)
    assert np.linalg.norm(rays, axis=1) == pytest.approx(1.0)
    assert camera.project(rays * 37.0) == pytest.approx(pixels, abs=1e-3)


def test_projection_is_opencvs() -> None:
    """Points in front of the camera land where OpenCV puts them, for both lenses."""
    points = np.random.default_rng(2).uniform([-0.4, -0.3, 1.0], [0.4, 0.3, 3.0], (50, 3))
    brown, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), BROWN.matrix, np.array(BROWN.distortion))
    assert BROWN.project(points) == pytest.approx(brown.reshape(-1, 2), abs=1e-6)
    fisheye, _ = cv2.fisheye.projectPoints(
        points.reshape(-1, 1, 3), np.zeros(3), np.zeros(3), FISHEYE.matrix, np.array(FISHEYE.distortion)
    )
    assert FISHEYE.project(points) == pytest.approx(fisheye.reshape(-1, 2), abs=1e-6)


def test_points_behind_the_camera_have_no_pixel() -> None:
    """A point that is not in front gives NaN."""
    assert np.isnan(PLAIN.project([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])).all()


@CAMERAS
def test_resized(camera: CameraModel) -> None:
    """A picture of half the size has half the pixel coordinates of every ray, counted from pixel edges."""
    half = camera.resized(camera.width_px // 2, camera.height_px // 2)
    pixels = pixels_of(camera)
    assert half.project(camera.bearings(pixels)) == pytest.approx((pixels + 0.5) / 2.0 - 0.5, abs=1e-3)


def test_another_aspect_ratio_is_refused() -> None:
    """A calibration does not fit a frame of another shape; both sizes are named."""
    with pytest.raises(UserError, match="calibration is for 1368x912, the frame is 640x480"):
        BROWN.resized(640, 480)


def test_field_of_view() -> None:
    """A pinhole made from its field of view has it."""
    camera = CameraModel.from_fov(800, 600, 70.0)
    assert camera.fov_horizontal_rad == pytest.approx(math.radians(70.0))
    with pytest.raises(UserError, match=r"must be 1\.\.170 degrees, got 180\.0"):
        CameraModel.from_fov(800, 600, 180.0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"fx_px": 0.0}, "focal lengths must be positive"),
        ({"cy_px": math.nan}, "all numbers finite"),
        ({"width_px": 16}, "too small"),
        ({"distortion_model": "poly"}, "unknown distortion_model 'poly'; use none, brown or fisheye"),
        ({"distortion": (0.1,)}, "none takes 0 coefficients, got 1"),
        ({"distortion_model": "brown", "distortion": (0.1,)}, "brown takes 4 or 5 coefficients, got 1"),
        ({"distortion_model": "fisheye", "distortion": (0.1,) * 5}, "fisheye takes 4 coefficients, got 5"),
        ({"distortion_model": "brown", "distortion": (0.1, math.inf, 0.0, 0.0)}, "finite"),
    ],
)
def test_calibrations_that_cannot_be(changes: dict[str, object], says: str) -> None:
    """A calibration that no camera can have is refused."""
    values = {"width_px": 640, "height_px": 480, "fx_px": 500.0, "fy_px": 500.0, "cx_px": 319.5, "cy_px": 239.5}
    with pytest.raises(UserError, match=says):
        CameraModel(**{**values, **changes})  # type: ignore[arg-type]


def test_ground_under_a_pixel() -> None:
    """Rays meet the ground where simple geometry says; pixels at the horizon meet nothing."""
    position = np.array([10.0, 20.0, 130.0])
    centre_and_right = [[319.5, 239.5], [569.5, 239.5]]
    points = ground_points(PLAIN, centre_and_right, position, nadir_camera_to_enu(math.pi / 2), 30.0)
    assert points == pytest.approx(np.array([[10.0, 20.0, 30.0], [60.0, 20.0, 30.0]]))
    level = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    assert np.isnan(ground_points(PLAIN, [[319.5, 100.0]], position, level, 0.0)).all()
