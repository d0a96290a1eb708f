"""A seeded piece of country and a camera that looks at it: exact poses for the odometry's tests."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.rotations import exp_rotation, image_up_yaw, nadir_camera_to_enu
from gps_denied_onboard.messages import CameraPrior, FloatArray, Frame, ImageArray

CAMERA = CameraModel(640, 480, 560.0, 560.0, 322.0, 236.0, "brown", (-0.08, 0.02, 0.0005, -0.0005))
CELL_M = 0.5
SIZE = 2400
HEIGHT_M = 300.0


class Ground:
    """Fields of different tone, soil, lines and spots, 1200 x 1200 m about the origin, with gentle relief."""

    def __init__(self, seed: int, relief_m: float = 0.0) -> None:
        self._noise = np.random.default_rng(seed)
        tone = self._fields()
        for cells, strength in ((2, 16.0), (4, 14.0), (12, 12.0), (60, 10.0)):
            tone += strength * self._cloud(cells)
        self.texture = np.clip(tone, 5, 250).astype(np.float32)
        self.relief_m = relief_m * self._cloud(300) if relief_m > 0.0 else np.zeros((SIZE, SIZE), np.float32)

    def _fields(self) -> npt.NDArray[np.float32]:
        seeds = self._noise.uniform(0, SIZE, (90, 2))
        small = SIZE // 8
        y, x = np.mgrid[0:small, 0:small] * 8
        nearest = np.argmin([(x - a) ** 2 + (y - b) ** 2 for a, b in seeds], axis=0).astype(np.uint8)
        owner = cv2.resize(nearest, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)
        return np.asarray(self._noise.uniform(70, 170, 90)[owner], dtype=np.float32)

    def _cloud(self, cells: int) -> npt.NDArray[np.float32]:
        """Smooth noise of unit standard deviation and a correlation length of so many cells."""
        side = max(4, SIZE // cells)
        noise = self._noise.standard_normal((side, side)).astype(np.float32)
        cloud = cv2.resize(noise, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
        return np.asarray(cloud / cloud.std(), np.float32)

    def image(
        self,
        position_enu_m: FloatArray,
        rotation_camera_to_enu: FloatArray,
        camera: CameraModel = CAMERA,
        noise: float = 1.5,
    ) -> ImageArray:
        """(H, W) picture from a pose; ground heights by fixed-point iteration along each ray."""
        step = 4
        h, w = camera.height_px // step + 2, camera.width_px // step + 2
        v, u = np.mgrid[0:h, 0:w] * float(step)
        rays = camera.bearings(np.stack([u.ravel(), v.ravel()], axis=1)) @ rotation_camera_to_enu.T
        ground = np.zeros(len(rays))
        for _ in range(4):
            points = position_enu_m + rays * ((ground - position_enu_m[2]) / rays[:, 2])[:, None]
            cells = np.stack([points[:, 0] / CELL_M + SIZE / 2, SIZE / 2 - points[:, 1] / CELL_M], axis=1)
            where = np.clip(np.round(cells), 0, SIZE - 1).astype(int)
            ground = self.relief_m[where[:, 1], where[:, 0]].astype(float)
        mesh = cells.reshape(h, w, 2).astype(np.float32)
        scale = np.array([[1.0 / step, 0.0, 0.0], [0.0, 1.0 / step, 0.0]])
        size = (camera.width_px, camera.height_px)
        fine = cv2.warpAffine(mesh, scale, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        seen = cv2.remap(self.texture, fine[:, :, 0], fine[:, :, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        grain = noise * np.asarray(self._noise.standard_normal(seen.shape), dtype=np.float32)
        return np.asarray(np.clip(seen + grain, 0, 255), dtype=np.uint8)


def camera_attitude(yaw_deg: float, tilt_east_deg: float = 0.0, tilt_north_deg: float = 0.0) -> FloatArray:
    """(3, 3) camera to ENU: nadir at a yaw, then tilted about east and north."""
    tilt = exp_rotation(np.radians([tilt_east_deg, tilt_north_deg, 0.0]))
    return tilt @ nadir_camera_to_enu(math.radians(yaw_deg))


def frame(image: ImageArray, index: int, period_s: float = 0.33) -> Frame:
    """Frame number `index` of an even sequence."""
    return Frame(int(index * period_s * 1e9), index, image)


def prior(
    t_ns: int,
    rotation: FloatArray,
    height_m: float = HEIGHT_M,
    tilt_sigma_deg: float = 0.5,
    yaw_sigma_deg: float = 3.0,
    height_sigma_m: float = 0.0,
    position: FloatArray | None = None,
) -> CameraPrior:
    """What the estimator would say before it looks at the frame."""
    return CameraPrior(
        t_ns,
        np.zeros(3) if position is None else position,
        np.eye(3) * 400.0,
        rotation,
        math.radians(tilt_sigma_deg),
        math.radians(yaw_sigma_deg),
        height_m,
        height_sigma_m,
        position is not None,
    )


def yaw_change(rotation0: FloatArray, rotation1: FloatArray) -> float:
    """True turn about up between two attitudes, rad in -pi..pi."""
    return math.remainder(image_up_yaw(rotation1) - image_up_yaw(rotation0), 2.0 * math.pi)
