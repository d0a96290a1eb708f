"""A gyroscope that warms: its bias goes one way for minutes, and the filter takes it to be as restless as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gps_denied_onboard.fusion.eskf import Eskf
from gps_denied_onboard.messages import ImuSample

from .synthetic import CAMERA, FRAME, Flight, Plan, make_flight

RAMP_RADPS2 = np.radians([0.012, -0.01, 0.012])


@pytest.fixture(scope="module")
def flight() -> Flight:
    """A minute and a half of straight flight."""
    return make_flight(Plan(seed=8, duration_s=90.0, imu_hz=50.0, turns=False))


def flown(flight: Flight, ramp: float) -> tuple[list[float], np.ndarray]:
    """The scale on the bias's walk by the second, and what the bias at the end has gained over that of no ramp."""
    fusion, scales = Eskf(FRAME, CAMERA), []
    start = flight.t_ns[0]
    for _, message in flight.messages:
        if isinstance(message, ImuSample):
            gained = ramp * RAMP_RADPS2 * (message.t_ns - start) * 1e-9
            rate = np.array(message.gyro_body_radps) + gained
            message = replace(message, gyro_body_radps=tuple(rate.tolist()))
        fusion.update(message)
        state = fusion.state(message.t_ns) if isinstance(message, ImuSample) else None
        if state is not None and len(scales) < (message.t_ns - start) * 1e-9:
            scales.append(state.gyro_drift_scale)
    last = fusion.state(int(flight.t_ns[-1]))
    assert last is not None
    return scales, last.gyro_bias


def test_a_bias_that_warms_is_followed(flight: Flight) -> None:
    """At 0.01 degrees/s in a second the walk is taken for more than ten times as strong, and the bias is known to a
    quarter of what it has gained; without a ramp the walk is hardly more than configured."""
    still, bias = flown(flight, 0.0)
    warm, warmed = flown(flight, 1.0)
    assert np.median(still[20:]) < 4.0
    assert np.median(warm[40:]) > 10.0
    gained = RAMP_RADPS2 * 90.0
    assert np.linalg.norm(warmed - bias - gained) < 0.25 * np.linalg.norm(gained)
