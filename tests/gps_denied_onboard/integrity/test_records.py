"""Every number of what the monitor records and tells: whole records, with no two numbers alike."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gps_denied_onboard.integrity import failsafe
from gps_denied_onboard.integrity.config import IntegrityConfig
from gps_denied_onboard.integrity.monitor import Integrity, event_record, reference_of
from gps_denied_onboard.integrity.source_label import LabelLimits, navstate_from_estimate
from gps_denied_onboard.messages import (
    AidRecord,
    Alert,
    Estimate,
    GpsSample,
    NavState,
    PoseFix,
    PositionSource,
    RejectReason,
    SourceLabel,
)

from ..fusion.synthetic import FRAME, SECOND_NS

STEP = SECOND_NS // 5
NORTH_0 = 50.0
COVARIANCE = np.array([
    [30.0, 2.0, 0.7, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [2.0, 20.0, 0.9, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [0.7, 0.9, 6.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [0.0, 0.0, 0.0, 0.5, 0.1, 0.02, 0.0, 0.0, 0.0],
    [0.0, 0.0, 0.0, 0.1, 0.4, 0.03, 0.0, 0.0, 0.0],
    [0.0, 0.0, 0.0, 0.02, 0.03, 0.3, 0.0, 0.0, 0.0],
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1e-5, 0.0, 0.0],
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1e-5, 0.0],
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1e-5],
])  # fmt: skip


def place(t_ns: int) -> np.ndarray:
    return np.array([17.0 * t_ns / SECOND_NS, NORTH_0 + 3.0 * t_ns / SECOND_NS, 500.0])


def ours(t_ns: int) -> Estimate:
    velocity = np.array([17.0, 3.0, 0.25])
    return Estimate(
        t_ns, place(t_ns), velocity, np.eye(3), np.eye(3), COVARIANCE, np.eye(3) * 1e-9, np.zeros(2), True
    )  # fmt: skip


def told(t_ns: int, east_m: float = 0.0, north_m: float = 0.0, **changes: object) -> GpsSample:
    """The GPS of that flight, moved by so much."""
    latitude, longitude, altitude = (
        float(v) for v in FRAME.geodetic_from_enu(place(t_ns) + np.array([east_m, north_m, 0.0]))
    )
    sample = GpsSample(t_ns, latitude, longitude, altitude, (3.0, 17.0, 0.0), 3, 12, 3.0)
    return replace(sample, **changes)  # type: ignore[arg-type]


def fix(t_ns: int, covariance: np.ndarray | None = None) -> PoseFix:
    c = np.diag([5.0, 7.0, 4.0, 1e-9, 1e-9, 1e-9]) if covariance is None else covariance
    return PoseFix(t_ns, True, RejectReason.NONE, place(t_ns), np.eye(3), c, 50, 60, 0.5, False)


def monitor() -> Integrity:
    made = Integrity(FRAME, LabelLimits(), IntegrityConfig(), 1.5)
    made.on_sample(0)
    return made


def stable(until_s: float = 12.0) -> tuple[Integrity, list[AidRecord | Alert]]:
    """A monitor that has heard a good GPS for so long, with what it told; the last tick and sample are of that time."""
    made, out = monitor(), []
    for k in range(1, round(until_s * 5) + 1):
        out += made.on_gps(told(k * STEP), ours(k * STEP))
        out += made.on_tick(k * STEP, None, False)[1]
    return made, out


def alerts(found: list[AidRecord | Alert]) -> list[Alert]:
    return [item for item in found if isinstance(item, Alert)]


def test_a_sample_that_was_compared() -> None:
    """All of its record: observation, variances of accuracy and speed, innovation, and the largest of the ratios."""
    (record, *more) = monitor().on_gps(told(STEP, 4.0, -6.0, velocity_ned_mps=(2.0, 17.0, 0.0)), ours(STEP))
    assert isinstance(record, AidRecord)
    assert (record.t_ns, record.source, record.accepted, record.reason) == (STEP, "gps", False, "UNKNOWN")
    assert record.observation == pytest.approx((7.4, 44.6, 17.0, 2.0), abs=1e-3)
    assert record.observation_variance == (9.0, 9.0, 0.25, 0.25)
    assert record.innovation == pytest.approx((4.0, -6.0, 0.0, -1.0), abs=1e-3)
    assert record.innovation_variance == pytest.approx((39.0, 29.0, 0.75, 0.65))
    a, b, c = 34.0, 2.0, 24.0
    assert record.test_ratio == pytest.approx((c * 16 + 2 * b * 24 + a * 36) / (a * c - b * b) / 16, rel=1e-3)
    assert more == []


@pytest.mark.parametrize(
    ("before_m", "east_m", "speed_mps", "largest"),
    [(0.0, 6.0, 17.0, "position"), (0.0, 0.0, 20.0, "velocity"), (6.0, 6.0, 17.0, "drift")],
)
def test_the_ratio_told_is_the_largest(before_m: float, east_m: float, speed_mps: float, largest: str) -> None:
    """Position, velocity or drift: whichever is nearest to its gate. A claimed accuracy does not help the drift."""
    made = monitor()
    made.on_gps(told(STEP, before_m), ours(STEP))
    sample = told(2 * STEP, east_m, velocity_ned_mps=(3.0, speed_mps, 0.0), horizontal_accuracy_m=5.0)
    record = made.on_gps(sample, ours(2 * STEP))[0]
    by_hand = {
        "position": 36.0 / (55.0 - 4.0 / 45.0) / 16.0,
        "velocity": 9.0 / (0.75 - 0.01 / 0.65) / 16.0,
        "drift": 36.0 / (34.0 - 4.0 / 24.0) / 16.0,
    }
    assert isinstance(record, AidRecord)
    assert record.test_ratio == pytest.approx(by_hand[largest], rel=1e-3)


def test_a_sample_without_a_state_to_compare_with() -> None:
    """Its record holds what was claimed and nothing else; the first verdict alone is told."""
    record = monitor().on_gps(told(STEP), None)[0]
    assert isinstance(record, AidRecord)
    assert record.observation == pytest.approx((3.4, 50.6, 17.0, 3.0), abs=1e-3)
    assert replace(record, observation=()) == AidRecord(
        STEP, "gps", (), (), (), (), 0.0, False, "UNKNOWN: no state to compare with"
    )


def test_a_verdict_is_told_when_it_changes_and_only_then() -> None:
    """STABLE after a second, as one alert at its sample's time; nobody is left by it, for nobody was followed."""
    _, out = stable(3.0)
    assert alerts(out) == [Alert(6 * STEP, 6, "GPS is STABLE_NON_SPOOFED")]
    assert {item.source for item in out if isinstance(item, AidRecord)} == {"gps"}


def test_a_gps_that_falls_silent() -> None:
    """The tick that finds out tells the verdict and that the GPS is left, with its own time, and records why."""
    made, _ = stable()
    made.on_fix(fix(60 * STEP), ours(60 * STEP))
    assert made.source is PositionSource.GPS
    late_ns = 66 * STEP
    _, out = made.on_tick(late_ns, None, False)
    assert out == [
        Alert(late_ns, 4, "GPS is DEGRADED: silent"),
        AidRecord(late_ns, "position_source", (), (), (), (), 0.0, False, "companion: GPS DEGRADED: silent"),
        Alert(late_ns, 2, "GPS left, position from companion", always=True),
    ]


def test_a_jump_is_told_with_the_samples_time() -> None:
    """The same for a sample that makes the verdict."""
    made, _ = stable()
    made.on_fix(fix(60 * STEP), ours(60 * STEP))
    out = made.on_gps(told(61 * STEP, 300.0), ours(61 * STEP))[1:]
    why = "SPOOFED: jump, creep"
    assert out == [
        Alert(61 * STEP, 2, f"GPS is {why}"),
        AidRecord(61 * STEP, "position_source", (), (), (), (), 0.0, False, f"companion: GPS {why}"),
        Alert(61 * STEP, 2, "GPS left, position from companion", always=True),
    ]


def test_all_that_one_tick_finds_is_told() -> None:
    """A silent GPS, a timeout and a request in one tick: in this order, none lost."""
    made = monitor()
    made.on_gps(told(STEP), ours(STEP))
    made.on_tick(STEP, None, False)
    _, out = made.on_tick(40 * STEP, None, False)
    assert [item.text for item in alerts(out)] == [
        "GPS is DEGRADED: silent", "NO_ESTIMATE_TIMEOUT", "OPERATOR_RELOC_REQUEST: send RELOC:<lat>,<lon>,<radius_m>",
    ]  # fmt: skip


def test_what_the_gate_compares() -> None:
    """Difference from the fix along both axes and its whole covariance, map and receiver added; distance to us."""
    config = replace(IntegrityConfig(), gps_floor_m=3.0)
    made = Integrity(FRAME, LabelLimits(), config, 1.5)
    for k in range(1, 61):
        made.on_gps(told(k * STEP, 3.0, -4.0), ours(k * STEP))
    c = np.diag([5.0, 7.0, 4.0, 1e-9, 1e-9, 1e-9])
    c[0, 1] = c[1, 0] = 1.5
    c[0, 2] = c[2, 0] = -0.5
    record = made.on_fix(fix(60 * STEP, c), ours(60 * STEP))[0]
    assert isinstance(record, AidRecord)
    assert record.observation == pytest.approx((207.0, 82.0), abs=1e-3)
    assert record.observation_variance == (9.0, 9.0)
    assert record.innovation == pytest.approx((3.0, -4.0), abs=1e-3)
    assert record.innovation_variance == pytest.approx((16.25, 18.25), rel=1e-3)
    ratio = (18.25 * 9 + 2 * 1.5 * 12 + 16.25 * 16) / (16.25 * 18.25 - 1.5**2) / 16
    assert record.test_ratio == pytest.approx(ratio, rel=1e-3)


@pytest.mark.parametrize(("east_m", "north_m"), [(201.0, 0.0), (0.0, 201.0), (0.0, -201.0), (-150.0, 150.0)])
def test_the_distance_from_our_estimate_counts_along_both_axes(east_m: float, north_m: float) -> None:
    """A GPS that agrees with the fix, both far from our estimate, is rejected in whichever direction that lies."""
    made, _ = stable()
    far = replace(ours(60 * STEP), position_enu_m=place(60 * STEP) + np.array([east_m, north_m, 0.0]))
    record = made.on_fix(fix(60 * STEP), far)[0]
    assert isinstance(record, AidRecord)
    assert record.reason == f"{math.hypot(east_m, north_m):.0f} m from the estimate"


def test_a_rejection_waits_ten_seconds_from_its_own_time() -> None:
    """A fix elsewhere: rejected at the time of the tick, and a fix just short of ten seconds later decides nothing."""
    made, _ = stable()
    elsewhere = replace(fix(60 * STEP), position_enu_m=place(60 * STEP) - np.array([25.0, 0.0, 0.0]))
    record, alert = made.on_fix(elsewhere, ours(60 * STEP))
    assert isinstance(record, AidRecord)
    assert record.test_ratio == pytest.approx(625.0 / 11.25 / 16.0, rel=1e-3)
    assert alert == Alert(60 * STEP, 4, "GPS REJECTED by the gate: 25 m from the satellite fix", always=True)
    for k in range(61, 111):
        made.on_gps(told(k * STEP), ours(k * STEP))
    assert made.on_fix(fix(110 * STEP - 1), ours(110 * STEP - 1)) == []
    assert made.on_fix(fix(110 * STEP), ours(110 * STEP)) != []


def test_samples_are_not_hoarded() -> None:
    """A fix of fifteen seconds ago finds no sample of its time any more: 64 are kept."""
    made, _ = stable(30.0)
    record = made.on_fix(fix(75 * STEP), ours(75 * STEP))[0]
    assert isinstance(record, AidRecord)
    assert record.reason == "no GPS sample at the time of the satellite fix"


def test_a_sample_five_seconds_and_a_nanosecond_away_is_of_another_time() -> None:
    """The limit is exact."""
    made = monitor()
    made.on_tick(10 * SECOND_NS, None, False)
    assert made.is_comparable(15 * SECOND_NS)
    assert not made.is_comparable(15 * SECOND_NS + 1)
    assert not made.is_comparable(5 * SECOND_NS - 1)


def test_our_state_as_reference() -> None:
    """East and north of position and velocity with their whole covariances."""
    got = reference_of(ours(SECOND_NS))
    assert got is not None
    assert (got.position_en_m, got.velocity_en_mps) == ((17.0, 53.0), (17.0, 3.0))
    assert got.position_covariance_m2 == (30.0, 2.0, 20.0)
    assert got.velocity_covariance_m2ps2 == (0.5, 0.1, 0.4)


def test_the_record_of_a_step() -> None:
    """What was seen, which limit was crossed by how much, nothing compared."""
    sight = failsafe.FailsafeInput(7, True, True, 120.0, 4.0, 3)
    assert event_record(7, failsafe.Event("2D fix", 4, 120.0, 100.0), sight) == AidRecord(
        7, "failsafe", (120.0, 4.0, 3.0), (), (), (), 1.2, False, "2D fix"
    )


def dark(t_ns: int, major_m: float) -> NavState:
    """A dead reckoned position with an ellipse of this size and a covariance without two numbers alike."""
    state = navstate_from_estimate(ours(t_ns), SourceLabel.DEAD_RECKONED, 0, FRAME)
    return replace(
        state, ellipse_semi_major_m=major_m, ellipse_semi_minor_m=major_m / 2.0,
        covariance_enu_m2=(9.0, 1.0, 2.0, 1.1, 8.0, 3.0, 2.1, 3.1, 7.0),
    )  # fmt: skip


def leaves(made: Integrity, state: NavState) -> NavState:
    out, _ = made.on_tick(state.t_ns, state, True)
    assert out is not None
    return out


def test_an_ellipse_that_shrinks_in_the_dark_is_held_in_all_its_numbers() -> None:
    """Twice as large: horizontal variances by four, what goes with the height by two, the height's own as it is."""
    made = monitor()
    assert leaves(made, dark(STEP, 20.0)).covariance_enu_m2 == dark(STEP, 20.0).covariance_enu_m2
    held = leaves(made, dark(2 * STEP, 10.0))
    assert (held.ellipse_semi_major_m, held.ellipse_semi_minor_m) == (20.0, 10.0)
    assert held.covariance_enu_m2 == pytest.approx((36.0, 4.0, 4.0, 4.4, 32.0, 6.0, 4.2, 6.2, 7.0))


@pytest.mark.parametrize(("first_m", "then_m", "left_m"), [(0.5, 0.4, 0.5), (0.9, 0.8, 0.9), (20.0, 0.0, 0.0)])
def test_small_ellipses_are_held_too(first_m: float, then_m: float, left_m: float) -> None:
    """Below a metre as above; one of no size cannot be made larger."""
    made = monitor()
    assert leaves(made, dark(STEP, first_m)).ellipse_semi_major_m == first_m
    assert leaves(made, dark(2 * STEP, then_m)).ellipse_semi_major_m == pytest.approx(left_m)


def test_an_ellipse_of_the_light_is_forgotten_in_the_next_dark() -> None:
    """What was held ends with the first bright position, whatever its size."""
    made = monitor()
    leaves(made, dark(STEP, 20.0))
    leaves(made, replace(dark(2 * STEP, 10.0), source_label=SourceLabel.SATELLITE_ANCHORED))
    assert leaves(made, dark(3 * STEP, 0.5)).ellipse_semi_major_m == 0.5


@pytest.mark.parametrize(("major_m", "place_told"), [(90.0, True), (110.0, True), (600.0, False)])
def test_where_the_operator_is_asked_to_look(major_m: float, place_told: bool) -> None:
    """A 2D position is a place to look at, in five digits of a degree; without a fix the sentence says what to send."""
    made = monitor()
    for k in range(4):
        state = replace(dark(STEP, major_m), fix_type=3 if major_m < 100.0 else 2 if major_m < 500.0 else 1)
        _, out = made.on_tick((11 + 10 * k) * STEP, replace(state, t_ns=(11 + 10 * k) * STEP), True)
        asked = [a.text for a in alerts(out) if a.text.startswith("OPERATOR")]
        if asked:
            break
    where = f"near {state.latitude_deg:.5f},{state.longitude_deg:.5f} +-{major_m:.0f} m"
    what = where if place_told else "send RELOC:<lat>,<lon>,<radius_m>"
    assert asked == [f"OPERATOR_RELOC_REQUEST: {what}"]


def test_a_lost_position_is_told_as_that() -> None:
    """The ladder's steps read as sentences about the position."""
    made = monitor()
    leaves(made, dark(STEP, 20.0))
    _, out = made.on_tick(2 * STEP, dark(2 * STEP, 20.0), False)
    assert alerts(out) == [Alert(2 * STEP, 3, "position: no position", always=True)]
