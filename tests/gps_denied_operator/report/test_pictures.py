"""Pictures of the report: the map as the camera sees it from a pose, and which frames are shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame, mercator_px_from_geodetic
from gps_denied_onboard.geometry.rotations import exp_rotation, nadir_camera_to_enu
from gps_denied_onboard.messages import NavState, PoseFix, SourceLabel
from gps_denied_onboard.tiles.mosaic import MapMosaic
from gps_denied_operator.report.pictures import background, camera_pose, map_view, worst_first
from gps_denied_operator.scoring.frames import FrameResult
from gps_denied_operator.scoring.metrics import frame_error

ZOOM = 17
CAMERA = CameraModel.from_fov(480, 320, 60.0)


class OneSpot:
    """A tile source that is grey, but for one bright disc of 8 m about a point."""

    zoom = ZOOM

    def __init__(self, local: LocalFrame, spot_enu_m: tuple[float, float]) -> None:
        self._spot = local.mercator_px_from_enu(np.array([*spot_enu_m, 0.0]), ZOOM)
        centre = mercator_px_from_geodetic(local.latitude_deg, local.longitude_deg, ZOOM) // 256
        self._x, self._y = int(centre[0]), int(centre[1])

    def bounds_tiles(self) -> tuple[int, int, int, int]:
        return self._x - 9, self._y - 9, self._x + 10, self._y + 10

    def read_tile(self, x: int, y: int) -> tuple[np.ndarray, np.ndarray]:
        tile = np.full((256, 256), 90, dtype=np.uint8)
        u, v = self._spot - (x * 256, y * 256) - 0.5
        cv2.circle(tile, (round(float(u)), round(float(v))), 8, 250, -1)
        return tile, np.ones((256, 256), dtype=bool)


@pytest.mark.parametrize("tilt_rad", [(0.0, 0.0), (0.12, -0.08)])
@pytest.mark.parametrize("yaw_rad", [0.3, 2.9])
def test_the_map_is_seen_where_the_camera_would_see_it(
    origin: LocalFrame, yaw_rad: float, tilt_rad: tuple[float, float]
) -> None:
    """A spot on the map appears within two pixels of where the camera model projects it, tilted or not."""
    spot = (40.0, -25.0)
    position = np.array([10.0, 15.0, 400.0])
    rotation = exp_rotation(np.array([*tilt_rad, 0.0])) @ nadir_camera_to_enu(yaw_rad)
    view = map_view(MapMosaic(OneSpot(origin, spot)), origin, CAMERA, (position, rotation))
    assert view is not None
    expected = CAMERA.project((np.array([*spot, 0.0]) - position) @ rotation)[0]
    rows, columns = np.nonzero(view > 200)
    assert len(rows) > 20
    assert (columns.mean(), rows.mean()) == pytest.approx(tuple(expected), abs=2.0)


def test_there_is_no_view_beyond_the_map_or_the_horizon(origin: LocalFrame) -> None:
    """Off the map, or looking at the sky, there is nothing to show."""
    mosaic = MapMosaic(OneSpot(origin, (0.0, 0.0)))
    nadir = nadir_camera_to_enu(0.0)
    assert map_view(mosaic, origin, CAMERA, (np.array([50_000.0, 0.0, 400.0]), nadir)) is None
    level = exp_rotation(np.array([1.5, 0.0, 0.0])) @ nadir
    assert map_view(mosaic, origin, CAMERA, (np.array([0.0, 0.0, 400.0]), level)) is None


def test_the_background_reaches_around_the_flight(
    make_flight: Callable[..., list[FrameResult]], origin: LocalFrame
) -> None:
    """The picture behind the map covers truth and margin as far as there is a map, and no more."""
    rows = make_flight(0, 20)
    box = background(MapMosaic(OneSpot(origin, (0.0, 0.0))), rows, 100.0, 400)
    assert box is not None
    latitudes = [row.truth_latitude_deg for row in rows if row.truth_latitude_deg is not None]
    assert box.south_deg < min(latitudes) < max(latitudes) < box.north_deg
    assert (box.north_deg - box.south_deg) * 111_000.0 < 20 * 16.7 + 400.0
    image = cv2.imdecode(np.frombuffer(box.jpeg, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    assert max(image.shape) <= 520


def test_the_fix_says_where_a_frame_was_put_else_the_state(
    make_flight: Callable[..., list[FrameResult]], origin: LocalFrame
) -> None:
    """A rejected fix still is the place that was matched; without any the estimate's own position is shown."""
    row = next(row for row in make_flight(0, 60) if row.fix is not None and not row.fix.accepted and row.state)
    assert isinstance(row.fix, PoseFix)
    pose = camera_pose(row, origin, CAMERA)
    assert pose is not None
    assert np.array_equal(pose[0], row.fix.position_enu_m)
    assert isinstance(row.state, NavState)
    pose = camera_pose(dataclasses.replace(row, fix=None), origin, CAMERA)
    assert pose is not None
    back = origin.geodetic_from_enu(pose[0])
    assert (back[0], back[1]) == pytest.approx((row.state.latitude_deg, row.state.longitude_deg), abs=1e-9)
    assert pose[1][2, 2] == pytest.approx(-1.0)
    assert camera_pose(dataclasses.replace(row, fix=None, state=None), origin, CAMERA) is None


def test_false_anchors_are_shown_first(make_flight: Callable[..., list[FrameResult]]) -> None:
    """A frame labelled anchored and 60 m off comes before larger errors that were labelled honestly."""
    rows = make_flight(3, 400)
    i = 60
    for k, row in enumerate(rows):
        assert row.truth_latitude_deg is not None
        if k == i:
            off = row.truth_latitude_deg + 60.0 / 111_200.0
            state = dataclasses.replace(row.state, latitude_deg=off, source_label=SourceLabel.SATELLITE_ANCHORED)
            rows[k] = dataclasses.replace(row, state=state)
        elif row.state is not None:
            honest = dataclasses.replace(row.state, source_label=SourceLabel.DEAD_RECKONED)
            rows[k] = dataclasses.replace(row, state=honest)
    assert max(error.distance_m for row in rows if (error := frame_error(row))) > 70.0
    shown = worst_first(rows, 6)
    assert shown[0] == i
    assert len(shown) == 6
    gaps = [abs(a - b) for a in shown for b in shown if a != b]
    assert min(gaps) > 400 // 24


def test_without_any_estimate_the_shown_frames_are_spread(make_flight: Callable[..., list[FrameResult]]) -> None:
    """Where nothing was estimated the frames shown are taken from the whole flight."""
    rows = [dataclasses.replace(row, state=None) for row in make_flight(0, 90)]
    shown = worst_first(rows, 4)
    assert shown == [0, 30, 59, 89]
