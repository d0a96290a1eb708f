"""Measurements that come late or out of order."""

from __future__ import annotations

import numpy as np
import pytest

from gps_denied_onboard.fusion.eskf import Eskf
from gps_denied_onboard.messages import Estimate, OdometryStep, PoseFix

from .synthetic import CAMERA, FRAME, SECOND_NS, Flight, Message, Plan, make_flight


def stamp(message: Message) -> int:
    return message.t1_ns if isinstance(message, OdometryStep) else message.t_ns


def play(messages: list[Message], until_ns: int) -> Estimate:
    fusion = Eskf(FRAME, CAMERA)
    for message in messages:
        fusion.update(message)
    estimate = fusion.estimate(until_ns)
    assert estimate is not None
    return estimate


@pytest.fixture(scope="module")
def flight() -> Flight:
    return make_flight(Plan(seed=3, duration_s=30.0))


def same(a: Estimate, b: Estimate) -> bool:
    names = ["position_enu_m", "velocity_enu_mps", "rotation_body_to_enu", "rotation_camera_to_body", "covariance"]
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


def test_late_fixes_give_the_same_bits_as_fixes_in_time(flight: Flight) -> None:
    """A fix and an odometry step that arrive late leave the very state that they would have left in time."""
    late = [m for _, m in flight.messages]
    in_time = sorted(late, key=stamp)
    assert late != in_time
    assert same(play(late, flight.t_ns[-1]), play(in_time, flight.t_ns[-1]))


def test_two_seconds_of_delay_are_within_the_history(flight: Flight) -> None:
    """Fixes two seconds late are fused at their own time with the same result."""
    far = sorted(flight.messages, key=lambda pair: pair[0] + 2 * SECOND_NS * isinstance(pair[1], PoseFix))
    late = [m for _, m in far]
    assert same(play(late, flight.t_ns[-1]), play(sorted(late, key=stamp), flight.t_ns[-1]))


def test_sensors_out_of_order_change_nothing(flight: Flight) -> None:
    """Attitude, airspeed, baro and IMU samples that overtake one another by some milliseconds change no bit."""
    rng = np.random.default_rng(0)
    late_s = rng.uniform(0.0, 0.03, len(flight.messages))
    jitter = [
        (t + round(late * SECOND_NS) * (t > flight.t_ns[50]), m)
        for late, (t, m) in zip(late_s.tolist(), flight.messages, strict=True)
    ]
    shuffled = [m for _, m in sorted(jitter, key=lambda pair: pair[0])]
    assert same(play(shuffled, flight.t_ns[-1]), play(sorted(shuffled, key=stamp), flight.t_ns[-1]))


def test_fix_older_than_the_history_is_refused_with_a_reason(flight: Flight) -> None:
    """A fix older than the history changes nothing and says so."""
    messages = [m for _, m in flight.messages]
    fusion = Eskf(FRAME, CAMERA)
    fixes = [m for m in messages if isinstance(m, PoseFix)]
    for message in messages:
        if message is not fixes[0]:
            fusion.update(message)
    before = fusion.estimate(flight.t_ns[-1])
    (record,) = fusion.update(fixes[0])
    after = fusion.estimate(flight.t_ns[-1])
    assert not record.accepted
    assert record.reason == "older than the history"
    assert before is not None
    assert after is not None
    assert same(before, after)


def test_the_past_within_the_history_is_answered(flight: Flight) -> None:
    """An estimate for a moment within the history is the filter's own state of that moment."""
    fusion = Eskf(FRAME, CAMERA)
    asked_ns = flight.t_ns[2000]
    then: Estimate | None = None
    for arrival_ns, message in flight.messages:
        if arrival_ns > asked_ns and then is None:
            then = fusion.estimate(asked_ns)
        if arrival_ns > asked_ns + SECOND_NS // 10:
            break
        if not isinstance(message, PoseFix | OdometryStep):
            fusion.update(message)
    now = fusion.estimate(asked_ns)
    assert then is not None
    assert now is not None
    assert same(then, now)
    assert fusion.estimate(asked_ns - 20 * SECOND_NS) is None
