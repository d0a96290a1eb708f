"""What lies between ground and file: cloud, haze, darkness, then lens, exposure, noise and compression."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from gps_denied_onboard.messages import FloatArray, ImageArray
from gps_denied_sim.noise import TEXTURE_SIZE_PX, Textures, stream
from gps_denied_sim.schedule import Scenario

HAZE_COLOUR = (205, 196, 188)
CLOUD_SHADOW_M = (230.0, -340.0)
SHADOW_DEPTH, SHADOW_EDGE, SHADOW_PENUMBRA_NODES = 0.6, 3.0, 1.5
CLOUD_TEXTURE_M = 1.1
"""Ground metres per texture pixel of the clouds."""


@dataclass(frozen=True, slots=True)
class Air:
    """The air at one moment: `cloud` cover below the aircraft 0..1, `haze` 0..1, `dark` for no light at all.

    `shadow` is the cover 0..1 of clouds above the aircraft, of which only the shadows are seen.
    """

    cloud: float
    haze: float
    dark: bool
    shadow: float = 0.0

    @property
    def blind(self) -> bool:
        """Nothing of the ground gets through."""
        return self.dark or self.cloud >= 0.999


@dataclass(frozen=True, slots=True, eq=False)
class Sensor:
    """Fixed properties of lens and sensor: vignetting (H, W) gain 0..255, exposure drift and noise."""

    vignette: ImageArray
    exposure_phase: float
    exposure_swing: float
    noise: float
    cloud_offset_px: tuple[float, float]
    cloud_drift_mps: tuple[float, float]


def air_at(scenario: Scenario, t_s: float) -> Air:
    """The air that the schedule has for this moment; clouds come and go over some seconds."""
    cloud = scenario.active("camera_cloud", t_s)
    haze = scenario.active("camera_haze", t_s)
    cover = 0.0
    if cloud is not None:
        rise = min((t_s - cloud.start_s) / 4.0, (cloud.end_s - t_s) / 4.0, 1.0)
        cover = cloud.value * (rise if cloud.value > 0.9 else 1.0)
    shadow = scenario.active("cloud_shadow", t_s)
    return Air(
        cover,
        0.0 if haze is None else haze.value,
        scenario.active("camera_dark", t_s) is not None,
        0.0 if shadow is None else shadow.value,
    )


def make_sensor(seed: int, width_px: int, height_px: int) -> Sensor:
    """Lens and sensor of a seed."""
    rng = stream(seed, "sensor")
    x = (np.arange(width_px) - width_px / 2.0) / (width_px / 2.0)
    y = (np.arange(height_px) - height_px / 2.0) / (width_px / 2.0)
    fall = float(rng.uniform(0.12, 0.34))
    vignette = 255.0 * (1.0 - fall * np.clip((x[None, :] ** 2 + y[:, None] ** 2) / 1.45, 0.0, 1.0))
    return Sensor(
        vignette=vignette.astype(np.uint8),
        exposure_phase=float(rng.uniform(0.0, 6.28)),
        exposure_swing=float(rng.uniform(0.04, 0.14)),
        noise=float(rng.uniform(1.5, 4.0)),
        cloud_offset_px=(float(rng.uniform(0, 2048)), float(rng.uniform(0, 2048))),
        cloud_drift_mps=(float(rng.normal(0.0, 6.0)), float(rng.normal(0.0, 6.0))),
    )


def look_through(
    image: ImageArray,
    nodes: FloatArray,
    position: FloatArray,
    t_s: float,
    air: Air,
    sensor: Sensor,
    rng: np.random.Generator,
    textures: Textures,
) -> ImageArray:
    """The ground `image` (H, W, 3) as the sensor records it. `nodes` (rows, columns, 2) are its ground points."""
    import cv2

    exposure = 1.0
    if air.shadow > 0.0 and not air.dark:
        image, exposure = _shadowed(image, nodes, t_s, air.shadow, sensor, textures)
    if air.haze > 0.0:
        veil = np.empty_like(image)
        veil[:] = HAZE_COLOUR
        image = np.asarray(cv2.addWeighted(image, 1.0 - air.haze, veil, air.haze, 0.0), dtype=np.uint8)
    if air.cloud > 0.0 and not air.dark:
        image = _clouded(image, nodes, position, t_s, air.cloud, sensor, textures)
    gain = 0.02 if air.dark else 1.0 + sensor.exposure_swing * math.sin(t_s / 23.0 + sensor.exposure_phase)
    gain *= (1.0 + 0.02 * float(rng.standard_normal())) * exposure
    light = cv2.merge([sensor.vignette] * 3)
    image = np.asarray(cv2.multiply(image, light, scale=gain / 255.0), dtype=np.uint8)
    return _noisy(image, sensor, rng, textures)


def dark_picture(size_px: tuple[int, int], sensor: Sensor, rng: np.random.Generator, textures: Textures) -> ImageArray:
    """(H, W, 3) what the sensor records when no light reaches it: its noise. `size_px` is (H, W)."""
    return _noisy(np.zeros((*size_px, 3), dtype=np.uint8), sensor, rng, textures)


def _noisy(image: ImageArray, sensor: Sensor, rng: np.random.Generator, textures: Textures) -> ImageArray:
    """Sensor noise, fine and a little blotchy, the same in all colours."""
    import cv2

    h, w = image.shape[:2]
    offset = rng.integers(0, [TEXTURE_SIZE_PX - h, TEXTURE_SIZE_PX - w])
    noise = textures.grain[offset[0] : offset[0] + h, offset[1] : offset[1] + w]
    fine = rng.integers(0, 256, (h, w), dtype=np.uint8)
    strength = sensor.noise / 74.0
    mixed = cv2.addWeighted(fine, strength, noise, strength * 0.4, 64.0 - 127.5 * strength * 1.4)
    return np.asarray(cv2.addWeighted(image, 1.0, cv2.merge([mixed] * 3), 1.0, -64.0), dtype=np.uint8)


def _shadowed(
    image: ImageArray, nodes: FloatArray, t_s: float, cover: float, sensor: Sensor, textures: Textures
) -> tuple[ImageArray, float]:
    """The ground under drifting shadows, and by how much the camera's exposure answers to the light that is lost.

    Two fifths of the light are left in it (sky light); its edge is some metres wide, from the sun's half degree.
    """
    import cv2

    drift = np.array(sensor.cloud_drift_mps) * t_s
    dark = np.clip(SHADOW_EDGE * (_cloud_density(nodes - drift, cover, sensor, textures) - 0.4) + 0.5, 0.0, 1.0)
    dark = np.asarray(cv2.GaussianBlur(dark, (0, 0), SHADOW_PENUMBRA_NODES))
    light = 255.0 * (1.0 - SHADOW_DEPTH * dark)
    size = (image.shape[1], image.shape[0])
    wide = cv2.resize(light.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    shade = np.clip(wide, 0.0, 255.0).astype(np.uint8)
    shaded = np.asarray(cv2.multiply(image, cv2.merge([shade] * 3), scale=1.0 / 255.0), dtype=np.uint8)
    return shaded, math.sqrt(255.0 / float(light.mean()))


def _clouded(
    image: ImageArray,
    nodes: FloatArray,
    position: FloatArray,
    t_s: float,
    cover: float,
    sensor: Sensor,
    textures: Textures,
) -> ImageArray:
    """Cloud half-way down, white where the drifting texture is above a level set by the cover, and its shadows."""
    import cv2

    size = (image.shape[1], image.shape[0])
    drift = np.array(sensor.cloud_drift_mps) * t_s
    cloud = _cloud_density((nodes + position[:2]) / 2.0 - drift, cover, sensor, textures)
    if cover > 0.9:
        cloud = np.maximum(cloud, np.float32((cover - 0.9) * 10.0))
    dark = _cloud_density(nodes - drift + np.array(CLOUD_SHADOW_M), cover, sensor, textures)
    light = cv2.resize((255.0 - 120.0 * dark).astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)
    image = np.asarray(cv2.multiply(image, cv2.merge([light] * 3), scale=1.0 / 255.0), dtype=np.uint8)
    wide = cv2.resize(cv2.GaussianBlur(cloud, (0, 0), 1.2), size, interpolation=cv2.INTER_CUBIC)
    weight = cv2.merge([np.clip(wide * 255.0, 0, 255).astype(np.uint8)] * 3)
    white = np.full(image.shape, 232, dtype=np.uint8)
    clear = cv2.multiply(image, cv2.bitwise_not(weight), scale=1.0 / 255.0)
    return np.asarray(cv2.add(clear, cv2.multiply(white, weight, scale=1.0 / 255.0)), dtype=np.uint8)


def _cloud_density(points_m: FloatArray, cover: float, sensor: Sensor, textures: Textures) -> npt.NDArray[np.float32]:
    """Cloud 0..1 at points (rows, columns, 2) of the cloud layer's own ground."""
    import cv2

    at = points_m / CLOUD_TEXTURE_M + np.array(sensor.cloud_offset_px)
    low = np.floor(at.reshape(-1, 2).min(axis=0) / TEXTURE_SIZE_PX) * TEXTURE_SIZE_PX
    maps = np.asarray(at - low, dtype=np.float32)
    texture = textures.patches[:TEXTURE_SIZE_PX, :TEXTURE_SIZE_PX]
    small = cv2.remap(texture, maps[..., 0], maps[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    level = 128.0 - 40.0 * NormalDist().inv_cdf(min(max(cover, 0.001), 0.999))
    return np.asarray(np.clip((small.astype(np.float32) - level) / 36.0 + 0.4, 0.0, 1.0), dtype=np.float32)
