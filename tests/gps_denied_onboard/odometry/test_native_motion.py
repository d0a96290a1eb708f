"""The native equations of a motion over a plane are those of NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gps_denied_onboard._native import motion_equations
from gps_denied_onboard.geometry.rotations import exp_rotation
from gps_denied_onboard.messages import FloatArray
from gps_denied_onboard.odometry.plane_motion import PlaneMotion, relief_shapes

from .plane_reference import equations, linearise

FOCAL_PX = 700.0
DOWN = np.diag([1.0, -1.0, -1.0])
MOTION = PlaneMotion(
    np.array([0.2, -0.1, 0.05]),
    exp_rotation(np.array([0.1, -0.2, 0.3])) @ DOWN,
    exp_rotation(np.array([-0.1, 0.1, 0.5])) @ DOWN,
    np.array([0.05, -0.1]),
)


def tracks(off_px: float, count: int = 200) -> tuple[Any, ...]:
    """Tracks of the motion, each fifth one somewhere else, over low hills, and how they were weighed before."""
    rng = np.random.default_rng(7)
    x0 = rng.uniform(-0.5, 0.5, (count, 2))
    relief = rng.uniform(-0.05, 0.05, count)
    x1 = linearise(MOTION, x0, np.zeros((count, 2)), relief)[0] + rng.normal(0.0, off_px / FOCAL_PX, (count, 2))
    x1[::5] += rng.uniform(-0.3, 0.3, (len(x1[::5]), 2))
    selected = np.arange(count) % 5 != 0
    return x0, x1, relief, relief_shapes(MOTION.rotation0, x0), selected, rng.uniform(0.0, 1.0, count)


def native(of: tuple[Any, ...], first_step: bool) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, float]:
    """The equations at `MOTION`."""
    motion = (MOTION.translation, MOTION.rotation0, MOTION.rotation1, MOTION.slope)
    return motion_equations(*motion, *of, FOCAL_PX, 0.2, 40.0, first_step)


@pytest.mark.parametrize("first_step", [True, False])
@pytest.mark.parametrize("off_px", [0.05, 0.5, 30.0])
@pytest.mark.parametrize("count", [200, 31])
def test_as_in_numpy(first_step: bool, off_px: float, count: int) -> None:
    """Fine tracks, plain ones and ones so far off that the first step keeps the weights it was told."""
    of = tracks(off_px, count)
    for found, wanted in zip(native(of, first_step), equations(MOTION, of, FOCAL_PX, 0.2, 40, first_step), strict=True):
        assert found == pytest.approx(wanted, rel=1e-9, abs=1e-9 * float(np.max(np.abs(wanted))))


def test_a_track_that_goes_nowhere_counts_for_nothing() -> None:
    """Not a number in one of two pictures: it is far off, and the others are as they would be without it."""
    of = tracks(0.5)
    of[1][7] = np.nan
    information, gradient, distance, weight, _ = native(of, first_step=False)
    assert distance[7] == 1e6
    assert weight[7] == 0.0
    wanted = equations(MOTION, of, FOCAL_PX, 0.2, 40, first_step=False)
    assert information == pytest.approx(wanted[0], rel=1e-9, abs=1e-6)
    assert gradient == pytest.approx(wanted[1], rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("which", range(6))
def test_of_other_tracks_is_refused(which: int) -> None:
    """An array that is of fewer tracks than the first one, or of none at all, raises ValueError."""
    of = list(tracks(0.5))
    of[which] = of[which][:-1]
    with pytest.raises(ValueError, match="all of them"):
        native(tuple(of), first_step=False)
