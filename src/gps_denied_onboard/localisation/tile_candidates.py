"""Tiles made in flight: a frame laid on the tile grid where its own place is known well enough (AC-N7); pure.

A candidate is another map's tile only after somebody else has looked at it: it is stored beside the map under its
flight, `pending`, and no reader of the map returns it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import cv2
import numpy as np

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.terrain import Terrain
from gps_denied_onboard.imaging.orthorectify import MapGrid, Orthorectifier, Undistorter
from gps_denied_onboard.messages import FloatArray, Frame, PoseFix
from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.grid import TILE_PX, TileKey
from gps_denied_onboard.tiles.records import NewTile

SOURCE = "onboard_ingest"
SIGMA_FULL_TRUST_M = 3.0
SIGMA_LOW_TRUST_M = 5.0
ENLARGED_MAX = 1.5
"""How much coarser than the tile's grid a frame may be on the ground."""


@dataclass(frozen=True, slots=True, eq=False)
class CandidateJob:
    """A frame whose place is satellite anchored. `covariance` (6, 6) is the fix's (position, attitude; ENU);
    `parent_sigma_m` the larger of the state's position sigma and of `ground_sigma_m`; `ground` None: level at
    `ground_up_m`, which is under the camera."""

    frame: Frame
    position_enu_m: FloatArray
    rotation_camera_to_enu: FloatArray
    covariance: FloatArray
    parent_sigma_m: float
    ground_up_m: float
    ground: Terrain | None = None


def ground_sigma_m(fix: PoseFix, ground_up_m: float) -> float:
    """Return how uncertain the place of the picture's middle on the ground is by the fix alone, worst direction.

    A single picture hardly tells a shift of the camera from a tilt; where both put the picture, it tells well. With
    ray r = R z and g = p + s r on the plane, an error e of attitude (R_true = exp(e) R) and d of position give
    dg = d + s (e x r) - r (d_z + s (e x r)_z) / r_z.
    """
    ray = fix.rotation_camera_to_enu[:, 2]
    scale = (ground_up_m - float(fix.position_enu_m[2])) / float(ray[2]) if ray[2] < -0.1 else math.inf
    if not math.isfinite(scale):
        return math.inf
    skew = np.array([[0.0, -ray[2], ray[1]], [ray[2], 0.0, -ray[0]], [-ray[1], ray[0], 0.0]])
    moved = np.hstack([np.eye(3), -scale * skew])  # e x r = -r x e
    on_plane = (moved - np.outer(ray, moved[2]) / ray[2])[:2]
    return math.sqrt(max(float(np.linalg.eigvalsh(on_plane @ fix.covariance @ on_plane.T)[-1]), 0.0))


def trust_of(parent_sigma_m: float) -> str:
    """Return 'full', 'low' or '' (never to be written), by AC-N7; '' for what is not a number."""
    if not parent_sigma_m >= 0.0:
        return ""
    if parent_sigma_m <= SIGMA_FULL_TRUST_M:
        return "full"
    return "low" if parent_sigma_m <= SIGMA_LOW_TRUST_M else ""


class CandidateMaker:
    """Makes the tiles of one flight at one zoom. `unix_ns_at_zero`: UTC of t_ns = 0 by a trusted clock."""

    def __init__(
        self, local: LocalFrame, camera: CameraModel, zoom: int, sharpness_min: float, flight_id: UUID,
        unix_ns_at_zero: int,
    ) -> None:  # fmt: skip
        self._local, self._camera, self._zoom = local, camera, zoom
        self._lens = Undistorter(camera)
        self._sharpness_min = sharpness_min
        self._flight_id = flight_id
        self._unix_ns_at_zero = unix_ns_at_zero

    def tiles(self, job: CandidateJob) -> list[NewTile]:
        """Return the tiles that the frame covers wholly and sharply; none where its place is not known well enough."""
        trust = trust_of(job.parent_sigma_m)
        height_m = float(job.position_enu_m[2]) - job.ground_up_m
        frame_resolution_m = height_m / self._camera.fx_px
        grid = MapGrid.at(self._local, self._zoom, 0, job.position_enu_m[:2], job.ground_up_m)
        if not trust or height_m <= 0.0 or frame_resolution_m > ENLARGED_MAX * grid.gsd_m:
            return []
        rectifier = Orthorectifier(job.frame, self._lens, job.ground)
        laid = rectifier.orthorectify(grid, job.position_enu_m, job.rotation_camera_to_enu)
        if laid is None:
            return []
        rows, columns = laid.image.shape
        first_x, first_y = -(-laid.x0 // TILE_PX), -(-laid.y0 // TILE_PX)
        made = []
        for x in range(first_x, (laid.x0 + columns) // TILE_PX):
            for y in range(first_y, (laid.y0 + rows) // TILE_PX):
                top, left = y * TILE_PX - laid.y0, x * TILE_PX - laid.x0
                part = np.s_[top : top + TILE_PX, left : left + TILE_PX]
                sharpness = float(cv2.Laplacian(laid.image[part], cv2.CV_64F).var())
                if laid.valid[part].all() and sharpness >= self._sharpness_min:
                    quality = self._quality(job, trust, sharpness, frame_resolution_m)
                    made.append(self._tile(job, x, y, np.ascontiguousarray(laid.image[part]), quality,
                                           max(frame_resolution_m, grid.gsd_m)))  # fmt: skip
        return made

    def _tile(self, job: CandidateJob, x: int, y: int, image: Any, quality: dict[str, Any], gsd_m: float) -> NewTile:
        return NewTile(
            TileKey(SOURCE, self._zoom, x, y, self._flight_id), codec.encode_jpeg(image), gsd_m,
            captured_at=self._captured_at(job.frame.t_ns), quality_metadata=quality, parent_sigma_m=job.parent_sigma_m,
        )  # fmt: skip

    def _captured_at(self, t_ns: int) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=(self._unix_ns_at_zero + t_ns) // 1000)

    def _quality(self, job: CandidateJob, trust: str, sharpness: float, frame_resolution_m: float) -> dict[str, Any]:
        return {
            "trust": trust,
            "sharpness": round(sharpness, 2),
            "frame_resolution_m_px": round(frame_resolution_m, 4),
            "frame_index": job.frame.index,
            "parent_sigma_m": round(job.parent_sigma_m, 3),
            "pose_covariance": [float(f"{value:.6g}") for value in job.covariance[np.triu_indices(6)]],
        }
