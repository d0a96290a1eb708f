"""Camera model: pinhole with Brown or fisheye (Kannala-Brandt) distortion, as OpenCV defines both; pure.

Pixel coordinates have (0, 0) at the centre of the first pixel, as in OpenCV.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import FloatArray

NADIR_CAMERA_TO_BODY = ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
"""Camera looking down with the image's top towards the nose, body FRD."""


@dataclass(frozen=True, slots=True)
class CameraModel:
    """Intrinsics in pixels of a `width_px` x `height_px` image, and the nominal mount.

    `distortion_model` is "none", "brown" (k1, k2, p1, p2[, k3]) or "fisheye" (k1, k2, k3, k4).
    `rotation_camera_to_body` is row-major; `time_offset_s` is added to a frame's time stamp.
    """

    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    distortion_model: str = "none"
    distortion: tuple[float, ...] = ()
    rotation_camera_to_body: tuple[tuple[float, float, float], ...] = NADIR_CAMERA_TO_BODY
    time_offset_s: float = 0.0

    def __post_init__(self) -> None:
        numbers = (self.fx_px, self.fy_px, self.cx_px, self.cy_px, *self.distortion)
        if not all(math.isfinite(v) for v in numbers) or min(self.fx_px, self.fy_px) <= 0.0:
            raise UserError(
                "camera calibration: focal lengths must be positive and all numbers finite; calibrate again."
            )
        if not abs(self.time_offset_s) <= 1.0:
            raise UserError(
                f"camera calibration: time_offset_s is in seconds, one at most either way, got {self.time_offset_s}."
            )
        if self.width_px < 32 or self.height_px < 32:
            raise UserError(
                f"camera calibration: image of {self.width_px}x{self.height_px} is too small to navigate by."
            )
        expected = {"none": (0,), "brown": (4, 5), "fisheye": (4,)}.get(self.distortion_model)
        if expected is None:
            raise UserError(
                f"camera calibration: unknown distortion_model '{self.distortion_model}'; use none, brown or fisheye."
            )
        if len(self.distortion) not in expected:
            raise UserError(
                f"camera calibration: {self.distortion_model} takes {' or '.join(map(str, expected))} coefficients, "
                f"got {len(self.distortion)}."
            )

    @staticmethod
    def from_fov(width_px: int, height_px: int, fov_horizontal_deg: float) -> CameraModel:
        """Ideal pinhole whose image is `fov_horizontal_deg` wide."""
        if not 1.0 <= fov_horizontal_deg <= 170.0:
            raise UserError(f"horizontal field of view must be 1..170 degrees, got {fov_horizontal_deg}.")
        f = width_px / 2.0 / math.tan(math.radians(fov_horizontal_deg) / 2.0)
        return CameraModel(width_px, height_px, f, f, (width_px - 1) / 2.0, (height_px - 1) / 2.0)

    @property
    def matrix(self) -> FloatArray:
        """(3, 3) intrinsic matrix."""
        return np.array([[self.fx_px, 0.0, self.cx_px], [0.0, self.fy_px, self.cy_px], [0.0, 0.0, 1.0]])

    @property
    def mount(self) -> FloatArray:
        """(3, 3) nominal rotation, camera to body."""
        return np.array(self.rotation_camera_to_body)

    @property
    def fov_horizontal_rad(self) -> float:
        """Full horizontal angle of the undistorted image."""
        return 2.0 * math.atan(self.width_px / 2.0 / self.fx_px)

    def resized(self, width_px: int, height_px: int) -> CameraModel:
        """The same camera for a picture scaled to another size; refuses another aspect ratio (> 1 %)."""
        sx, sy = width_px / self.width_px, height_px / self.height_px
        if abs(sx / sy - 1.0) > 0.01:
            raise UserError(
                f"camera calibration is for {self.width_px}x{self.height_px}, the frame is {width_px}x{height_px}: "
                "another aspect ratio. Give the calibration of this camera and mode."
            )
        return replace(
            self,
            width_px=width_px,
            height_px=height_px,
            fx_px=self.fx_px * sx,
            fy_px=self.fy_px * sy,
            cx_px=(self.cx_px + 0.5) * sx - 0.5,
            cy_px=(self.cy_px + 0.5) * sy - 0.5,
        )

    def undistort(self, pixel_px: npt.ArrayLike) -> FloatArray:
        """(N, 2) normalised image coordinates (x/z, y/z) of (N, 2) pixels."""
        p = np.asarray(pixel_px, dtype=np.float64).reshape(-1, 2)
        if self.distortion_model == "none":
            return (p - (self.cx_px, self.cy_px)) / (self.fx_px, self.fy_px)
        import cv2

        d = np.array(self.distortion)
        points = p.reshape(-1, 1, 2)
        if self.distortion_model == "brown":
            criteria = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 40, 1e-10)
            out = cv2.undistortPoints(points, self.matrix, d, R=np.eye(3), P=np.eye(3), criteria=criteria)
        else:
            out = cv2.fisheye.undistortPoints(points, self.matrix, d)
        return np.asarray(out, dtype=np.float64).reshape(-1, 2)

    def distort(self, normalised: npt.ArrayLike) -> FloatArray:
        """(N, 2) pixels of (N, 2) normalised image coordinates: the inverse of `undistort`."""
        n = np.asarray(normalised, dtype=np.float64).reshape(-1, 2)
        if self.distortion_model == "fisheye":
            r = np.hypot(n[:, 0], n[:, 1])
            theta = np.arctan(r)
            k1, k2, k3, k4 = self.distortion
            t2 = theta * theta
            scaled = theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
            n = n * np.where(r > 1e-12, scaled / np.maximum(r, 1e-12), 1.0)[:, None]
        elif self.distortion_model == "brown":
            k1, k2, p1, p2, k3 = (*self.distortion, 0.0)[:5]
            x, y = n[:, 0], n[:, 1]
            r2 = x * x + y * y
            radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
            n = np.stack(
                [
                    x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
                    y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
                ],
                axis=1,
            )
        return np.asarray(n * (self.fx_px, self.fy_px) + (self.cx_px, self.cy_px))

    def bearings(self, pixel_px: npt.ArrayLike) -> FloatArray:
        """(N, 3) unit rays in the camera frame of (N, 2) pixels."""
        n = self.undistort(pixel_px)
        rays = np.concatenate([n, np.ones((len(n), 1))], axis=1)
        return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))

    def project(self, points_camera_m: npt.ArrayLike) -> FloatArray:
        """(N, 2) pixels of (N, 3) points in the camera frame; NaN for points not in front of the camera."""
        p = np.asarray(points_camera_m, dtype=np.float64).reshape(-1, 3)
        z = np.where(p[:, 2] > 1e-9, p[:, 2], np.nan)
        return self.distort(p[:, :2] / z[:, None])


def ground_points(
    camera: CameraModel,
    pixel_px: npt.ArrayLike,
    position_enu_m: FloatArray,
    rotation_camera_to_enu: FloatArray,
    ground_up_m: float,
) -> FloatArray:
    """(N, 3) ENU points where the rays of (N, 2) pixels meet the plane up = `ground_up_m`; NaN at or above horizon."""
    rays = camera.bearings(pixel_px) @ rotation_camera_to_enu.T
    down = np.where(rays[:, 2] < -1e-6, rays[:, 2], np.nan)
    distance = (ground_up_m - position_enu_m[2]) / down
    return np.asarray(position_enu_m + rays * distance[:, None])
