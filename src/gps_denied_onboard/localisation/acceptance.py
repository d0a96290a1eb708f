"""Acceptance by limits, for a matcher of which no fit says how likely a place is wrong. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gps_denied_onboard.localisation.pose_config import GateConfig
from gps_denied_onboard.messages import RejectReason


def stands_alone(gates: GateConfig, numbers: Mapping[str, float]) -> bool:
    """Whether a place holds that was found without the state's help."""
    return (
        numbers["rival"] <= gates.global_support_ratio_max
        and numbers["inlier_ratio"] >= gates.global_inlier_ratio_min
        and numbers.get("second_ratio", 0.0) >= gates.global_second_ratio_min
        and numbers["inliers"] >= gates.global_inliers_min
    )


def is_unique(gates: GateConfig, numbers: Mapping[str, float]) -> bool:
    """Whether no other fix has to agree with it."""
    return stands_alone(gates, numbers) and numbers["inlier_ratio"] >= gates.unique_inlier_ratio_min


def refused_by(gates: GateConfig, numbers: Mapping[str, float], cell_m: float, tracking: bool) -> RejectReason:
    """The first limit that a refined fix does not hold, or NONE. `cell_m` is a map cell of the second pass."""
    rms_m_max = gates.reprojection_m_max * max(cell_m, gates.resolution_m_min)
    checks = (
        (numbers["inliers"] >= gates.inliers_min, RejectReason.FEW_INLIERS),
        (numbers["inlier_ratio"] >= gates.inlier_ratio_min, RejectReason.INLIER_RATIO),
        (numbers["second_ratio"] >= gates.second_ratio_min, RejectReason.SECOND_RATIO),
        (numbers["score"] >= gates.score_min, RejectReason.SCORE),
        (numbers["spread"] >= gates.spread_min, RejectReason.SPREAD),
        (numbers["reprojection_m"] <= rms_m_max, RejectReason.REPROJECTION),
        (tracking or stands_alone(gates, numbers), RejectReason.AMBIGUOUS),
        (not tracking or numbers["rival"] <= gates.rival_ratio_max, RejectReason.RIVAL),
    )
    return next((why for passed, why in checks if not passed), RejectReason.NONE)
