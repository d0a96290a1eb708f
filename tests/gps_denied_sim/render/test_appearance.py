"""The ground is one and the same whatever way it is looked at, and its two looks differ as seasons do."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gps_denied_onboard.messages import ImageArray
from gps_denied_sim.noise import lattice_noise
from gps_denied_sim.render.appearance import camera_look, map_look
from gps_denied_sim.render.world import GroundPicture, World


@pytest.fixture(scope="module")
def world() -> World:
    """One world for the tests of this file."""
    return World(11)


def edges(image: ImageArray) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Gradient size of a smoothed picture."""
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32), (0, 0), 1.5)
    return np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)).astype(np.float32)


def correlation(a: ImageArray, b: ImageArray) -> float:
    """Normalised correlation of two pictures' pixels."""
    return float(np.corrcoef(a.ravel().astype(float), b.ravel().astype(float))[0, 1])


@pytest.mark.slow
def test_chunks_do_not_depend_on_the_order_of_asking(world: World) -> None:
    """A chunk painted first in a fresh world equals the one painted last in a used world."""
    look = camera_look(11)
    used = GroundPicture(world, look, 1.5)
    used.chunk(1, 0)
    again = World(11)
    again.land.cells_in(-1500, -900, -1490, -890)
    assert np.array_equal(used.chunk(0, 0), GroundPicture(again, look, 1.5).chunk(0, 0))


def test_no_seam_between_chunks(world: World) -> None:
    """The step across a chunk's border is no larger than the steps beside it."""
    ground = GroundPicture(world, camera_look(11), 0.8)
    left, right = ground.chunk(0, 0).astype(float), ground.chunk(1, 0).astype(float)
    across = np.abs(left[:, -1] - right[:, 0]).mean()
    beside = (np.abs(left[:, -1] - left[:, -2]).mean() + np.abs(right[:, 0] - right[:, 1]).mean()) / 2.0
    assert across < 1.6 * beside + 1.0


@pytest.mark.slow
def test_brightness_differs_and_edges_agree_between_looks(world: World) -> None:
    """Over a square kilometre the looks' brightness is hardly related, their edges clearly are, and only in place."""
    a = GroundPicture(world, camera_look(11), 1.5).mosaic(5, 5, 950, 950)[0]
    b = GroundPicture(world, map_look(11), 1.5).mosaic(5, 5, 950, 950)[0]
    ea, eb = edges(a), edges(b)
    brightness = correlation(cv2.cvtColor(a, cv2.COLOR_BGR2GRAY), cv2.cvtColor(b, cv2.COLOR_BGR2GRAY))
    in_place = float(np.corrcoef(ea.ravel(), eb.ravel())[0, 1])
    displaced = float(np.corrcoef(ea[:, :-40].ravel(), eb[:, 40:].ravel())[0, 1])
    assert abs(brightness) < 0.75
    assert in_place > 0.25
    assert in_place > displaced + 0.15


def test_world_reaches_far_and_differs_everywhere(world: World) -> None:
    """Places ten kilometres away exist, differ from each other, and none is empty."""
    ground = GroundPicture(world, map_look(11), 2.4)
    chunks = [ground.chunk(i, j) for i, j in ((-21, -21), (20, -21), (-21, 20))]
    for k, chunk in enumerate(chunks):
        assert chunk.std() > 4.0
        for other in chunks[k + 1 :]:
            assert abs(correlation(chunk, other)) < 0.5


def test_relief_is_gentle(world: World) -> None:
    """Heights stay within tens of metres and slopes below fifteen per cent over 20 km."""
    x = np.linspace(-10000.0, 10000.0, 20001)
    height = world.terrain.relief_m(x, 0.37 * x)
    assert 5.0 < np.ptp(height) < 50.0
    assert np.abs(np.diff(height)).max() < 0.15 * 1.07


def test_lattice_noise_is_smooth_and_bounded() -> None:
    """Value noise has no steps and stays within -1..1."""
    x = np.linspace(-500.0, 500.0, 20001)
    values = lattice_noise(x, 3.0, 100.0, 5)
    assert np.abs(values).max() <= 1.0
    assert np.abs(np.diff(values)).max() < 0.005
    assert values.std() > 0.2
