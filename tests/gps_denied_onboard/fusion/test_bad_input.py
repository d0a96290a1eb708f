"""NaN, wild values and broken clocks: refused with a reason, and the state stays sound."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gps_denied_onboard.fusion.eskf import Eskf
from gps_denied_onboard.messages import (
    AirspeedSample,
    AttitudeSample,
    BaroSample,
    ImuSample,
    OdometryStep,
    PoseFix,
    RangefinderSample,
    TakeoffOrigin,
)

from .synthetic import CAMERA, FRAME, SECOND_NS, Flight, Plan, make_flight

NAN = math.nan
LEVEL = (0.0, 0.0, -9.80665)


@pytest.fixture
def flight() -> Flight:
    return make_flight(Plan(seed=5, duration_s=20.0))


def flown(flight: Flight, seconds: float) -> Eskf:
    fusion = Eskf(FRAME, CAMERA)
    for arrival_ns, message in flight.messages:
        if arrival_ns <= flight.t_ns[0] + seconds * SECOND_NS:
            fusion.update(message)
    return fusion


def bad_messages(t_ns: int, flight: Flight) -> list[object]:
    fix = next(m for _, m in flight.messages if isinstance(m, PoseFix))
    step = next(m for _, m in flight.messages if isinstance(m, OdometryStep))
    nan3, nan6 = np.full(3, NAN), np.full((6, 6), NAN)
    fix, step = replace(fix, t_ns=t_ns), replace(step, t0_ns=t_ns - SECOND_NS, t1_ns=t_ns)
    return [
        ImuSample(t_ns, (NAN, 0.0, 0.0), (0.0, 0.0, 0.0)),
        ImuSample(t_ns, (1e9, 0.0, 0.0), (0.0, 0.0, 0.0)),
        AttitudeSample(t_ns, (NAN, 0.0, 0.0, 0.0)),
        AttitudeSample(t_ns, (0.0, 0.0, 0.0, 0.0)),
        AirspeedSample(t_ns, NAN),
        AirspeedSample(t_ns, 1e6),
        BaroSample(t_ns, math.inf),
        BaroSample(t_ns, -1e5),
        RangefinderSample(t_ns, NAN),
        TakeoffOrigin(t_ns, NAN, 0.0, 0.0, 5.0, 5.0),
        replace(fix, position_enu_m=nan3),
        replace(fix, rotation_camera_to_enu=np.full((3, 3), NAN)),
        replace(fix, covariance=nan6),
        replace(fix, covariance=-np.eye(6)),
        replace(fix, covariance=np.zeros((6, 6))),
        replace(step, displacement_enu_m=nan3),
        replace(step, covariance=np.full((4, 4), NAN)),
        replace(step, yaw_prior_rad=math.inf),
        replace(step, t0_ns=t_ns),
        BaroSample(-5, 100.0),
        BaroSample(1 << 70, 100.0),
    ]


def test_every_bad_value_is_refused_with_a_reason_and_changes_nothing(flight: Flight) -> None:
    """NaN, infinities, impossible magnitudes and covariances that are none leave the state as it was."""
    fusion = flown(flight, 10.0)
    t_ns = flight.t_ns[1000]
    before = fusion.estimate(t_ns + SECOND_NS)
    for message in bad_messages(t_ns, flight):
        records = fusion.update(message)  # type: ignore[arg-type]
        assert len(records) == 1, message
        assert not records[0].accepted, message
        assert records[0].reason, message
    after = fusion.estimate(t_ns + SECOND_NS)
    assert before is not None
    assert after is not None
    assert float(np.linalg.norm(before.position_enu_m - after.position_enu_m)) < 0.2
    assert np.all(np.isfinite(after.covariance))


def test_clock_that_jumps_is_refused_and_then_believed(flight: Flight) -> None:
    """Single samples from the past or the future are refused; a clock that stays elsewhere is followed."""
    fusion = flown(flight, 10.0)
    t_ns = flight.t_ns[1000]
    ahead = fusion.update(ImuSample(t_ns + 5 * SECOND_NS, LEVEL, (0.0, 0.0, 0.0)))
    back = fusion.update(ImuSample(t_ns - 3 * SECOND_NS, LEVEL, (0.0, 0.0, 0.0)))
    twice = fusion.update(ImuSample(t_ns, LEVEL, (0.0, 0.0, 0.0)))
    assert [r.reason for r in (*ahead, *back, *twice)] == [
        "clock jumped ahead",
        "clock went backwards",
        "same time stamp as the sample before",
    ]
    for k in range(200):
        fusion.update(ImuSample(SECOND_NS + k * SECOND_NS // 100, LEVEL, (0.0, 0.0, 0.0)))
    estimate = fusion.estimate(3 * SECOND_NS)
    assert estimate is not None
    assert estimate.covariance[0, 0] > 50.0**2


def test_one_slow_sensor_with_a_wrong_clock_cannot_pull_the_time(flight: Flight) -> None:
    """A barometer whose clock runs an hour ahead is refused for as long as the IMU runs."""
    fusion = Eskf(FRAME, CAMERA)
    taken = 0
    for _, message in flight.messages:
        if isinstance(message, BaroSample):
            records = fusion.update(replace(message, t_ns=message.t_ns + 3600 * SECOND_NS))
            taken += sum(r.accepted for r in records)
        else:
            fusion.update(message)
    estimate = fusion.estimate(flight.t_ns[-1])
    assert taken <= 1
    assert estimate is not None
    assert np.linalg.norm(flight.position[-1] - estimate.position_enu_m) < 15.0


def test_imu_outage_grows_the_covariance_and_ends(flight: Flight) -> None:
    """Three seconds without IMU are bridged with a covariance that admits it."""
    fusion = flown(flight, 10.0)
    before = fusion.estimate(flight.t_ns[1000])
    for arrival_ns, message in flight.messages:
        if arrival_ns > flight.t_ns[1300]:
            fusion.update(message)
    bridged = fusion.estimate(flight.t_ns[-1])
    assert before is not None
    assert bridged is not None
    assert np.linalg.norm(flight.position[-1] - bridged.position_enu_m) < 30.0


NUMBER = st.floats(allow_nan=True, allow_infinity=True)
TIME = st.integers(min_value=0, max_value=60 * SECOND_NS)
VECTOR = st.tuples(NUMBER, NUMBER, NUMBER)
ANY = st.one_of(
    st.builds(ImuSample, TIME, VECTOR, VECTOR),
    st.builds(AttitudeSample, TIME, st.tuples(NUMBER, NUMBER, NUMBER, NUMBER)),
    st.builds(AirspeedSample, TIME, NUMBER),
    st.builds(BaroSample, TIME, NUMBER),
    st.builds(RangefinderSample, TIME, NUMBER),
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(ANY, max_size=30))
def test_no_sequence_of_samples_breaks_the_filter(messages: list[ImuSample]) -> None:
    """Whatever arrives, in whatever order, nothing is raised and the covariance stays finite and positive."""
    fusion = flown(make_flight(Plan(seed=5, duration_s=20.0)), 2.0)
    for message in messages:
        fusion.update(message)
    estimate = fusion.estimate(61 * SECOND_NS)
    if estimate is not None:
        assert np.all(np.isfinite(estimate.position_enu_m))
        assert np.linalg.eigvalsh(estimate.covariance)[0] > -1e-6 * np.trace(estimate.covariance)
