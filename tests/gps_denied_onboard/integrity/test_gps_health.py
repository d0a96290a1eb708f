"""Verdicts on the autopilot's GPS: each fault alone, counters, hysteresis, and what cannot be told."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from gps_denied_onboard.integrity.config import IntegrityConfig
from gps_denied_onboard.integrity.gps_health import (
    JAMMING,
    SPOOFING,
    Comparison,
    GpsMeasurement,
    HealthState,
    Reference,
    assess,
    chi_square,
    compare,
    position_velocity_divergence_mps,
    quality_faults,
    silent,
    spoofing_indicators,
)
from gps_denied_onboard.messages import GpsHealth

CONFIG = IntegrityConfig()
SECOND = 1_000_000_000
STEP = SECOND // 5
GOOD = GpsMeasurement(0, (0.0, 0.0), (17.0, 0.0), 3, 12, 1.0)
SURE = Reference((0.0, 0.0), (17.0, 0.0), (9.0, 0.0, 9.0), (0.09, 0.0, 0.09))
UNKNOWN, STABLE, DEGRADED, SPOOFED = GpsHealth


def claim(k: int, **changes: object) -> GpsMeasurement:
    """Sample k at 5 Hz of a straight flight at 17 m/s to the east."""
    here = replace(GOOD, t_ns=k * STEP, position_en_m=(17.0 * k / 5, 0.0))
    return replace(here, **changes)  # type: ignore[arg-type]


def reference(k: int, sigma_m: float = 3.0) -> Reference:
    """Our state at sample k."""
    return replace(SURE, position_en_m=(17.0 * k / 5, 0.0), position_covariance_m2=(sigma_m**2, 0.0, sigma_m**2))


def north(metres: float, k: int) -> tuple[float, float]:
    return (17.0 * k / 5, metres)


def after(count: int, state: HealthState | None = None, first: int = 0) -> HealthState:
    """The state after `count` good samples."""
    state = state or HealthState()
    for k in range(first, first + count):
        state, _ = assess(state, claim(k), reference(k), CONFIG)
    return state


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({}, ()),
        ({"fix_type": 2}, ("no fix",)),
        ({"fix_type": 4}, ()),
        ({"satellites": 5}, ("few satellites",)),
        ({"satellites": 6}, ()),
        ({"accuracy_m": 15.0}, ()),
        ({"accuracy_m": 15.1}, ("poor accuracy",)),
        ({"accuracy_m": math.nan}, ("poor accuracy",)),
        ({"interference": JAMMING}, ("jamming",)),
        ({"interference": SPOOFING}, ()),
        ({"interference": JAMMING | SPOOFING}, ("jamming",)),
        ({"fix_type": 0, "satellites": 0, "accuracy_m": 9999.0}, ("no fix", "few satellites", "poor accuracy")),
    ],
)
def test_quality_of_a_sample(changes: dict[str, float], faults: tuple[str, ...]) -> None:
    """Each number of the receiver has its own limit."""
    assert quality_faults(replace(GOOD, **changes), CONFIG) == faults  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("t_s", "east_m", "faults"),
    [
        (0.2, 3.4, ()),
        (0.2, 23.3, ()),
        (0.2, 23.5, ("jump",)),
        (0.2, -16.7, ("jump",)),
        (1.0, 17.0 + 19.9, ()),
        (1.0, 17.0 + 20.1, ("jump",)),
        (1.0, 37.0, ()),
        (1.000000001, 500.0, ()),
        (1e-9, 500.0, ("jump",)),
        (-2.0, 0.0, ("time runs back",)),
        (0.0, 0.0, ("time runs back",)),
    ],
)
def test_a_sample_against_the_one_before(t_s: float, east_m: float, faults: tuple[str, ...]) -> None:
    """A position that its own velocity does not explain is a jump, unless the receiver was silent between."""
    now = replace(GOOD, t_ns=round(t_s * SECOND), position_en_m=(east_m, 0.0))
    assert spoofing_indicators(GOOD, now, CONFIG) == faults


def test_a_jump_is_seen_along_both_axes_and_from_both_velocities() -> None:
    """The mean of the two samples' velocities explains the motion between them, on each axis."""
    turned = replace(GOOD, t_ns=SECOND, position_en_m=(8.5, 8.5), velocity_en_mps=(0.0, 17.0))
    assert spoofing_indicators(GOOD, turned, CONFIG) == ()
    assert spoofing_indicators(GOOD, replace(turned, position_en_m=(8.5, 28.6)), CONFIG) == ("jump",)
    assert spoofing_indicators(GOOD, replace(turned, position_en_m=(8.5, -11.6)), CONFIG) == ("jump",)
    assert spoofing_indicators(GOOD, replace(turned, position_en_m=(28.6, 8.5)), CONFIG) == ("jump",)


def test_the_first_fix_after_none_is_no_jump() -> None:
    """A sample without a fix says nothing of where the next one should be."""
    assert (
        spoofing_indicators(replace(GOOD, fix_type=2), replace(GOOD, t_ns=STEP, position_en_m=(9e3, 0.0)), CONFIG) == ()
    )
    assert spoofing_indicators(None, replace(GOOD, interference=SPOOFING), CONFIG) == ("receiver says spoofing",)
    assert spoofing_indicators(None, replace(GOOD, interference=JAMMING), CONFIG) == ()


@pytest.mark.parametrize(
    ("before_utc_s", "after_utc_s", "faults"),
    [
        (1000.0, 1000.2, ()),
        (1000.0, 1001.1, ()),
        (1000.0, 1001.2, ()),
        (1000.0, 1001.3, ("time jump",)),
        (1000.0, 998.9, ("time jump",)),
        (1000.0, 1000.2 + 86400.0, ("time jump",)),
        (1000.0, 1000.2 - 1024 * 7 * 86400.0, ("time jump",)),
        (0.0, 1e6, ()),
        (1e6, 0.0, ()),
    ],
)
def test_the_receivers_clock_against_ours(before_utc_s: float, after_utc_s: float, faults: tuple[str, ...]) -> None:
    """A day, a week rollover or a second more than went by is a time jump; a receiver that tells no time is not."""
    before = replace(claim(50), utc_ns=round(before_utc_s * 1e9))
    now = replace(claim(51), utc_ns=round(after_utc_s * 1e9))
    assert spoofing_indicators(before, now, CONFIG) == faults


def test_chi_square_of_a_full_covariance() -> None:
    """The quadratic form equals the one by the inverse matrix; a covariance that is none is never passed."""
    assert chi_square((3.0, 0.0), (9.0, 0.0, 1.0)) == pytest.approx(1.0)
    assert chi_square((0.0, 3.0), (9.0, 0.0, 1.0)) == pytest.approx(9.0)
    assert chi_square((1.0, 2.0), (2.0, 1.0, 3.0)) == pytest.approx((3 * 1 - 2 * 2 + 2 * 4) / 5.0)
    assert chi_square((1.0, 1.0), (1.0, 1.0, 1.0)) == math.inf
    assert chi_square((1.0, 1.0), (math.nan, 0.0, 1.0)) == math.inf


def test_a_comparison_in_numbers() -> None:
    """Innovations, variances and ratios of one sample, by hand."""
    told = replace(GOOD, position_en_m=(8.0, 6.0), velocity_en_mps=(18.0, 2.0), accuracy_m=4.0)
    ours = replace(SURE, position_en_m=(2.0, 3.0), position_covariance_m2=(9.0, 1.0, 16.0))
    got = compare(told, ours, (4.0, 0.0), CONFIG)
    nearer = compare(told, ours, (40.0, 0.0), CONFIG)
    assert got.position_en_m == (6.0, 3.0)
    assert got.velocity_en_mps == (1.0, 2.0)
    assert got.position_variance_m2 == (25.0, 32.0)
    assert got.velocity_variance_m2ps2 == pytest.approx((0.34, 0.34))
    assert got.position_ratio == pytest.approx((32 * 36 - 2 * 18 + 25 * 9) / (25 * 32 - 1) / 16.0)
    assert got.velocity_ratio == pytest.approx(5.0 / 0.34 / 16.0)
    rough = compare(told, ours, (4.0, 0.0), replace(CONFIG, gps_floor_m=3.0, gps_speed_floor_mps=1.0))
    assert rough.drift_ratio == pytest.approx(25 * 16 / (18 * 25 - 1) / 16.0)
    assert rough.velocity_variance_m2ps2 == pytest.approx((1.09, 1.09))
    assert nearer.drift_ratio == pytest.approx((20 * 36 - 2 * 18 + 13 * 9) / (13 * 20 - 1) / 16.0)
    assert got.drift_ratio == pytest.approx(20 * 16 / (13 * 20 - 1) / 16.0)


def test_no_mean_no_drift_and_no_velocity_no_ratio() -> None:
    """What is not known is not held against the receiver."""
    got = compare(replace(GOOD, velocity_en_mps=(0.0, 0.0)), SURE, None, CONFIG)
    assert (got.velocity_en_mps, got.velocity_ratio, got.drift_ratio) == ((0.0, 0.0), 0.0, 0.0)


@pytest.mark.parametrize(("claimed_m", "believed_m"), [(0.1, 2.0), (2.0, 2.0), (3.0, 3.0), (5.0, 5.0), (14.0, 5.0)])
def test_a_forger_may_claim_any_accuracy(claimed_m: float, believed_m: float) -> None:
    """The claimed accuracy counts between the two bounds only."""
    got = compare(replace(GOOD, accuracy_m=claimed_m), SURE, None, CONFIG)
    assert got.position_variance_m2 == (9.0 + believed_m**2, 9.0 + believed_m**2)


def test_stable_takes_a_second_of_good_samples() -> None:
    """Six samples over one second make it stable, five do not."""
    assert after(5).health is UNKNOWN
    assert after(5).good_since_ns == 0
    stable = after(6)
    assert (stable.health, stable.reason) == (STABLE, "")
    assert after(3, stable, 6).health is STABLE


@pytest.mark.parametrize("fault", [{"fix_type": 2}, {"satellites": 4}, {"accuracy_m": 50.0}, {"interference": JAMMING}])
def test_poor_samples_in_a_row_degrade(fault: dict[str, float]) -> None:
    """One poor sample is let pass but ends the good time; the second one degrades; then a good second is needed."""
    state = after(6)
    one, _ = assess(state, claim(6, **fault), reference(6), CONFIG)
    assert (one.health, one.good_since_ns) == (STABLE, None)
    assert after(1, one, 7).poor == 0
    two, _ = assess(one, claim(7, **fault), reference(7), CONFIG)
    assert two.health is DEGRADED
    assert two.reason == quality_faults(claim(7, **fault), CONFIG)[0]
    assert (two.mean_en_m, two.wrong, two.wrong_velocity) == (None, 0, 0)
    assert after(5, two, 8).health is DEGRADED
    assert after(6, two, 8).health is STABLE


def test_all_reasons_are_given() -> None:
    """A jammed receiver tells everything that is wrong with it, and no comparison is made."""
    state = after(6)
    for k in (6, 7):
        state, compared = assess(state, claim(k, fix_type=0, satellites=2), reference(k), CONFIG)
        assert compared is None
    assert state.reason == "no fix, few satellites"


def test_far_off_twice_is_spoofed() -> None:
    """One sample beyond four sigma is not enough, two are; a good one between starts the count anew."""
    far = 40.0  # four sigma are 15 m
    state = replace(after(1), mean_en_m=(0.0, -60.0))
    one, compared = assess(state, claim(7, position_en_m=north(far, 7)), reference(7), CONFIG)
    assert compared is not None
    assert compared.position_ratio > 1.0
    assert one.wrong == 1
    assert one.good_since_ns is None
    one = replace(one, mean_en_m=(0.0, 0.0))
    again, _ = assess(one, claim(8, position_en_m=north(far, 8)), reference(8), CONFIG)
    assert (again.health, again.reason, again.good_since_ns) == (SPOOFED, "position", None)
    assert assess(one, claim(12), reference(12), CONFIG)[0].wrong == 0


@pytest.mark.parametrize(("metres", "wrong"), [(7.9, 0), (8.0, 0), (8.1, 1)])
def test_little_is_never_wrong(metres: float, wrong: int) -> None:
    """However certain our state claims to be, some metres are no forgery."""
    config = replace(CONFIG, gps_floor_m=0.1)
    told = replace(GOOD, position_en_m=(0.0, metres), accuracy_m=0.1)
    ours = replace(SURE, position_covariance_m2=(0.01, 0.0, 0.01))
    state, compared = assess(HealthState(), told, ours, config)
    assert compared is not None
    assert compared.position_ratio > 1.0
    assert compared.drift_ratio > 1.0
    assert state.wrong == wrong
    assert (state.health is SPOOFED) == bool(wrong)


@pytest.mark.parametrize(("metres", "wrong"), [(12.0, 0), (12.1, 1), (16.0, 1)])
def test_a_sample_at_its_gate_is_not_wrong(metres: float, wrong: int) -> None:
    """Four sigma exactly pass, on a reference of which position and drift have the same spread; a little more not."""
    told = replace(GOOD, position_en_m=(metres, 0.0), accuracy_m=2.0)
    state, compared = assess(HealthState(), told, replace(SURE, position_covariance_m2=(5.0, 0.0, 5.0)), CONFIG)
    assert compared is not None
    assert compared.position_ratio == compared.drift_ratio == pytest.approx(metres**2 / 144.0)
    assert state.wrong == wrong
    assert (state.health is SPOOFED) == bool(wrong)


@pytest.mark.parametrize(("faster_mps", "turned"), [(2.0, 0), (2.5, 1), (3.0, 1)])
def test_a_velocity_at_its_gate_is_not_wrong(faster_mps: float, turned: int) -> None:
    """Four sigma exactly pass, a little more not."""
    told = replace(GOOD, velocity_en_mps=(17.0 + faster_mps, 0.0))
    state, compared = assess(HealthState(), told, replace(SURE, velocity_covariance_m2ps2=(0.0, 0.0, 0.0)), CONFIG)
    assert compared is not None
    assert compared.velocity_ratio == faster_mps**2 / 4.0
    assert state.wrong_velocity == turned


def test_a_creep_at_its_limit_is_not_held_against_it() -> None:
    """Two metres a second exactly pass."""
    state = replace(after(1), creep_en_mps=(2.0, 0.0))
    told = replace(GOOD, t_ns=SECOND // 2, position_en_m=(9.5, 0.0))
    assert position_velocity_divergence_mps(state, told, CONFIG) == (2.0, 0.0)
    assert assess(state, told, None, CONFIG)[0].health is UNKNOWN


def test_a_single_wrong_sample_ends_the_good_time() -> None:
    """One sample off does not change the verdict, but nothing counts as good from before it."""
    moved = replace(reference(10), position_en_m=north(-16.0, 10))  # our own state has jumped
    state, _ = assess(after(10), claim(10), moved, CONFIG)
    assert (state.health, state.wrong, state.wrong_velocity, state.good_since_ns) == (STABLE, 1, 0, None)


def test_what_nothing_was_compared_with_is_not_wrong() -> None:
    """Without our state no counter runs, and what ran is forgotten."""
    state, _ = assess(replace(after(6), wrong=1, wrong_velocity=2), claim(6), None, CONFIG)
    assert (state.wrong, state.wrong_velocity) == (0, 0)


def test_what_is_remembered_of_a_poor_sample_and_of_a_forged_one() -> None:
    """A poor sample with a fix is the last one; a forged one is no poor one."""
    few = claim(6, satellites=4)
    state, _ = assess(after(6), few, reference(6), CONFIG)
    assert (state.last, state.poor) == (few, 1)
    forged, _ = assess(state, claim(7, position_en_m=north(900.0, 7), satellites=4), reference(7), CONFIG)
    assert (forged.health, forged.poor) == (SPOOFED, 0)


def test_what_is_remembered_of_a_sample_without_a_fix() -> None:
    """It is the last one; once degraded, what was counted against the GPS before is forgotten."""
    before = replace(after(6), wrong=1, wrong_velocity=2)
    lost = claim(6, fix_type=0)
    one, _ = assess(before, lost, reference(6), CONFIG)
    assert (one.last, one.poor, one.wrong, one.wrong_velocity) == (lost, 1, 1, 2)
    two, _ = assess(one, claim(7, fix_type=0), reference(7), CONFIG)
    assert (two.health, two.poor, two.wrong, two.wrong_velocity) == (DEGRADED, 2, 0, 0)
    assert two.mean_en_m is None


def test_a_wrong_velocity_three_times_is_spoofed() -> None:
    """A velocity that is not ours is spoofing before the position has gone far."""
    state = after(6)
    for k in (6, 7):
        state, _ = assess(state, claim(k, velocity_en_mps=(17.0, 5.0)), reference(k), CONFIG)
        assert state.health is STABLE
        assert state.good_since_ns is None
    assert state.wrong_velocity == 2
    assert after(1, state, 8).wrong_velocity == 0
    state, _ = assess(state, claim(8, velocity_en_mps=(17.0, 5.0)), reference(8), CONFIG)
    assert (state.health, state.reason) == (SPOOFED, "velocity")


@pytest.mark.parametrize("speed_mps", [0.5, 1.0, 2.0, 3.0, 5.0])
def test_a_ramp_is_seen_before_thirty_metres(speed_mps: float) -> None:
    """A GPS that is drawn away slowly, with a velocity to match, is spoofed before it has led us 30 m."""
    state, k = after(10), 10
    while state.health is not SPOOFED:
        off = speed_mps * (k - 9) / 5
        assert off < 30.0
        told = claim(k, position_en_m=north(off, k), velocity_en_mps=(17.0, speed_mps))
        state, _ = assess(state, told, reference(k), CONFIG)
        k += 1
    assert set(state.reason.split(", ")) <= {"drift", "velocity", "position"}


def test_the_mean_follows_by_its_time_constant() -> None:
    """After one time constant of a constant innovation the mean has come 63 % of the way."""
    state = replace(after(1), mean_en_m=(0.0, 0.0))
    told = claim(15, position_en_m=(17.0 * 3 + 2.0, 6.0))
    state, _ = assess(state, told, reference(15), CONFIG)
    assert state.mean_en_m == pytest.approx((2.0 * (1 - math.exp(-1)), 6.0 * (1 - math.exp(-1))))
    state, _ = assess(replace(after(1), mean_en_m=(1.0, 2.0)), told, reference(15), CONFIG)
    assert state.mean_en_m == pytest.approx((2.0 - math.exp(-1), 6.0 - 4.0 * math.exp(-1)))
    back, _ = assess(replace(after(12), mean_en_m=(1.0, 2.0)), claim(0), reference(0), CONFIG)
    assert back.mean_en_m == (1.0, 2.0)


def test_a_jump_starts_the_mean_anew() -> None:
    """After a jump home nothing of the forged distance is left in the mean."""
    state = replace(after(6), health=SPOOFED, mean_en_m=(300.0, 0.0))
    state = replace(state, last=claim(5, position_en_m=(400.0, 0.0)))
    state, _ = assess(state, claim(6), reference(6), CONFIG)
    assert (state.health, state.reason, state.mean_en_m) == (SPOOFED, "jump, creep", None)
    assert state.creep_en_mps == (0.0, 0.0)
    good = after(6, state, 7)
    assert (good.health, good.reason) == (STABLE, "")


def test_a_correction_of_our_own_state_is_no_drift() -> None:
    """When a fix has just brought our state to the GPS, the mean of the past says nothing any more."""
    state, _ = assess(replace(after(6), mean_en_m=(0.0, 30.0)), claim(6), reference(6), CONFIG)
    assert state.health is STABLE


@pytest.mark.parametrize(("speed_mps", "caught"), [(5.0, True), (2.5, True), (1.9, False)])
def test_a_position_that_outruns_its_own_velocity(speed_mps: float, caught: bool) -> None:
    """A ramp that hides its velocity contradicts itself within seconds, where we ourselves know nothing."""
    state = HealthState()
    for k in range(50):
        state, _ = assess(state, claim(k, position_en_m=north(speed_mps * k / 5, k)), None, CONFIG)
        if state.health is SPOOFED:
            assert state.reason == "creep"
            assert speed_mps * k / 5 < 15.0
            break
    assert (state.health is SPOOFED) is caught


def test_the_creep_by_hand() -> None:
    """The mean excess speed by its time constant; none after a gap, without a fix or without a velocity."""
    before = replace(after(1), creep_en_mps=(1.0, 0.5))
    weight = 1 - math.exp(-0.2 / 3.0)
    told = claim(1, position_en_m=(3.4 + 0.4, -0.2))
    expected = (1.0 + weight * (2.0 - 1.0), 0.5 + weight * (-1.0 - 0.5))
    assert position_velocity_divergence_mps(before, told, CONFIG) == pytest.approx(expected)
    changed = replace(told, velocity_en_mps=(18.0, 1.0))
    assert position_velocity_divergence_mps(before, changed, CONFIG) == pytest.approx(
        (1.0 + weight * (1.5 - 1.0), 0.5 + weight * (-1.5 - 0.5))
    )
    assert position_velocity_divergence_mps(before, replace(told, velocity_en_mps=(0.0, 0.0)), CONFIG) == (0.0, 0.0)
    assert position_velocity_divergence_mps(before, claim(6), CONFIG) == (0.0, 0.0)
    assert position_velocity_divergence_mps(before, claim(0), CONFIG) == (0.0, 0.0)
    assert position_velocity_divergence_mps(HealthState(), told, CONFIG) == (0.0, 0.0)
    assert position_velocity_divergence_mps(replace(before, last=claim(0, fix_type=2)), told, CONFIG) == (0.0, 0.0)


def test_our_own_uncertainty_says_unknown() -> None:
    """Where our state could not tell, a good GPS becomes unknown; a spoofed one stays spoofed."""
    for ours, why in ((None, "no state to compare with"), (reference(6, 20.1), "our state is too uncertain to tell")):
        state, _ = assess(after(6), claim(6), ours, CONFIG)
        assert (state.health, state.reason, state.good_since_ns) == (UNKNOWN, why, None)
        kept, _ = assess(replace(after(6), health=SPOOFED, reason="jump"), claim(6), ours, CONFIG)
        assert (kept.health, kept.reason, kept.good_since_ns) == (SPOOFED, "jump", None)
    assert assess(after(6), claim(6), reference(6, 20.0), CONFIG)[0].health is STABLE


def test_the_worst_direction_counts() -> None:
    """An ellipse that is long in one direction, whatever that is, is too uncertain."""
    long = (300.0, 250.0, 300.0)
    assert Reference((0.0, 0.0), (0.0, 0.0), long, (1.0, 0.0, 1.0)).sigma_m == pytest.approx(math.sqrt(550.0))
    assert Reference((0.0, 0.0), (0.0, 0.0), (4.0, 0.0, 9.0), (1.0, 0.0, 1.0)).sigma_m == pytest.approx(3.0)
    assert Reference((0.0, 0.0), (0.0, 0.0), (9.0, 0.0, 4.0), (1.0, 0.0, 1.0)).sigma_m == pytest.approx(3.0)


def test_samples_that_came_before_change_nothing() -> None:
    """The same sample again, or one that overtook another by a little, is not counted."""
    state = after(6)
    assert assess(state, claim(5), reference(5), CONFIG) == (state, None)
    assert assess(state, claim(1, fix_type=0), reference(1), CONFIG) == (state, None)
    assert assess(state, claim(0, fix_type=0), reference(0), CONFIG) == (state, None)
    assert assess(state, replace(claim(5), t_ns=0), reference(5), CONFIG) == (state, None)
    a_little_more, _ = assess(state, replace(claim(5), t_ns=-1), reference(5), CONFIG)
    assert a_little_more.reason.startswith("time runs back")
    late = after(12)
    back, _ = assess(late, claim(5), reference(5), CONFIG)
    assert (back.health, back.reason) == (SPOOFED, "time runs back")


@pytest.mark.parametrize("bad", [(math.nan, 0.0), (0.0, math.inf)])
def test_numbers_that_are_none(bad: tuple[float, float]) -> None:
    """Positions and velocities that are not numbers are poor samples and are not remembered."""
    for changes in ({"position_en_m": bad}, {"velocity_en_mps": bad}):
        state = after(6)
        for k in (6, 7):
            state, compared = assess(state, replace(claim(k), **changes), reference(k), CONFIG)
            assert compared is None
        assert (state.health, state.reason) == (DEGRADED, "malformed")
        assert state.last == claim(5)


def test_silence_degrades() -> None:
    """A GPS that was heard and is silent for more than a second is degraded; one that never spoke is unknown."""
    assert silent(HealthState(), 100 * SECOND, CONFIG) == HealthState()
    state = after(6)
    assert silent(state, 2 * SECOND, CONFIG) == state
    quiet = silent(state, 2 * SECOND + 1, CONFIG)
    assert (quiet.health, quiet.reason, quiet.good_since_ns) == (DEGRADED, "silent", None)


def test_a_comparison_holds_what_the_record_shows() -> None:
    """A good sample's comparison is small in all three ratios."""
    _, compared = assess(after(6), claim(6), reference(6), CONFIG)
    assert isinstance(compared, Comparison)
    assert max(compared.position_ratio, compared.velocity_ratio, compared.drift_ratio) == pytest.approx(0.0, abs=1e-9)
