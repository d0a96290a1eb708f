"""Configuration of the matching."""

from __future__ import annotations

from dataclasses import dataclass, field

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.localisation.pose_config import GateConfig


@dataclass(frozen=True, slots=True)
class MatchingConfig:
    """Sizes in map cells. The first pass takes up what the place search leaves open, the second refines."""

    first_footprint_cells: float = 220.0
    second_footprint_cells: float = 440.0
    first_patch_cells: int = 40
    second_patch_cells: int = 56
    first_reach_cells: int = 12
    second_reach_cells: int = 7
    inlier_cells: float = 2.5
    score_min: float = 0.2
    ratio_max: float = 0.97


def _learned_gates() -> GateConfig:
    """Ratios are agreeing pairs over likely ones. At wrong places of a real map at most 15 pairs agreed, under 0.28 of
    the likely ones; at the right places 69 and more did, about half and more."""
    return GateConfig(
        inliers_min=24,
        inlier_ratio_min=0.30,
        second_ratio_min=0.30,
        score_min=0.30,
        global_inliers_min=30,
        global_inlier_ratio_min=0.40,
        global_second_ratio_min=0.40,
        unique_inlier_ratio_min=0.50,
    )


@dataclass(frozen=True, slots=True)
class LearnedConfig:
    """Settings of `learned`. Frame and map are drawn on squares of `canvas_px`, the models' fixed input size.

    `turn_rad` turns the frame against the map: the extractor's keypoints lie on a grid of cells, and unturned grids
    would lock to one another, which shows as a wrong position with a small residual.
    """

    extractor: str = "xfeat_dense"
    matcher: str = "lighterglue_L3"
    first_footprint_cells: float = 220.0
    second_footprint_cells: float = 440.0
    canvas_px: int = 512
    keypoints: int = 512
    first_reach_cells: int = 12
    second_reach_cells: int = 8
    turn_rad: float = 0.12
    score_min: float = 0.1
    inlier_canvas_px: float = 7.5
    gates: GateConfig = field(default_factory=_learned_gates)

    def __post_init__(self) -> None:
        if self.canvas_px % 32 or not 128 <= self.canvas_px <= 2048:
            raise UserError(f"learned.canvas_px must be a multiple of 32 from 128 to 2048, got {self.canvas_px}.")
        if not 64 <= self.keypoints <= 4096:
            raise UserError(f"learned.keypoints must be 64 to 4096, got {self.keypoints}.")
