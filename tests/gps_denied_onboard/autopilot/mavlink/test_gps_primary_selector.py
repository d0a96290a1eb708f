"""Which GPS the autopilot is told to follow, and what is done until it says that it does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gps_denied_onboard.autopilot.mavlink.gps_primary_selector import (
    ASK_AGAIN_NS,
    PARAMETER,
    TELL_UNCONFIRMED_NS,
    GpsPrimarySelector,
)
from gps_denied_onboard.messages import GpsHealth, NavState, PositionSource, Severity, SourceLabel

STATE = NavState(
    10_000_000_000, 48.5, 37.25, 800.0, (10.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (1.0,) * 9,
    3.0, 3.0, 0.0, 2.0, 3.0, 0.3, SourceLabel.SATELLITE_ANCHORED, 0, 3,
)  # fmt: skip
NOW_NS = 50_000_000_000
OURS, REAL = 0, 1
UNKNOWN, STABLE, BAD, FORGED = GpsHealth
COMPANION, GPS = PositionSource


@pytest.mark.parametrize(
    ("source", "health", "fix_type", "primary"),
    [
        (COMPANION, UNKNOWN, 3, OURS),
        (COMPANION, UNKNOWN, 2, None),  # nobody is known to be good: the autopilot keeps what it has
        (COMPANION, UNKNOWN, 1, None),
        (COMPANION, STABLE, 3, OURS),
        (COMPANION, STABLE, 1, None),
        (COMPANION, BAD, 1, OURS),
        (COMPANION, FORGED, 3, OURS),
        (COMPANION, FORGED, 1, OURS),  # no position is better than a forged one
        (GPS, STABLE, 3, REAL),
        (GPS, STABLE, 1, REAL),
    ],
)
def test_whom_to_follow(source: PositionSource, health: GpsHealth, fix_type: int, primary: int | None) -> None:
    """Ours with a full fix or a bad GPS, the real one only when the gate has let it through."""
    state = replace(STATE, position_source=source, gps_health=health, fix_type=fix_type)
    assert GpsPrimarySelector(OURS, REAL).on_state(NOW_NS, state) == primary
    assert GpsPrimarySelector(OURS, -1).on_state(NOW_NS, state) is None


@pytest.mark.parametrize(
    ("armed", "health", "anchored_before", "primary"),
    [
        (False, UNKNOWN, False, REAL),  # whatever the last flight left behind: the take-off is on the real receiver
        (False, BAD, False, REAL),  # it has no fix yet
        (True, UNKNOWN, False, None),
        (None, UNKNOWN, False, None),
        (True, BAD, False, None),
        (True, FORGED, False, None),  # so it seems to a state that no map has confirmed
        (True, FORGED, True, OURS),
        (False, UNKNOWN, True, OURS),
    ],
)
def test_a_takeoff_place_is_no_reason_to_be_followed(
    armed: bool | None, health: GpsHealth, anchored_before: bool, primary: int | None
) -> None:
    """Before the map has shown us where we are a full fix is not enough; a disarmed aircraft is on its own receiver."""
    promotion = GpsPrimarySelector(OURS, REAL)
    if anchored_before:
        promotion.on_state(0, STATE, armed)
    state = replace(STATE, source_label=SourceLabel.DEAD_RECKONED, gps_health=health)
    assert promotion.on_state(NOW_NS, state, armed) == primary


def test_it_is_asked_again_until_confirmed() -> None:
    """Every quarter of a second until PARAM_VALUE says so; then no more, and the ground is told."""
    promotion = GpsPrimarySelector(OURS, REAL)
    assert promotion.on_state(NOW_NS, STATE) == OURS
    assert promotion.on_state(NOW_NS + ASK_AGAIN_NS - 1, STATE) is None
    assert promotion.on_state(NOW_NS + ASK_AGAIN_NS, STATE) == OURS
    assert promotion.on_parameter(NOW_NS, "GPS_AUTO_SWITCH", 0.0) == []
    assert promotion.on_parameter(NOW_NS, PARAMETER, 1.0) == []
    (alert,) = promotion.on_parameter(NOW_NS, PARAMETER, 0.0)
    assert (alert.text, alert.always) == ("the autopilot follows our position (GPS 1)", True)
    assert promotion.on_parameter(NOW_NS, PARAMETER, 0.0) == []
    assert promotion.on_state(NOW_NS + 10 * ASK_AGAIN_NS, STATE) is None
    back = replace(STATE, position_source=PositionSource.GPS)
    assert promotion.on_state(NOW_NS + 10 * ASK_AGAIN_NS, back) == REAL
    (alert,) = promotion.on_parameter(NOW_NS, PARAMETER, 1.0)
    assert alert.text == "the autopilot follows its own GPS (GPS 2)"
    assert promotion.confirmed == REAL


def test_a_change_is_asked_for_at_once() -> None:
    """A new wish does not wait for the repetition of the old one."""
    promotion = GpsPrimarySelector(OURS, REAL)
    promotion.on_state(NOW_NS, replace(STATE, position_source=PositionSource.GPS))
    assert promotion.on_state(NOW_NS + 1, STATE) == OURS


def test_an_autopilot_that_does_not_confirm_is_told_once() -> None:
    """Three seconds without confirmation are one alert that nothing holds back."""
    promotion = GpsPrimarySelector(OURS, REAL)
    assert promotion.on_time(NOW_NS) == []
    promotion.on_state(NOW_NS, STATE)
    assert promotion.on_time(NOW_NS + TELL_UNCONFIRMED_NS - 1) == []
    (alert,) = promotion.on_time(NOW_NS + TELL_UNCONFIRMED_NS)
    assert (alert.severity, alert.always) == (2, True)
    assert promotion.on_time(NOW_NS + 2 * TELL_UNCONFIRMED_NS) == []


def test_after_a_restart_it_is_asked_anew() -> None:
    """What an autopilot confirmed before its restart counts no more."""
    promotion = GpsPrimarySelector(OURS, REAL)
    promotion.on_state(NOW_NS, STATE)
    promotion.on_parameter(NOW_NS, PARAMETER, 0.0)
    promotion.forget()
    assert promotion.on_state(NOW_NS + ASK_AGAIN_NS, STATE) == OURS


def test_a_choice_of_somebody_else_is_told_as_that() -> None:
    """A receiver that a ground station set after we had confirmed ours: an error that names both, and ours again."""
    promotion = GpsPrimarySelector(OURS, REAL)
    promotion.on_state(NOW_NS, STATE)
    promotion.on_parameter(NOW_NS, PARAMETER, 0.0)
    (alert,) = promotion.on_parameter(NOW_NS, PARAMETER, 1.0)
    assert alert.text == "somebody else set GPS_PRIMARY from 0 to 1; asking for 0 again"
    assert (alert.severity, alert.always) == (Severity.ERROR, True)
    assert promotion.on_state(NOW_NS + ASK_AGAIN_NS, STATE) == OURS


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_parameter_that_is_no_number(value: float) -> None:
    """A GPS_PRIMARY that cannot be confirms nothing and stops nothing."""
    promotion = GpsPrimarySelector(0, 1)
    assert promotion.on_parameter(1, "GPS_PRIMARY", value) == []
    assert promotion.confirmed is None
