"""The model of a camera over a plane: its derivatives, and the homography that it stands for."""

from __future__ import annotations

import numpy as np

from gps_denied_onboard.geometry.rotations import exp_rotation, nadir_camera_to_enu
from gps_denied_onboard.odometry.plane_motion import SIZE, PlaneMotion, apply_homography

from .plane_reference import linearise

MOTION = PlaneMotion(
    np.array([0.2, -0.1, 0.05]),
    exp_rotation(np.array([0.05, 0.08, 0.0])) @ nadir_camera_to_enu(1.0),
    exp_rotation(np.array([-0.07, 0.02, 0.0])) @ nadir_camera_to_enu(1.2),
    np.array([0.03, -0.02]),
)


def test_jacobian_is_the_derivative() -> None:
    """Each column agrees with a small step of its parameter, over ground with relief."""
    rng = np.random.default_rng(0)
    x0, relief = rng.uniform(-0.5, 0.5, (6, 2)), rng.normal(0.0, 0.03, 6)
    seen = np.zeros((6, 2))
    residual, jacobian, rise = linearise(MOTION, x0, seen, relief)
    for k in range(SIZE):
        step = np.zeros(SIZE)
        step[k] = 1e-6
        moved, _, _ = linearise(MOTION.moved(step), x0, seen, relief)
        np.testing.assert_allclose((moved - residual) / 1e-6, jacobian[:, :, k], atol=1e-5)
    higher, _, _ = linearise(MOTION, x0, seen, relief + 1e-6)
    np.testing.assert_allclose((higher - residual) / 1e-6, rise, atol=1e-5)


def test_homography_maps_as_the_model_does() -> None:
    """Without relief the model's prediction is the plane-induced homography's."""
    x0 = np.random.default_rng(1).uniform(-0.5, 0.5, (6, 2))
    predicted, _, _ = linearise(MOTION, x0, np.zeros((6, 2)))
    np.testing.assert_allclose(predicted, apply_homography(MOTION.homography, x0), atol=1e-12)
