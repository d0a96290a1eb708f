"""How the field of view is read from metadata that makers fill by different rules."""

from __future__ import annotations

from typing import Any

import pytest

from gps_denied_onboard.frames.camera_metadata import ViewSource, camera_metadata, combined_view
from gps_denied_onboard.frames.sensor_sizes import sensor_size_mm

FOCAL, EQUIVALENT, ZOOM, PLANE_X, PLANE_Y, UNIT = 0x920A, 0xA405, 0xA404, 0xA20E, 0xA20F, 0xA210


@pytest.mark.parametrize(
    ("size", "shot", "xmp", "name", "fov_deg", "within_deg"),
    [
        ((4000, 2250), {FOCAL: 4.49, EQUIVALENT: 24}, {}, "DJI FC7303", 69.0, 1.5),
        ((4000, 2250), {EQUIVALENT: 24}, {}, "Maker Unknown", 71.6, 0.2),
        ((640, 512), {FOCAL: 13.0, PLANE_X: 10.88, PLANE_Y: 8.704, UNIT: 4}, {}, "Maker T", 45.4, 0.2),
        ((4000, 3000), {FOCAL: 4.5, PLANE_X: 16393.44, PLANE_Y: 16393.44, UNIT: 2}, {}, "Maker C", 69.1, 0.2),
        ((4000, 3000), {}, {"CalibratedFocalLength": "3666.6", "CalibratedOpticalCenterX": "2000"}, "", 57.2, 0.1),
        ((4000, 3000), {}, {"CalibratedFocalLength/X": "3666.6", "CalibratedOpticalCenter/X": "2000"}, "", 57.2, 0.1),
        ((4000, 3000), {}, {"CalibratedFocalLength": "36666/10", "CalibratedOpticalCenterX": "4000/2"}, "", 57.2, 0.1),
        ((4000, 3000), {EQUIVALENT: 24, ZOOM: 2.0}, {}, "DJI FC0", 39.6, 0.3),
        ((3000, 4000), {FOCAL: 4.49}, {}, "DJI FC7303", 54.5, 0.3),
    ],
    ids=["cropped 16:9", "crop of unknown", "sensor size as resolution", "pixels", "calibrated", "by axis",
         "as rationals", "zoomed", "on end"],
)  # fmt: skip
def test_the_sources_that_agree_give_the_view(
    size: tuple[int, int], shot: dict[int, Any], xmp: dict[str, str], name: str, fov_deg: float, within_deg: float
) -> None:
    """Each way of writing it down comes out as the true angle."""
    view = combined_view(camera_metadata(size, size, shot, xmp, name).views)
    assert view is not None
    assert view.fov_deg == pytest.approx(fov_deg, abs=within_deg)
    assert 0.0 < view.sigma < 0.1


@pytest.mark.parametrize(
    ("name", "zoom", "claimed"),
    [
        ("DJI FC7303", 2.0, True),
        ("Autel Robotics XT705", 1.5, True),
        ("Apple iPhone 15", 2.0, False),
        ("Parrot ANAFI", 1.4, False),
        ("", 2.0, False),
        ("DJI FC7303", 1e6, False),
        ("DJI FC7303", 0.5, False),
        ("Apple iPhone 15", 1.0, True),
        ("Apple iPhone 15", 1.005, True),
        ("Apple iPhone 15", 0, True),
        ("Apple iPhone 15", None, True),
    ],
)
def test_a_digital_zoom_of_which_nobody_knows_what_it_means_leaves_no_view(
    name: str, zoom: float | None, claimed: bool
) -> None:
    """A phone's equivalent has the zoom in it, a DJI's has not: by any other maker the view is not claimed."""
    told = camera_metadata((4000, 3000), None, {FOCAL: 4.5, EQUIVALENT: 24, ZOOM: zoom}, {}, name)
    assert (combined_view(told.views) is not None, told.zoom_known) == (claimed, claimed)


def test_a_source_that_contradicts_two_others_is_named_and_not_used() -> None:
    """A calibration for another lens stands against focal length and equivalent that agree."""
    shot = {FOCAL: 4.5, EQUIVALENT: 24}
    xmp = {"CalibratedFocalLength": "9000", "CalibratedOpticalCenterX": "2000"}
    view = combined_view(camera_metadata((4000, 3000), (4000, 3000), shot, xmp, "DJI FC3170").views)
    assert view is not None
    assert view.fov_deg == pytest.approx(71.0, abs=1.0)
    assert [one.source for one in view.contradicting] == [ViewSource.CALIBRATION_PX]


def test_two_sources_that_contradict_one_another_leave_a_doubt() -> None:
    """Nobody can say which of two is wrong: the sigma is larger than that of either alone."""
    sure = camera_metadata((4000, 3000), (4000, 3000), {FOCAL: 4.5}, {}, "DJI FC3170").views
    torn = camera_metadata((4000, 3000), (4000, 3000), {FOCAL: 4.5, EQUIVALENT: 60}, {}, "DJI FC3170").views
    alone, both = combined_view(sure), combined_view(torn)
    assert alone is not None
    assert both is not None
    assert both.contradicting
    assert both.sigma > 1.5 * alone.sigma


@pytest.mark.parametrize("value", [float("nan"), 0, -4.5, "x", None, (1, 2)])
def test_numbers_that_cannot_be_are_no_reading(value: Any) -> None:
    """Broken tags give no reading and no exception."""
    shot = {FOCAL: value, EQUIVALENT: value, PLANE_X: value, PLANE_Y: value, ZOOM: value}
    told = camera_metadata((400, 300), None, shot, {"DewarpData": "a;b,c"}, "DJI FC7303")
    assert combined_view(told.views) is None


def test_a_model_is_recognised_as_a_whole_word() -> None:
    """The make before a model does not matter, and a part of a name is no model."""
    assert sensor_size_mm("DJI FC7303") == (6.17, 4.63)
    assert sensor_size_mm("Canon Canon PowerShot SX260 HS") == (6.17, 4.63)
    assert sensor_size_mm("DJI FC73031") is None
    assert sensor_size_mm("") is None
