"""A real ArduPlane in weather, with a camera that repeats itself, and with a wrong take-off: honest, and back.

Needs ARDUPLANE_SITL, as test_arduplane. GPS is true in all of these, and must never be left.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from .test_arduplane import (
    MINUTES,
    NEEDS_ARDUPLANE,
    ON_GPS_S,
    REAL,
    Flight,
    flying,
    follows,
    our_claims,
    take_off,
    tell,
)

STRONG_WIND = {"SIM_WIND_SPD": 12.0, "SIM_WIND_DIR": 240.0, "SIM_WIND_TURB": 3.0}
TAKEOFF_OFF_EN_M = (600.0, -800.0)
GROUND_OFF_M = 100.0
REPEATED_S, BACK_S = 20.0, 30.0
INSIDE_PERCENT = 93.0
SENT_HZ, CLAIMED_SHARE = 10.0, 0.5
"""Of the time in the air: who claims no position is never wrong."""
FIRST_FOLLOWED_S = 240.0

pytestmark = NEEDS_ARDUPLANE


def on_true_gps(flight: Flight, forced: bool = False) -> None:
    """Up, and on the real receiver."""
    take_off(flight, forced)
    flight.mark("at_height")
    flight.fly(ON_GPS_S)
    follows(flight.plane, REAL, FIRST_FOLLOWED_S)
    flight.mark("followed")


def end(flight: Flight, since: str) -> dict[str, Any]:
    """End the flight; what the companion claimed in it. The real receiver must have been in use all the time."""
    flight.mark("ended")
    in_use = flight.plane.parameter("GPS_PRIMARY")
    flight.companion.end()
    found = our_claims(flight, since, "ended")
    tell(found)
    flown_s = (flight.began["ended"] - flight.began[since]) / 1e9
    assert found["off_m"]["samples"] >= CLAIMED_SHARE * SENT_HZ * flown_s, "hardly any position was claimed"
    told = [m for _, m in flight.heard("PARAM_VALUE", "followed", "ended") if m.param_id == "GPS_PRIMARY"]
    assert {m.param_value for m in told} <= {float(REAL)}, "a true GPS was left"
    assert in_use == REAL
    return found


def minutes(usual: float) -> float:
    return float(os.environ.get(MINUTES, str(usual)))


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"wind": STRONG_WIND}, id="wind-12-turbulence-3"),
        pytest.param({"ground_off_m": GROUND_OFF_M}, id="ground-100-m-wrong"),
        pytest.param({"takeoff_off_en_m": TAKEOFF_OFF_EN_M}, id="takeoff-1-km-wrong"),
    ],
)
def test_position_is_honest_and_a_true_gps_is_kept(tmp_path: Path, given: dict[str, Any]) -> None:
    """Positions stay in their ellipses, none is beyond its protection level, the real receiver stays in use.

    With place or ground wrong the autopilot's own check of its two receivers against each other would not let it arm,
    and rightly so: it is armed by force.
    """
    with flying(tmp_path, **given) as flight:
        on_true_gps(flight, forced="wind" not in given)
        flight.fly(60.0 * minutes(5.0))
        found = end(flight, "at_height")
    assert found["hazardous"] == 0
    assert found["in_95_percent"] >= INSIDE_PERCENT


def test_repeated_picture_is_survived(tmp_path: Path) -> None:
    """Twenty seconds of one picture: honest meanwhile, and back thirty seconds after good pictures have come."""
    with flying(tmp_path) as flight:
        on_true_gps(flight)
        flight.camera.repeat(REPEATED_S)
        flight.fly(REPEATED_S + BACK_S)
        flight.mark("back")
        flight.fly(60.0 * minutes(2.0))
        found = end(flight, "at_height")
        back = our_claims(flight, "back", "ended")
    assert found["hazardous"] == 0
    assert found["in_95_percent"] >= INSIDE_PERCENT
    assert back["in_95_percent"] >= INSIDE_PERCENT
    assert back["off_m"]["median"] < 20.0
