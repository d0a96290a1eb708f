"""The monitor as a whole: what leaves it for samples, fixes and ticks, as records, alerts and positions."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gps_denied_onboard.geometry.rotations import exp_rotation
from gps_denied_onboard.integrity.config import IntegrityConfig
from gps_denied_onboard.integrity.monitor import Integrity, condition_on_attitude, measurement_of, reference_of
from gps_denied_onboard.integrity.source_label import LabelLimits, navstate_from_estimate
from gps_denied_onboard.messages import (
    AidRecord,
    Alert,
    Estimate,
    GpsHealth,
    GpsSample,
    NavState,
    PoseFix,
    PositionSource,
    RejectReason,
    SourceLabel,
)

from ..fusion.synthetic import FRAME, SECOND_NS

STEP = SECOND_NS // 5
TICK = SECOND_NS // 10


def ours(t_ns: int, sigma_m: float = 2.0, known: bool = True) -> Estimate:
    """A level flight at 17 m/s to the east, 500 m over the origin at t = 0."""
    covariance = np.diag([sigma_m**2, sigma_m**2, 4.0, 0.04, 0.04, 0.04, 1e-5, 1e-5, 1e-5])
    position = np.array([17.0 * t_ns / SECOND_NS, 0.0, 500.0])
    return Estimate(
        t_ns, position, np.array([17.0, 0.0, 0.0]), np.eye(3), np.eye(3), covariance, np.eye(3) * 1e-6, np.zeros(2),
        known,
    )  # fmt: skip


def told(t_ns: int, off_north_m: float = 0.0, **changes: object) -> GpsSample:
    """The GPS of that flight, `off_north_m` beside it."""
    latitude, longitude, altitude = (
        float(v) for v in FRAME.geodetic_from_enu(np.array([17.0 * t_ns / SECOND_NS, off_north_m, 500.0]))
    )
    sample = GpsSample(t_ns, latitude, longitude, altitude, (0.0, 17.0, 0.0), 3, 12, 1.0)
    return replace(sample, **changes)  # type: ignore[arg-type]


def fix(t_ns: int, off_north_m: float = 0.0) -> PoseFix:
    position = np.array([17.0 * t_ns / SECOND_NS, off_north_m, 500.0])
    c = np.diag([4.0] * 3 + [1e-5] * 3)
    return PoseFix(t_ns, True, RejectReason.NONE, position, np.eye(3), c, 50, 60, 0.5, False)


class Flight:
    """Feeds a monitor at 5 Hz GPS, 10 Hz ticks, 1 Hz frames with odometry; keeps what leaves."""

    def __init__(self) -> None:
        self.monitor = Integrity(FRAME, LabelLimits(), IntegrityConfig(), 1.5)
        self.monitor.on_sample(0)
        self.t_ns = 0
        self.told: list[AidRecord | Alert] = []
        self.states: list[NavState] = []

    def fly(self, seconds: float, off_north_m: float = 0.0, frames: bool = True, sigma_m: float = 2.0) -> Flight:
        for _ in range(round(seconds * 10)):
            self.t_ns += TICK
            if self.t_ns % STEP == 0:
                self.told += self.monitor.on_gps(told(self.t_ns, off_north_m), ours(self.t_ns, sigma_m))
            if frames and self.t_ns % SECOND_NS == 0:
                self.monitor.on_frame(self.t_ns)
                self.monitor.on_odometry(self.t_ns, True)
            self.tick(sigma_m)
        return self

    def tick(self, sigma_m: float = 2.0) -> NavState:
        labels, estimate = self.monitor.labels, ours(self.t_ns, sigma_m)
        label = labels.label(self.t_ns, sigma_m, LabelLimits())
        state, out = self.monitor.on_tick(self.t_ns, navstate_from_estimate(estimate, label, 0, FRAME), True)
        assert state is not None
        self.states.append(state)
        self.told += out
        return state

    def fix(self, off_north_m: float = 0.0) -> Flight:
        self.told += self.monitor.on_fix(fix(self.t_ns, off_north_m), ours(self.t_ns))
        return self

    @property
    def alerts(self) -> list[str]:
        return [t.text for t in self.told if isinstance(t, Alert)]

    def records(self, source: str) -> list[AidRecord]:
        return [t for t in self.told if isinstance(t, AidRecord) and t.source == source]


def test_a_good_gps_is_taken_after_ten_seconds_and_a_fix() -> None:
    """Not by time alone, not by an early fix: stable for ten seconds, then the next satellite fix."""
    flight = Flight().fly(5.0).fix().fly(7.0)
    assert flight.states[-1].gps_health is GpsHealth.STABLE_NON_SPOOFED
    assert flight.states[-1].position_source is PositionSource.COMPANION
    assert flight.records("gps_gate") == []
    flight.fix().fly(0.1)
    assert flight.states[-1].position_source is PositionSource.GPS
    (record,) = flight.records("gps_gate")
    assert record.accepted
    assert (record.t_ns, record.reason) == (12 * SECOND_NS, "agrees with the satellite fix")
    assert record.observation == pytest.approx((204.0, 0.0), abs=0.01)
    assert record.observation_variance == (1.0, 1.0)
    assert record.innovation == pytest.approx((0.0, 0.0), abs=0.01)
    assert record.innovation_variance == pytest.approx((4.0 + 4.0 + 2.25,) * 2, rel=1e-3)
    assert "GPS taken back: agrees with the satellite fix" in flight.alerts


def test_a_fix_elsewhere_rejects_it_and_says_so_whatever_is_held_back() -> None:
    """The rejection is recorded, told past every rate limit, and ten more seconds are needed."""
    flight = Flight().fly(12.0).fix(off_north_m=25.0).fly(9.0).fix()
    assert flight.states[-1].position_source is PositionSource.COMPANION
    (record,) = flight.records("gps_gate")
    assert not record.accepted
    assert record.reason == "25 m from the satellite fix"
    (alert,) = [t for t in flight.told if isinstance(t, Alert) and "REJECTED" in t.text]
    assert (alert.text, alert.severity, alert.always) == (
        "GPS REJECTED by the gate: 25 m from the satellite fix", 4, True,
    )  # fmt: skip
    assert flight.fly(1.2).fix().monitor.source is PositionSource.GPS


def test_a_jump_makes_us_the_source_at_once() -> None:
    """The first sample of a jump: verdict, record, alert, and the next position says companion."""
    flight = Flight().fly(12.0).fix().fly(1.0)
    before = len(flight.told)
    flight.fly(0.2, off_north_m=300.0)
    assert flight.states[-1].position_source is PositionSource.COMPANION
    assert flight.states[-1].gps_health is GpsHealth.SPOOFED
    new = flight.told[before:]
    assert isinstance(new[0], AidRecord)
    assert new[0].reason == "SPOOFED: jump, creep, drift"
    assert (new[0].accepted, new[0].test_ratio > 1.0) == (False, True)
    assert new[0].innovation == pytest.approx((0.0, 300.0, 0.0, 0.0), abs=0.01)
    assert [t.reason for t in new if isinstance(t, AidRecord) and t.source == "position_source"] == [
        "companion: GPS SPOOFED: jump, creep, drift"
    ]
    alerts = [(t.severity, t.text, t.always) for t in new if isinstance(t, Alert)]
    assert (2, "GPS is SPOOFED: jump, creep, drift", False) in alerts
    assert (2, "GPS left, position from companion", True) in alerts


def test_silence_makes_us_the_source_by_the_tick() -> None:
    """No sample comes: the tick finds out after a second, once."""
    flight = Flight().fly(12.0).fix().fly(0.2)
    for _ in range(20):
        flight.t_ns += TICK
        flight.tick()
    sources = [s.position_source for s in flight.states[-20:]]
    assert sources.count(PositionSource.GPS) == 10
    assert sources[-1] is PositionSource.COMPANION
    assert flight.alerts.count("GPS is DEGRADED: silent") == 1


def test_the_record_of_a_sample() -> None:
    """Observation, innovation and their variances in the local frame; without a state only what was claimed."""
    monitor = Flight().monitor
    record = monitor.on_gps(told(0, 3.0), ours(0))[0]
    assert isinstance(record, AidRecord)
    assert record.observation == pytest.approx((0.0, 3.0, 17.0, 0.0), abs=1e-3)
    assert record.observation_variance == (1.0, 1.0, 0.25, 0.25)
    assert record.innovation == pytest.approx((0.0, 3.0, 0.0, 0.0), abs=1e-3)
    assert record.innovation_variance == pytest.approx((8.0, 8.0, 0.29, 0.29))
    assert (record.source, record.accepted, record.reason) == ("gps", False, "UNKNOWN")
    alone = monitor.on_gps(told(STEP), None)[0]
    assert isinstance(alone, AidRecord)
    assert (alone.innovation, alone.test_ratio) == ((), 0.0)
    assert alone.reason == "UNKNOWN: no state to compare with"


def test_a_position_that_is_not_known_is_no_reference() -> None:
    """Neither an unknown position nor none at all can be compared with."""
    assert reference_of(None) is None
    assert reference_of(ours(0, known=False)) is None
    got = reference_of(ours(SECOND_NS, 3.0))
    assert got is not None
    assert (got.position_en_m, got.velocity_en_mps) == ((17.0, 0.0), (17.0, 0.0))
    assert (got.position_covariance_m2, got.velocity_covariance_m2ps2) == ((9.0, 0.0, 9.0), (0.04, 0.0, 0.04))


def test_a_sample_becomes_a_claim() -> None:
    """North and east change places from the autopilot's frame to ours; the rest is carried over."""
    sample = told(SECOND_NS, 7.0, velocity_ned_mps=(1.0, 2.0, 3.0), utc_ns=5, interference=2, satellites=9)
    got = measurement_of(sample, FRAME)
    assert got.position_en_m == pytest.approx((17.0, 7.0), abs=1e-3)
    assert (got.velocity_en_mps, got.fix_type, got.satellites) == ((2.0, 1.0), 3, 9)
    assert (got.accuracy_m, got.utc_ns, got.interference) == (1.0, 5, 2)


@pytest.mark.parametrize(
    ("t_s", "is_comparable"), [(10.0, True), (15.0, True), (15.1, False), (5.0, True), (4.9, False)]
)
def test_samples_from_far_in_time_have_no_state(t_s: float, is_comparable: bool) -> None:
    """A time stamp days away must not send the state there."""
    flight = Flight()
    assert flight.monitor.is_comparable(10**18)
    flight.fly(10.0)
    assert flight.monitor.is_comparable(round(t_s * SECOND_NS)) is is_comparable


def test_the_dark_is_climbed_down_in_order() -> None:
    """Dead reckoned after the late frame, the operator asked, 2D and no fix with 999 m after 30 s; and back at once."""
    flight = Flight().fly(10.0).fly(32.0, frames=False)
    dark = flight.states[100:]
    first = next(s.t_ns for s in dark if s.source_label is SourceLabel.DEAD_RECKONED)
    assert first == 11 * SECOND_NS + 5 * TICK
    types = [s.fix_type for s in dark]
    assert types == sorted(types, reverse=True)
    assert types.count(2) == 1
    assert next(s.t_ns for s in dark if s.fix_type == 1) == 40 * SECOND_NS + 2 * TICK
    assert {s.horizontal_accuracy_m for s in dark if s.fix_type == 1} == {999.0}
    assert [r.reason for r in flight.records("failsafe")] == [
        "3D fix", "OPERATOR_RELOC_REQUEST", "2D fix", "VISUAL_BLACKOUT_FAILSAFE",
    ]  # fmt: skip
    record = flight.records("failsafe")[-1]
    assert record.observation == pytest.approx((2.0 * math.sqrt(5.991), 30.2, 29.0), rel=1e-3)
    assert record.test_ratio == pytest.approx(30.2 / 30.0)
    assert "VISUAL_BLACKOUT_FAILSAFE" in flight.alerts
    assert flight.fly(1.0).states[-1].fix_type == 3
    assert flight.states[-1].horizontal_accuracy_m == pytest.approx(2.0, rel=1e-3)


def asked_s(period_s: float, dark: int, frames_go_on: bool = True) -> list[float]:
    """When the operator is asked, in s after the first of `dark` frames that give nothing; bright ones before and
    after, the odometry of each 0.1 s after it; without `frames_go_on` none comes at all."""
    flight, dark_s = Flight(), 12.0
    frames_s = [k * period_s for k in range(round(25.0 / period_s)) if frames_go_on or k * period_s < dark_s - 1e-6]
    for tick in range(1, 250):
        flight.t_ns = tick * TICK
        for at_s in frames_s:
            t_ns = round(at_s * SECOND_NS)
            if flight.t_ns - TICK < t_ns <= flight.t_ns:
                flight.monitor.on_frame(t_ns)
            if flight.t_ns - TICK < t_ns + TICK <= flight.t_ns:
                flight.monitor.on_odometry(t_ns, not -1e-6 < at_s - dark_s < dark * period_s - 1e-6)
        flight.tick()
    requests = [r for r in flight.records("failsafe") if r.reason == "OPERATOR_RELOC_REQUEST"]
    return [r.t_ns / SECOND_NS - dark_s for r in requests]


@pytest.mark.parametrize("period_s", [1.0, 0.5, 1.0 / 3.0])
@pytest.mark.parametrize("frames_go_on", [True, False])
def test_the_operator_is_asked_two_seconds_after_the_first_dark_frame(period_s: float, frames_go_on: bool) -> None:
    """AC-3.4: 2 s +-0.5 s after the first frame without anything, at 1 to 3 frames a second, dark or missing."""
    (at_s,) = asked_s(period_s, 40, frames_go_on)
    assert 1.5 <= at_s <= 2.5


def test_at_a_frame_in_two_seconds_the_third_one_asks() -> None:
    """Three frames take 4 s there; the request comes once the third has had its 0.3 s."""
    (at_s,) = asked_s(2.0, 4)
    assert at_s == pytest.approx(4.3)


@pytest.mark.parametrize(("dark", "asks"), [(2, False), (3, True)])
def test_a_frame_that_is_still_worked_on_asks_nobody(dark: int, asks: bool) -> None:
    """At 1 Hz two lost frames are no reason to ask while the third, which will be found, has only just come."""
    assert bool(asked_s(1.0, dark)) is asks


def test_the_operator_is_told_where_and_how_far() -> None:
    """The request carries the last place and its uncertainty; without a place it says what to send."""
    flight = Flight().fly(10.0).fly(4.0, frames=False)
    (asked,) = [text for text in flight.alerts if text.startswith("OPERATOR_RELOC_REQUEST")]
    assert asked.endswith("+-5 m")
    lost = Flight().monitor
    texts = [
        t.text for k in range(80) for t in lost.on_tick(k * TICK, None, False)[1] if isinstance(t, Alert)
    ]  # fmt: skip
    assert texts == ["NO_ESTIMATE_TIMEOUT", "OPERATOR_RELOC_REQUEST: send RELOC:<lat>,<lon>,<radius_m>"]


def test_while_nothing_is_seen_the_ellipse_only_grows() -> None:
    """A smaller ellipse in the dark leaves as large as the last one, in all its numbers; seen again it may shrink."""
    flight = Flight().fly(10.0).fly(3.0, frames=False, sigma_m=8.0).fly(1.0, frames=False, sigma_m=4.0)
    grown, held = flight.states[129], flight.states[-1]
    assert held.source_label is SourceLabel.DEAD_RECKONED
    assert held.ellipse_semi_major_m == pytest.approx(grown.ellipse_semi_major_m)
    assert held.ellipse_semi_minor_m == pytest.approx(grown.ellipse_semi_minor_m)
    assert held.covariance_enu_m2 == pytest.approx((64.0, 0, 0, 0, 64.0, 0, 0, 0, 4.0))
    assert held.horizontal_accuracy_m == pytest.approx(8.0, rel=1e-3)
    assert flight.fly(1.0, sigma_m=4.0).states[-1].horizontal_accuracy_m == pytest.approx(4.0, rel=1e-3)
    assert flight.fly(4.0, frames=False, sigma_m=5.0).states[-1].horizontal_accuracy_m == pytest.approx(5.0, rel=1e-3)


def test_a_fix_under_the_attitude() -> None:
    """A fix that traded 1 degree of tilt for 8.7 m at 500 m comes to where the attitude says, and is surer."""
    tilt, height = math.radians(1.0), 500.0
    lever = np.zeros((6, 6))
    lever[0, 4] = -height  # a tilt about north reads as a displacement east
    c = np.diag([1.0, 1.0, 1.0, 1e-6, 1e-2, 1e-6])
    joint = (np.eye(6) + lever) @ c @ (np.eye(6) + lever).T
    error = (np.eye(6) + lever) @ np.array([0.0, 0.0, 0.0, 0.0, tilt, 0.0])
    seen = fix(0)
    seen = replace(
        seen, position_enu_m=np.array([0.0, 0.0, height]) - error[:3], covariance=joint,
        rotation_camera_to_enu=exp_rotation(-error[3:]),
    )  # fmt: skip
    assert abs(seen.position_enu_m[0]) > 8.0
    position, covariance = condition_on_attitude(seen, ours(0))
    assert position == pytest.approx([0.0, 0.0, height], abs=0.05)
    assert covariance[0, 0] == pytest.approx(1.0 + height**2 * 1e-6, rel=1e-2)
    assert joint[0, 0] > 2000.0


def test_odometry_that_was_refused_is_a_failed_frame() -> None:
    """An accepted step is something seen at its frame's time, a refused one is a failure at its frame's time."""
    monitor = Flight().monitor
    monitor.on_frame(SECOND_NS)
    monitor.on_odometry(SECOND_NS, True)
    assert (monitor.labels.odometry_ns, monitor.labels.failed_ns) == (SECOND_NS, None)
    monitor.on_odometry(2 * SECOND_NS, False)
    assert (monitor.labels.odometry_ns, monitor.labels.failed_ns) == (SECOND_NS, 2 * SECOND_NS)
    assert monitor.on_fix(fix(3 * SECOND_NS), ours(3 * SECOND_NS)) == []
    assert monitor.labels.anchor_ns == 3 * SECOND_NS


@pytest.mark.parametrize("known", [True, False])
def test_a_gate_without_anything_to_compare_rejects(known: bool) -> None:
    """A fix without a GPS sample near it, or without a state, is rejected with an empty comparison, told at once."""
    flight = Flight().fly(12.0)
    late_ns = flight.t_ns + (0 if not known else SECOND_NS)
    record, alert = flight.monitor.on_fix(fix(late_ns), ours(late_ns) if known else None)
    assert isinstance(record, AidRecord)
    assert (record.t_ns, record.source, record.accepted) == (late_ns, "gps_gate", False)
    assert (record.innovation, record.innovation_variance, record.test_ratio) == ((), (), math.inf)
    assert (record.observation == ()) is known
    assert (record.observation_variance == ()) is known
    assert alert == Alert(
        late_ns, 4, "GPS REJECTED by the gate: no GPS sample at the time of the satellite fix", always=True
    )


def test_what_is_told_carries_the_time_of_the_decision() -> None:
    """A late fix is decided now: its record has the fix's time, its alert that of the last tick."""
    flight = Flight().fly(12.4)
    record, alert = flight.monitor.on_fix(fix(12 * SECOND_NS), ours(12 * SECOND_NS))
    assert isinstance(record, AidRecord)
    assert (record.t_ns, record.accepted) == (12 * SECOND_NS, True)
    assert alert == Alert(flight.t_ns, 5, "GPS taken back: agrees with the satellite fix", always=True)


def test_alerts_of_a_tick_have_its_time_and_severity() -> None:
    """The first tick with a position: the level of the ladder and the label, with severities, at the tick's time."""
    flight = Flight()
    flight.t_ns = SECOND_NS
    flight.tick()
    assert [(t.t_ns, t.severity, t.text, t.always) for t in flight.told if isinstance(t, Alert)] == [
        (SECOND_NS, 5, "position: 3D fix", True),
        (SECOND_NS, 4, "position is dead_reckoned", False),
    ]
    (record,) = flight.records("failsafe")
    assert (record.t_ns, record.reason, record.accepted) == (SECOND_NS, "3D fix", False)


@pytest.mark.parametrize(
    ("changes", "sound"),
    [({}, True), ({"fix_type": 2}, False), ({"satellites": 3}, False), ({"horizontal_accuracy_m": math.nan}, False)],
)
def test_a_gps_is_sound_while_it_says_nothing_wrong_of_itself(changes: dict[str, object], sound: bool) -> None:
    """Its place is told as long as the receiver itself calls it good; before the first sample there is none."""
    monitor = Integrity(FRAME, LabelLimits(), IntegrityConfig(), 1.5)
    assert monitor.sound_gps_en_m is None
    monitor.on_gps(told(SECOND_NS, 40.0, **changes), None)
    place = monitor.sound_gps_en_m
    assert (place is not None) is sound
    assert place is None or place == pytest.approx([17.0, 40.0], abs=0.01)


def test_a_gps_that_contradicts_itself_is_not_sound() -> None:
    """A jump that its velocity does not explain, though each sample alone is of good quality."""
    monitor = Integrity(FRAME, LabelLimits(), IntegrityConfig(), 1.5)
    for k in range(20):
        monitor.on_gps(told(k * STEP, 0.0 if k < 10 else 900.0), None)
    assert monitor.health is GpsHealth.SPOOFED
    assert monitor.sound_gps_en_m is None
