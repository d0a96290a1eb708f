"""What other seasons and sensors make of the same ground."""

from __future__ import annotations

import numpy as np
import pytest

from gps_denied_onboard.messages import ImageArray
from gps_denied_sim.render.appearance import Appearance, camera_look
from gps_denied_sim.render.seasons import cover_in, lay_snow, season_look, without_leaves
from gps_denied_sim.render.world import World
from gps_denied_sim.scenarios import make_scenario
from gps_denied_sim.schedule import Season

RESOLUTION_M = 2.0


@pytest.fixture(scope="module")
def world() -> World:
    """Return one small world."""
    return World(5)


def chunk(world: World, look: Appearance) -> ImageArray:
    """One painted square."""
    return world.paint_chunk(look, -2, 1, RESOLUTION_M)


def test_a_look_without_season_is_not_touched() -> None:
    """The older scenarios' pictures stay as they are: no snow is laid, no tree loses a leaf, covers are their own."""
    look = camera_look(5)
    image = np.full((4, 4, 3), 77, dtype=np.uint8)
    lay_snow(look, image, image[..., 0], image[..., 0])
    trees = np.ones((3, 5))
    assert (image == 77).all()
    assert without_leaves(look, trees) is trees
    assert cover_in(look, "pond").colour == (70, 74, 62)


def test_seasons_differ_and_repeat(world: World) -> None:
    """Each look is another picture of the same ground, and the same for the same seed."""
    pictures = {season: chunk(world, season_look(camera_look(5), season, 5)) for season in Season}
    pictures["summer"] = chunk(world, camera_look(5))  # type: ignore[index]
    shown = list(pictures.values())
    for k, one in enumerate(shown):
        for other in shown[:k]:
            assert float(np.abs(one.astype(float) - other.astype(float)).mean()) > 8.0
    again = chunk(world, season_look(camera_look(5), Season.WINTER, 5))
    assert np.array_equal(again, pictures[Season.WINTER])


@pytest.mark.parametrize("season", [Season.NEAR_INFRARED, Season.THERMAL])
def test_cameras_that_see_no_colour_give_grey(world: World, season: Season) -> None:
    """All three channels are the same."""
    image = chunk(world, season_look(camera_look(5), season, 5))
    assert np.array_equal(image[..., 0], image[..., 1])
    assert np.array_equal(image[..., 0], image[..., 2])


def test_near_infrared_turns_the_order_of_brightness() -> None:
    """Crops that are dark beside bare soil in visible light are bright, water is black."""
    summer = camera_look(5)
    infrared = season_look(summer, Season.NEAR_INFRARED, 5)
    assert sum(cover_in(summer, "dark_green").colour) < sum(cover_in(summer, "bare_dry").colour)
    assert sum(cover_in(infrared, "dark_green").colour) > sum(cover_in(infrared, "bare_dry").colour)
    assert cover_in(infrared, "pond").colour[0] < 30


def test_some_winters_have_snow_and_all_have_bare_trees() -> None:
    """Over seeds snow lies in most and not in all; crowns shrink."""
    looks = [season_look(camera_look(seed), Season.WINTER, seed) for seed in range(24)]
    snowy = sum(look.snow > 0.0 for look in looks)
    assert 10 < snowy < 24
    trees = np.random.default_rng(1).random((200, 5)) + 0.01
    assert all(without_leaves(look, trees)[:, 2].mean() < 0.8 * trees[:, 2].mean() for look in looks)


@pytest.mark.parametrize("name", list(Season))
def test_each_season_is_a_scenario(name: Season) -> None:
    """It is flown like a cruise, over a map that is older than the ground."""
    scenario = make_scenario(name, 9200, 600.0)
    assert scenario.season is name
    assert scenario.map_age > 1.0
