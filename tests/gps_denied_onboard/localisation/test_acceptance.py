"""Limits of a matcher without fitted evidence: what cannot be compared is refused."""

from __future__ import annotations

import math

import pytest

from gps_denied_onboard.localisation.acceptance import is_unique, refused_by
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
