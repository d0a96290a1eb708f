"""The learned matcher and its models: fixed shapes, bias of the cells, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gps_denied_onboard.config import Config, StrategyNames
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.camera import ground_points
from gps_denied_onboard.imaging.orthorectify import Orthorectifier, Undistorter
from gps_denied_onboard.inference.config import InferenceConfig
from gps_denied_onboard.localisation.matching.config import LearnedConfig
from gps_denied_onboard.localisation.matching.map_projector import MapProjector
from gps_denied_onboard.messages import PlaceCandidate
from gps_denied_onboard.runtime_root.matchers import BuiltMatcher, build_matcher
from gps_denied_onboard.runtime_root.strategies import load_composition


def learned(ground: Any, inference: InferenceConfig, **changes: Any) -> BuiltMatcher:
    config = Config(
        strategies=StrategyNames(matching="learned"),
        inference=inference,
        learned=replace(LearnedConfig(), **changes),
    )
    on_map = MapProjector(ground.mosaic(), ground.local, ground.terrain, ground.camera)
    return build_matcher(config, on_map, load_composition(), ExitStack())


def test_what_it_runs_on_is_told(built: Callable[[str], BuiltMatcher]) -> None:
    """Both models are named with runtime and provider, for the record and the fallback alert."""
    engines = built("learned").engines
    assert [engine.model for engine in engines] == ["xfeat_dense", "lighterglue_L3"]
    assert {engine.runtime for engine in engines} == {"onnxruntime"}
    assert all(engine.fallback == (engine.provider != "TensorrtExecutionProvider") for engine in engines)


def test_keypoints_asked_for_must_exist(painted_ground: Any, learned_inference: InferenceConfig) -> None:
    """More keypoints than the extractor gives is a sentence that names the setting."""
    built = learned(painted_ground, learned_inference, keypoints=1500)
    pose = painted_ground.pose()
    frame = Orthorectifier(painted_ground.frame(pose), Undistorter(painted_ground.camera))
    place = PlaceCandidate((40.0, -25.0), 0.9, 300.0, 1.0, 1.0)
    with pytest.raises(UserError, match=r"gives 1000 keypoints, learned.keypoints asks for 1500"):
        built.matcher.match(frame, 0, pose, place, 1, second_pass=False)


@pytest.mark.slow
def test_cells_do_not_lock(painted_ground: Any, learned_inference: InferenceConfig) -> None:
    """Against shifts of fractions of a cell the mean of the matches follows, as it does not with the grids parallel."""
    worst = {}
    for turn_rad in (0.12, 0.0):
        built = learned(painted_ground, learned_inference, turn_rad=turn_rad)
        errors = []
        for shift_m in (0.6, 1.4):
            pose = painted_ground.pose(0.0, (0.0, 0.0))
            under = (pose[0] + [shift_m, shift_m, 0.0], pose[1])
            frame = Orthorectifier(painted_ground.frame(pose), Undistorter(painted_ground.camera))
            place = PlaceCandidate((40.0, -25.0), 0.0, 300.0, 1.0, 1.0)
            result = built.matcher.match(frame, 0, under, place, 1, second_pass=False)
            assert result is not None
            truth = ground_points(painted_ground.camera, result.matches.pixel_px, *pose, 0.0)
            errors.append(np.linalg.norm(np.mean((result.matches.ground_enu_m - truth)[:, :2], axis=0)))
        worst[turn_rad] = max(errors)
    assert worst[0.12] < 0.4
    assert worst[0.12] < 0.6 * worst[0.0]


def test_settings_that_cannot_be() -> None:
    """A canvas that the extractor's cells do not divide is refused by name."""
    with pytest.raises(UserError, match="canvas_px must be a multiple of 32"):
        LearnedConfig(canvas_px=500)


def test_no_folder_of_models(painted_ground: Any) -> None:
    """`learned` without models is a sentence that says which setting, and what needs none."""
    config = Config(strategies=StrategyNames(matching="learned"))
    on_map = MapProjector(painted_ground.mosaic(), painted_ground.local, painted_ground.terrain, painted_ground.camera)
    with pytest.raises(UserError, match=r"set inference.models_directory .* or strategies.matching to 'classic'"):
        build_matcher(config, on_map, load_composition(), ExitStack())
