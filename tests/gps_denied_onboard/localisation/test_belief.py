"""Frames together: what adds up along the way, and what must not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gps_denied_onboard.localisation.belief import Judged, Motion, PlaceBelief
from gps_denied_onboard.localisation.belief_config import BeliefConfig
from gps_denied_onboard.localisation.evidence import wrong_probability
from gps_denied_onboard.messages import CameraPrior, FloatArray, PoseFix, RejectReason

SECOND = 1_000_000_000
ALIKE = 6.0
WRONG_MAX = 1e-4
SPEED_MPS = 20.0
START_EN_M = np.array([5000.0, -3000.0])


def motion_at(t_s: float) -> Motion:
    """Straight east, over ground of which a frame shows 100 m."""
    return Motion(np.array([SPEED_MPS * t_s, 0.0]), SPEED_MPS * t_s, 1.0, 100.0)


def prior_at(t_s: float, known: bool = False, sigma_m: float = 10.0) -> CameraPrior:
    covariance = np.diag([sigma_m**2, sigma_m**2, 25.0])
    position = np.array([SPEED_MPS * t_s, 0.0, 300.0])
    return CameraPrior(round(t_s * SECOND), position, covariance, np.eye(3), 0.02, 0.05, 300.0, 10.0, known)


def fix_at(t_s: float, position_en_m: FloatArray, log_ratio: float, log_prior: float = -2.0) -> PoseFix:
    """A refined fix as the localiser gives it."""
    wrong = wrong_probability(log_ratio + log_prior)
    accepted = wrong <= WRONG_MAX
    return PoseFix(
        round(t_s * SECOND), accepted, RejectReason.NONE if accepted else RejectReason.UNSURE,
        np.array([*position_en_m, 300.0]), np.eye(3), np.eye(6) * 25.0, 20, 25, 1.0, True,
        {"log_ratio": log_ratio, "log_prior": log_prior, "alike_log_ratio": ALIKE, "refined": 1.0},
        unique=accepted, wrong_probability=wrong,
    )  # fmt: skip


def nothing_at(t_s: float) -> PoseFix:
    """A frame that matched nowhere."""
    fix = fix_at(t_s, np.full(2, np.nan), 0.0)
    return replace(fix, reason=RejectReason.NO_CONSISTENT_MATCH, gates={"place_score": 1.0})


def seen(belief: PlaceBelief, t_s: float, fix: PoseFix, prior: CameraPrior | None = None) -> Judged:
    belief.look(prior or prior_at(t_s), motion_at(t_s), 0.0)
    return belief.judged(fix)


def right_place(t_s: float) -> FloatArray:
    return START_EN_M + np.array([SPEED_MPS * t_s, 0.0])


def new_belief() -> PlaceBelief:
    return PlaceBelief(BeliefConfig(), WRONG_MAX)


def test_weak_frames_along_the_way_add_up() -> None:
    """Frames of which none is sure enough are, together, once enough of them lie where the flight has moved to."""
    belief = new_belief()
    judged = [seen(belief, t, fix_at(t, right_place(t), 8.0)) for t in (0.0, 2.0, 4.0)]
    assert [one.fix.accepted for one in judged] == [False, False, True]
    assert judged[-1].frames == 3
    assert 0.0 < judged[-1].fix.wrong_probability <= WRONG_MAX
    assert judged[-1].fix.unique


def test_what_wrong_places_show_never_adds_up() -> None:
    """A place that looks alike all along the way is never believed, however long it goes on."""
    belief = new_belief()
    limit = ALIKE
    assert not any(seen(belief, 2.0 * k, fix_at(2.0 * k, right_place(2.0 * k), limit)).fix.accepted for k in range(60))


def test_frames_of_the_same_ground_are_one_witness() -> None:
    """Frames that were taken a metre from one another do not make each other surer."""
    belief = new_belief()
    times = [0.05 * k for k in range(8)]
    assert not any(seen(belief, t, fix_at(t, right_place(t), 8.0)).fix.accepted for t in times)


def test_weak_frames_all_over_the_map_do_not_add_up() -> None:
    """Best places of frames that match nothing lie anywhere: not one of 300 is believed."""
    rng = np.random.default_rng(5)
    belief = new_belief()
    for k in range(300):
        fix = fix_at(2.0 * k, rng.uniform(-5000.0, 5000.0, 2), float(rng.normal(0.0, 2.0)))
        assert not seen(belief, 2.0 * k, fix).fix.accepted


def test_the_next_frame_is_looked_for_where_the_place_has_moved_to() -> None:
    """With no position, the frame after one that was nearly sure is searched for in a small window on its way."""
    belief = new_belief()
    seen(belief, 0.0, fix_at(0.0, right_place(0.0), 8.0))
    where = belief.look(prior_at(3.0), motion_at(3.0), 0.0)
    assert where.position_known
    assert where.position_enu_m[:2] == pytest.approx(right_place(3.0))
    assert 5.0 < where.horizontal_sigma_m < 20.0
    assert where.place_probability == pytest.approx(1.0 - wrong_probability(6.0))


def test_frames_that_are_not_found_there_take_a_place_away() -> None:
    """A place that the following frames do not confirm is given up, and all of the map is searched again."""
    belief = new_belief()
    seen(belief, 0.0, fix_at(0.0, right_place(0.0), 2.0))
    assert belief.places
    for k in range(1, 20):
        seen(belief, 2.0 * k, nothing_at(2.0 * k))
    assert all(not belief.look(prior_at(40.0 + k), motion_at(40.0 + k), 0.0).position_known for k in range(3))


def test_two_places_that_fit_alike_leave_none_accepted() -> None:
    """Where two places gain alike along the way, neither is believed."""
    belief = new_belief()
    apart = np.array([0.0, 900.0])
    for k in range(12):
        place = right_place(2.0 * k) + apart * (k % 2)
        assert not seen(belief, 2.0 * k, fix_at(2.0 * k, place, 8.0)).fix.accepted


def test_a_fix_is_held_back_by_a_likelier_place_of_several_frames() -> None:
    """A single frame that would be sure enough is not, while frames before it agree on another place."""
    belief = new_belief()
    for t in (0.0, 2.0):
        assert not seen(belief, t, fix_at(t, right_place(t), 8.0)).fix.accepted
    elsewhere = fix_at(4.0, right_place(4.0) + np.array([0.0, 2000.0]), 11.5)
    assert elsewhere.accepted
    judged = seen(belief, 4.0, elsewhere)
    assert not judged.fix.accepted
    assert judged.fix.reason is RejectReason.UNSURE
    assert judged.fix.wrong_probability > WRONG_MAX


def test_the_same_ground_under_another_tilt_is_no_rival() -> None:
    """Solutions a fraction of a frame beside one another are one place and do not hold each other back."""
    belief = new_belief()
    for t in (0.0, 2.0):
        aside = fix_at(t, right_place(t) + np.array([0.0, 28.0]), 8.0)
        seen(belief, t, replace(aside, covariance=4.0 * np.eye(6)))
    found = seen(belief, 4.0, replace(fix_at(4.0, right_place(4.0), 11.5), covariance=4.0 * np.eye(6)))
    assert len(belief.places) == 2
    assert found.fix.accepted


def test_a_fix_at_a_place_of_a_frame_is_found_without_the_state() -> None:
    """A place that a search of everywhere left is none of the state: a fix there needs no other to agree with it."""
    belief = new_belief()
    seen(belief, 0.0, fix_at(0.0, right_place(0.0), 8.0))
    found = seen(belief, 2.0, replace(fix_at(2.0, right_place(2.0), 14.0), global_search=False))
    assert found.fix.accepted
    assert found.fix.global_search


def test_a_fix_without_evidence_passes_as_it_is() -> None:
    """What a matcher without fitted evidence accepts or refuses is not touched, and leaves no place."""
    belief = new_belief()
    fix = replace(fix_at(0.0, right_place(0.0), 20.0), gates={"inliers": 60.0}, wrong_probability=float("nan"))
    assert seen(belief, 0.0, fix).fix is fix
    assert not belief.places


@pytest.mark.parametrize(
    "damage",
    [
        {"wrong_probability": 1.0},
        {"wrong_probability": float("nan")},
        {"gates": {"log_ratio": float("nan"), "log_prior": -2.0, "alike_log_ratio": ALIKE, "refined": 1.0}},
        {"covariance": np.full((6, 6), np.nan)},
        {"position_enu_m": np.full(3, np.inf)},
    ],
)
def test_numbers_that_are_none_are_no_evidence(damage: dict[str, object]) -> None:
    """A fix of a damaged recording passes as it is, and leaves no place."""
    belief = new_belief()
    fix = replace(fix_at(0.0, right_place(0.0), 20.0), **damage)  # type: ignore[arg-type]
    assert seen(belief, 0.0, fix).fix is fix
    assert not belief.places


def test_a_rival_of_which_nobody_knows_holds_a_fix_back() -> None:
    """Odds of another place that are no number never make a fix sure."""
    belief = new_belief()
    for t in (0.0, 2.0, 4.0):
        fix = fix_at(t, right_place(t), 8.0)
        judged = seen(belief, t, replace(fix, gates=fix.gates | {"rival_log_odds": float("nan")}))
    assert not judged.fix.accepted


def test_a_frame_looked_for_elsewhere_says_nothing_of_the_state() -> None:
    """Only frames that were looked for where the state says can speak against it."""
    belief = new_belief()
    assert seen(belief, 0.0, fix_at(0.0, right_place(0.0), 8.0), prior_at(0.0, known=True, sigma_m=4000.0)).of_state
    told = [seen(belief, t, nothing_at(t), prior_at(t, known=True)).of_state for t in (1.0, 2.0)]
    assert sorted(told) == [False, True]


def test_a_state_in_doubt_is_looked_for_near_and_far_beside_a_place() -> None:
    """With a place to look at, every other frame still is the state's: near it, then as far as it may be wrong."""
    belief = new_belief()
    seen(belief, 0.0, fix_at(0.0, right_place(0.0), 8.0), prior_at(0.0, known=True))
    looks = [belief.look(prior_at(t, known=True), motion_at(t), 800.0) for t in (1.0, 2.0, 3.0, 4.0)]
    kinds = [
        "place" if one.place_probability < 1.0 else "far" if one.horizontal_sigma_m > 700.0 else "near" for one in looks
    ]
    assert sorted(kinds) == ["far", "near", "place", "place"]


def test_a_confirmed_state_forgets_the_other_places() -> None:
    """Once a fix was fused, frames are looked for where the state says and nowhere else."""
    belief = new_belief()
    seen(belief, 0.0, fix_at(0.0, right_place(0.0), 8.0))
    belief.tell(0, right_place(0.0), 100.0, motion_at(0.0))
    belief.settled()
    priors = [prior_at(t, known=True, sigma_m=500.0) for t in (1.0, 2.0, 3.0)]
    assert all(belief.look(prior, motion_at(1.0), 0.0) is prior for prior in priors)


def test_a_wide_search_knows_what_the_state_is_worth() -> None:
    """Where the state is in doubt every other look is wide, and says how likely and how well known the state's place
    is; a look at a place that a frame has left says nothing of the state."""
    belief = new_belief()
    prior = prior_at(0.0, known=True)
    looks = [belief.look(prior_at(float(k), known=True), motion_at(float(k)), 400.0, 0.3) for k in range(4)]
    wide = [look for look in looks if look.horizontal_sigma_m > 100.0]
    assert len(wide) == 2
    for look in wide:
        assert look.state_probability == pytest.approx(0.7)
        assert look.state_covariance_en_m2 is not None
        assert look.state_covariance_en_m2.tolist() == prior.covariance_enu_m2[:2, :2].tolist()
    assert all(look.state_covariance_en_m2 is None for look in looks if look not in wide)
