"""How the same ground looks on two days: season, crops, sun and sensor. Colours are (B, G, R)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gps_denied_onboard.messages import FloatArray, ImageArray
from gps_denied_sim.noise import stream

Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Cover:
    """A ground cover: colour, how far it goes to `patch_colour` in patches, strength of rows and of fine grain."""

    colour: Colour
    patch_colour: Colour
    patches: float
    rows: float
    grain: float


COVERS: dict[str, Cover] = {
    "bare_dark": Cover((58, 68, 80), (84, 100, 118), 0.75, 0.42, 0.25),
    "bare_dry": Cover((104, 128, 146), (130, 156, 172), 0.8, 0.40, 0.25),
    "green": Cover((64, 106, 86), (84, 128, 114), 0.7, 0.30, 0.20),
    "dark_green": Cover((50, 82, 64), (66, 102, 88), 0.7, 0.42, 0.35),
    "ripe": Cover((96, 156, 178), (116, 160, 168), 0.7, 0.28, 0.20),
    "stubble": Cover((112, 150, 166), (128, 156, 164), 0.7, 0.55, 0.25),
    "rape": Cover((56, 168, 178), (70, 140, 140), 0.6, 0.25, 0.25),
    "weeds": Cover((82, 122, 122), (104, 140, 150), 1.0, 0.16, 0.40),
    "meadow": Cover((70, 116, 106), (96, 138, 140), 1.0, 0.05, 0.40),
    "forest": Cover((40, 66, 56), (56, 84, 76), 0.8, 0.0, 0.4),
    "yard": Cover((128, 142, 150), (112, 132, 134), 1.0, 0.0, 0.6),
    "orchard": Cover((76, 118, 106), (96, 132, 132), 0.8, 0.2, 0.4),
    "pond": Cover((70, 74, 62), (78, 84, 70), 0.4, 0.0, 0.03),
}


@dataclass(frozen=True, slots=True)
class Appearance:
    """One day's view of the world. `age` is the fraction of fields and buildings that differ from the other look.

    `leafless` is the share of trees without leaves, `snow` 0..1 how closed its cover is, `spectrum` what else than
    visible light is seen (see seasons.py), `blur_m` how far the sensor smears it on the ground.
    """

    name: str
    salt: int
    crops: tuple[tuple[str, float], ...]
    sun_azimuth_rad: float
    sun_elevation_rad: float
    tree_colour: Colour
    tree_colour_spread: float
    grass_gain: Colour
    contrast: float
    tint: Colour
    shadow: float
    age: float
    warp_m: float
    row_gain: float = 1.0
    leafless: float = 0.0
    snow: float = 0.0
    spectrum: str = ""
    blur_m: float = 0.0

    def draw(self, seed: int, tag: str, key: int) -> np.random.Generator:
        """The random stream of one item in this look."""
        return stream(seed, f"look-{tag}", self.salt, key)


SUMMER = (
    ("ripe", 0.24),
    ("green", 0.17),
    ("dark_green", 0.20),
    ("stubble", 0.16),
    ("bare_dark", 0.08),
    ("bare_dry", 0.07),
    ("weeds", 0.08),
)
SPRING = (
    ("bare_dark", 0.26),
    ("bare_dry", 0.16),
    ("green", 0.26),
    ("dark_green", 0.06),
    ("rape", 0.08),
    ("weeds", 0.10),
    ("stubble", 0.08),
)


def camera_look(seed: int, row_gain: float = 1.0) -> Appearance:
    """The day of the flight: summer, any hour of the day."""
    rng = stream(seed, "camera-look")
    return Appearance(
        name="camera",
        salt=1,
        crops=SUMMER,
        sun_azimuth_rad=math.radians(float(rng.uniform(95.0, 265.0))),
        sun_elevation_rad=math.radians(float(rng.uniform(32.0, 60.0))),
        tree_colour=(46, 82, 60),
        tree_colour_spread=0.22,
        grass_gain=(1.0, 0.98, 1.06),
        contrast=float(rng.uniform(0.85, 1.1)),
        tint=(float(rng.uniform(0.95, 1.05)), 1.0, float(rng.uniform(0.97, 1.03))),
        shadow=float(rng.uniform(0.40, 0.58)),
        age=0.0,
        warp_m=0.0,
        row_gain=row_gain,
    )


def map_look(seed: int, age: float = 0.3, row_gain: float = 1.0) -> Appearance:
    """The satellite's day: spring of another year, late morning; `age` 0..1 is how much was built and cleared since."""
    rng = stream(seed, "map-look")
    return Appearance(
        name="map",
        salt=2,
        crops=SPRING,
        sun_azimuth_rad=math.radians(float(rng.uniform(135.0, 170.0))),
        sun_elevation_rad=math.radians(float(rng.uniform(42.0, 56.0))),
        tree_colour=(52, 80, 70),
        tree_colour_spread=0.16,
        grass_gain=(0.96, 1.04, 0.9),
        contrast=0.92,
        tint=(float(rng.uniform(1.0, 1.12)), 1.0, float(rng.uniform(0.9, 1.0))),
        shadow=0.5,
        age=age,
        warp_m=1.0,
        row_gain=row_gain,
    )


def palette(look: Appearance, cover: Cover, rng: np.random.Generator) -> ImageArray:
    """(256, 1, 3) colours of a texture value: 128 is the cover's own, low is darker, high goes to its patch colour."""
    own = np.array(cover.colour) * np.exp(rng.normal(0.0, 0.09)) * (1.0 + rng.normal(0.0, 0.02, 3))
    patch = np.array(cover.patch_colour) * np.exp(rng.normal(0.0, 0.09))
    t = (np.arange(256)[:, None] - 128.0) / 128.0
    colours = np.where(t > 0, own + (patch - own) * np.abs(t) * 1.5, own * (1.0 - 0.55 * np.abs(t)))
    graded = (colours - 110.0) * look.contrast + 110.0
    return np.asarray(np.clip(graded * look.tint, 0, 255), dtype=np.uint8).reshape(256, 1, 3)


def warp(look: Appearance, points_m: FloatArray, seed: int) -> FloatArray:
    """Where the look shows the ground at `points_m` (..., 2): its slow geo-referencing error added."""
    if look.warp_m == 0.0:
        return points_m
    rng = stream(seed, "warp", look.salt)
    out = points_m.copy()
    for axis in (0, 1):
        for wavelength in (3100.0, 1300.0):
            k = rng.normal(0.0, 1.0, 2)
            k = k / np.hypot(k[0], k[1]) * 2.0 * math.pi / wavelength
            phase = float(rng.uniform(0, 2 * math.pi))
            out[..., axis] += look.warp_m * 0.75 * np.sin(points_m @ k + phase)
    return out
