"""Limits of a matcher without fitted evidence: what cannot be compared is refused."""

from __future__ import annotations

import math

import pytest

from gps_denied_onboard.localisation.acceptance import is_unique, refused_by, stands_alone
from gps_denied_onboard.localisation.matching.config import LearnedConfig
from gps_denied_onboard.messages import RejectReason

GATES = LearnedConfig().gates
GOOD = {
    "inliers": 80.0, "inlier_ratio": 0.7, "second_ratio": 0.6, "score": 0.8, "spread": 0.25, "reprojection_m": 0.5,
    "rival": 0.1,
}  # fmt: skip


@pytest.mark.parametrize("tracking", [True, False])
def test_a_good_fix_passes(tracking: bool) -> None:
    """All numbers inside their limits: accepted, in a window and on the whole map."""
    assert refused_by(GATES, GOOD, 1.0, tracking) is RejectReason.NONE
    assert is_unique(GATES, GOOD)


@pytest.mark.parametrize("tracking", [True, False])
@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_number_that_is_none_is_refused(name: str, tracking: bool) -> None:
    """A number that could not be computed holds no limit."""
    assert refused_by(GATES, GOOD | {name: math.nan}, 1.0, tracking) is not RejectReason.NONE


AT_LIMITS = {
    "inliers": float(max(GATES.inliers_min, GATES.global_inliers_min)),
    "inlier_ratio": max(GATES.inlier_ratio_min, GATES.global_inlier_ratio_min, GATES.unique_inlier_ratio_min),
    "second_ratio": max(GATES.second_ratio_min, GATES.global_second_ratio_min),
    "score": GATES.score_min,
    "spread": GATES.spread_min,
    "reprojection_m": GATES.reprojection_m_max,
    "rival": min(GATES.global_support_ratio_max, GATES.rival_ratio_max),
}


@pytest.mark.parametrize("tracking", [True, False])
def test_a_fix_at_its_limits_passes(tracking: bool) -> None:
    """Every limit itself is good enough."""
    assert refused_by(GATES, AT_LIMITS, 1.0, tracking) is RejectReason.NONE
    assert is_unique(GATES, AT_LIMITS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rival", GATES.global_support_ratio_max),
        ("inlier_ratio", GATES.global_inlier_ratio_min),
        ("second_ratio", GATES.global_second_ratio_min),
        ("inliers", GATES.global_inliers_min),
    ],
)
def test_a_place_of_the_whole_map_stands_alone_by_each_of_four(name: str, value: float) -> None:
    """At the limit it does; beyond it, or where the number is not known at all, it does not."""
    beyond = value + 0.01 if name == "rival" else value - 0.01
    assert stands_alone(GATES, GOOD | {name: value})
    assert not stands_alone(GATES, GOOD | {name: beyond})
    without = {key: number for key, number in GOOD.items() if key != "second_ratio"}
    assert not stands_alone(GATES, without)
