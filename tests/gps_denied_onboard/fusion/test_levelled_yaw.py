"""A step's yaw is levelled by the state's own attitude and mount, wrong as they are: it must not teach the mount."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gps_denied_onboard._native import eskf_layout
from gps_denied_onboard.fusion.eskf import Eskf
from gps_denied_onboard.geometry.rotations import image_up_yaw, log_rotation, wrap_angle
from gps_denied_onboard.messages import FloatArray, OdometryStep

from .synthetic import CAMERA, FRAME, Plan, make_flight


def axis_turn_rad(rotation0: FloatArray, rotation1: FloatArray) -> float:
    """By how much a picture turned about its own axis between two of a camera's rotations to ENU: what it shows."""
    return float(log_rotation(rotation0.T @ rotation1)[2])


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_steps_that_are_levelled_by_a_wrong_mount_do_not_make_it_sure(seed: int) -> None:
    """Swinging by six degrees without a map for two minutes: the mount's error stays within three of its sigmas."""
    plan = Plan(seed=seed, duration_s=150.0, no_fix_s=((0.0, 150.0),), swing_rad=0.1)
    flight = make_flight(plan)
    fusion = Eskf(FRAME, CAMERA)
    first = eskf_layout["mount"][0]
    worst = 0.0
    for arrival_ns, message in flight.messages:
        if isinstance(message, OdometryStep):
            states = [fusion.state(t_ns) for t_ns in (message.t0_ns, message.t1_ns)]
            if None in states:
                continue
            believed = [s.rotation_body_to_enu @ s.rotation_camera_to_body for s in states if s is not None]
            true = [flight.rotation[flight.row(t)] @ flight.mount for t in (message.t0_ns, message.t1_ns)]
            unlevel = axis_turn_rad(*true) - axis_turn_rad(*believed)
            yaws = [image_up_yaw(rotation) for rotation in believed]
            fusion.update(replace(message, yaw_change_rad=wrap_angle(yaws[1] - yaws[0] - unlevel)))
            state = fusion.state(arrival_ns)
            assert state is not None
            error = flight.mount @ state.rotation_camera_to_body.T
            sigma = np.sqrt(np.diag(state.covariance)[first : first + 3])
            worst = max(worst, float(np.max(np.abs(log_rotation(error)) / sigma)))
        else:
            fusion.update(message)
    assert worst < 3.0
