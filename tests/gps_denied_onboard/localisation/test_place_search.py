"""Place search: with a prior, without one, over wrong ground."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from gps_denied_onboard.geometry.rotations import exp_rotation, nadir_camera_to_enu, rotation_z, wrap_angle
from gps_denied_onboard.imaging.orthorectify import Orthorectifier, Undistorter
from gps_denied_onboard.localisation.place_config import PlaceConfig
from gps_denied_onboard.localisation.place_search import GridPlace, InOrder
from gps_denied_onboard.messages import CameraPrior, Frame, PlaceCandidate

FOOTPRINT_M = 300.0 * 480 / 500


def search(
    ground: Any, frame: Frame, prior: CameraPrior, in_order: InOrder = map, **settings: int
) -> list[PlaceCandidate]:
    place = GridPlace(ground.mosaic(), ground.local, PlaceConfig(**settings), in_order)
    rectifier = Orthorectifier(frame, Undistorter(ground.camera))
    return place.search(rectifier, prior, FOOTPRINT_M, 0.0, place.search_stages(prior, FOOTPRINT_M)[0])


def test_found_within_the_prior(painted_ground: Any) -> None:
    """A position that is 35 m and 6 degrees off is corrected to a few metres and degrees."""
    pose = painted_ground.pose()
    frame = painted_ground.frame(pose)
    prior = painted_ground.prior((pose[0] + [30.0, -20.0, 4.0], rotation_z(0.1) @ pose[1]), yaw_sigma_rad=0.08)
    best = search(painted_ground, frame, prior)[0]
    assert math.dist(best.centre_enu_m, pose[0][:2]) < 6.0
    assert math.degrees(abs(wrap_angle(best.yaw_rad - 0.9))) < 4.0
    assert best.margin > 1.2


@pytest.mark.parametrize("moved_m", [(0.0, 0.0), (0.8, 0.4), (1.6, -0.8), (-0.5, 1.1), (2.4, 0.2)])
def test_the_place_is_found_between_cells(painted_ground: Any, moved_m: tuple[float, float]) -> None:
    """With heading and height known it is found to a tenth of a map cell (3.2 m), wherever in the cell it lies."""
    position, rotation = painted_ground.pose(tilt_rad=(0.0, 0.0))
    pose = (position + np.array([*moved_m, 0.0]), rotation)
    prior = painted_ground.prior(pose, yaw_sigma_rad=0.0, height_sigma_m=0.0)
    best = search(painted_ground, painted_ground.frame(pose), prior)[0]
    assert math.dist(best.centre_enu_m, pose[0][:2]) < 0.3


@pytest.mark.parametrize("yaw_known", [True, False])
def test_kidnapped(painted_ground: Any, yaw_known: bool) -> None:
    """Without any position, heading known or not, the place is found on the whole map."""
    pose = painted_ground.pose()
    guess = (np.array([0.0, 0.0, 300.0]), pose[1] if yaw_known else rotation_z(2.0) @ pose[1])
    prior = painted_ground.prior(guess, known=False, yaw_sigma_rad=0.05 if yaw_known else math.pi, height_sigma_m=5.0)
    best = search(painted_ground, painted_ground.frame(pose), prior)[0]
    assert math.dist(best.centre_enu_m, pose[0][:2]) < 10.0
    assert math.degrees(abs(wrap_angle(best.yaw_rad - 0.9))) < 5.0


def test_height_of_unknown_scale(painted_ground: Any) -> None:
    """A height that is 20 % off and said to be unsure is found among the hypotheses."""
    pose = painted_ground.pose()
    prior = painted_ground.prior(pose, height_m=360.0, height_sigma_m=40.0)
    best = search(painted_ground, painted_ground.frame(pose), prior)[0]
    assert best.height_m == pytest.approx(300.0, rel=0.08)
    assert math.dist(best.centre_enu_m, pose[0][:2]) < 8.0


def test_other_ground_has_no_clear_winner(painted_ground: Any) -> None:
    """A picture of ground that is not on the map gives candidates with a margin near one."""
    pose = painted_ground.pose()
    frame = painted_ground.frame(pose, painted_ground.paint(99))
    prior = painted_ground.prior(pose, known=False)
    assert search(painted_ground, frame, prior)[0].margin < 1.25


SMALL_M = 100.0


def places_tried(ground: Any, position_m: tuple[float, float], tilt_rad: float = 0.0, **prior: float) -> float:
    """How many places are compared around a camera 300 m over a place, tilted to look east; the map is 819 m wide."""
    pose = (np.array([*position_m, 300.0]), exp_rotation(np.array([0.0, -tilt_rad, 0.0])) @ nadir_camera_to_enu(0.0))
    place, told = GridPlace(ground.mosaic(), ground.local, PlaceConfig()), ground.prior(pose, **prior)
    return place.tried(told, SMALL_M, place.search_stages(told, SMALL_M)[0])


@pytest.mark.parametrize(
    ("sigma_m", "tilt_sigma_rad"), [(10.0, 0.0), (40.0, 0.0), (10.0, 0.05), (10.0, 0.15), (10.0, 0.3), (10.0, 3.0)]
)
def test_the_reach_is_that_of_position_and_tilt(painted_ground: Any, sigma_m: float, tilt_sigma_rad: float) -> None:
    """Three sigmas of the place, as many of the tilt over the height up to 0.7 rad, and three quarters of a picture."""

    def half_m(sigma: float, tilt: float) -> float:
        return 3.0 * sigma + 150.0 * math.tan(min(3.0 * tilt, 0.7)) + 0.75 * SMALL_M

    tried, known = (
        places_tried(painted_ground, (0.0, 0.0), sigma_m=sigma, tilt_sigma_rad=tilt, height_m=150.0)
        for sigma, tilt in ((sigma_m, tilt_sigma_rad), (20.0, 0.0))
    )
    assert tried / known == pytest.approx((half_m(sigma_m, tilt_sigma_rad) / half_m(20.0, 0.0)) ** 2, rel=0.03)


def test_the_search_is_around_what_the_camera_looks_at(painted_ground: Any) -> None:
    """Leaning east by 0.5 rad it looks 164 m east of its place: over the map's eastern end, or back onto it."""
    inside = places_tried(painted_ground, (0.0, 0.0), sigma_m=20.0, tilt_sigma_rad=0.0)
    half_m, lean_m, end_m = 60.0 + 0.75 * SMALL_M, 300.0 * math.tan(0.5), 0.5 * 2048 * 0.398
    for east_m in (300.0, -450.0):
        tried = places_tried(painted_ground, (east_m, 0.0), 0.5, sigma_m=20.0, tilt_sigma_rad=0.0)
        west, east = east_m + lean_m - half_m, east_m + lean_m + half_m
        share = max(min(east, end_m) - max(west, -end_m), 0.0) / (2.0 * half_m)
        assert tried / inside == pytest.approx(share, abs=0.05)


def test_every_height_and_heading_is_a_place_more(painted_ground: Any) -> None:
    """Twice as many heights or headings are twice as many places that could be right by chance."""
    known = places_tried(painted_ground, (0.0, 0.0), height_sigma_m=0.0, yaw_sigma_rad=0.0)
    assert places_tried(painted_ground, (0.0, 0.0), height_sigma_m=10.0, yaw_sigma_rad=0.0) == pytest.approx(
        3.0 * known
    )
    assert places_tried(painted_ground, (0.0, 0.0), height_sigma_m=0.0, yaw_sigma_rad=0.05) == pytest.approx(
        5.0 * known
    )


def test_outside_the_map_there_is_nothing(painted_ground: Any) -> None:
    """A prior that lies wholly off the map gives no candidate."""
    pose = painted_ground.pose()
    prior = painted_ground.prior((pose[0] + [5000.0, 0.0, 0.0], pose[1]))
    assert search(painted_ground, painted_ground.frame(pose), prior) == []


@pytest.mark.parametrize("block_cells", [150, 200, 333, 4096])
def test_the_map_is_searched_in_pieces(painted_ground: Any, block_cells: int) -> None:
    """However large the pieces are, the best place is the same."""
    pose = painted_ground.pose()
    prior = painted_ground.prior(pose, known=False)
    best = search(painted_ground, painted_ground.frame(pose), prior, block_cells=block_cells)[0]
    assert math.dist(best.centre_enu_m, pose[0][:2]) < 10.0


@pytest.mark.parametrize("threads", [2, 8])
def test_threads_change_nothing(painted_ground: Any, threads: int) -> None:
    """However many threads search, every candidate is the same to the last bit."""
    pose = painted_ground.pose()
    frame, prior = painted_ground.frame(pose), painted_ground.prior(pose, known=False)
    alone = search(painted_ground, frame, prior, block_cells=200)
    with ThreadPoolExecutor(threads) as pool:
        assert search(painted_ground, frame, prior, pool.map, block_cells=200) == alone


@pytest.mark.parametrize("inwards", [(0, 1, 1, -1), (2, 3, -1, 1)])
def test_a_camera_over_the_edge_of_the_map_is_found(painted_ground: Any, inwards: tuple[int, int, int, int]) -> None:
    """A picture whose middle lies 60 m inside a corner of the map, so that half of it shows none, has its place."""
    position, rotation = painted_ground.pose()
    bounds = painted_ground.bounds_tiles()
    corner_px = [256.0 * bounds[inwards[0]], 256.0 * bounds[inwards[1]]]
    corner = painted_ground.local.enu_from_mercator_px(corner_px, float(painted_ground.zoom), 100.0)[:2]
    position = np.array([*(corner + 60.0 * np.array(inwards[2:])), position[2]])
    frame = painted_ground.frame((position, rotation))
    found = search(painted_ground, frame, painted_ground.prior((position, rotation), known=False))
    assert min(math.dist(one.centre_enu_m, position[:2]) for one in found[:3]) < 15.0


@pytest.mark.parametrize(
    ("cells", "reach_m"), [(400_000, 0.5 * 0.75 * SMALL_M), (3_000_000, 103.0), (10_000_000, 150.0)]
)
def test_a_window_is_cut_to_the_cells_that_there_is_time_for(painted_ground: Any, cells: int, reach_m: float) -> None:
    """Three sigmas of 50 m under fifteen headings and heights are 6 million cells; the place may be in what is cut."""
    prior = painted_ground.prior(
        painted_ground.pose(), sigma_m=50.0, yaw_sigma_rad=0.05, height_sigma_m=10.0, tilt_sigma_rad=0.0
    )
    whole, cut = (
        GridPlace(painted_ground.mosaic(), painted_ground.local, PlaceConfig(window_cells_max=most))
        for most in (150_000_000, cells)
    )
    stage = whole.search_stages(prior, SMALL_M)[0]
    inside = math.erf(reach_m / 50.0 / math.sqrt(2.0)) / math.erf(3.0 / math.sqrt(2.0))
    sides = (reach_m + 0.75 * SMALL_M) / (150.0 + 0.75 * SMALL_M)
    assert cut.covered(prior, SMALL_M, stage) == pytest.approx(inside**2, abs=0.02)
    assert cut.tried(prior, SMALL_M, stage) / whole.tried(prior, SMALL_M, stage) == pytest.approx(sides**2, rel=0.03)
    assert whole.covered(prior, SMALL_M, stage) == 1.0


@pytest.mark.parametrize("cells", [150_000_000, 500_000])
def test_a_position_far_from_the_map_is_searched_for_on_the_map(painted_ground: Any, cells: int) -> None:
    """A take-off place 10 km off, as it is doubted: cells that the map does not have are not counted, so that all of it
    is searched, or the part that is nearer, and the chance of that is told."""
    pose = painted_ground.pose()
    frame = painted_ground.frame(pose)
    told = painted_ground.prior((pose[0] - [10_000.0, 0.0, 0.0], pose[1]), sigma_m=6000.0, yaw_sigma_rad=0.05)
    place = GridPlace(painted_ground.mosaic(), painted_ground.local, PlaceConfig(window_cells_max=cells))
    stage = place.search_stages(told, FOOTPRINT_M)[0]
    rectifier = Orthorectifier(frame, Undistorter(painted_ground.camera))
    best = place.search(rectifier, told, FOOTPRINT_M, 0.0, stage)[0]
    on_map = painted_ground.prior(pose, known=False)
    share = place.tried(told, FOOTPRINT_M, stage) / place.tried(on_map, FOOTPRINT_M, stage)
    covered = place.covered(told, FOOTPRINT_M, stage)
    if cells == 150_000_000:
        assert math.dist(best.centre_enu_m, pose[0][:2]) < 10.0
        assert (share, covered) == (1.0, 1.0)
    else:
        assert 0.1 < covered < share < 0.7


def test_an_unknown_height_is_searched_from_the_highest_octave_down(painted_ground: Any) -> None:
    """Each stage holds heights of one octave, the first the highest one, and together they are all, once."""
    place = GridPlace(painted_ground.mosaic(), painted_ground.local, PlaceConfig(), map)
    prior = painted_ground.prior(painted_ground.pose(), known=False, height_m=800.0, height_sigma_m=900.0)
    stages = place.search_stages(prior, FOOTPRINT_M)
    highest_m = max(stages[0].heights_m)
    assert len(stages) >= 2
    for number, stage in enumerate(stages):
        assert len(stage.heights_m) >= 1
        assert all(highest_m / 2 ** (number + 1) < height <= highest_m / 2**number for height in stage.heights_m)
    everything = np.concatenate([stage.heights_m for stage in stages])
    assert len(set(everything.tolist())) == len(everything)
