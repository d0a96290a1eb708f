"""Live pictures: thinned to the rate that is wanted, newest kept, a lost camera opened again."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from gps_denied_onboard.config import FramesConfig
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.live.frame_reader import FrameReader
from gps_denied_onboard.messages import Frame

SIZE = (96, 64)
SECOND = 1_000_000_000


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Return a video of 20 pictures at 10 frames/s, each of one brightness."""
    path = tmp_path / "flight.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, SIZE)
    for k in range(20):
        writer.write(np.full((SIZE[1], SIZE[0], 3), 10 * k, np.uint8))
    writer.release()
    return path


def hurried_clock() -> Callable[[], int]:
    """A clock that is a minute later whenever it is asked: nothing is waited for."""
    times = itertools.count(0, 60 * SECOND)
    return lambda: next(times)


def read_all(reader: FrameReader, until: str) -> tuple[list[Frame], list[str]]:
    """Frames as they come until a note holds `until`."""
    frames: list[Frame] = []
    notes: list[str] = []
    limit = time.monotonic() + 10.0
    while not any(until in note for note in notes) and time.monotonic() < limit:
        notes += reader.notes()
        while (frame := reader.take()) is not None:
            frames.append(frame)
        threading.Event().wait(0.001)
    return frames, notes


def test_a_video_plays_at_its_own_speed_and_thinned(video: Path) -> None:
    """Of 10 frames a second five are taken, each at its time after the first; the end is told."""
    began_ns = time.monotonic_ns()
    with FrameReader(FramesConfig(source=f"video:{video}", rate_hz=5.0), SIZE, time.monotonic_ns) as reader:
        frames, notes = read_all(reader, "ended")
    assert time.monotonic_ns() - began_ns >= 1.8 * SECOND
    assert [frame.index for frame in frames] == list(range(0, 20, 2))
    assert all(b.t_ns - a.t_ns == pytest.approx(SECOND / 5, abs=1e6) for a, b in itertools.pairwise(frames))
    assert frames[0].t_ns >= began_ns
    assert frames[3].image.shape == (SIZE[1], SIZE[0])
    assert frames[3].image.mean() == pytest.approx(60.0, abs=3.0)
    assert notes == ["pictures have ended: the video is over"]


def test_the_oldest_picture_gives_way(video: Path) -> None:
    """When nobody takes them the newest two wait, and the others are counted."""
    with FrameReader(FramesConfig(source=f"video:{video}", rate_hz=10.0), SIZE, hurried_clock()) as reader:
        while not reader.notes():
            threading.Event().wait(0.001)
        waiting = [reader.take(), reader.take(), reader.take()]
    assert [frame.index if frame is not None else None for frame in waiting] == [18, 19, None]
    assert (reader.read, reader.dropped) == (20, 18)


def test_a_lost_camera_is_opened_again(video: Path) -> None:
    """When a camera stops, its loss is told and pictures come again after a second."""
    with FrameReader(FramesConfig(source=str(video), rate_hz=100.0), SIZE, hurried_clock()) as reader:
        _, notes = read_all(reader, "gave no picture")
        again = None
        limit = time.monotonic() + 5.0
        while again is None and time.monotonic() < limit:
            again = reader.take()
    assert "gave no picture 10 times in a row" in notes[-1]
    assert again is not None


def test_leaving_does_not_wait_for_the_next_picture(video: Path) -> None:
    """A reader that waits for a picture's time ends at once."""
    slow = itertools.chain([0], itertools.repeat(0))
    with FrameReader(FramesConfig(source=f"video:{video}", rate_hz=1.0), SIZE, lambda: next(slow)) as reader:
        while reader.take() is None:
            threading.Event().wait(0.001)
        began = time.monotonic()
    assert time.monotonic() - began < 0.5
    assert "frames" not in {thread.name for thread in threading.enumerate()}


def test_another_size_is_refused(video: Path) -> None:
    """A source of another size than the calibration's is refused before it is started."""
    for source in (f"video:{video}", str(video)):
        with pytest.raises(UserError, match="gives 96x64 px, the camera calibration is for 640x480"):
            FrameReader(FramesConfig(source=source), (640, 480), time.monotonic_ns)
