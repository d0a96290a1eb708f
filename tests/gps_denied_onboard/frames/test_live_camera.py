"""The live camera: stamped by the clock from outside, clear when it cannot be opened, an error when it stops."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.frames.camera import CameraLostError, CameraSource
from tests.sitl.mjpeg import MjpegServer


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    """Something that OpenCV opens like a camera and that ends after five pictures."""
    path = tmp_path / "camera.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (96, 64))
    for k in range(5):
        writer.write(np.full((64, 96, 3), 40 * k, np.uint8))
    writer.release()
    return path


def test_pictures_are_stamped_on_arrival(stream: Path) -> None:
    """Times come from the clock given, less the camera's delay; a camera that stops is an error."""
    ticks = itertools.count(1_000_000_000, 100_000_000)
    camera = CameraSource(str(stream), lambda: next(ticks), exposure_delay_ns=30_000_000)
    assert camera.size_px == (96, 64)
    frames = [camera.read() for _ in range(5)]
    assert [frame.t_ns for frame in frames] == [970_000_000 + k * 100_000_000 for k in range(5)]
    assert [frame.index for frame in frames] == list(range(5))
    with pytest.raises(CameraLostError, match="gave no picture"):
        camera.read()
    camera.close()
    camera.close()


@pytest.mark.parametrize("device", ["/dev/video-absent", 99])
def test_an_absent_camera_is_told(device: int | str) -> None:
    """A camera that cannot be opened is the user's to mend: the sentence says what to look at."""
    with pytest.raises(UserError, match="is it plugged in"):
        CameraSource(device, lambda: 0)


@pytest.fixture
def network_camera() -> Iterator[MjpegServer]:
    """A camera on loopback that shows a picture every 20 ms."""
    encoded, data = cv2.imencode(".jpg", np.full((64, 96, 3), 90, np.uint8))
    assert encoded
    server, stop = MjpegServer(), threading.Event()

    def show() -> None:
        while not stop.wait(0.02):
            server.show(data.tobytes())

    showing = threading.Thread(target=show)
    showing.start()
    yield server
    stop.set()
    showing.join()
    server.close()


def test_a_network_camera_is_opened_after_a_file(stream: Path, network_camera: MjpegServer) -> None:
    """What a file may not reach a camera's address may, in the same process, and the environment stays as it was."""
    before = os.environ.get("OPENCV_FFMPEG_CAPTURE_OPTIONS")
    CameraSource(str(stream), lambda: 0).close()
    camera = CameraSource(network_camera.url, lambda: 7)
    assert camera.size_px == (96, 64)
    assert camera.read().t_ns == 7
    camera.close()
    assert os.environ.get("OPENCV_FFMPEG_CAPTURE_OPTIONS") == before


def test_a_file_that_names_an_address_reaches_nothing(tmp_path: Path, network_camera: MjpegServer) -> None:
    """A list of streams in a file of a stranger opens none of them."""
    path = tmp_path / "video.mp4"
    path.write_text(f"ffconcat version 1.0\nfile '{network_camera.url}'\n#EXTM3U\n{network_camera.url}\n")
    with pytest.raises(UserError, match="cannot be opened"):
        CameraSource(str(path), lambda: 0)
    assert network_camera.shown == 0
