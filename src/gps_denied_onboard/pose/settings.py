"""Configuration of the pose solution and of the gates that a fix must pass."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PoseConfig:
    """What the solution may assume. Sigmas of relief: heights and slopes of the ground that the map does not know."""

    iterations: int = 12
    inlier_m: float = 2.5
    map_sigma_m: float = 0.6
    relief_sigma_m: float = 1.5
    slope_sigma_rad: float = 0.006
    tilt_prior_sigma_rad: float = 0.10
    correlation_length: float = 3.0
    """How many overlapping patches share one error: the information is divided by this."""


@dataclass(frozen=True, slots=True)
class GateConfig:
    """Limits that a fix must hold. `global_*` apply when the place was found without the state's help."""

    inliers_min: int = 10
    inlier_ratio_min: float = 0.30
    score_min: float = 0.30
    global_inlier_ratio_min: float = 0.45
    global_support_ratio_max: float = 0.6
    spread_min: float = 0.12
    reprojection_m_max: float = 2.0
    tilt_max_rad: float = 0.45
    prior_sigmas_max: float = 5.0
    tracking_sigma_m: float = 150.0
    texture_min: float = 3.0
