"""Windows of normalised innovations, with the refused ones in them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gps_denied_onboard.integrity.consistency import InnovationWindow
from gps_denied_onboard.messages import AidRecord, AidSource


def record(east: float, north: float, sigma: float = 2.0, accepted: bool = True) -> AidRecord:
    innovation, variance = (east * sigma, north * sigma, 0.0), (sigma**2,) * 3
    return AidRecord(0, AidSource.FIX, (), (), innovation, variance, 0.0, accepted, "")


def test_innovations_that_fit_have_a_mean_square_of_one() -> None:
    """White innovations of the expected size give 1 a degree of freedom, and no run."""
    rng = np.random.default_rng(3)
    window = InnovationWindow(400, 25.0)
    for east, north in rng.standard_normal((400, 2)):
        window.add(record(east, north))
    assert window.mean_square == pytest.approx(1.0, abs=0.1)
    assert window.run < 14.0


def test_refused_innovations_count() -> None:
    """What the gate refuses is in the window, and successive refusals are counted until one is accepted."""
    window = InnovationWindow(4, 25.0)
    for _ in range(4):
        window.add(record(4.0, 0.0, accepted=False))
    assert window.mean_square == pytest.approx(8.0)
    assert window.refused == 4
    window.add(record(0.0, 0.0))
    assert window.refused == 0
    assert window.mean_square == pytest.approx(6.0)


def test_innovations_of_one_side_are_a_run() -> None:
    """Innovations too small to be refused, but all to one side, are found by their sum."""
    window = InnovationWindow(16, 25.0)
    for _ in range(16):
        window.add(record(1.5, 0.0))
    assert window.run == pytest.approx(16 * 1.5**2)
    assert window.mean_square == pytest.approx(1.5**2 / 2.0)


def test_one_outlier_is_no_trend() -> None:
    """A single wild innovation counts as its cap, the places that are still empty as ones that fit."""
    window = InnovationWindow(10, 25.0)
    window.add(record(1e6, 0.0, accepted=False))
    assert window.mean_square == pytest.approx((25.0 + 9.0) / 10.0)


@pytest.mark.parametrize("bad", [(), (0.0, 0.0, 1.0), (math.nan, 1.0, 1.0)])
def test_records_without_an_innovation_say_nothing(bad: tuple[float, ...]) -> None:
    """A lost step has no innovation; a variance that is none cannot be divided by."""
    window = InnovationWindow(3, 25.0)
    window.add(AidRecord(0, AidSource.FIX, (), (), (1.0, 1.0, 1.0), bad, 0.0, True, ""))
    assert len(window) == 0
    assert window.mean_square == 0.0
    assert window.run == 0.0


def test_a_new_state_begins_a_new_window() -> None:
    """Nothing of before a relocation is held against the state after it."""
    window = InnovationWindow(3, 25.0)
    window.add(record(5.0, 0.0, accepted=False))
    window.clear()
    assert (len(window), window.refused) == (0, 0)
