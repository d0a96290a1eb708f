"""The covariance of a step against its true error, over many random steps with every input wrong by its sigma."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gps_denied_onboard.geometry.rotations import exp_rotation, image_up_yaw, rotation_z
from gps_denied_onboard.messages import FloatArray

from .ground import HEIGHT_M, Ground, camera_attitude, frame, prior, yaw_change
from .strategies import each_odometry, odometry

HEIGHT_SIGMA_M, TILT_SIGMA_DEG, RELATIVE_SIGMA_DEG = 5.0, 1.0, 0.3


def normalised_error(ground: Ground, rng: np.random.Generator, name: str) -> tuple[float, FloatArray]:
    """NEES (4 degrees of freedom) of one random step, and its error (4,)."""
    r0 = camera_attitude(rng.uniform(-180.0, 180.0), *rng.normal(0.0, 3.0, 2))
    r1 = exp_rotation(np.radians([*rng.normal(0.0, 3.0, 2), rng.normal(0.0, 3.0)])) @ r0
    start = np.array([*rng.uniform(-150.0, 150.0, 2), HEIGHT_M])
    moved = np.array([*rng.normal(0.0, 30.0, 2), rng.normal(0.0, 3.0)])
    first, second = frame(ground.image(start, r0), 0), frame(ground.image(start + moved, r1), 1)
    mount = exp_rotation(np.radians([*rng.normal(0.0, TILT_SIGMA_DEG, 2), 0.0]))
    drift = exp_rotation(np.radians([*rng.normal(0.0, RELATIVE_SIGMA_DEG, 2), rng.normal(0.0, 1.0)]))
    q0, q1 = mount @ r0, drift @ mount @ r1
    height = HEIGHT_M + rng.normal(0.0, HEIGHT_SIGMA_M)
    a, b = (
        prior(f.t_ns, q, height, TILT_SIGMA_DEG, height_sigma_m=HEIGHT_SIGMA_M) for f, q in ((first, q0), (second, q1))
    )
    step = odometry(name).step(first, a, second, b)
    assert step.status == "ok", step.reason
    # The contract: the displacement holds for the yaw of the prior that was used.
    expected = rotation_z(image_up_yaw(q0) - image_up_yaw(r0)) @ moved
    turn = math.remainder(step.yaw_change_rad - yaw_change(r0, r1), 2.0 * math.pi)
    error = np.append(step.displacement_enu_m - expected, turn)
    return float(error @ np.linalg.solve(step.covariance, error)), error


@pytest.mark.slow
@each_odometry
def test_errors_fit_the_covariance(name: str) -> None:
    """Mean NEES of four degrees of freedom lies between 1.3 and 6, and no step is beyond 40."""
    rng = np.random.default_rng(11)
    grounds = [Ground(seed, relief_m=3.0) for seed in (20, 21)]
    nees, errors = zip(*(normalised_error(g, rng, name) for g in grounds for _ in range(14)), strict=True)
    assert 1.3 < np.mean(nees) < 6.0, nees
    assert max(nees) < 40.0
    assert np.sqrt(np.mean(np.array(errors)[:, :2] ** 2)) < 0.005 * HEIGHT_M
