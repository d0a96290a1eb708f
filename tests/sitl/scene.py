"""The ground that a simulated aircraft flies over: one seeded world around its home, as map and as camera look."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_sim.recording import MAP_PAINT_M, TILE_SOURCE
from gps_denied_sim.render.appearance import camera_look, map_look
from gps_denied_sim.render.map_tiles import TilePainter, tiles_around, write_tiles
from gps_denied_sim.render.sim_camera import CameraTruth, make_camera, pick_resolution
from gps_denied_sim.render.world import CHUNK_M, GroundPicture, World

WIDTH_PX, HEIGHT_PX = 684, 456
MAP_CHUNKS = 48
BLIND_BELOW_M = 40.0
"""Closer to the ground than this a picture shows nothing that a map has: the camera is dark there."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything follows from these: `seed` of world and camera, home, and the rectangle that is flown over.

    `low_en_m` and `high_en_m` are its corners (east, north) in metres from home; `height_m` is the height over home
    that is flown at. Home's altitude is ground level there for the autopilot; the world's relief is about that level.
    """

    seed: int
    home_latitude_deg: float
    home_longitude_deg: float
    home_altitude_m: float
    low_en_m: tuple[float, float]
    high_en_m: tuple[float, float]
    height_m: float

    def frame(self) -> LocalFrame:
        """ENU at home, which is the world's origin too."""
        return LocalFrame(self.home_latitude_deg, self.home_longitude_deg, self.home_altitude_m)

    def camera(self) -> tuple[CameraTruth, CameraModel]:
        """The camera as it is, and its calibration as the companion has it."""
        return make_camera(self.seed, WIDTH_PX, HEIGHT_PX)

    def camera_ground(self) -> GroundPicture:
        """The ground on the day of the flight; whatever was painted is kept."""
        resolution_m = pick_resolution(self.height_m, self.camera()[1].fx_px)
        return GroundPicture(World(self.seed), camera_look(self.seed), resolution_m, 10_000)

    def chunks(self, around_m: float) -> list[tuple[int, int]]:
        """The world's chunks within the rectangle and `around_m` beyond it."""
        low = np.floor((np.array(self.low_en_m) - around_m) / CHUNK_M).astype(int)
        high = np.floor((np.array(self.high_en_m) + around_m) / CHUNK_M).astype(int)
        return [(i, j) for i in range(low[0], high[0] + 1) for j in range(low[1], high[1] + 1)]

    def write_map(self, folder: Path, around_m: float) -> int:
        """Write the satellite map as `folder`/provider/z/x/y.jpg; returns the number of tiles. Done once a folder."""
        ground = GroundPicture(World(self.seed), map_look(self.seed), MAP_PAINT_M, MAP_CHUNKS)
        frame = self.frame()
        corners = np.array([[*self.low_en_m, 0.0], [*self.high_en_m, 0.0]])
        tiles = tiles_around(frame, corners, around_m, True)
        done = folder / "complete"
        if done.exists():
            return len(tiles)
        for _ in write_tiles(TilePainter(ground, frame), tiles, folder / TILE_SOURCE):
            pass
        done.touch()
        return len(tiles)

    def ground_level(self) -> tuple[float, float]:
        """Mean altitude of the ground in the rectangle, and its sigma: what a height map would tell an operator."""
        x, y = np.meshgrid(*(np.linspace(a, b, 40) for a, b in zip(self.low_en_m, self.high_en_m, strict=True)))
        relief_m = World(self.seed).terrain.relief_m(x, y)
        return self.home_altitude_m + float(relief_m.mean()), float(relief_m.std()) + 2.0
