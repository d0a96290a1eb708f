"""A further matching strategy is one file with its class, and one line among the strategies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Self

import pytest

from gps_denied_onboard.config import Config, StrategyNames
from gps_denied_onboard.localisation.matching import MatcherContext, Shapes
from gps_denied_onboard.localisation.matching.map_projector import MapProjector, PassResult
from gps_denied_onboard.localisation.pose_config import GateConfig
from gps_denied_onboard.runtime_root.matchers import build_matcher, model_shapes
from gps_denied_onboard.runtime_root.strategies import STRATEGIES, load_composition


class BlindMatcher:
    """Sees nothing, with limits of its own."""

    footprint_cells = (100.0, 200.0)
    gates = GateConfig(inliers_min=77)
    evidence = None
    repeat_agreeing_min = math.inf

    def __init__(self, ground: MapProjector) -> None:
        self.ground = ground

    @classmethod
    def models(cls, config: Config) -> Mapping[str, Shapes]:  # noqa: ARG003
        return {}

    @classmethod
    def build(cls, context: MatcherContext) -> Self:
        return cls(context.ground)

    def match(self, *_: Any, **__: Any) -> PassResult | None:
        return None


def test_a_further_matcher_is_a_class_and_a_line(painted_ground: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under its name it is built with the map, its own limits count, and it asks for no model."""
    monkeypatch.setitem(STRATEGIES["matching"], "blind", f"{__name__}:BlindMatcher")
    config = Config(strategies=StrategyNames(matching="blind"))
    ground = MapProjector(painted_ground.mosaic(), painted_ground.local, painted_ground.terrain, painted_ground.camera)
    with ExitStack() as closing:
        built = build_matcher(config, ground, load_composition(), closing)
    assert isinstance(built.matcher, BlindMatcher)
    assert built.matcher.ground is ground
    assert built.matcher.gates.inliers_min == 77
    assert model_shapes(config, load_composition()) == {}
