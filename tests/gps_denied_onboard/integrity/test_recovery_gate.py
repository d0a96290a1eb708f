"""Promotion of the companion, and the three conditions under which the autopilot's GPS is taken back."""

from __future__ import annotations

import math

import pytest

from gps_denied_onboard.integrity.config import IntegrityConfig
from gps_denied_onboard.integrity.gps_health import GpsMeasurement
from gps_denied_onboard.integrity.recovery_gate import (
    FixCheck,
    GateState,
    decide,
    measurement_at,
    on_fix,
    on_health,
    waits_for_fix,
)
from gps_denied_onboard.messages import GpsHealth, PositionSource

CONFIG = IntegrityConfig()
SECOND = 1_000_000_000
UNKNOWN, STABLE, DEGRADED, SPOOFED = GpsHealth
COMPANION, GPS = PositionSource
NEAR = FixCheck((3.0, 4.0), (9.0, 0.0, 9.0), 5.0)
FAR = FixCheck((3.0, 40.0), (9.0, 0.0, 9.0), 45.0)


@pytest.mark.parametrize(
    ("source", "health", "source_after", "stable_since_ns"),
    [
        (COMPANION, STABLE, COMPANION, 7),
        (COMPANION, UNKNOWN, COMPANION, None),
        (COMPANION, DEGRADED, COMPANION, None),
        (COMPANION, SPOOFED, COMPANION, None),
        (GPS, STABLE, GPS, 7),
        (GPS, UNKNOWN, GPS, None),
        (GPS, DEGRADED, COMPANION, None),
        (GPS, SPOOFED, COMPANION, None),
    ],
)
def test_a_verdict_changes_the_source(
    source: PositionSource, health: GpsHealth, source_after: PositionSource, stable_since_ns: int | None
) -> None:
    """DEGRADED and SPOOFED make us the source at once; no verdict alone gives it back; only STABLE keeps the wait."""
    state = on_health(GateState(source, None), 7, health)
    assert state == GateState(source_after, stable_since_ns)
    assert on_health(GateState(source, 3), 7, health).stable_since_ns == (None if stable_since_ns is None else 3)


@pytest.mark.parametrize(
    ("state", "fix_s", "waits"),
    [
        (GateState(COMPANION, 5 * SECOND), 15.0, True),
        (GateState(COMPANION, 5 * SECOND), 14.999, False),
        (GateState(COMPANION, 5 * SECOND), 60.0, True),
        (GateState(COMPANION, None), 60.0, False),
        (GateState(GPS, 5 * SECOND), 60.0, False),
    ],
)
def test_the_first_fix_after_ten_stable_seconds_decides(state: GateState, fix_s: float, waits: bool) -> None:
    """Fixes of an earlier time, or of a GPS that is in use or not stable, decide nothing."""
    assert waits_for_fix(state, round(fix_s * SECOND), CONFIG) is waits


@pytest.mark.parametrize(
    ("check", "accepted", "says"),
    [
        (NEAR, True, "agrees with the satellite fix"),
        (None, False, "no GPS sample at the time of the satellite fix"),
        (FixCheck((11.9, 0.0), (9.0, 0.0, 9.0), 5.0), True, "agrees"),
        (FixCheck((12.0, 0.0), (9.0, 0.0, 9.0), 5.0), True, "agrees"),
        (FixCheck((0.0, 30.0), (99.0, 0.0, 99.0), 5.0), True, "agrees"),
        (FixCheck((12.1, 0.0), (9.0, 0.0, 9.0), 5.0), False, "12 m from the satellite fix"),
        (FixCheck((0.0, 29.9), (99.0, 0.0, 99.0), 5.0), True, "agrees"),
        (FixCheck((0.0, 30.1), (99.0, 0.0, 99.0), 5.0), False, "30 m from the satellite fix"),
        (FixCheck((3.0, 4.0), (9.0, 0.0, 9.0), 200.0), True, "agrees"),
        (FixCheck((3.0, 4.0), (9.0, 0.0, 9.0), 200.1), False, "200 m from the estimate"),
        (FixCheck((3.0, 4.0), (9.0, 0.0, 9.0), math.nan), False, "nan m from the estimate"),
        (FixCheck((math.nan, 4.0), (9.0, 0.0, 9.0), 5.0), False, "nan m from the satellite fix"),
    ],
)
def test_what_the_gate_lets_through(check: FixCheck | None, accepted: bool, says: str) -> None:
    """Within the fix's own uncertainty and 30 m of the fix, within 200 m of the estimate, and nothing else."""
    decision = decide(check, CONFIG)
    assert decision.accepted is accepted
    assert says in decision.reason


def test_the_ratio_is_told() -> None:
    """The decision carries chi-square over its gate; infinite where there was nothing to compare."""
    assert decide(NEAR, CONFIG).test_ratio == pytest.approx(25.0 / 9.0 / 16.0)
    assert decide(None, CONFIG).test_ratio == math.inf
    assert decide(FAR, CONFIG).test_ratio == pytest.approx(1609.0 / 9.0 / 16.0)
    assert decide(FixCheck((3.0, 4.0), (9.0, 0.0, 9.0), 300.0), CONFIG).test_ratio == pytest.approx(25.0 / 144.0)


def test_a_rejection_starts_the_wait_anew() -> None:
    """After a rejection ten more stable seconds are needed; after an acceptance the GPS is the source."""
    waiting = GateState(COMPANION, 0)
    rejected, decision = on_fix(waiting, 12 * SECOND, FAR, CONFIG)
    assert not decision.accepted
    assert rejected == GateState(COMPANION, 12 * SECOND)
    assert not waits_for_fix(rejected, 21 * SECOND, CONFIG)
    assert waits_for_fix(rejected, 22 * SECOND, CONFIG)
    taken, decision = on_fix(rejected, 22 * SECOND, NEAR, CONFIG)
    assert decision.accepted
    assert taken == GateState(GPS, 12 * SECOND)


def claims(*times_s: float, fix_type: int = 3) -> tuple[GpsMeasurement, ...]:
    return tuple(GpsMeasurement(round(t * SECOND), (10.0 * t, 100.0), (10.0, -2.0), fix_type, 12, 1.0) for t in times_s)


def test_the_claim_at_a_fix_is_moved_to_its_time() -> None:
    """The nearest claim, before or after, moves with its own velocity."""
    got = measurement_at(claims(1.0, 2.0), round(1.6 * SECOND), CONFIG)
    assert got is not None
    assert got.t_ns == round(1.6 * SECOND)
    assert got.position_en_m == pytest.approx((16.0, 100.8))
    later = measurement_at(claims(1.0, 2.0), round(1.4 * SECOND), CONFIG)
    assert later is not None
    assert later.position_en_m == pytest.approx((14.0, 99.2))


def test_no_claim_near_a_fix() -> None:
    """Claims half a second away and more, without a fix, or none at all: nothing to compare."""
    assert measurement_at((), SECOND, CONFIG) is None
    assert measurement_at(claims(1.0), round(1.5 * SECOND), CONFIG) is not None
    assert measurement_at(claims(1.0), round(1.5 * SECOND) + 1, CONFIG) is None
    assert measurement_at(claims(1.0), round(0.5 * SECOND) - 1, CONFIG) is None
    assert measurement_at(claims(1.0, fix_type=2), SECOND, CONFIG) is None
