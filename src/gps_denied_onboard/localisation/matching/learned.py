"""`learned`: keypoints of a frame and of the map by an ONNX extractor, paired by an ONNX matcher, one consistent plane.

The models are XFeat (Potje et al. 2024) in its semi-dense form and LighterGlue, its small LightGlue (Lindenberger et
al. 2023); any pair with the same inputs and outputs will do. Shapes are fixed: one picture size, one keypoint count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
import numpy.typing as npt

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.imaging.orientation import MaskArray
from gps_denied_onboard.imaging.orthorectify import Orthorectifier
from gps_denied_onboard.inference import Engine
from gps_denied_onboard.localisation.matching import MatcherContext, MatcherSettings, Shapes
from gps_denied_onboard.localisation.matching.config import LearnedConfig
from gps_denied_onboard.localisation.matching.map_projector import (
    AlignedPatch,
    MapProjector,
    PassResult,
    PatchShifts,
    ransac_inliers,
)
from gps_denied_onboard.messages import FloatArray, ImageArray, PlaceCandidate

DESCRIPTOR_LENGTH = 64
CELL_PX = 8.0
"""The extractor's keypoints are corners of cells of this size, in its own scaled picture."""
RIM_PX = 9
RESOLUTION_CANVAS_PX = 3.0
"""What of the canvas counts as one map cell in the pose solution: about the scatter of a pair, cells being coarse."""
SPREAD_BINS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Keypoints:
    """`xy` (K, 2) canvas coordinates (pixel centres at +0.5), `descriptor` (K, 64) of unit length, `valid` (K,) False
    for those that lie where there is no data: they only fill up the fixed number."""

    xy: FloatArray
    descriptor: npt.NDArray[np.float32]
    valid: MaskArray


def extractor_shapes(config: LearnedConfig) -> Mapping[str, tuple[int, ...]]:
    """The extractor's inputs."""
    return {"images": (1, 1, config.canvas_px, config.canvas_px)}


def matcher_shapes(config: LearnedConfig) -> Mapping[str, tuple[int, ...]]:
    """The matcher's inputs."""
    k = config.keypoints
    shapes: dict[str, tuple[int, ...]] = {f"kpts{i}": (1, k, 2) for i in (0, 1)}
    return shapes | {f"desc{i}": (1, k, DESCRIPTOR_LENGTH) for i in (0, 1)}


class LearnedMatcher:
    """Correspondences between a frame, laid on the map under an assumed pose, and the map there."""

    def __init__(self, ground: MapProjector, config: LearnedConfig, extractor: Engine, matcher: Engine) -> None:
        self._ground = ground
        self._config = config
        self._extractor = extractor
        self._matcher = matcher
        self.gates = config.gates
        self.evidence = None
        self.repeat_agreeing_min = math.inf  # keypoints are found under any heading, and the models are slow
        self.footprint_cells = (config.first_footprint_cells, config.second_footprint_cells)

    @classmethod
    def models(cls, config: MatcherSettings) -> Mapping[str, Shapes]:
        """See `Matcher`: extractor, then matcher."""
        learned = config.learned
        return {learned.extractor: extractor_shapes(learned), learned.matcher: matcher_shapes(learned)}

    @classmethod
    def build(cls, context: MatcherContext) -> Self:
        """See `Matcher`."""
        engines = [context.load_model(model, shapes) for model, shapes in cls.models(context.config).items()]
        return cls(context.ground, context.config.learned, *engines)

    def match(
        self,
        frame: Orthorectifier,
        t_ns: int,
        pose: tuple[FloatArray, FloatArray],
        place: PlaceCandidate,
        level: int,
        second_pass: bool,
    ) -> PassResult | None:
        """See `Matcher`."""
        cfg = self._config
        reach = cfg.second_reach_cells if second_pass else cfg.first_reach_cells
        where = self._ground.orthorectify(frame, pose, place, level, reach)
        if where is None:
            return None
        turn = -cfg.turn_rad if second_pass else cfg.turn_rad
        canvas_from_frame, canvas_from_map = _placements(where, reach, cfg.canvas_px, turn)
        seen = self._keypoints(where.laid.image, where.laid.valid, canvas_from_frame)
        mapped = self._keypoints(where.grey, where.valid, canvas_from_map)
        pairs, score = self._pairs(seen, mapped)
        if not len(pairs):
            return None
        template = _back(canvas_from_frame, seen.xy[pairs[:, 0]])
        target = _back(canvas_from_map, mapped.xy[pairs[:, 1]]) - reach
        found = PatchShifts(template, target - template, score, len(pairs))
        cells_per_canvas_px = 1.0 / float(np.sqrt(abs(np.linalg.det(canvas_from_map[:, :2]))))
        good = np.ones(len(pairs), dtype=bool)
        agree = ransac_inliers(found, good, second_pass, cfg.inlier_canvas_px * cells_per_canvas_px)
        if agree is None:
            return None
        gsd_m = where.grid.gsd_m * cells_per_canvas_px * RESOLUTION_CANVAS_PX
        return self._ground.result(found, agree, where, t_ns, place, good, math.nan, gsd_m)

    def _keypoints(self, image: ImageArray, valid: MaskArray, canvas_from_array: FloatArray) -> Keypoints:
        """Keypoints of a picture drawn on the canvas: those with data first, the finer ones before the coarser."""
        side = self._config.canvas_px
        at = canvas_from_array.copy()
        at[:, 2] += at[:, :2] @ [0.5, 0.5] - 0.5  # from continuous coordinates to OpenCV's
        drawn: Any = cv2.warpAffine(image, at, (side, side), flags=cv2.INTER_LINEAR)
        inside: Any = cv2.warpAffine(valid.astype(np.uint8), at, (side, side), flags=cv2.INTER_NEAREST)
        canvas = drawn.astype(np.float32)
        canvas[inside == 0] = canvas[inside > 0].mean() if inside.any() else 0.0
        inner = cv2.erode(inside, np.ones((RIM_PX, RIM_PX), np.uint8)) > 0
        out = self._extractor.infer({"images": canvas[None, None]})
        xy = out["keypoints"].astype(float) + CELL_PX / 2.0 * out["scales"].astype(float)[:, None]
        if len(xy) < self._config.keypoints:
            raise UserError(
                f"model '{self._config.extractor}' gives {len(xy)} keypoints, learned.keypoints asks for "
                f"{self._config.keypoints}; set it to {len(xy)} or fewer."
            )
        column, row = np.clip(xy.astype(int), 0, side - 1).T
        has_data = inner[row, column]
        order = np.lexsort((_rank_in_bin(xy, out["scales"], side), ~has_data))[: self._config.keypoints]
        descriptor = out["descriptors"][order]
        # LighterGlue was trained on unit vectors; the extractor leaves these at any length.
        descriptor = descriptor / np.maximum(np.linalg.norm(descriptor, axis=1, keepdims=True), 1e-6)
        return Keypoints(xy[order], descriptor.astype(np.float32), has_data[order])

    def _pairs(self, seen: Keypoints, mapped: Keypoints) -> tuple[npt.NDArray[np.int64], FloatArray]:
        """(P, 2) indices into `seen` and `mapped` and the score (P,) of each pair that has data and is likely."""
        half = self._config.canvas_px / 2.0
        inputs = {
            "kpts0": ((seen.xy - half) / half).astype(np.float32)[None],
            "kpts1": ((mapped.xy - half) / half).astype(np.float32)[None],
            "desc0": seen.descriptor[None],
            "desc1": mapped.descriptor[None],
        }
        out = self._matcher.infer(inputs)
        pairs, score = out["matches"].astype(np.int64), out["scores"].astype(float)
        keep = (score > self._config.score_min) & seen.valid[pairs[:, 0]] & mapped.valid[pairs[:, 1]]
        return pairs[keep], score[keep]


def _placements(where: AlignedPatch, reach: int, side_px: int, turn_rad: float) -> tuple[FloatArray, FloatArray]:
    """(2, 3) affine maps from the laid frame's and from the map window's array coordinates to the canvas, both centred,
    of one scale, the frame turned by `turn_rad`."""
    h, w = where.grey.shape
    scale = side_px / max(h, w)
    c, s = scale * np.cos(turn_rad), scale * np.sin(turn_rad)
    frame = np.array([[c, -s, 0.0], [s, c, 0.0]])
    window = np.array([[scale, 0.0, 0.0], [0.0, scale, 0.0]])
    centre = np.array([w / 2.0, h / 2.0])
    frame[:, 2] = side_px / 2.0 - frame[:, :2] @ (centre - reach)
    window[:, 2] = side_px / 2.0 - window[:, :2] @ centre
    return frame, window


def _rank_in_bin(xy: FloatArray, scale: npt.NDArray[np.float32], side_px: int) -> npt.NDArray[np.int64]:
    """(K,) place of each keypoint among those of its part of the canvas, finer ones first, else in the given order:
    taken by this, they are spread over the canvas instead of crowding where the extractor is surest."""
    part = np.clip(xy * SPREAD_BINS / side_px, 0, SPREAD_BINS - 1).astype(np.int64) @ [1, SPREAD_BINS]
    order = np.lexsort((np.arange(len(xy)), scale, part))
    sorted_part = part[order]
    first = np.searchsorted(sorted_part, sorted_part)
    rank = np.empty(len(xy), np.int64)
    rank[order] = np.arange(len(xy)) - first
    return rank


def _back(canvas_from_array: FloatArray, xy: FloatArray) -> FloatArray:
    """(N, 2) canvas coordinates to array coordinates."""
    return np.asarray((xy - canvas_from_array[:, 2]) @ np.linalg.inv(canvas_from_array[:, :2]).T)
