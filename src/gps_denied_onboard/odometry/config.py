"""Configuration of the odometry; every number that decides something, with its unit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OdometryConfig:
    """Settings of `PlanarOdometry` and `FeaturesOdometry`.

    `relative_tilt_sigma_deg` is how well the priors know the rotation between two frames about the horizontal axes:
    a fraction of a degree with an autopilot; for stills without attitude give the scatter of the mount (5 or so), the
    picture then decides. It never exceeds what the priors' own tilt sigmas allow.
    `slope_sigma_deg` is the large-scale slope of the ground, `relief_fraction` its roughness over the flying height,
    `focal_sigma_fraction` what is not known of the focal length. Of `features` alone: `level_sigma_deg` is how far the
    camera may lean from where its mount has it in level flight, about either axis and between two frames,
    `feature_sigma_px` the scatter of correspondences when its two models are compared. Of `okvis2` alone:
    `okvis2_vocabulary`, the folder with the vocabulary of words that it is installed with.
    """

    working_width_px: int = 1000
    track_limit: int = 450
    track_window_px: int = 17
    pyramid_levels: int = 4
    forward_backward_px: float = 0.6
    seed_threshold_px: float = 2.0
    inliers_min: int = 14
    inlier_ratio_min: float = 0.20
    found_again_min: float = 0.12
    spread_min: float = 0.015
    relative_tilt_sigma_deg: float = 0.3
    slope_sigma_deg: float = 1.0
    relief_fraction: float = 0.015
    focal_sigma_fraction: float = 0.002
    pixel_sigma_floor_px: float = 0.12
    independent_tracks: int = 40
    agreement_min: float = 0.12
    ambiguity_ratio_max: float = 0.85
    detail_lead_min: float = 0.05
    still_features: int = 2500
    level_sigma_deg: float = 12.0
    feature_sigma_px: float = 0.8
    okvis2_vocabulary: str = ""
