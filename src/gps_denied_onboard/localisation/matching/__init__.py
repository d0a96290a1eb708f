"""Correspondences between a frame and the map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gps_denied_onboard.imaging.orthorectify import Orthorectifier
    from gps_denied_onboard.localisation.matching.map_projector import PassResult
    from gps_denied_onboard.messages import FloatArray, PlaceCandidate


class Matcher(Protocol):
    """What every matching strategy does. `footprint_cells`: of how many map cells the frame's longer side should be in
    the first pass and in the second."""

    footprint_cells: tuple[float, float]

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
