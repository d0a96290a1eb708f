"""Heights of the ground as a provider serves them: Terrarium tiles of a grid, made when they are asked for."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np

from gps_denied_onboard.geometry import geodesy
from gps_denied_onboard.geometry.grid_heights import grid_heights_amsl_m
from gps_denied_onboard.tiles.grid import TILE_PX
from gps_denied_onboard.tiles.terrain_file import read_terrain, terrain_bytes

ZOOM_MIN, ZOOM_MAX = 8, 14


class ProviderHeights:
    """The heights of one file of a recording or an import."""

    def __init__(self, path: Path) -> None:
        """Read it; UserError where it is no file of heights."""
        self._grid = read_terrain(path)
        self._version = hashlib.sha256(terrain_bytes(self._grid)).hexdigest()[:16]

    def description(self) -> dict[str, object]:
        """What is served, for machines."""
        return {
            "encoding": "terrarium", "datum": "egm96", "sigma_m": float(self._grid.sigma_m), "zoom_min": ZOOM_MIN,
            "zoom_max": ZOOM_MAX, "version": self._version,
        }  # fmt: skip

    def tile(self, zoom: int, x: int, y: int) -> bytes | None:
        """A tile as PNG, clear where nothing is known; None where all of it is."""
        if not (ZOOM_MIN <= zoom <= ZOOM_MAX and 0 <= x < 1 << zoom and 0 <= y < 1 << zoom):
            return None
        u, v = np.meshgrid(x * TILE_PX + np.arange(TILE_PX) + 0.5, y * TILE_PX + np.arange(TILE_PX) + 0.5)
        places = geodesy.geodetic_from_mercator_px(np.column_stack([u.ravel(), v.ravel()]), zoom)
        heights = grid_heights_amsl_m(self._grid, places[:, 0], places[:, 1]).reshape(TILE_PX, TILE_PX)
        known = np.isfinite(heights)
        if not known.any():
            return None
        packed = np.round((np.where(known, heights, 0.0) + 32768.0) * 256.0).astype(np.int64)
        colours = [packed & 255, packed >> 8 & 255, packed >> 16, np.where(known, 255, 0)]
        made, data = cv2.imencode(".png", np.dstack(colours).astype(np.uint8))
        assert made
        return data.tobytes()
