"""A height or a field of view that was told wrongly is named by the pictures that were found all the same."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.messages import PoseFix, RejectReason
from gps_denied_operator.evaluate.photo_options import PhotoOptions
from gps_denied_operator.evaluate.photo_scale import found_otherwise

CAMERA = CameraModel.from_fov(1600, 1200, 70.0)


def fixes(height_m: float, count: int = 5, accepted: bool = True) -> list[PoseFix | None]:
    """Map fixes at a height, with a miss between them."""
    rng = np.random.default_rng(3)
    at = [np.array([0.0, 30.0 * k, height_m + rng.normal(0.0, 2.0)]) for k in range(count)]
    made = [
        PoseFix(k, accepted, RejectReason.NONE, p, np.eye(3), np.eye(6), 40, 60, 0.8, False) for k, p in enumerate(at)
    ]
    return [*made, None]


def told(height_m: float | None, camera: CameraModel = CAMERA) -> PhotoOptions:
    return PhotoOptions(LocalFrame(24.0, 120.0, 0.0), camera, fov_known=True, height_m=height_m)


def test_a_height_half_of_the_true_one_is_named() -> None:
    """Told 60 m and found at 120: both numbers and the way out."""
    said = found_otherwise(fixes(120.0), CAMERA, (), told(60.0))
    assert "60 m and 70 degrees make a picture 84 m wide" in said
    assert re.search(r"found are 16[78] m wide.*--height 1(19|20|21) ", said)


def test_a_field_of_view_that_was_corrected_on_the_way_is_named() -> None:
    """Told 40 degrees, found at the right height with a camera of 70: the width and the right view are told."""
    said = found_otherwise(fixes(120.0), CAMERA, (), told(120.0, CameraModel.from_fov(1600, 1200, 40.0)))
    assert "120 m and 40 degrees make a picture 87 m wide" in said
    right = re.search(r"--fov (\d+) ", said)
    assert right is not None
    assert float(right[1]) == pytest.approx(70.0, abs=1.0)


@pytest.mark.parametrize("height_m", [110.0, 120.0, 132.0, None])
def test_what_agrees_or_was_not_told_is_no_reason(height_m: float | None) -> None:
    """Within a tenth, and without a height, nothing is said."""
    assert found_otherwise(fixes(120.0), CAMERA, (), told(height_m)) == ""


def test_refused_fixes_tell_nothing() -> None:
    """Neither do two pictures."""
    assert found_otherwise(fixes(120.0, accepted=False), CAMERA, (), told(60.0)) == ""
    assert found_otherwise(fixes(120.0, count=2), CAMERA, (), told(60.0)) == ""
    assert math.isclose(2.0 * math.tan(CAMERA.fov_horizontal_rad / 2.0) * 60.0, 84.0, abs_tol=0.1)
