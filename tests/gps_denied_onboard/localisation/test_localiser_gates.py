"""A fix leaves only when the frame really lies on the map."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gps_denied_onboard.geometry.rotations import exp_rotation, log_rotation, rotation_z
from gps_denied_onboard.geometry.terrain import Terrain
from gps_denied_onboard.localisation.localiser import Localiser
from gps_denied_onboard.localisation.matching.classic import ClassicMatcher
from gps_denied_onboard.localisation.matching.config import MatchingConfig
from gps_denied_onboard.localisation.matching.map_projector import MapProjector
from gps_denied_onboard.localisation.place_config import PlaceConfig
from gps_denied_onboard.localisation.place_search import GridPlace
from gps_denied_onboard.localisation.pose_config import GateConfig, PoseConfig
from gps_denied_onboard.messages import CameraPrior, Frame, PoseFix

from ..geometry.hills import hill


def locate(ground: Any, frame: Frame, prior: CameraPrior, terrain: Terrain | None = None) -> PoseFix:
    mosaic = ground.mosaic()
    terrain = terrain or ground.terrain
    matcher = ClassicMatcher(MapProjector(mosaic, ground.local, terrain, ground.camera), MatchingConfig())
    place = GridPlace(mosaic, ground.local, PlaceConfig())
    localiser = Localiser(ground.camera, place, matcher, terrain, PoseConfig())
    return localiser.locate(frame, prior)


@pytest.mark.parametrize("known", [True, False])
def test_the_right_map_gives_a_fix(painted_ground: Any, known: bool) -> None:
    """On its own ground a frame gives a fix within 3 sigma and a few metres, with a prior and without."""
    pose = painted_ground.pose()
    guess = (pose[0] + [25.0, -15.0, 4.0], rotation_z(0.05) @ pose[1])
    fix = locate(painted_ground, painted_ground.frame(pose, t_ns=42), painted_ground.prior(guess, known=known))
    assert fix.accepted, fix.reason
    assert (fix.t_ns, fix.frame_index, fix.global_search) == (42, 7, not known)
    error = np.concatenate([pose[0] - fix.position_enu_m, log_rotation(pose[1] @ fix.rotation_camera_to_enu.T)])
    assert np.linalg.norm(error[:3]) < 8.0
    assert error @ np.linalg.solve(fix.covariance, error) < 25.0  # 6 degrees of freedom, one in 3000
    assert fix.gates["inlier_ratio"] > 0.5


def test_where_the_ground_counts_as_flat_heights_on_board_are_left_alone(painted_ground: Any) -> None:
    """They would put the camera 300 m higher; without them the fix is that of a flight without heights, bit by bit."""
    pose = painted_ground.pose()
    frame, wrong = painted_ground.frame(pose), hill(painted_ground.local, offset_m=300.0)
    prior = painted_ground.prior(pose)
    flat = locate(painted_ground, frame, prior)
    fix = locate(painted_ground, frame, replace(prior, ground_flat=True), wrong)
    assert fix.accepted, fix.reason
    assert fix.position_enu_m.tolist() == flat.position_enu_m.tolist()
    assert fix.covariance.tolist() == flat.covariance.tolist()
    hilly = locate(painted_ground, frame, prior, wrong)
    assert not hilly.accepted or hilly.position_enu_m[2] > flat.position_enu_m[2] + 200.0


def test_reversed_contrast_is_the_same_ground(painted_ground: Any) -> None:
    """A map whose bright is dark gives the same fix."""
    pose = painted_ground.pose()
    frame = painted_ground.frame(pose, 255 - painted_ground.canvas)
    fix = locate(painted_ground, frame, painted_ground.prior(pose))
    assert fix.accepted, fix.reason
    assert np.linalg.norm(fix.position_enu_m[:2] - pose[0][:2]) < 8.0


@pytest.mark.parametrize(("seed", "known"), [(99, True), (100, True), (99, False)])
def test_the_wrong_map_gives_none(painted_ground: Any, seed: int, known: bool) -> None:
    """A frame of ground that is not on the map is never accepted, and the reason is told."""
    pose = painted_ground.pose()
    fix = locate(
        painted_ground, painted_ground.frame(pose, painted_ground.paint(seed)), painted_ground.prior(pose, known=known)
    )
    assert not fix.accepted
    assert fix.reason


@pytest.mark.parametrize("probability", [1e-5, 1e-7, 1e-12])
def test_a_place_that_is_hardly_believed_needs_more(painted_ground: Any, probability: float) -> None:
    """What a frame shows is weighed against the prior of its place, and a fix refused for it never claims to be sure,
    though its second pass was left out as hopeless."""
    pose = painted_ground.pose()
    prior = replace(painted_ground.prior(pose), place_probability=probability)
    fix = locate(painted_ground, painted_ground.frame(pose), prior)
    assert fix.gates["log_prior"] == pytest.approx(np.log(0.9 * probability), abs=0.3)
    assert fix.accepted == (fix.wrong_probability <= GateConfig().wrong_probability_max)
    if probability < 1e-10:
        assert not fix.accepted
        assert fix.gates["refined"] == 0.0


def test_frames_without_texture(painted_ground: Any) -> None:
    """Darkness, fog and noise alone are not matched."""
    pose = painted_ground.pose()
    prior = painted_ground.prior(pose)
    rng = np.random.default_rng(0)
    dark = Frame(0, 0, rng.normal(3.0, 1.0, (360, 480)).clip(0, 255).astype(np.uint8))
    fix = locate(painted_ground, dark, prior)
    assert (fix.accepted, fix.reason) == (False, "no_texture")
    noise = Frame(0, 0, rng.integers(0, 255, (360, 480)).astype(np.uint8))
    assert not locate(painted_ground, noise, prior).accepted


def test_off_the_map(painted_ground: Any) -> None:
    """Where the map ends there is no fix, and no position is made up."""
    pose = painted_ground.pose()
    away = (pose[0] + [4000.0, 0.0, 0.0], pose[1])
    fix = locate(painted_ground, painted_ground.frame(pose), painted_ground.prior(away))
    assert (fix.accepted, fix.reason) == (False, "outside_map")
    assert np.isnan(fix.position_enu_m).all()


def test_a_banked_camera_gives_a_fix_where_it_is_known_to_bank(painted_ground: Any) -> None:
    """In a turn of 29 degrees of bank the fix leaves and is right; a lean that nobody knows of is refused."""
    pose = painted_ground.pose(tilt_rad=(0.5, 0.05))
    frame = painted_ground.frame(pose)
    fix = locate(painted_ground, frame, painted_ground.prior(pose))
    assert fix.accepted, fix.reason
    assert np.linalg.norm(fix.position_enu_m - pose[0]) < 8.0
    level = exp_rotation(np.array([-0.45, 0.0, 0.0])) @ pose[1]
    assert not locate(painted_ground, frame, painted_ground.prior((pose[0], level))).accepted
