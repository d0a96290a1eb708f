"""The camera's clock against the gyros': found in turns, left alone where it is right."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from gps_denied_onboard.fusion.config import FusionConfig
from gps_denied_onboard.fusion.time_offset import LIMIT_S, STEP_S, TimeOffsetEstimator
from gps_denied_onboard.geometry.rotations import exp_rotation
from gps_denied_onboard.messages import FloatArray, ImuSample, PoseFix

from .synthetic import SECOND_NS, Flight, Message, Plan, make_flight

PLAN = Plan(seed=0, duration_s=180.0, imu_hz=50.0)


class Watched:
    """A clock that has seen a flight with pictures stamped too late by `late_s`; `moves` are (when, offset) in s."""

    def __init__(
        self, flight: Flight, late_s: float, spoil: FloatArray | None = None, global_search: bool = False
    ) -> None:
        self.clock = TimeOffsetEstimator(FusionConfig().gyro_noise_radps_rthz)
        self.moves: list[tuple[float, float]] = []
        late_ns = round(late_s * SECOND_NS)
        waiting: list[tuple[int, PoseFix]] = []
        for arrival_ns, message in flight.messages:
            while waiting and waiting[0][0] < arrival_ns:
                due_ns, fix = waiting.pop(0)
                if self.clock.on_fix(fix, flight.mount):
                    self.moves.append(((due_ns - flight.t_ns[0]) / SECOND_NS, self.clock.offset_ns / SECOND_NS))
            if isinstance(message, ImuSample):
                self.clock.on_imu(message)
            elif isinstance(message, PoseFix):
                t_ns = self.clock.moved_ns(message.t_ns + late_ns)
                seen = message.rotation_camera_to_enu if spoil is None else spoil @ message.rotation_camera_to_enu
                fix = dataclasses.replace(message, t_ns=t_ns, rotation_camera_to_enu=seen, global_search=global_search)
                waiting.append((arrival_ns + SECOND_NS, fix))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_right_clock_is_left_alone(seed: int) -> None:
    """Nothing moves in three minutes of turns, and the estimate is near zero by what it claims."""
    watched = Watched(make_flight(dataclasses.replace(PLAN, seed=seed)), 0.0)
    assert watched.moves == []
    assert watched.clock.sigma_s < 0.03
    assert abs(watched.clock.estimate_s) < 4.0 * watched.clock.sigma_s


@pytest.mark.parametrize("late_s", [0.1, -0.1, 0.3, -0.3])
def test_a_wrong_clock_is_found(late_s: float) -> None:
    """Pictures that are stamped too late are moved back within two minutes of turns, and the other way round."""
    watched = Watched(make_flight(PLAN), late_s)
    assert watched.moves[0][0] < 120.0
    assert watched.clock.offset_ns / SECOND_NS == pytest.approx(-late_s, abs=0.04)


def test_a_wrong_mount_is_no_wrong_clock() -> None:
    """A camera that is turned by three degrees, without anybody's knowledge, does not look like a time."""
    watched = Watched(make_flight(PLAN), 0.0, exp_rotation(np.radians([2.0, -2.0, 1.0])))
    assert watched.moves == []


def test_without_turns_nothing_is_known() -> None:
    """Straight flight tells nothing of the time, and nothing is claimed."""
    watched = Watched(make_flight(dataclasses.replace(PLAN, turns=False, duration_s=60.0)), 0.2)
    assert watched.moves == []
    assert watched.clock.sigma_s > STEP_S


def test_wrong_fixes_move_nothing() -> None:
    """Fixes from all over the map, with attitudes to match, are no turns."""
    flight = make_flight(PLAN)
    rng = np.random.default_rng(5)
    clock = TimeOffsetEstimator(0.00025)
    for _, message in flight.messages:
        if isinstance(message, ImuSample):
            clock.on_imu(message)
        elif isinstance(message, PoseFix):
            turned = exp_rotation(rng.normal(0.0, 1.0, 3)) @ message.rotation_camera_to_enu
            t_ns = clock.moved_ns(message.t_ns)
            clock.on_fix(dataclasses.replace(message, t_ns=t_ns, rotation_camera_to_enu=turned), flight.mount)
    assert abs(clock.offset_ns) < LIMIT_S * SECOND_NS
    assert clock.offset_ns == 0


def test_a_few_fixes_in_one_turn_move_nothing() -> None:
    """Five fixes of a flight into a turn, two degrees off and sure of themselves, are not taken for a time."""
    flight = make_flight(PLAN)
    fixes = [message for _, message in flight.messages if isinstance(message, PoseFix)]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        first = int(rng.integers(0, len(fixes) - 5))
        clock, several = TimeOffsetEstimator(0.00025), {fix.t_ns for fix in fixes[first : first + 5]}
        for _, message in flight.messages:
            if isinstance(message, ImuSample):
                clock.on_imu(message)
            elif isinstance(message, PoseFix) and message.t_ns in several:
                off = exp_rotation(rng.normal(0.0, math.radians(2.0), 3))
                seen = off @ message.rotation_camera_to_enu
                t_ns = clock.moved_ns(message.t_ns)
                clock.on_fix(dataclasses.replace(message, t_ns=t_ns, rotation_camera_to_enu=seen), flight.mount)
        assert clock.offset_ns == 0


def test_fixes_that_are_worse_than_they_claim_move_nothing() -> None:
    """Three minutes of turns with a right clock and fixes many times as far off as they say: no time explains that."""
    flight = make_flight(PLAN)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        clock = TimeOffsetEstimator(0.00025)
        for _, message in flight.messages:
            if isinstance(message, ImuSample):
                clock.on_imu(message)
            elif isinstance(message, PoseFix):
                seen = exp_rotation(rng.normal(0.0, math.radians(3.0), 3)) @ message.rotation_camera_to_enu
                t_ns = clock.moved_ns(message.t_ns)
                clock.on_fix(dataclasses.replace(message, t_ns=t_ns, rotation_camera_to_enu=seen), flight.mount)
        assert clock.offset_ns == 0


def test_places_found_without_help_tell_nothing() -> None:
    """Fixes of a search over the whole map may be wrong places: a wrong clock is not looked for in them."""
    watched = Watched(make_flight(PLAN), 0.3, global_search=True)
    assert watched.moves == []
    assert watched.clock.estimate_s == 0.0


def test_a_fix_of_an_unknown_picture_is_passed_over() -> None:
    """A refused fix, and one whose picture was never begun, tell nothing."""
    flight = make_flight(PLAN)
    clock = TimeOffsetEstimator(0.00025)
    fix = next(message for _, message in flight.messages if isinstance(message, PoseFix))
    assert not clock.on_fix(fix, flight.mount)
    assert not clock.on_fix(dataclasses.replace(fix, t_ns=clock.moved_ns(fix.t_ns), accepted=False), flight.mount)
    assert clock.estimate_s == 0.0


def test_bad_samples_and_fixes_break_nothing() -> None:
    """Gyros without a number, a clock that is a day ahead for one sample, a covariance of NaN: found all the same."""
    flight = make_flight(PLAN)
    spoilt: list[tuple[int, Message]] = []
    for k, (arrival_ns, message) in enumerate(flight.messages):
        if isinstance(message, ImuSample) and k % 997 == 0:
            spoilt.append((arrival_ns, dataclasses.replace(message, gyro_body_radps=(math.nan, math.inf, 0.0))))
        if isinstance(message, ImuSample) and k == 5000:
            spoilt.append((arrival_ns, dataclasses.replace(message, t_ns=message.t_ns + 86_400 * SECOND_NS)))
        if isinstance(message, PoseFix) and message.frame_index % 50 == 7:
            message = dataclasses.replace(message, covariance=np.full((6, 6), math.nan))
        spoilt.append((arrival_ns, message))
    watched = Watched(dataclasses.replace(flight, messages=spoilt), 0.3)
    assert watched.clock.offset_ns / SECOND_NS == pytest.approx(-0.3, abs=0.05)
