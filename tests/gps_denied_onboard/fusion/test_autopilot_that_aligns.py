"""An autopilot whose attitude is not aligned yet when the companion starts, and one that aligns itself anew later."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from gps_denied_onboard.fusion.eskf import Eskf
from gps_denied_onboard.fusion.reasons import FilterReason
from gps_denied_onboard.geometry.rotations import matrix_from_quaternion, quaternion_from_matrix, rotation_z
from gps_denied_onboard.messages import AidSource, AttitudeSample

from .scoring import Score, score
from .synthetic import CAMERA, FRAME, Flight, Message, Plan, make_flight

PLAN = Plan(seed=5, duration_s=40.0, imu_hz=50.0, no_fix_s=((0.0, 40.0),))
ALIGNED_S = 4.0


def turned(flight: Flight, from_s: float, to_s: float, turn_rad: float) -> Flight:
    """The same flight, its attitude off about the vertical for a while."""

    def change(message: Message) -> Message:
        t_s = (getattr(message, "t_ns", 0) - flight.t_ns[0]) * 1e-9
        if not isinstance(message, AttitudeSample) or not from_s <= t_s < to_s:
            return message
        off = rotation_z(turn_rad) @ matrix_from_quaternion(message.quaternion_body_to_ned)
        return replace(message, quaternion_body_to_ned=quaternion_from_matrix(off))

    return replace(flight, messages=[(at, change(m)) for at, m in flight.messages])


def realigned(of: Score) -> int:
    """How often the state took the autopilot's attitude over."""
    return sum(r.source is AidSource.ATTITUDE and r.reason == FilterReason.REALIGNED for r in of.records)


def test_a_heading_from_before_the_autopilot_aligned_itself_is_left() -> None:
    """The first four seconds are off by 80 degrees: some seconds later the heading is right, the place inside."""
    of = score(Eskf(FRAME, CAMERA), turned(make_flight(PLAN), 0.0, ALIGNED_S, math.radians(80.0)))
    late = np.array(of.t_s) > ALIGNED_S + 6.0
    assert realigned(of) == 1
    assert max(abs(e[2]) for e, counts in zip(of.attitude_error_rad, late, strict=True) if counts) < math.radians(6.0)
    assert of.inside_95()[late].min() == 1.0


def test_a_heading_that_map_fixes_confirmed_is_kept() -> None:
    """With fixes the state knows better than an autopilot that turns by 80 degrees in the air."""
    of = score(Eskf(FRAME, CAMERA), turned(make_flight(replace(PLAN, no_fix_s=())), 15.0, 40.0, math.radians(80.0)))
    assert realigned(of) == 0
    assert max(abs(e[2]) for e in of.attitude_error_rad) < math.radians(6.0)


def test_an_attitude_that_fits_is_never_taken_over() -> None:
    """Two minutes of turns without a fix."""
    assert realigned(score(Eskf(FRAME, CAMERA), make_flight(replace(PLAN, duration_s=120.0)))) == 0


def test_an_attitude_that_stands_still_is_not_taken_over() -> None:
    """A frozen attitude is off alike for as long as the aircraft flies straight on after a turn."""
    flight, held = make_flight(replace(PLAN, duration_s=90.0, no_fix_s=((0.0, 90.0),))), []

    def frozen(message: Message) -> Message:
        if not isinstance(message, AttitudeSample) or message.t_ns < flight.t_ns[0] + 10_000_000_000:
            return message
        held.append(message)
        return replace(message, quaternion_body_to_ned=held[0].quaternion_body_to_ned)

    of = score(Eskf(FRAME, CAMERA), replace(flight, messages=[(at, frozen(m)) for at, m in flight.messages]))
    assert realigned(of) == 0
