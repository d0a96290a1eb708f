"""Looks that differ as far from a summer map as real ones do: other seasons, snow, near-infrared and thermal cameras.

Reflectances and temperatures are ranks, not physics: what is brighter than what follows Jensen, "Remote Sensing of the
Environment" (2007), chapters 7 (thermal) and 11 (vegetation in the near infrared), for a dry day and a clear night.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from gps_denied_onboard.messages import FloatArray, ImageArray
from gps_denied_sim.noise import stream
from gps_denied_sim.render.appearance import COVERS, Appearance, Colour, Cover
from gps_denied_sim.schedule import Season

SNOW_COLOUR = np.array((236.0, 230.0, 226.0))
SNOW_KEEPS = 0.16
"""Of the ground's own contrast through a closed cover: furrows, stubble and hollows still show."""
SNOWED_LINES = {"track": 0.75, "verge": 0.95, "ditch": 0.7, "gully": 0.85, "minor_road": 0.3, "main_road": 0.0}
LEAFLESS_RADIUS, LEAFLESS_HEIGHT = 0.55, 0.4
"""Of a crown's radius and shadow is left when its leaves have fallen: light falls through branches."""


AUTUMN_CROPS = (
    ("bare_dark", 0.30),
    ("bare_dry", 0.16),
    ("stubble", 0.18),
    ("green", 0.20),
    ("weeds", 0.12),
    ("dark_green", 0.04),
)
WINTER_CROPS = (("bare_dark", 0.42), ("bare_dry", 0.10), ("stubble", 0.16), ("green", 0.22), ("weeds", 0.10))

GREYS: dict[str, dict[str, float]] = {
    "near-infrared": {
        "bare_dark": 62, "bare_dry": 98, "green": 204, "dark_green": 188, "ripe": 148, "stubble": 128, "rape": 214,
        "weeds": 168, "meadow": 178, "forest": 142, "yard": 112, "orchard": 182, "pond": 14, "main_road": 72,
        "minor_road": 88, "track": 116, "ditch": 160, "verge": 180, "gully": 150, "tree": 172,
    },
    "thermal-day": {
        "bare_dark": 186, "bare_dry": 172, "green": 98, "dark_green": 86, "ripe": 128, "stubble": 150, "rape": 102,
        "weeds": 112, "meadow": 106, "forest": 72, "yard": 168, "orchard": 92, "pond": 40, "main_road": 214,
        "minor_road": 200, "track": 164, "ditch": 84, "verge": 104, "gully": 116, "tree": 66,
    },
    "thermal-night": {
        "bare_dark": 92, "bare_dry": 80, "green": 108, "dark_green": 116, "ripe": 94, "stubble": 84, "rape": 106,
        "weeds": 96, "meadow": 74, "forest": 142, "yard": 128, "orchard": 112, "pond": 214, "main_road": 188,
        "minor_road": 176, "track": 118, "ditch": 132, "verge": 78, "gully": 100, "tree": 152,
    },
}  # fmt: skip
HOT_ROOF, COLD_ROOF, METAL_ROOF = 208.0, 52.0, 34.0
METAL_SHARE = 0.3


def season_look(look: Appearance, season: Season, seed: int) -> Appearance:
    """The camera's summer look in another season or spectrum; drawn from the seed."""
    rng = stream(seed, "season", sum(season.encode()))
    if season is Season.AUTUMN:
        return replace(
            look,
            crops=AUTUMN_CROPS,
            sun_elevation_rad=math.radians(float(rng.uniform(16.0, 30.0))),
            tree_colour=(50, 86, 124),
            tree_colour_spread=0.34,
            grass_gain=(0.88, 0.96, 1.14),
            leafless=float(rng.uniform(0.1, 0.6)),
            shadow=float(rng.uniform(0.32, 0.5)),
        )
    if season is Season.WINTER:
        snow = float(rng.uniform(0.55, 1.0)) if rng.random() < 0.75 else 0.0
        return replace(
            look,
            crops=WINTER_CROPS,
            sun_elevation_rad=math.radians(float(rng.uniform(10.0, 22.0))),
            tree_colour=(62, 72, 82),
            tree_colour_spread=0.3,
            grass_gain=(0.9, 0.92, 1.12) if snow == 0.0 else (1.0, 0.99, 0.98),
            leafless=float(rng.uniform(0.7, 0.95)),
            snow=snow,
            shadow=float(rng.uniform(0.45, 0.62)),
            contrast=look.contrast * 0.92,
        )
    if season is Season.NEAR_INFRARED:
        return _grey(look, "near-infrared", 1.0, 0.3, 0.3)
    kind = "thermal-day" if rng.random() < 0.6 else "thermal-night"
    shadow = 0.72 if kind == "thermal-day" else 1.0
    softer = _grey(look, kind, float(rng.uniform(0.4, 0.75)), shadow, 0.12)
    return replace(softer, row_gain=look.row_gain * 0.5, blur_m=float(rng.uniform(0.6, 1.4)))


def _grey(look: Appearance, spectrum: str, contrast: float, shadow: float, spread: float) -> Appearance:
    tone = GREYS[spectrum]["tree"]
    return replace(
        look,
        spectrum=spectrum,
        tree_colour=(tone, tone, tone),
        tree_colour_spread=spread,
        grass_gain=(1.0, 1.0, 1.0),
        tint=(1.0, 1.0, 1.0),
        contrast=contrast,
        shadow=shadow,
    )


def cover_in(look: Appearance, name: str) -> Cover:
    """A ground cover as the look's sensor sees it."""
    cover = COVERS[name]
    if not look.spectrum:
        return cover
    grey = GREYS[look.spectrum][name]
    return replace(cover, colour=(grey, grey, grey), patch_colour=_brighter(grey))


def _brighter(grey: float) -> Colour:
    tone = grey + (24.0 if grey < 128.0 else -24.0)
    return tone, tone, tone


def line_colour(look: Appearance, kind: str, visible: Mapping[str, Colour]) -> FloatArray:
    """Colour of a line feature as the look's sensor sees it, with what snow lies on it."""
    colour = np.array(visible[kind], dtype=float) if not look.spectrum else np.full(3, GREYS[look.spectrum][kind])
    if look.snow > 0.0:
        share = SNOWED_LINES[kind] * min(1.0, look.snow * 1.2)
        colour = colour * (1.0 - share) + SNOW_COLOUR * 0.92 * share
    return colour


def roof_colour(look: Appearance, visible: Colour, rng: np.random.Generator) -> FloatArray:
    """Colour of a roof; in the thermal it is hot by day, cold by night, and mirrors the cold sky where it is metal."""
    colour = np.array(visible, dtype=float)
    if look.spectrum.startswith("thermal"):
        metal = float(rng.random()) < METAL_SHARE
        hot = HOT_ROOF if look.spectrum == "thermal-day" else COLD_ROOF
        return np.full(3, METAL_ROOF if metal else hot)
    if look.spectrum:
        return np.full(3, float(colour.mean()) * 0.9)
    if look.snow > 0.0:
        share = min(1.0, look.snow * float(rng.uniform(0.5, 1.25)))
        return np.asarray(colour * (1.0 - share) + SNOW_COLOUR * share)
    return colour


def lay_snow(look: Appearance, image: ImageArray, soil: ImageArray, clumps: ImageArray) -> None:
    """Snow over everything painted so far: thin and torn where `snow` is low, by the patterns of soil and growth."""
    if look.snow <= 0.0:
        return
    pattern = (soil.astype(np.float32) - 128.0) * 0.010 + (clumps.astype(np.float32) - 128.0) * 0.006
    share = np.clip(look.snow * 1.6 - 0.35 + pattern, 0.0, 1.0)[..., None] * (1.0 - SNOW_KEEPS)
    own = image.astype(np.float32)
    image[:] = np.clip(own * (1.0 - share) + SNOW_COLOUR.astype(np.float32) * share, 0.0, 255.0).astype(np.uint8)


def without_leaves(look: Appearance, trees: FloatArray) -> FloatArray:
    """(N, 5) trees as the season leaves them: of those that shed leaves only branches are seen from above."""
    if look.leafless <= 0.0 or not len(trees):
        return trees
    bare = trees.copy()
    without = trees[:, 4] < look.leafless
    bare[:, 2] *= np.where(without, LEAFLESS_RADIUS, 1.0)
    bare[:, 3] *= np.where(without, LEAFLESS_HEIGHT, 1.0)
    return bare
