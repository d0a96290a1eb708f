"""What frames that match, or do not, say of the state's place."""

from __future__ import annotations

import math

import pytest

from gps_denied_onboard.integrity import silence
from gps_denied_onboard.integrity.state_health_config import StateHealthConfig

CONFIG = StateHealthConfig()
FOOTPRINT_M = 500.0
FAR_M = 200.0


def flown(state: silence.SilenceState, hits: str, apart_m: float = FAR_M, start_m: float = 0.0) -> silence.SilenceState:
    """After frames `apart_m` apart: "+" fitted, "-" did not match."""
    for k, hit in enumerate(hits):
        step = silence.fitted if hit == "+" else silence.unmatched
        state = step(state, start_m + (k + 1) * apart_m, FOOTPRINT_M, CONFIG)
    return state


def test_an_origin_that_nothing_confirms_is_in_doubt_at_once() -> None:
    """The first frame without a match makes an entered take-off place too unsure for a 95 % ellipse."""
    state = flown(silence.started(CONFIG), "-")
    assert silence.probability_wrong(state, CONFIG) > 0.05
    assert silence.radius_m(state, 0.05, CONFIG) > 300.0


def test_one_fit_ends_the_doubt() -> None:
    """A fix where the state says it is, and the origin is believed again."""
    state = flown(silence.started(CONFIG), "---+")
    assert silence.radius_m(state, 0.05, CONFIG) == 0.0
    assert state.silent == 0.0


def test_a_confirmed_state_outlives_a_cloud() -> None:
    """Twenty fits, then forty frames of nothing: 95 % ellipses stay as they are, rarer risks grow."""
    state = flown(silence.started(CONFIG), "+" * 20 + "-" * 40)
    assert silence.probability_wrong(state, CONFIG) < 1e-3
    assert silence.radius_m(state, 0.05, CONFIG) == 0.0
    assert silence.radius_m(state, 1e-6, CONFIG) > CONFIG.silence_sigma_m


def test_silence_makes_the_search_wider_up_to_a_limit() -> None:
    """The longer nothing matches, the further the state may be off."""
    widths = [silence.elsewhere_sigma_m(flown(silence.started(CONFIG), "-" * n), CONFIG) for n in (1, 4, 60, 10_000)]
    assert widths[0] < widths[1] < widths[2] == widths[3] == CONFIG.silence_sigma_m_max


def test_frames_of_the_same_ground_are_not_independent() -> None:
    """Ten frames a metre apart say hardly more than one."""
    near = flown(silence.started(CONFIG), "-" * 10, apart_m=1.0)
    assert near.silent == pytest.approx(1.0 + 9.0 / (CONFIG.independent_share * FOOTPRINT_M))


def test_a_relocation_is_doubted_again() -> None:
    """However well the state was confirmed before it was moved, nothing vouches for the new place yet."""
    state = silence.relocated(flown(silence.started(CONFIG), "+" * 20), CONFIG)
    assert silence.probability_wrong(flown(state, "--"), CONFIG) > silence.probability_wrong(state, CONFIG)
    assert silence.probability_wrong(state, CONFIG) == pytest.approx(CONFIG.relocation_wrong)


def test_odometry_is_worth_less_where_frames_match_nothing() -> None:
    """Tracks may be on cloud: a step's displacement loses its precision within some frames, and has it back as soon."""
    confirmed = flown(silence.started(CONFIG), "+" * 10)
    assert silence.cloud_variance_m2(confirmed, 1.0, CONFIG) < 0.05
    silent = flown(confirmed, "-" * 8, start_m=3000.0)
    assert silence.cloud_variance_m2(silent, 1.0, CONFIG) > 15.0
    again = flown(silent, "+" * 6, start_m=6000.0)
    assert silence.cloud_variance_m2(again, 1.0, CONFIG) < 1.5


@pytest.mark.parametrize(("scale_sigma", "counts"), [(0.0, 1.0), (0.07, 1.0), (0.14, 0.25), (0.7, 0.01)])
def test_frames_of_unknown_scale_say_little_by_their_silence(scale_sigma: float, counts: float) -> None:
    """Heights known to a step of the search cost no match; known to two steps, a frame counts a quarter."""
    state = silence.started(CONFIG)
    for k in range(8):
        state = silence.unmatched(state, (k + 1) * FAR_M, FOOTPRINT_M, CONFIG, scale_sigma)
    assert state.silent == pytest.approx(8.0 * counts)


@pytest.mark.parametrize(("cells", "counts"), [(math.inf, 1.0), (1400.0, 0.98), (700.0, 0.5), (350.0, 0.015)])
def test_frames_of_few_map_cells_say_little_by_their_silence(cells: float, counts: float) -> None:
    """Low over the ground hardly a frame matches: a climb in silence is no sign of a wrong place, nor one of cloud."""
    state = silence.started(CONFIG)
    for k in range(8):
        state = silence.unmatched(state, (k + 1) * FAR_M, FOOTPRINT_M, CONFIG, cells=cells)
    assert state.silent == pytest.approx(8.0 * counts, rel=0.05)
    assert state.recent == pytest.approx(CONFIG.match_memory ** (8.0 * counts), rel=0.05)


def test_a_climb_after_take_off_stays_what_was_told() -> None:
    """Half a minute up to 450 cells, nothing found: the place that was entered is in no doubt worth telling."""
    state = silence.started(CONFIG)
    for k in range(30):
        state = silence.unmatched(state, 25.0 * (k + 1), 60.0 + 4.0 * k, CONFIG, cells=150.0 + 10.0 * k)
    assert silence.probability_wrong(state, CONFIG) < 0.06
    assert silence.cloud_variance_m2(state, 1.0, CONFIG) < 1.0
