"""Configuration of the matching."""

from __future__ import annotations

from dataclasses import dataclass


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
