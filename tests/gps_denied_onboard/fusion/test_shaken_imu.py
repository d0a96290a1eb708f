"""Single samples of a shaken aircraft: what lies between them is noise of the integral, and is learned as that."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gps_denied_onboard.fusion import Fusion
from gps_denied_onboard.fusion.config import FusionConfig
from gps_denied_onboard.fusion.eskf import Eskf
from gps_denied_onboard.fusion.isam2 import Isam2
from gps_denied_onboard.messages import AidSource, AttitudeSample, FloatArray, ImuSample

from .scoring import score
from .synthetic import CAMERA, FRAME, Flight, Message, Plan, make_flight

PLAN = Plan(seed=7, duration_s=60.0, blackouts_s=((25.0, 45.0),))
ACCEL_MPS2, GYRO_RADPS = np.array([4.0, 2.0, 45.0]), np.array([0.1, 0.6, 0.1])
"""One sigma: of ArduPlane's simulator in its turbulence of 3."""


def shaken(flight: Flight) -> Flight:
    """The same flight in an airframe that swings at 30 to 400 Hz, now stronger, now weaker, and out of step with itself
    within a few swings: the mean motion stays."""
    rng = np.random.default_rng(8)
    hertz, phase = rng.uniform(30.0, 400.0, (6, 6)), rng.uniform(0.0, 2.0 * math.pi, (6, 6))
    amplitude = np.concatenate([ACCEL_MPS2, GYRO_RADPS]) * math.sqrt(2.0 / 6.0)

    def change(message: Message) -> Message:
        nonlocal phase
        if not isinstance(message, ImuSample):
            return message
        t_s = (message.t_ns - flight.t_ns[0]) * 1e-9
        strength = 0.6 + 0.4 * math.sin(0.3 * t_s)
        phase = phase + rng.normal(0.0, 1.0, phase.shape)
        swing: FloatArray = strength * amplitude * np.sin(2.0 * math.pi * hertz * t_s + phase).sum(axis=0)
        accel, gyro = np.array(message.accel_body_mps2) + swing[:3], np.array(message.gyro_body_radps) + swing[3:]
        return replace(message, accel_body_mps2=tuple(accel.tolist()), gyro_body_radps=tuple(gyro.tolist()))

    return replace(flight, messages=[(at, change(m)) for at, m in flight.messages])


@pytest.mark.parametrize("kind", [Eskf, Isam2])
def test_a_shaken_aircraft_keeps_its_position_and_its_barometer(kind: type[Fusion]) -> None:
    """With 20 s of darkness in it: inside the ellipse, near the truth, no barometer refused for long."""
    found = score(kind(FRAME, CAMERA), shaken(make_flight(PLAN)))  # type: ignore[call-arg]
    baro = [r.accepted for r in found.records if r.source is AidSource.BARO]
    assert np.mean(found.inside_95()) >= 0.95
    assert found.horizontal_m().max() < 40.0
    assert np.mean(baro) > 0.98


def test_a_filter_that_does_not_learn_it_is_lost() -> None:
    """The same samples believed as the mean over their steps: lost in the dark, and sure of itself."""
    never = FusionConfig(imu_noise_learning_s=1e9)
    found = score(Eskf(FRAME, CAMERA, never), shaken(make_flight(PLAN)), keep=False)
    assert np.mean(found.inside_95()) < 0.8
    assert found.horizontal_m().max() > 60.0


def test_samples_that_resolve_the_motion_add_their_own_noise_alone() -> None:
    """A swing of 1 Hz leaves nothing open at 100 Hz: what is learned is the white noise of the samples."""
    rng = np.random.default_rng(9)
    fusion = Eskf(FRAME, CAMERA)
    fusion.update(AttitudeSample(0, (1.0, 0.0, 0.0, 0.0)))
    for k in range(1, 1001):
        swing = math.sin(2.0 * math.pi * k / 100.0)
        accel = np.array([0.0, 2.0 * swing, -9.8]) + rng.normal(0.0, 0.03, 3)
        gyro = np.array([0.5 * swing, 0.0, 0.0]) + rng.normal(0.0, 0.0015, 3)
        fusion.update(ImuSample(k * 10_000_000, tuple(accel.tolist()), tuple(gyro.tolist())))
    state = fusion.state(10 * 1_000_000_000)
    assert state is not None
    assert np.sqrt(state.accel_noise) == pytest.approx([0.003] * 3, rel=0.2)
    assert np.sqrt(state.gyro_noise) == pytest.approx([0.00015] * 3, rel=0.2)
