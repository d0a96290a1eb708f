"""Correspondences between a frame and the map."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from gps_denied_onboard.imaging.orthorectify import Orthorectifier
    from gps_denied_onboard.inference import Engine
    from gps_denied_onboard.localisation.evidence import EvidenceModel
    from gps_denied_onboard.localisation.matching.config import LearnedConfig, MatchingConfig
    from gps_denied_onboard.localisation.matching.map_projector import MapProjector, PassResult
    from gps_denied_onboard.localisation.pose_config import GateConfig
    from gps_denied_onboard.messages import FloatArray, PlaceCandidate

Shapes = Mapping[str, tuple[int, ...]]
"""Input name to the one shape that a model is loaded for."""


class MatcherSettings(Protocol):
    """The tables of the configuration that matching strategies read."""

    @property
    def matching(self) -> MatchingConfig: ...
    @property
    def learned(self) -> LearnedConfig: ...
    @property
    def gates(self) -> GateConfig: ...


@dataclass(frozen=True, slots=True, eq=False)
class MatcherContext:
    """What a matching strategy is made from: the map under the camera, its settings, and what loads a model
    (by name, with the shapes of its inputs) and releases it at the end of the flight."""

    ground: MapProjector
    config: MatcherSettings
    load_model: Callable[[str, Shapes], Engine]


class Matcher(Protocol):
    """What every matching strategy does. `footprint_cells`: of how many map cells the frame's longer side should be in
    the first pass and in the second. `evidence`: how likely right and wrong places have its numbers; None where that
    was never fitted: then the limits `gates` decide. With at least `repeat_agreeing_min` agreeing matches the first
    pass is repeated under the pose that it gave (infinite: never). A further strategy is one file with such a class,
    and its line in runtime_root/strategies.py."""

    footprint_cells: tuple[float, float]
    gates: GateConfig
    evidence: EvidenceModel | None
    repeat_agreeing_min: float

    @classmethod
    def models(cls, config: MatcherSettings) -> Mapping[str, Shapes]:
        """The models that it loads, in the order of loading, with the shapes of their inputs; empty: it needs none."""

    @classmethod
    def build(cls, context: MatcherContext) -> Self:
        """The matcher of a configuration. UserError where what it needs is missing."""

    def match(
        self,
        frame: Orthorectifier,
        t_ns: int,
        pose: tuple[FloatArray, FloatArray],
        place: PlaceCandidate,
        level: int,
        second_pass: bool,
    ) -> PassResult | None:
        """Match under `pose` (position ENU, rotation camera to ENU) at a map level; None where nothing agrees.

        The first pass accepts a similarity between the assumed pose and the map, the second an affine residual.
        """
