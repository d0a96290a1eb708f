"""`classic`: dense orientation fields, local template matches, one consistent plane. Needs no model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Self

from gps_denied_onboard.imaging.orientation import orientation_field
from gps_denied_onboard.imaging.orthorectify import Orthorectifier
from gps_denied_onboard.imaging.patch_correlation import match_patches
from gps_denied_onboard.localisation.evidence_table import CLASSIC
from gps_denied_onboard.localisation.matching import MatcherContext, MatcherSettings, Shapes
from gps_denied_onboard.localisation.matching.config import MatchingConfig
from gps_denied_onboard.localisation.matching.map_projector import MapProjector, PassResult, PatchShifts, ransac_inliers
from gps_denied_onboard.localisation.pose_config import GateConfig
from gps_denied_onboard.messages import FloatArray, PlaceCandidate

REPEAT_AGREEING_MIN = 6
"""Of the right places of the fit all but one in a hundred had seven and more, of the wrong ones half have less."""


class ClassicMatcher:
    """Correspondences between a frame, laid on the map under an assumed pose, and the map there."""

    def __init__(self, ground: MapProjector, config: MatchingConfig, gates: GateConfig | None = None) -> None:
        self._ground = ground
        self._config = config
        self.gates = gates or GateConfig()
        self.evidence = CLASSIC
        self.repeat_agreeing_min = REPEAT_AGREEING_MIN
        self.footprint_cells = (config.first_footprint_cells, config.second_footprint_cells)

    @classmethod
    def models(cls, config: MatcherSettings) -> Mapping[str, Shapes]:  # noqa: ARG003
        """See `Matcher`."""
        return {}

    @classmethod
    def build(cls, context: MatcherContext) -> Self:
        """See `Matcher`."""
        return cls(context.ground, context.config.matching, context.config.gates)

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
        patch = cfg.second_patch_cells if second_pass else cfg.first_patch_cells
        where = self._ground.orthorectify(frame, pose, place, level, reach)
        if where is None:
            return None
        template = orientation_field(where.laid.image, where.laid.valid)
        field = orientation_field(where.grey, where.valid)
        local = match_patches(template, where.covered, field, reach, patch)
        found = PatchShifts(local.template_xy, local.shift_xy, local.score, local.attempted)
        good = (local.score > cfg.score_min) & (local.ratio < cfg.ratio_max)
        agree = ransac_inliers(found, good, second_pass, cfg.inlier_cells)
        chance = math.pi * (cfg.inlier_cells / (2 * reach - 1)) ** 2
        return None if agree is None else self._ground.result(found, agree, where, t_ns, place, good, chance)
