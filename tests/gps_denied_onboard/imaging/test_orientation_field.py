"""Orientation fields: the same for both contrasts, and their correlation peaks where the shift is."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from gps_denied_onboard.imaging.orientation import correlate, orientation_field, subpixel_peak


def test_contrast_reversal_changes_nothing(painted_ground: Any) -> None:
    """The field of a negative is the field of the picture."""
    picture = painted_ground.canvas[:300, :400]
    assert np.abs(orientation_field(255 - picture) - orientation_field(picture)).max() < 2e-3


def test_brightness_and_gain_change_little(painted_ground: Any) -> None:
    """A darker, flatter look of the same ground correlates with it at 0.9 or more."""
    picture = painted_ground.canvas[:300, :400]
    a, b = orientation_field(picture), orientation_field((60 + 0.5 * picture).astype(np.uint8))
    assert float(np.vdot(a, b) / np.sqrt(np.vdot(a, a) * np.vdot(b, b))) > 0.9


def test_flat_ground_has_no_field() -> None:
    """Sensor noise on one grey gives next to nothing, and places without data exactly nothing."""
    noise = np.random.default_rng(4).normal(128.0, 1.0, (200, 200)).astype(np.uint8)
    assert float(np.sqrt(np.mean(orientation_field(noise) ** 2))) < 0.2
    valid = np.zeros((200, 200), dtype=bool)
    assert not orientation_field(noise, valid).any()


@pytest.mark.parametrize("reversed_contrast", [False, True])
def test_the_peak_is_at_the_shift(painted_ground: Any, reversed_contrast: bool) -> None:
    """A cut-out correlates best where it was cut out, in either contrast."""
    canvas = painted_ground.canvas[:400, :500]
    cut = canvas[137 : 137 + 90, 201 : 201 + 120]
    template = orientation_field(255 - cut if reversed_contrast else cut)
    surface = correlate(template, orientation_field(canvas))
    assert surface.shape == (400 - 90 + 1, 500 - 120 + 1)
    row, column = np.unravel_index(int(np.argmax(surface)), surface.shape)
    assert (row, column) == (137, 201)


def test_the_peak_is_found_between_cells(painted_ground: Any) -> None:
    """A shift of parts of a cell is measured to 0.1 cell."""
    canvas = painted_ground.canvas[:400, :500]
    moved = cv2.warpAffine(canvas, np.array([[1.0, 0.0, -0.3], [0.0, 1.0, 0.4]]), (500, 400))
    template = orientation_field(moved[100:220, 150:300])
    surface = correlate(template, orientation_field(canvas))
    row, column = np.unravel_index(int(np.argmax(surface)), surface.shape)
    y, x = subpixel_peak(surface, int(row), int(column))
    assert (x - 150, y - 100) == pytest.approx((0.3, -0.4), abs=0.1)


def test_peak_at_the_edge_stays_whole() -> None:
    """At the rim there is no neighbour to interpolate with."""
    surface = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    assert subpixel_peak(surface, 2, 3) == (2.0, 3.0)
