"""What every matching strategy keeps to: `classic` and `learned` pass the same tests, with the same pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gps_denied_onboard.geometry.camera import ground_points
from gps_denied_onboard.geometry.rotations import exp_rotation
from gps_denied_onboard.imaging.orthorectify import Orthorectifier, Undistorter
from gps_denied_onboard.localisation.localiser import Localiser
from gps_denied_onboard.localisation.matching.map_projector import PassResult
from gps_denied_onboard.localisation.place_config import PlaceConfig
from gps_denied_onboard.localisation.place_search import GridPlace
from gps_denied_onboard.localisation.pose_config import PoseConfig
from gps_denied_onboard.messages import FloatArray, Frame, PlaceCandidate, PoseFix
from gps_denied_onboard.runtime_root.matchers import BuiltMatcher
from gps_denied_onboard.runtime_root.strategies import STRATEGIES

Pose = tuple[FloatArray, FloatArray]
Build = Callable[[str], BuiltMatcher]
each_matcher = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name == "learned" else [])  # its models take seconds a picture
        for name in sorted(STRATEGIES["matching"])
    ],
)


def match(built: BuiltMatcher, ground: Any, frame: Frame, pose: Pose, second_pass: bool = False) -> PassResult | None:
    """One pass under a pose, at the map's second level in the first pass and its finest in the second."""
    centre = ground_points(ground.camera, np.array([[238.0, 181.0]]), *pose, 0.0)[0]
    place = PlaceCandidate((float(centre[0]), float(centre[1])), 0.9, 300.0, 100.0, 2.0)
    rectifier = Orthorectifier(frame, Undistorter(ground.camera))
    return built.matcher.match(rectifier, frame.t_ns, pose, place, 0 if second_pass else 1, second_pass)


def locate(built: BuiltMatcher, ground: Any, frame: Frame, pose: Pose) -> PoseFix:
    place = GridPlace(ground.mosaic(), ground.local, PlaceConfig())
    localiser = Localiser(ground.camera, place, built.matcher, ground.terrain, PoseConfig())
    return localiser.locate(frame, ground.prior(pose))


@each_matcher
@pytest.mark.parametrize("second_pass", [False, True])
def test_matches_lie_where_the_camera_sees_them(
    built: Build, painted_ground: Any, name: str, second_pass: bool
) -> None:
    """Under a pose that is off by metres and a degree, each pixel's ground point is the one that it really shows."""
    pose = painted_ground.pose()
    off = (pose[0] + [3.0, -2.0, 1.0], exp_rotation(np.array([0.0, 0.0, 0.01])) @ pose[1])
    result = match(built(name), painted_ground, painted_ground.frame(pose, t_ns=77), off, second_pass)
    assert result is not None
    matches = result.matches
    assert matches.t_ns == 77
    assert matches.pixel_px.shape == (len(matches.quality), 2)
    assert matches.ground_enu_m.shape == (len(matches.quality), 3)
    assert ((matches.quality >= 0.0) & (matches.quality <= 1.0)).all()
    assert 20 <= len(matches.quality) <= matches.attempted
    assert result.support == pytest.approx(float(np.sum(matches.quality)), rel=0.01)
    size = (painted_ground.camera.width_px, painted_ground.camera.height_px)
    assert (matches.pixel_px > -1.0).all()
    assert (matches.pixel_px < size).all()
    truth = ground_points(painted_ground.camera, matches.pixel_px, *pose, 0.0)
    error_m = np.linalg.norm((matches.ground_enu_m - truth)[:, :2], axis=1)
    assert np.median(error_m) < 1.5 * matches.map_gsd_m
    assert np.linalg.norm(np.mean((matches.ground_enu_m - truth)[:, :2], axis=0)) < 0.5 * matches.map_gsd_m


@each_matcher
def test_the_same_picture_gives_the_same_numbers(built: Build, painted_ground: Any, name: str) -> None:
    """A matcher keeps nothing from one picture to the next: a replay gives the same bytes."""
    pose = painted_ground.pose()
    frame = painted_ground.frame(pose)
    first = match(built(name), painted_ground, frame, pose)
    match(built(name), painted_ground, painted_ground.frame(painted_ground.pose(2.0)), painted_ground.pose(2.0))
    again = match(built(name), painted_ground, frame, pose)
    assert first is not None
    assert again is not None
    np.testing.assert_array_equal(first.matches.ground_enu_m, again.matches.ground_enu_m)
    np.testing.assert_array_equal(first.matches.pixel_px, again.matches.pixel_px)


@each_matcher
def test_a_fix_on_its_own_ground(built: Build, painted_ground: Any, name: str) -> None:
    """With its own gates each matcher gives an accepted fix, metres from the truth and within its covariance."""
    pose = painted_ground.pose()
    guess = (pose[0] + [12.0, -9.0, 2.0], pose[1])
    fix = locate(built(name), painted_ground, painted_ground.frame(pose), guess)
    assert fix.accepted, (fix.reason, fix.gates)
    error = fix.position_enu_m - pose[0]
    assert np.linalg.norm(error[:2]) < 10.0
    assert error @ np.linalg.solve(fix.covariance[:3, :3], error) < 16.0  # 3 degrees of freedom, one in 900


@each_matcher
@pytest.mark.parametrize("seed", [99, 100, 101])
def test_other_ground_is_never_accepted(built: Build, painted_ground: Any, name: str, seed: int) -> None:
    """A picture of ground that is not on the map gives no fix, and the reason is told."""
    pose = painted_ground.pose()
    fix = locate(built(name), painted_ground, painted_ground.frame(pose, painted_ground.paint(seed)), pose)
    assert not fix.accepted
    assert fix.reason


def hostile(ground: Any) -> list[Frame]:
    """Pictures that a broken camera could give."""
    rng = np.random.default_rng(3)
    shape = (ground.camera.height_px, ground.camera.width_px)
    stripes = np.tile(np.array([0, 255], np.uint8), (shape[0], shape[1] // 2))
    half = ground.frame(ground.pose()).image.copy()
    half[:, shape[1] // 3 :] = 0
    pictures = [
        np.zeros(shape, np.uint8),
        np.full(shape, 255, np.uint8),
        rng.integers(0, 256, shape).astype(np.uint8),
        stripes,
        half,
        rng.integers(0, 256, (*shape, 3)).astype(np.uint8),
    ]
    return [Frame(k, k, picture) for k, picture in enumerate(pictures)]


@each_matcher
def test_hostile_pictures_and_poses(built: Build, painted_ground: Any, name: str) -> None:
    """Black, white, noise, stripes, a torn picture; poses that look aside, up, off the map: None or finite numbers."""
    pose = painted_ground.pose()
    rng = np.random.default_rng(8)
    cases = [(frame, pose) for frame in hostile(painted_ground)]
    seen = painted_ground.frame(pose)
    cases += [
        (seen, (pose[0], exp_rotation(np.array([1.5, 0.0, 0.0])) @ pose[1])),
        (seen, (pose[0], exp_rotation(np.array([3.1, 0.0, 0.0])) @ pose[1])),
        (seen, (pose[0] * [1.0, 1.0, 0.02], pose[1])),
        (seen, (pose[0] + [5000.0, 0.0, 0.0], pose[1])),
        *((seen, (pose[0] + rng.normal(0, 60, 3), exp_rotation(rng.normal(0, 0.3, 3)) @ pose[1])) for _ in range(3)),
    ]
    found = 0
    for frame, under in cases:
        result = match(built(name), painted_ground, frame, under)
        if result is not None:
            found += 1
            assert np.isfinite(result.matches.ground_enu_m).all()
            assert np.isfinite(result.matches.pixel_px).all()
            assert np.isfinite(result.support)
    assert found < len(cases)
