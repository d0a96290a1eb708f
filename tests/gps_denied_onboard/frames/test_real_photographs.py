"""The real photographs say what their folders' descriptions promise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gps_denied_onboard.frames.camera_metadata import combined_view
from gps_denied_onboard.frames.folder import FolderSource
from gps_denied_onboard.frames.video import VideoSource


@pytest.mark.parametrize(
    ("folder", "count", "size", "latitude", "attitude", "course", "fov"),
    [
        ("caliterra", 75, (1600, 1200), 30.17, False, False, 68.9),
        ("garfield", 28, (1600, 1200), 41.43, True, False, 64.6),
        ("seneca", 167, (1200, 900), 41.03, False, True, 71.3),
    ],
)
def test_folders_of_photographs(
    folder: str,
    count: int,
    size: tuple[int, int],
    latitude: float,
    attitude: bool,
    course: bool,
    fov: float,
    shared_data: Path,
) -> None:
    """All pictures are found in time order with position, and attitude, course and field of view where they have it."""
    source = FolderSource(shared_data / folder)
    assert (len(source), source.size_px, source.time_known, source.problems) == (count, size, True, ())
    assert all(photo.has_position for photo in source.photos)
    assert source.photos[0].latitude_deg == pytest.approx(latitude, abs=0.02)
    assert all((photo.yaw_deg is not None) == attitude for photo in source.photos)
    assert all((photo.course_deg is not None) == course for photo in source.photos)
    views = [combined_view(photo.camera.views) for photo in source.photos]
    assert all(view is not None and view.fov_deg == pytest.approx(fov, abs=0.1) for view in views)
    assert np.all(np.diff(source.times_ns) > 0)
    assert next(iter(source)).image.shape == (size[1], size[0], 3)


def test_flight_video(shared_data: Path) -> None:
    """The video's tenth frames have the numbers and times of its truth file."""
    source = VideoSource(shared_data / "islamabad" / "flight.mp4", indices=range(0, 60, 10), grey=True)
    frames = list(source)
    assert [frame.index for frame in frames] == [0, 10, 20, 30, 40, 50]
    assert frames[1].t_ns / 1e9 == pytest.approx(0.334, abs=0.001)
    assert source.claimed_frames == 1352
