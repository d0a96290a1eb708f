"""Local patches: found where they moved to, left out where there is nothing to find."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gps_denied_onboard.imaging.orientation import orientation_field
from gps_denied_onboard.imaging.patch_correlation import match_patches

REACH = 10


def test_patches_move_together(painted_ground: Any) -> None:
    """Each patch of a picture that lies (3, -5) cells off is found there, clearly better than anywhere else."""
    canvas = painted_ground.canvas
    template = canvas[500:680, 700:920]
    field = orientation_field(canvas[500 - REACH + 5 : 680 + REACH + 5, 700 - REACH - 3 : 920 + REACH - 3])
    found = match_patches(orientation_field(template), np.ones((180, 220), bool), field, REACH, 40)
    assert found.attempted == 8 * 10
    assert len(found.score) > 0.8 * found.attempted
    assert np.median(found.shift_xy, axis=0) == pytest.approx([3.0, -5.0], abs=0.1)
    good = (found.score > 0.6) & (found.ratio < 0.9)
    assert found.shift_xy[good] == pytest.approx(np.tile([3.0, -5.0], (int(good.sum()), 1)), abs=0.5)
    assert good.mean() > 0.8


def test_another_place_gives_weak_and_scattered_matches(painted_ground: Any) -> None:
    """On other ground the scores are low and the shifts disagree."""
    canvas = painted_ground.canvas
    field = orientation_field(canvas[1200 - REACH : 1380 + REACH, 300 - REACH : 520 + REACH])
    found = match_patches(orientation_field(canvas[500:680, 700:920]), np.ones((180, 220), bool), field, REACH, 40)
    assert np.median(found.score) < 0.5
    assert np.std(found.shift_xy) > 2.0


def test_uncovered_and_flat_patches_are_left_out(painted_ground: Any) -> None:
    """Patches without data are not tried; patches without structure give no match."""
    canvas = painted_ground.canvas[:200, :200].copy()
    canvas[:100] = 90
    field = orientation_field(np.pad(canvas, REACH, mode="edge"))
    valid = np.ones((200, 200), bool)
    valid[:, :100] = False
    found = match_patches(orientation_field(canvas), valid, field, REACH, 40)
    assert found.attempted == 9 * 4
    assert (found.template_xy[:, 0] > 100).all()
    assert (found.template_xy[:, 1] > 70).all()


def test_a_picture_smaller_than_a_patch() -> None:
    """Nothing is tried, nothing found."""
    small = np.zeros((4, 20, 20), np.float32)
    found = match_patches(small, np.ones((20, 20), bool), np.zeros((4, 40, 40), np.float32), REACH, 40)
    assert found.attempted == 0
    assert found.shift_xy.shape == (0, 2)
