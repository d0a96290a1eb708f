"""Which keypoints `learned` uses: those with data around them, in the frame and on the map, of likely pairs; and what
the models are shown where there is no data. The models are scripted here: any pair with their inputs and outputs does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gps_denied_onboard.imaging.orthorectify import Orthorectifier, Undistorter
from gps_denied_onboard.inference import Array, InputArray
from gps_denied_onboard.localisation.matching.config import LearnedConfig
from gps_denied_onboard.localisation.matching.learned import CELL_PX, LearnedMatcher
from gps_denied_onboard.localisation.matching.map_projector import MapProjector, PassResult
from gps_denied_onboard.messages import FloatArray, InferenceRecord, PlaceCandidate

SIDE = 512
STEP = 8
CONFIG = replace(LearnedConfig(), canvas_px=SIDE, keypoints=(SIDE // STEP) ** 2, turn_rad=0.0)
PLACE = PlaceCandidate((0.0, 0.0), 0.9, 300.0, 100.0, 2.0)


class Everywhere:
    """An extractor that finds a keypoint on each crossing of a grid; `shown` are the pictures that it was given."""

    label = InferenceRecord(0, "everywhere", "scripted", "", False, "")

    def __init__(self) -> None:
        self.shown: list[Array] = []

    def infer(self, inputs: Mapping[str, InputArray]) -> dict[str, Array]:
        self.shown.append(inputs["images"][0, 0].copy())
        at = np.arange(STEP // 2, SIDE, STEP, dtype=np.float32)
        xy = np.stack(np.meshgrid(at, at), axis=-1).reshape(-1, 2)
        descriptors = np.ones((len(xy), 64), np.float32)
        return {"keypoints": xy - CELL_PX / 2.0, "scales": np.ones(len(xy), np.float32), "descriptors": descriptors}

    def release(self) -> None:
        return None


class SamePlace:
    """A matcher that pairs what lies at the same place, at a score of 0.9; of 0.1 in the picture's upper half."""

    label = InferenceRecord(0, "same place", "scripted", "", False, "")

    def infer(self, inputs: Mapping[str, InputArray]) -> dict[str, Array]:
        first, second = inputs["kpts0"][0], inputs["kpts1"][0]
        where = {(float(x), float(y)): j for j, (x, y) in enumerate(second)}
        both = [(i, where[float(x), float(y)]) for i, (x, y) in enumerate(first) if (float(x), float(y)) in where]
        pairs = np.array(both)
        score = np.where(first[pairs[:, 0], 1] < 0.0, 0.1, 0.9)
        return {"matches": pairs, "scores": score.astype(np.float32)}

    def release(self) -> None:
        return None


def match(
    ground: Any, east_m: float, yaw_rad: float, score_min: float, keypoints: int = CONFIG.keypoints
) -> tuple[PassResult, list[Array]]:
    """One first pass with the camera `east_m` east of the middle of the map; also what the extractor was shown."""
    shown = Everywhere()
    on_map = MapProjector(ground.mosaic(), ground.local, ground.terrain, ground.camera)
    matcher = LearnedMatcher(on_map, replace(CONFIG, score_min=score_min, keypoints=keypoints), shown, SamePlace())
    position, rotation = ground.pose(yaw_rad, (0.0, 0.0))
    pose: tuple[FloatArray, FloatArray] = (np.array([east_m, 0.0, position[2]]), rotation)
    frame = Orthorectifier(ground.frame(pose), Undistorter(ground.camera))
    place = replace(PLACE, centre_enu_m=(east_m, 0.0), yaw_rad=yaw_rad)
    result = matcher.match(frame, 0, pose, place, 1, second_pass=False)
    assert result is not None
    return result, shown.shown


def canvas_px_to_map_edge(ground: Any, result: PassResult, shown_m_per_px: float) -> FloatArray:
    """(N,) how far east of each match the map ends, in pixels of the canvas."""
    x0, _, x1, _ = ground.bounds_tiles()
    px = ground.local.mercator_px_from_enu(result.matches.ground_enu_m, ground.zoom)[:, 0] / 256.0
    return np.asarray((x1 - px) / (x1 - x0) * ground.TILES * 256 * 0.4 / shown_m_per_px)


def canvas_m_per_px(result: PassResult) -> float:
    """Ground metres of a pixel of the canvas: neighbouring keypoints are STEP of them apart."""
    east_north = result.matches.ground_enu_m[:, :2]
    off = np.linalg.norm(east_north[1:] - east_north[:1], axis=1)
    return float(off.min()) / STEP


def test_no_match_lies_where_the_map_has_no_data(painted_ground: Any) -> None:
    """Half of the picture lies beyond the map: matches reach to the rim of the map, and none is nearer or beyond."""
    result, _ = match(painted_ground, 370.0, 0.0, 0.05)
    left_px = canvas_px_to_map_edge(painted_ground, result, canvas_m_per_px(result))
    assert 3.0 < left_px.min() < 4.0 + 1.5 * STEP


def test_no_match_lies_where_the_frame_has_no_data(painted_ground: Any) -> None:
    """A picture that lies askew on the map: matches reach to its rim, and none is nearer to its edge or outside."""
    result, _ = match(painted_ground, 0.0, 0.5, 0.05)
    camera = painted_ground.camera
    pixel = result.matches.pixel_px
    inside = np.column_stack([pixel, (camera.width_px, camera.height_px) - pixel]).min(axis=1)
    frame_px = canvas_m_per_px(result) * camera.fx_px / 200.0  # camera is 300 m above sea, 200 m above the ground
    assert 3.0 < inside.min() / frame_px < 4.0 + 1.5 * STEP


def test_keypoints_with_data_are_taken_first(painted_ground: Any) -> None:
    """Where the extractor gives more than are asked for, only those that lie where there is no data are left out."""
    every, _ = match(painted_ground, 370.0, 0.0, 0.05)
    fewer, _ = match(painted_ground, 370.0, 0.0, 0.05, keypoints=3200)
    assert fewer.matches.attempted == every.matches.attempted


def test_unlikely_pairs_are_not_used(painted_ground: Any) -> None:
    """A score must be above the limit, not at it: then the upper half of the picture is left out."""
    every, _ = match(painted_ground, 0.0, 0.0, 0.05)
    likely, _ = match(painted_ground, 0.0, 0.0, float(np.float32(0.1)))
    assert likely.matches.attempted == pytest.approx(every.matches.attempted / 2, rel=0.05)
    assert likely.matches.ground_enu_m[:, 1].max() < 10.0
    assert every.matches.ground_enu_m[:, 1].max() > 60.0


def test_models_are_shown_no_edge_where_data_ends(painted_ground: Any) -> None:
    """What lies beyond the map is as bright as the rest is on average."""
    _, (_, on_map) = match(painted_ground, 370.0, 0.0, 0.05)
    value, count = np.unique(on_map, return_counts=True)
    fill = value[count.argmax()]
    assert count.max() > 0.3 * on_map.size
    assert fill == pytest.approx(on_map[on_map != fill].mean(), abs=1.0)
