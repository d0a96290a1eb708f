"""What the flights of real autopilots are judged by: where the aircraft truly was, and how far from its mission."""

from __future__ import annotations

import numpy as np
import pytest

from gps_denied_sim.vehicle.flight import rotations_body_to_enu

from .mission import off_track_m
from .truth import Pose, Track

SQUARE = np.array([[0.0, 0.0], [1000.0, 0.0], [1000.0, 1000.0], [0.0, 1000.0]])


def heading(yaw_rad: float) -> np.ndarray:
    return np.asarray(rotations_body_to_enu(np.zeros(1), np.zeros(1), np.array([yaw_rad]))[0])


def test_off_track_is_the_distance_from_the_nearest_leg() -> None:
    """Inside, outside, on the leg that closes the figure, and beyond a corner, where the corner itself is nearest."""
    places = np.array([[500.0, 30.0], [500.0, -40.0], [-25.0, 500.0], [1030.0, -40.0], [500.0, 500.0]])
    assert off_track_m(SQUARE, places) == pytest.approx([30.0, 40.0, 25.0, 50.0, 500.0])


def test_a_pose_between_two_is_on_the_way_and_in_the_turn() -> None:
    """A quarter of the time is a quarter of the way and the turn; none before the first and after the last."""
    track = Track()
    track.add(Pose(1_000, np.array([0.0, 0.0, 300.0]), heading(0.0)))
    track.add(Pose(2_000, np.array([4.0, 8.0, 300.0]), heading(0.4)))
    track.add(Pose(1_500, np.array([9.0, 9.0, 9.0]), heading(3.0)))  # overtaken: passed over
    pose = track.at_ns(1_250)
    assert pose is not None
    assert pose.position_enu_m == pytest.approx([1.0, 2.0, 300.0])
    assert pose.rotation_body_to_enu == pytest.approx(heading(0.1))
    assert track.at_ns(999) is None
    assert track.at_ns(2_000) is None
