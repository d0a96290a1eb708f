"""A true GPS is not taken away by a state that is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gps_denied_onboard.integrity import gps_health
from gps_denied_onboard.integrity.config import IntegrityConfig
from gps_denied_onboard.integrity.gps_health import GpsMeasurement, HealthState, Reference
from gps_denied_onboard.messages import GpsHealth

CONFIG = IntegrityConfig()
OURS = Reference((0.0, 0.0), (20.0, 0.0), (4.0, 0.0, 4.0), (0.04, 0.0, 0.04))
IN_DOUBT = replace(OURS, trusted=False)


def claim(k: int, off_m: float, jump_m: float = 0.0) -> GpsMeasurement:
    return GpsMeasurement(k * 200_000_000, (20.0 * k * 0.2 + jump_m, off_m), (20.0, 0.0), 3, 12, 2.0)


def judged(state: HealthState, first: int, count: int, off_m: float, ours: Reference) -> HealthState:
    for k in range(first, first + count):
        here = replace(ours, position_en_m=(20.0 * k * 0.2, 0.0))
        state, _ = gps_health.assess(state, claim(k, off_m), here, CONFIG)
    return state


def test_a_sound_state_finds_a_gps_that_is_elsewhere() -> None:
    """What the verdict is for."""
    assert judged(HealthState(), 0, 10, 60.0, OURS).health is GpsHealth.SPOOFED


def test_a_state_in_doubt_calls_no_gps_spoofed() -> None:
    """Sixty metres apart, and it is our own position that is doubted: no verdict."""
    state = judged(HealthState(), 0, 20, 60.0, IN_DOUBT)
    assert state.health is GpsHealth.UNKNOWN


def test_a_verdict_of_ours_is_void_when_we_were_wrong() -> None:
    """SPOOFED by comparison alone ends as soon as our own state is in doubt."""
    spoofed = judged(HealthState(), 0, 10, 60.0, OURS)
    after = judged(spoofed, 10, 1, 60.0, IN_DOUBT)
    assert gps_health.by_comparison(spoofed)
    assert after.health is GpsHealth.UNKNOWN


@pytest.mark.parametrize("ours", [OURS, IN_DOUBT])
def test_a_gps_that_contradicts_itself_needs_no_state_of_ours(ours: Reference) -> None:
    """A jump is a jump, however we are; and no doubt of ours takes that verdict back."""
    state = judged(HealthState(), 0, 10, 0.0, ours)
    state, _ = gps_health.assess(state, claim(10, 0.0, jump_m=400.0), replace(ours, position_en_m=(40.0, 0.0)), CONFIG)
    assert state.health is GpsHealth.SPOOFED
    assert "jump" in state.reason
    assert not gps_health.by_comparison(state)
    assert gps_health.voided(state).health is GpsHealth.SPOOFED
