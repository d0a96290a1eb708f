"""What matchers share: the frame laid beside the map, and displaced map cells turned into ground points."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.terrain import Terrain
from gps_denied_onboard.imaging.orientation import MaskArray
from gps_denied_onboard.imaging.orthorectify import MapGrid, Orthorectifier, Rectified, pixels_from_cells
from gps_denied_onboard.messages import FloatArray, ImageArray, Matches, PlaceCandidate
from gps_denied_onboard.tiles.mosaic import MapMosaic

COVERED_MIN = 0.3
SCALE_MIN, SCALE_MAX = 0.8, 1.25
AGREEING_MIN = 4


@dataclass(frozen=True, slots=True, eq=False)
class PassResult:
    """Matches that agree on one affine plane, and how many were tried (`matches.attempted`); `support` is the sum of
    the agreeing matches' scores, `score` their mean; `good` how many matches there were to agree, `chance` the
    probability that one of them agrees with a given plane by chance (NaN: not known)."""

    matches: Matches
    support: float
    score: float
    shift_cells: float
    good: int
    chance: float


@dataclass(frozen=True, slots=True, eq=False)
class AlignedPatch:
    """A frame on the map's grid and the map there: `grey`, `valid` (h + 2 reach, w + 2 reach) begin `reach` cells north
    and west of the laid frame; `covered` (h, w) is where both have data; `ground` is what both lie on."""

    laid: Rectified
    grid: MapGrid
    grey: ImageArray
    valid: MaskArray
    covered: MaskArray
    ground: Terrain


@dataclass(frozen=True, slots=True, eq=False)
class PatchShifts:
    """Where cells of the laid frame were found: `template_xy` (N, 2) array coordinates, `shift_xy` (N, 2) from there to
    the place on the map, `score` (N,); `attempted` how many were looked for."""

    template_xy: FloatArray
    shift_xy: FloatArray
    score: FloatArray
    attempted: int


class MapProjector:
    """The map under the camera, on the ground that the frame is laid on, or else on `terrain`. Holds nothing of the
    flight."""

    def __init__(self, mosaic: MapMosaic, local: LocalFrame, terrain: Terrain, camera: CameraModel) -> None:
        self._mosaic = mosaic
        self._local = local
        self._terrain = terrain
        self._camera = camera

    def orthorectify(
        self, frame: Orthorectifier, pose: tuple[FloatArray, FloatArray], place: PlaceCandidate, level: int, reach: int
    ) -> AlignedPatch | None:
        """The frame laid on the map under `pose`; None where the map has too little there."""
        ground = frame.ground or self._terrain
        up_m = ground.up_m(np.array(place.centre_enu_m))
        grid = MapGrid.at(self._local, self._mosaic.zoom, level, np.array(place.centre_enu_m), up_m)
        laid = frame.orthorectify(grid, *pose)
        if laid is None:
            return None
        h, w = laid.valid.shape
        grey, valid = self._mosaic.window(level, laid.x0 - reach, laid.y0 - reach, w + 2 * reach, h + 2 * reach)
        covered = laid.valid & valid[reach : reach + h, reach : reach + w]
        if np.count_nonzero(covered) < COVERED_MIN * np.count_nonzero(laid.valid):
            return None
        return AlignedPatch(laid, grid, grey, valid, covered, ground)

    def result(
        self,
        found: PatchShifts,
        agree: MaskArray,
        where: AlignedPatch,
        t_ns: int,
        place: PlaceCandidate,
        good: MaskArray,
        chance: float,
        gsd_m: float | None = None,
    ) -> PassResult:
        """The agreeing matches as pixels of the camera and ground points; `gsd_m` None: the grid's."""
        template = found.template_xy[agree] + (where.laid.x0, where.laid.y0)
        cells = template + found.shift_xy[agree]
        ideal = pixels_from_cells(where.laid, template)
        camera = self._camera
        pixel = camera.distort((ideal - (camera.cx_px, camera.cy_px)) / (camera.fx_px, camera.fy_px))
        east_north = where.grid.enu_from_cell(cells)
        ground = np.column_stack([east_north, where.ground.ups_m(east_north)])
        score = found.score[agree]
        matches = Matches(
            t_ns=t_ns,
            pixel_px=pixel,
            ground_enu_m=ground,
            quality=np.clip(score, 0.0, 1.0),
            attempted=found.attempted,
            map_gsd_m=where.grid.gsd_m if gsd_m is None else gsd_m,
            place=place,
        )
        shift = float(np.median(np.linalg.norm(found.shift_xy[agree], axis=1)))
        return PassResult(matches, float(score.sum()), float(score.mean()), shift, int(np.count_nonzero(good)), chance)


def ransac_inliers(found: PatchShifts, good: MaskArray, affine: bool, inlier_cells: float) -> MaskArray | None:
    """Which of the `good` matches lie on one similarity (`affine`: one affine plane); None where fewer than 4 do."""
    index = np.flatnonzero(good)
    if len(index) < AGREEING_MIN:
        return None
    source = found.template_xy[index].astype(np.float32)
    target = (found.template_xy + found.shift_xy)[index].astype(np.float32)
    fit = cv2.estimateAffine2D if affine else cv2.estimateAffinePartial2D
    model, inlier = fit(source, target, ransacReprojThreshold=inlier_cells, maxIters=500, confidence=0.999)
    if model is None or not SCALE_MIN < np.sqrt(abs(np.linalg.det(model[:, :2]))) < SCALE_MAX:
        return None
    agree = np.zeros(len(found.score), dtype=bool)
    agree[index[inlier.ravel() > 0]] = True
    return agree if np.count_nonzero(agree) >= AGREEING_MIN else None
