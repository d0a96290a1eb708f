"""An autopilot whose attitude stands still, or follows the accelerations, and the estimator beside it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gps_denied_onboard.fusion import Fusion
from gps_denied_onboard.fusion.eskf import Eskf
from gps_denied_onboard.fusion.isam2 import Isam2
from gps_denied_onboard.geometry.rotations import exp_rotation, matrix_from_quaternion, quaternion_from_matrix
from gps_denied_onboard.messages import AttitudeSample

from .scoring import Score, score
from .synthetic import CAMERA, FRAME, Flight, Message, Plan, make_flight

PLAN = Plan(seed=3, duration_s=75.0, imu_hz=50.0, map_sigma_m=1.5)
FROZEN_S = (20.0, 45.0)


def frozen(flight: Flight) -> Flight:
    """The same flight, its attitude that of the first moment of FROZEN_S throughout it, with new stamps."""
    held: list[AttitudeSample] = []

    def change(message: Message) -> Message:
        t_s = (getattr(message, "t_ns", 0) - flight.t_ns[0]) * 1e-9
        if not isinstance(message, AttitudeSample) or not FROZEN_S[0] <= t_s < FROZEN_S[1]:
            return message
        held.append(message)
        return replace(message, quaternion_body_to_ned=held[0].quaternion_body_to_ned)

    return replace(flight, messages=[(at, change(m)) for at, m in flight.messages])


def shaken(flight: Flight, sigma_rad: float = 0.02, time_s: float = 4.0) -> Flight:
    """The same flight with an attitude whose level swings within seconds, as accelerations pull it over."""
    rng = np.random.default_rng(11)
    error, step = np.zeros(3), math.exp(-0.04 / time_s)

    def change(message: Message) -> Message:
        nonlocal error
        if not isinstance(message, AttitudeSample):
            return message
        error = step * error + sigma_rad * math.sqrt(1.0 - step**2) * rng.standard_normal(3) * (1.0, 1.0, 0.0)
        turned = exp_rotation(error) @ matrix_from_quaternion(message.quaternion_body_to_ned)
        return replace(message, quaternion_body_to_ned=quaternion_from_matrix(turned))

    return replace(flight, messages=[(at, change(m)) for at, m in flight.messages])


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Eskf, Isam2])
def test_a_frozen_attitude_is_let_go_of_and_taken_back(kind: type[Fusion]) -> None:
    """25 s of turns with an attitude that stands still: inside the ellipse, and right again afterwards."""
    flight = make_flight(PLAN)
    s: Score = score(kind(FRAME, CAMERA), frozen(flight), keep=False)  # type: ignore[call-arg]
    t, inside = np.array(s.t_s), s.inside_95()
    assert inside[t > FROZEN_S[0]].mean() >= 0.9
    tilt = np.array([np.linalg.norm(e[:2]) for e in s.attitude_error_rad])
    assert tilt[t > FROZEN_S[1] + 10.0].max() < math.radians(1.5)
    assert s.horizontal_m()[t > FROZEN_S[1] + 10.0].max() < 10.0


def test_a_shaken_attitude_is_believed_less_than_a_calm_one() -> None:
    """What the filter allows for in the autopilot's error follows the innovations, and comes back."""
    flight = make_flight(PLAN)
    scales = []
    for flown in (flight, shaken(flight)):
        fusion = Eskf(FRAME, CAMERA)
        for _, message in flown.messages:
            fusion.update(message)
        state = fusion.state(flight.t_ns[-1])
        assert state is not None
        scales.append(state.autopilot_scale)
    assert scales[0] == 1.0
    assert scales[1] > 3.0
