"""The camera: casts rays through a distorted lens to the relief, samples the ground, then what air and sensor add."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.messages import FloatArray, ImageArray
from gps_denied_sim.noise import stream
from gps_denied_sim.render.atmosphere import Air, Sensor, look_through
from gps_denied_sim.render.world import GroundPicture
from gps_denied_sim.vehicle.flight import FlightTruth, exp_rotations, log_rotations

NODE_PX = 8
RELIEF_STEP_M = 20.0
REACHED_M = 0.02
"""A ray has met the ground when its next step is shorter."""
NO_MOTION: FloatArray = np.zeros(3)
RESOLUTIONS_M = (0.2, 0.24, 0.3, 0.4, 0.48)


@dataclass(frozen=True, slots=True, eq=False)
class CameraTruth:
    """The camera as it is: `model` with true intrinsics, `rotation_camera_to_body` (3, 3) with the true mount.

    `readout_s` is the time from the first row's exposure to the last row's; a picture's time is its middle row's.
    """

    model: CameraModel
    rotation_camera_to_body: FloatArray
    exposure_s: float
    readout_s: float


def make_camera(seed: int, width_px: int = 1368, height_px: int = 912) -> tuple[CameraTruth, CameraModel]:
    """The true camera of a seed, and its calibration as the navigator gets it.

    The calibration misses 0.08 % of focal length, half a pixel of centre and all of the mount's tilt of 2 to 6 degrees.
    """
    rng = stream(seed, "camera")
    focal = width_px * float(rng.uniform(1.18, 1.30))
    distortion = (float(rng.uniform(-0.14, -0.05)), float(rng.uniform(0.02, 0.07)), 0.0, 0.0)
    distortion = (*distortion[:2], float(rng.normal(0.0, 4e-4)), float(rng.normal(0.0, 4e-4)))
    centre = (width_px - 1) / 2.0 + float(rng.normal(0.0, 6.0)), (height_px - 1) / 2.0 + float(rng.normal(0.0, 6.0))
    true = CameraModel(width_px, height_px, focal, focal, *centre, "brown", distortion)
    gain = 1.0 + float(rng.normal(0.0, 0.0008))
    known = replace(
        true,
        fx_px=round(focal * gain, 3),
        fy_px=round(focal * gain, 3),
        cx_px=round(centre[0] + float(rng.normal(0.0, 0.5)), 3),
        cy_px=round(centre[1] + float(rng.normal(0.0, 0.5)), 3),
        distortion=tuple(round(k * (1.0 + float(rng.normal(0.0, 0.02))), 6) for k in distortion),
    )
    tilt, about = math.radians(float(rng.uniform(2.0, 6.0))), float(rng.uniform(0.0, 2.0 * math.pi))
    vector = np.array([[tilt * math.cos(about), tilt * math.sin(about), math.radians(float(rng.normal(0.0, 0.7)))]])
    mount = exp_rotations(vector)[0] @ true.mount
    exposure, readout = float(rng.uniform(0.0006, 0.002)), max(0.0, float(rng.uniform(-0.008, 0.010)))
    return CameraTruth(true, mount, exposure, readout), known


class SimCamera:
    """Takes pictures of a world from a flight."""

    def __init__(self, camera: CameraTruth, flight: FlightTruth, ground: GroundPicture, seed: int) -> None:
        self.camera, self.flight, self.ground, self._seed = camera, flight, ground, seed
        model = camera.model
        self._columns = math.ceil(model.width_px / NODE_PX) + 4
        self._rows = math.ceil(model.height_px / NODE_PX) + 4
        u = (np.arange(self._columns) - 1.5) * NODE_PX - 0.5
        v = (np.arange(self._rows) - 1.5) * NODE_PX - 0.5
        self.node_pixels = np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)
        normalised = model.undistort(self.node_pixels)
        self._rays = np.concatenate([normalised, np.ones((len(normalised), 1))], axis=1)

    def ground_nodes(
        self,
        position: FloatArray,
        rotation_camera_to_enu: FloatArray,
        travel_m: FloatArray = NO_MOTION,
        turn_camera_rad: FloatArray = NO_MOTION,
    ) -> FloatArray:
        """(rows, columns, 2) world x, y that the node rays hit; rays at the horizon stop 6 km away.

        `travel_m` (3,) ENU and `turn_camera_rad` (3,) are the motion between the first and the last row's exposure;
        pose and middle row belong together. The turn is taken to first order: it is some thousandths.
        """
        late = ((self.node_pixels[:, 1] - (self.camera.model.height_px - 1) / 2.0) / self.camera.model.height_px)[
            :, None
        ]
        rays = (self._rays + late * np.cross(turn_camera_rad, self._rays)) @ rotation_camera_to_enu.T
        start = position + late * travel_m
        slope = np.hypot(rays[:, 0], rays[:, 1])
        rays = rays / np.maximum(-rays[:, 2], slope * (float(position[2]) / 6000.0) + 1e-6)[:, None]
        x, y = start[:, 0] + rays[:, 0] * start[:, 2], start[:, 1] + rays[:, 1] * start[:, 2]
        ground = self._relief(x, y)
        for _ in range(3 if self.ground.world.style.relief_m == 0.0 else 60):
            reach, before = start[:, 2] - ground(x, y), x
            x, y = start[:, 0] + rays[:, 0] * reach, start[:, 1] + rays[:, 1] * reach
            if float(np.abs(x - before).max()) < REACHED_M and self.ground.world.style.relief_m > 0.0:
                break
        return np.stack([x, y], axis=1).reshape(self._rows, self._columns, 2)

    def _relief(self, x: FloatArray, y: FloatArray) -> Callable[[FloatArray, FloatArray], FloatArray]:
        """Ground height around the points (N,), interpolated on a grid: far cheaper than asking for each ray."""
        import cv2

        x0, y0 = float(x.min()) - 100.0, float(y.min()) - 100.0
        span = max(float(x.max()) - x0, float(y.max()) - y0) + 100.0
        step = max(RELIEF_STEP_M, span / 128.0)
        at = np.arange(math.ceil(span / step) + 1, dtype=np.float64) * step
        grid = self.ground.world.height_m(x0 + at[None, :], y0 + at[:, None]).astype(np.float32)

        def height(px: FloatArray, py: FloatArray) -> FloatArray:
            u, v = ((px - x0) / step).astype(np.float32), ((py - y0) / step).astype(np.float32)
            shape = (self._rows, self._columns)
            found = cv2.remap(
                grid, u.reshape(shape), v.reshape(shape), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
            )
            return np.asarray(found, dtype=np.float64).ravel()

        return height

    def picture(self, t_s: float, index: int, air: Air, sensor: Sensor) -> ImageArray:
        """(H, W, 3) BGR picture exposed around `t_s`."""
        position, rotation_body = self.flight.at(t_s)
        mount, half = self.camera.rotation_camera_to_body, self.camera.readout_s / 2.0
        (first_at, first), (last_at, last) = self.flight.at(t_s - half), self.flight.at(t_s + half)
        turn = log_rotations((mount.T @ first.T @ last @ mount)[None])[0]
        nodes = self.ground_nodes(position, rotation_body @ mount, last_at - first_at, turn)
        rng = stream(self._seed, "picture", index)
        if air.blind:
            image = np.zeros((self.camera.model.height_px, self.camera.model.width_px, 3), dtype=np.uint8)
        else:
            image = self._sampled(nodes)
            image = _smeared(image, self._smear_px(t_s, position, nodes))
        return look_through(image, nodes, position, t_s, air, sensor, rng, self.ground.world.textures)

    def _sampled(self, nodes: FloatArray) -> ImageArray:
        """The ground as it falls on each pixel."""
        import cv2

        model = self.camera.model
        low, high = nodes.reshape(-1, 2).min(axis=0), nodes.reshape(-1, 2).max(axis=0)
        limit = 1500.0
        middle = np.median(nodes.reshape(-1, 2), axis=0)
        low, high = np.maximum(low, middle - limit), np.minimum(high, middle + limit)
        mosaic, x0, y0 = self.ground.mosaic(float(low[0]), float(low[1]), float(high[0]), float(high[1]))
        r = self.ground.resolution_m
        size = (self._columns * NODE_PX, self._rows * NODE_PX)
        maps: list[npt.NDArray[np.float32]] = []
        for values in ((nodes[..., 0] - x0) / r, (y0 - nodes[..., 1]) / r):
            full = cv2.resize(values.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
            a = 2 * NODE_PX
            maps.append(np.asarray(full[a : a + model.height_px, a : a + model.width_px], dtype=np.float32))
        return np.asarray(
            cv2.remap(
                mosaic,
                maps[0],
                maps[1],
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=(90, 110, 105, 0),
            ),
            dtype=np.uint8,
        )

    def _smear_px(self, t_s: float, position: FloatArray, nodes: FloatArray) -> FloatArray:
        """(2,) image motion in pixels of the middle of the picture during the exposure."""
        ahead, rotation_body = self.flight.at(t_s + self.camera.exposure_s)
        rotation = rotation_body @ self.camera.rotation_camera_to_body
        x, y = nodes[self._rows // 2, self._columns // 2]
        point = np.array([x, y, float(self.ground.world.height_m(np.array([x]), np.array([y]))[0])])
        _, first_body = self.flight.at(t_s)
        first = first_body @ self.camera.rotation_camera_to_body
        model = self.camera.model
        a = model.project(((point - position) @ first)[None])[0]
        b = model.project(((point - ahead) @ rotation)[None])[0]
        return np.asarray(b - a)


def _smeared(image: ImageArray, motion_px: FloatArray) -> ImageArray:
    """Motion blur along a straight line, for motions that can be seen."""
    import cv2

    length = float(np.hypot(motion_px[0], motion_px[1]))
    if length < 0.6:
        return image
    half = math.ceil(length / 2.0) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1), dtype=np.float32)
    for s in np.linspace(-0.5, 0.5, max(8, 4 * half)):
        x, y = half + s * float(motion_px[0]), half + s * float(motion_px[1])
        i, j = math.floor(x), math.floor(y)
        for dx, wx in ((0, 1 - (x - i)), (1, x - i)):
            for dy, wy in ((0, 1 - (y - j)), (1, y - j)):
                if 0 <= j + dy < kernel.shape[0] and 0 <= i + dx < kernel.shape[1]:
                    kernel[j + dy, i + dx] += wx * wy
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), dtype=np.uint8)


def pick_resolution(height_m: float, focal_px: float) -> float:
    """Ground resolution to paint at: the coarsest that is not coarser than a pixel on the ground."""
    pixel_m = height_m / focal_px
    fitting = [r for r in RESOLUTIONS_M if r <= pixel_m * 1.05]
    return fitting[-1] if fitting else RESOLUTIONS_M[0]
