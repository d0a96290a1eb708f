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
    slope_sigma_rad: float = 0.035
    """Larger than real slopes: successive frames see the same ground, and their common error must not average away."""
    flat_residual_cells: float = 0.8
    """Residual over flat ground, in map cells (simulated flights: 0.75 to 0.85); what is more is relief."""
    relief_tilt_gain: float = 20.0
    """Tilt error in rad for a relief residual of one height: 0.047 rad at 2.4 mm a metre on `fengyuan`; the residuals
    are those of the inliers, cut off at 2.5 cells, so that this is larger than geometry alone would have it."""
    tilt_prior_sigma_rad: float = 0.30
    inlier_cell_m_min: float = 0.3
    """`inlier_m` counts for a map cell of one metre; of finer cells as of this."""
    correlation_length: float = 6.0
    """How many overlapping patches share one error: the information is divided by this."""


@dataclass(frozen=True, slots=True)
class GateConfig:
    """Limits that a fix must hold. `global_*` apply when the place was found without the state's help.

    Limits on numbers, ratios, score, spread, residual and rival count only for a matcher without fitted evidence
    (`learned`). Of a matcher with it (`classic`) these are read: `texture_min`, `tilt_max_rad`, `prior_sigmas_max`,
    `tracking_sigma_m`, `wrong_probability_max`, `promising_probability_max`, `right_among`, `right_among_tracked`,
    `clear_log_ratio` and `clear_margin`. Ratios are agreeing patches over tried ones, of the first pass and of the
    refining one.
    """

    inliers_min: int = 16
    inlier_ratio_min: float = 0.09
    second_ratio_min: float = 0.13
    score_min: float = 0.30
    global_inliers_min: int = 18
    global_inlier_ratio_min: float = 0.20
    global_second_ratio_min: float = 0.22
    unique_inlier_ratio_min: float = 0.35
    """From here a place stands on its own; below, other fixes have to agree with it (fusion/consistency.py)."""
    global_support_ratio_max: float = 0.6
    spread_min: float = 0.11
    reprojection_m_max: float = 2.0
    tilt_max_rad: float = 0.45
    prior_sigmas_max: float = 5.0
    tracking_sigma_m: float = 150.0
    wrong_probability_max: float = 1e-4
    """Of an accepted fix being the wrong place, where the matcher's evidence is modelled: see _docs/evidence.md."""
    promising_probability_max: float = 0.1
    """Up to here a refused fix is refined once more: see _docs/evidence.md."""
    right_among: float = 0.5
    """Prior probability that one of the places that a search of the whole map proposes is right: the map may be old."""
    right_among_tracked: float = 0.9
    """The same for a search where the state says: less than it is in fair flight, as the state may be wrong."""
    clear_log_ratio: float = 6.0
    """A place with more than this first-pass log ratio, ahead of the next one by `clear_margin`, ends the looking."""
    texture_min: float = 3.0
    """Grey levels, standard deviation over the picture: dark or foggy pictures have less (sensor noise is 1 to 2)."""
    rival_ratio_max: float = 0.9
    """Support of the best other place over that of the accepted one while tracking."""
    resolution_m_min: float = 0.5
    """`reprojection_m_max` counts for a map cell of one metre; of finer cells as of this: relief does not shrink."""
    clear_inlier_ratio: float = 0.35
    clear_margin: float = 1.1
    """How many times the score of the next place a place's own must be to end the looking. With evidence: the next one
    that is proposed, beside `clear_log_ratio`; without: the search's margin, beside a share of agreeing patches over
    `clear_inlier_ratio`, and only while tracking."""
