"""What hills that nobody knows add to a fix, in numbers, and from which ground its height is counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gps_denied_onboard.geometry.terrain import FlatTerrain
from gps_denied_onboard.integrity.ground_watch import (
    CURVED_SHARE,
    HILL_LENGTH_M,
    LEVEL_SIGMA_M,
    LEVEL_SLOPE_RAD,
    GroundWatch,
)
from gps_denied_onboard.messages import RejectReason
from tests.gps_denied_onboard.geometry.hills import hill

from .test_ground_watch import LOCAL, UP_M, estimate, fix, prior


@pytest.mark.parametrize("ground_up_m", [-100.0, 0.0, 150.0])
def test_hills_turn_lift_and_shift_a_fix(ground_up_m: float) -> None:
    """Of a nadir camera: slope shifts it by the height over that ground, hills lift it, their bend shifts it more."""
    sigma_m = 40.0
    watch = GroundWatch(FlatTerrain(LOCAL, 150.0 + ground_up_m, sigma_m))
    more = watch.on_fix(fix(0), estimate(0)).covariance - fix(0).covariance
    slope_rad2 = sigma_m**2 / HILL_LENGTH_M**2 - LEVEL_SLOPE_RAD**2
    hills_m2 = sigma_m**2 - LEVEL_SIGMA_M**2
    height_m = UP_M - ground_up_m
    assert more[3, 3] == pytest.approx(slope_rad2)
    assert more[2, 2] == pytest.approx(hills_m2)
    assert more[0, 0] == more[1, 1] == pytest.approx(height_m**2 * slope_rad2 + CURVED_SHARE**2 * hills_m2)
    assert abs(more[0, 4]) == pytest.approx(height_m * slope_rad2)


def test_a_promising_height_is_over_the_ground_of_its_frame() -> None:
    """Where the heights on board are no longer believed, it is counted from the flat ground, not from them."""
    watch = GroundWatch(hill(LOCAL, 300.0))
    watch.looks_flat(0, estimate(0, 100.0))
    assert not watch.believed
    assert watch.looks_flat(10**9, estimate(1))
    watch.on_fix(replace(fix(1, 120.0, reason=RejectReason.HEIGHT), wrong_probability=1e-12), estimate(1))
    told = watch.opened(prior(2, estimate(2)), estimate(2))
    assert told.height_m == pytest.approx(UP_M + 120.0 - watch.level.up_m(np.array([17.0, 0.0])), abs=0.1)
