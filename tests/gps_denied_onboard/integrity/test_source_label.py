"""Source label, anchor age, fix type and accuracy, as tables."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gps_denied_onboard.integrity.source_label import (
    LabelLimits,
    LabelState,
    fix_type_and_accuracy,
    horizontal_sigma_m,
    navstate_from_estimate,
)
from gps_denied_onboard.messages import Estimate, SourceLabel

from ..fusion.synthetic import FRAME, SECOND_NS

LIMITS = LabelLimits(anchor_age_s_max=3.0, anchor_sigma_m_max=20.0, odometry_age_s_max=2.5)
ANCHORED, VISUAL, DEAD = SourceLabel.SATELLITE_ANCHORED, SourceLabel.VISUAL_PROPAGATED, SourceLabel.DEAD_RECKONED


@pytest.mark.parametrize(
    ("anchor_s", "odometry_s", "now_s", "sigma_m", "label"),
    [
        (None, None, 10.0, 3.0, DEAD),
        (9.0, None, 10.0, 3.0, ANCHORED),
        (9.0, 9.5, 10.0, 3.0, ANCHORED),
        (7.0, 9.5, 10.0, 3.0, ANCHORED),
        (6.9, 9.5, 10.0, 3.0, VISUAL),
        (9.0, 9.5, 10.0, 20.1, VISUAL),
        (9.0, 9.5, 10.0, 20.0, ANCHORED),
        (9.0, None, 10.0, 20.1, DEAD),
        (None, 7.5, 10.0, 3.0, VISUAL),
        (None, 7.4, 10.0, 3.0, DEAD),
        (6.0, 7.0, 10.0, 3.0, DEAD),
    ],
)
def test_label_follows_ages_and_sigma(
    anchor_s: float | None, odometry_s: float | None, now_s: float, sigma_m: float, label: SourceLabel
) -> None:
    """The label is the best one whose age and sigma bounds hold."""
    state = LabelState()
    if anchor_s is not None:
        state = state.anchored(round(anchor_s * SECOND_NS))
    if odometry_s is not None:
        state = state.moved(round(odometry_s * SECOND_NS))
    assert state.label(round(now_s * SECOND_NS), sigma_m, LIMITS) is label


def test_anchor_age_counts_from_the_frame_and_never_runs_back() -> None:
    """The age is -1 before the first fix, counts from the frame's own time, and a later-coming older fix keeps it."""
    state = LabelState()
    assert state.anchor_age_ms(5 * SECOND_NS) == -1
    state = state.anchored(4 * SECOND_NS)
    assert state.anchor_age_ms(5 * SECOND_NS) == 1000
    assert state.anchored(3 * SECOND_NS).anchor_age_ms(5 * SECOND_NS) == 1000
    assert state.anchor_age_ms(3 * SECOND_NS) == 0
    assert repr(state.anchor_age_ms(5 * SECOND_NS + 999_999)) == "1000"


def test_blind_time_counts_from_the_last_picture_or_the_start() -> None:
    """Blind time restarts with anything visual and counts from the start before that."""
    state = LabelState().started(2 * SECOND_NS).started(9 * SECOND_NS)
    assert state.visual_outage_s(10 * SECOND_NS) == pytest.approx(8.0)
    assert state.moved(9 * SECOND_NS).visual_outage_s(10 * SECOND_NS) == pytest.approx(1.0)
    assert state.moved(9 * SECOND_NS).anchored(8 * SECOND_NS).visual_outage_s(10 * SECOND_NS) == pytest.approx(1.0)
    assert LabelState().visual_outage_s(10 * SECOND_NS) == 0.0


@pytest.mark.parametrize(
    ("major_m", "visual_outage_s", "known", "fix_type"),
    [
        (5.0, 0.0, True, 3),
        (100.0, 0.0, True, 3),
        (100.1, 0.0, True, 2),
        (500.0, 30.0, True, 2),
        (500.1, 0.0, True, 1),
        (5.0, 30.1, True, 1),
        (5.0, 0.0, False, 1),
        (math.nan, 0.0, True, 1),
    ],
)
def test_ladder_of_fix_type_and_accuracy(major_m: float, visual_outage_s: float, known: bool, fix_type: int) -> None:
    """3D to 100 m, 2D to 500 m, then no fix; 30 s of darkness or no position: no fix; no fix is always 999 m."""
    got, accuracy_m = fix_type_and_accuracy(major_m, visual_outage_s, known)
    assert got == fix_type
    if fix_type == 1:
        assert accuracy_m == 999.0
    else:
        assert accuracy_m == pytest.approx(major_m / 2.4477, rel=1e-4)


def test_the_ladder_is_climbed_in_order() -> None:
    """As the uncertainty grows the fix type only falls and the accuracy only grows."""
    steps = [fix_type_and_accuracy(10.0 * k, 0.0, True) for k in range(80)]
    assert sorted((s[0] for s in steps), reverse=True) == [s[0] for s in steps]
    assert sorted(s[1] for s in steps) == [s[1] for s in steps]


def test_navstate_is_in_wgs84_and_ned() -> None:
    """Position, velocity, attitude and ellipse leave in the frames of the outside."""
    covariance = np.diag([16.0, 4.0, 9.0, 1.0, 0.25, 0.04, 1e-4, 1e-4, 1e-4])
    facing_north = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    estimate = Estimate(
        7 * SECOND_NS, np.array([100.0, 200.0, 50.0]), np.array([1.0, 2.0, 3.0]), facing_north, np.eye(3), covariance,
        np.eye(3), np.zeros(2), True,
    )  # fmt: skip
    nav = navstate_from_estimate(estimate, ANCHORED, 120, FRAME, frame_index=4)
    back = FRAME.enu_from_geodetic(nav.latitude_deg, nav.longitude_deg, nav.altitude_amsl_m)
    assert np.allclose(back, [100.0, 200.0, 50.0], atol=1e-3)
    assert nav.velocity_ned_mps == pytest.approx((2.0, 1.0, -3.0))
    assert nav.quaternion_body_to_ned == pytest.approx((1.0, 0.0, 0.0, 0.0), abs=1e-9)
    assert (nav.ellipse_semi_major_m, nav.ellipse_semi_minor_m) == pytest.approx((9.791, 4.895), abs=2e-3)
    assert nav.ellipse_azimuth_deg == pytest.approx(90.0)
    assert (nav.horizontal_accuracy_m, nav.vertical_accuracy_m) == pytest.approx((4.0, 3.0))
    assert nav.speed_accuracy_mps == pytest.approx(1.0)
    assert (nav.fix_type, nav.frame_index, nav.last_satellite_anchor_age_ms) == (3, 4, 120)
    assert horizontal_sigma_m(estimate) == pytest.approx(4.0)


def test_accuracies_of_less_than_a_metre_are_told_as_they_are() -> None:
    """Half a metre of height and half a metre a second leave as that."""
    covariance = np.diag([0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 1e-6, 1e-6, 1e-6])
    estimate = Estimate(
        0, np.zeros(3), np.zeros(3), np.eye(3), np.eye(3), covariance, np.eye(3), np.zeros(2), True
    )  # fmt: skip
    nav = navstate_from_estimate(estimate, ANCHORED, 0, FRAME)
    assert (nav.vertical_accuracy_m, nav.speed_accuracy_mps) == pytest.approx((0.5, 0.5))
