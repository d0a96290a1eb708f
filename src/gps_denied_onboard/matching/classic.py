"""`classic`: dense orientation fields, local template matches, one consistent plane. Needs no model."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from gps_denied_onboard.camera import CameraModel
from gps_denied_onboard.geo import LocalFrame
from gps_denied_onboard.matching.local import LocalMatches, match_patches
from gps_denied_onboard.matching.orientation import orientation_field
from gps_denied_onboard.matching.rectify import FrameRectifier, MapGrid, Rectified, pixels_from_cells
from gps_denied_onboard.matching.settings import MatchingConfig
from gps_denied_onboard.messages import FloatArray, Matches, PlaceCandidate
from gps_denied_onboard.terrain import FlatTerrain
from gps_denied_onboard.tiles.mosaic import MapMosaic


@dataclass(frozen=True, slots=True, eq=False)
class PassResult:
    """Matches that agree on one affine plane, and how many patches were tried (`matches.attempted`); `support` is the
    sum of the agreeing patches' scores, `score` their mean."""

    matches: Matches
    support: float
    score: float
    shift_cells: float


class ClassicMatcher:
    """Correspondences between a frame, laid on the map under an assumed pose, and the map there."""

    def __init__(
        self, mosaic: MapMosaic, local: LocalFrame, terrain: FlatTerrain, camera: CameraModel, config: MatchingConfig
    ) -> None:
        self._mosaic = mosaic
        self._local = local
        self._terrain = terrain
        self._camera = camera
        self.config = config

    def match(
        self,
        frame: FrameRectifier,
        t_ns: int,
        pose: tuple[FloatArray, FloatArray],
        place: PlaceCandidate,
        level: int,
        second_pass: bool,
    ) -> PassResult | None:
        """Match under `pose` (position ENU, rotation camera to ENU) at a map level; None where nothing agrees.

        The first pass accepts a similarity between the assumed pose and the map, the second an affine residual.
        """
        cfg = self.config
        reach = cfg.second_reach_cells if second_pass else cfg.first_reach_cells
        patch = cfg.second_patch_cells if second_pass else cfg.first_patch_cells
        up_m = self._terrain.up_m(np.array(place.centre_enu_m))
        grid = MapGrid.at(self._local, self._mosaic.zoom, level, np.array(place.centre_enu_m), up_m)
        laid = frame.lay(grid, *pose)
        if laid is None:
            return None
        h, w = laid.valid.shape
        grey, valid = self._mosaic.window(level, laid.x0 - reach, laid.y0 - reach, w + 2 * reach, h + 2 * reach)
        covered = laid.valid & valid[reach : reach + h, reach : reach + w]
        if np.count_nonzero(covered) < 0.3 * np.count_nonzero(laid.valid):
            return None
        found = match_patches(
            orientation_field(laid.image, laid.valid), covered, orientation_field(grey, valid), reach, patch, patch // 2
        )
        agree = self._agreeing(found, second_pass)
        if agree is None:
            return None
        return self._result(found, agree, laid, grid, t_ns, place)

    def _agreeing(
        self, found: LocalMatches, second_pass: bool
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]] | None:
        cfg = self.config
        good = np.flatnonzero((found.score > cfg.score_min) & (found.ratio < cfg.ratio_max))
        if len(good) < 4:
            return None
        source = found.template_xy[good].astype(np.float32)
        target = (found.template_xy + found.shift_xy)[good].astype(np.float32)
        fit = cv2.estimateAffine2D if second_pass else cv2.estimateAffinePartial2D
        model, inlier = fit(source, target, ransacReprojThreshold=cfg.inlier_cells, maxIters=500, confidence=0.999)
        if model is None or not 0.8 < np.sqrt(abs(np.linalg.det(model[:, :2]))) < 1.25:
            return None
        agree = np.zeros(len(found.score), dtype=bool)
        agree[good[inlier.ravel() > 0]] = True
        return agree if np.count_nonzero(agree) >= 4 else None

    def _result(
        self,
        found: LocalMatches,
        agree: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
        laid: Rectified,
        grid: MapGrid,
        t_ns: int,
        place: PlaceCandidate,
    ) -> PassResult:
        template = found.template_xy[agree] + (laid.x0, laid.y0)
        cells = template + found.shift_xy[agree]
        ideal = pixels_from_cells(laid, template)
        camera = self._camera
        pixel = camera.distort((ideal - (camera.cx_px, camera.cy_px)) / (camera.fx_px, camera.fy_px))
        east_north = grid.enu_from_cell(cells)
        ground = np.column_stack([east_north, self._terrain.ups_m(east_north)])
        score = found.score[agree]
        matches = Matches(
            t_ns=t_ns,
            pixel_px=pixel,
            ground_enu_m=ground,
            quality=np.clip(score, 0.0, 1.0),
            attempted=found.attempted,
            map_resolution_m=grid.resolution_m,
            place=place,
        )
        shift = float(np.median(np.linalg.norm(found.shift_xy[agree], axis=1)))
        return PassResult(matches, float(score.sum()), float(score.mean()), shift)
