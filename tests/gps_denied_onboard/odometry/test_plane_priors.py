"""What is known of tilt and slope before the picture leads the motion back, and lets go of a plain contradiction."""

from __future__ import annotations

import numpy as np
import pytest

from gps_denied_onboard.geometry.rotations import exp_rotation, nadir_camera_to_enu, rotation_z
from gps_denied_onboard.messages import FloatArray
from gps_denied_onboard.odometry.plane_motion import (
    SIZE,
    MotionPrior,
    PlaneMotion,
    apply_homography,
    prior_terms,
    solve_motion,
    tilt_vector,
    turn_about_up,
)

TRUE = PlaneMotion(np.array([0.2, -0.1, 0.05]), nadir_camera_to_enu(1.0), nadir_camera_to_enu(1.2), np.zeros(2))
FOCAL_PX = 800.0


def prior(relative: float = 0.01, tilt: float = 0.01, slope: float = 0.01) -> MotionPrior:
    return MotionPrior(TRUE.rotation0, TRUE.rotation1, relative, tilt, slope, 0.02)


def seen() -> tuple[FloatArray, FloatArray]:
    """Tracks of flat ground without noise."""
    x0 = np.random.default_rng(2).uniform(-0.5, 0.5, (60, 2))
    return x0, apply_homography(TRUE.homography, x0)


@pytest.mark.parametrize("turn_rad", [0.7, -2.4])
def test_a_turn_and_a_tilt_are_told_apart(turn_rad: float) -> None:
    """Of a rotation of both kinds the turn about up and the two tilts come out, to what is small of second order."""
    rotation = exp_rotation(np.array([0.02, -0.03, 0.0])) @ rotation_z(turn_rad)
    assert turn_about_up(rotation) == pytest.approx(turn_rad, abs=1e-3)
    np.testing.assert_allclose(tilt_vector(rotation), [0.02, -0.03], atol=1e-4)


def test_the_gradient_is_that_of_what_is_believed() -> None:
    """It is the slope of the priors' cost: squares of common tilt and of slope, Student's t of the relative tilt."""

    def cost(step: FloatArray) -> float:
        motion, known = TRUE.moved(start).moved(step), prior()
        common = motion.rotation0 @ known.rotation0.T
        tilt = tilt_vector(motion.rotation1 @ (common @ known.rotation1).T)
        both = np.array([common[2, 1], -common[2, 0]])
        squares = (both @ both + motion.slope @ motion.slope) / 0.01**2
        return float(3.0 * np.log1p(tilt @ tilt / 0.01**2 / 4.0) + 0.5 * squares)

    start = np.array([0.0, 0.0, 0.0, 0.015, -0.005, 0.0, 0.008, -0.012, 0.02, -0.01])
    _, gradient = prior_terms(prior(), TRUE.moved(start))
    for k in (3, 4, 6, 7, 8, 9):
        step = np.zeros(SIZE)
        step[k] = 1e-6
        assert (cost(step) - cost(-step)) / 2e-6 == pytest.approx(gradient[k], rel=0.03, abs=2.0)
    assert not gradient[[0, 1, 2, 5]].any()


def test_a_start_off_the_priors_is_led_back() -> None:
    """Tilts and slopes that the picture hardly tells end where the priors have them, and the motion where it was."""
    x0, x1 = seen()
    start = TRUE.moved(np.array([0.0, 0.0, 0.0, 0.03, -0.02, 0.0, 0.04, -0.03, 0.06, -0.05]))
    found = solve_motion(start, prior(), x0, x1, FOCAL_PX, np.ones(len(x0), dtype=bool), 0.3, 20)
    np.testing.assert_allclose(found.motion.translation, TRUE.translation, atol=1e-4)
    np.testing.assert_allclose(found.motion.slope, 0.0, atol=1e-4)
    np.testing.assert_allclose(found.motion.rotation0, TRUE.rotation0, atol=1e-4)


def test_what_is_not_told_stays_as_unsure_as_it_was() -> None:
    """A slope and a tilt of both cameras look alike: surer priors of both make the motion surer."""
    x0, x1 = seen()
    sigmas = []
    for known in (prior(), prior(tilt=0.03, slope=0.03)):
        found = solve_motion(TRUE, known, x0, x1, FOCAL_PX, np.ones(len(x0), dtype=bool), 0.3, 20)
        sigmas.append(np.sqrt(np.diag(found.covariance)))
    assert np.all(sigmas[0][:2] < 0.95 * sigmas[1][:2])
    assert np.all(sigmas[0][8:10] <= 0.01)
    assert np.all(sigmas[1][8:10] > 0.01)
