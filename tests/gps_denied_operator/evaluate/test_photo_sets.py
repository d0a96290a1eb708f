"""Pictures that do not belong to a set, and what the set's heights say of the field of view."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from gps_denied_onboard.frames.camera_metadata import CameraMetadata, ViewReading, ViewSource
from gps_denied_onboard.frames.photo_info import PhotoInfo
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_operator.evaluate.boresight import Boresight, spread_order
from gps_denied_operator.evaluate.photo_attitude import Attitude, AttitudeSource, PhotoAttitudes
from gps_denied_operator.evaluate.photo_fov import low_pictures, view_of_photos, with_found_view
from gps_denied_operator.evaluate.photo_options import PhotoOptions


def photo(k: int, name: str = "Maker A", tan_half: float = 0.6, height_m: float = 100.0) -> PhotoInfo:
    """Metadata of one picture."""
    views = (ViewReading(ViewSource.SENSOR, "width kept", tan_half, 0.03),)
    return PhotoInfo(
        Path(f"P{k}.jpg"), 640, 480, relative_altitude_m=height_m, camera_name=name, camera=CameraMetadata(views=views)
    )


def test_pictures_of_another_camera_or_zoom_are_set_aside() -> None:
    """The usual camera is used; the others are named with their field of view."""
    photos = [*(photo(k) for k in range(6)), photo(6, "Maker B"), photo(7, tan_half=0.3)]
    view, notes, others = view_of_photos(photos)
    assert view is not None
    assert view.tan_half == pytest.approx(0.6)
    assert others == {6, 7}
    assert any("2 of 8 pictures are of another camera or zoom (P6.jpg: Maker B" in note for note in notes)


@pytest.mark.parametrize(("zoomed", "others"), [(1, {3}), (4, set())])
def test_a_zoom_of_unknown_meaning_is_another_camera_where_most_have_none(zoomed: int, others: set[int]) -> None:
    """One such picture among three is set aside; where most are such, they stay, and their view may be told."""
    unknown = CameraMetadata(zoom=2.0, zoom_known=False)
    photos = [photo(k) for k in range(3)] + [replace(photo(3 + k), camera=unknown) for k in range(zoomed)]
    assert view_of_photos(photos)[2] == others


def test_pictures_from_the_ground_are_set_aside() -> None:
    """A picture of the take-off place is no picture of the flight; heights that are low in all mean nothing."""
    notes, low = low_pictures([photo(0, height_m=2.0), *(photo(k, height_m=118.0) for k in range(1, 5))])
    assert low == {0}
    assert "1 of 5 pictures were taken 2 m" in notes[0]
    assert low_pictures([photo(k, height_m=-40.0 + k) for k in range(4)]) == ([], frozenset())


def test_heights_found_move_a_doubtful_view_and_leave_a_sure_one() -> None:
    """Found heights of 1.2 times the told widen an assumed view by its share, and a known one hardly."""
    attitudes = PhotoAttitudes(AttitudeSource.CAMERA, {0: Attitude(0.0)}, 1.0)
    found = Boresight(attitudes, (0.0, 0.0), 0.01, 0.0, 0.01, 0.01, 1.2, 0.01, 8)
    camera = CameraModel.from_fov(640, 480, 60.0)
    for sigma, low, high in ((0.2, 1.14, 1.2), (0.01, 1.0, 1.01)):
        options = PhotoOptions(LocalFrame(48.0, 37.0, 0.0), camera, True, fov_sigma=sigma, attitudes=attitudes)
        wider = with_found_view(options, found)
        assert low < camera.fx_px / wider.camera.fx_px < high
        assert wider.fov_sigma < sigma
    unknown = Boresight(attitudes, (0.0, 0.0), 0.01, 0.0, 0.01, 0.01, math.nan, math.nan, 8)
    assert with_found_view(options, unknown) is options


def test_any_first_pictures_of_the_order_are_spread_over_the_set() -> None:
    """Eight of thirty are never more than a quarter of the set apart."""
    first = sorted(spread_order(30)[:8])
    assert max(b - a for a, b in zip([0, *first], [*first, 29], strict=True)) <= 8
    assert sorted(spread_order(30)) == list(range(30))
