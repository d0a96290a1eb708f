"""A video beside a log: what of it lies outside of the log is left out, and what can be placed is used."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from gps_denied_onboard.messages import AttitudeSample, FloatArray
from gps_denied_operator.logs.flight_log import FlightLog, LogKind
from gps_denied_operator.logs.picture_files import take_video
from gps_denied_operator.logs.picture_times import AlignedBy
from tests.gps_denied_operator.logs.log_files import euler_of, flight

VIDEO_HZ, SIZE_PX = 5.0, 240
LOG_FROM_S, LOG_TO_S = 30.0, 110.0


@pytest.fixture(scope="module")
def log() -> FlightLog:
    """Eighty seconds of a flight that turns: the middle of a longer one."""
    low, high = LOG_FROM_S * 1e9, LOG_TO_S * 1e9
    kept = [m for m in flight(minutes=2.0) if low <= m.t_ns <= high]
    moved = tuple(type(m)(m.t_ns - round(low), *(getattr(m, name) for name in m.__slots__[1:])) for m in kept)
    return FlightLog(Path("x.bin"), LogKind.DATAFLASH, moved[-1].t_ns, moved)


def yaw_at(times_s: FloatArray) -> FloatArray:
    """The aircraft's heading in the whole flight, rad, without its turns of a circle."""
    attitudes = [m for m in flight(minutes=2.0) if isinstance(m, AttitudeSample)]
    yaw = np.unwrap([euler_of(m)[2] for m in attitudes])
    return np.asarray(np.interp(times_s, np.array([m.t_ns for m in attitudes]) / 1e9, yaw))


def film(path: Path, from_s: float, to_s: float) -> Path:
    """What a camera that looks down saw of the ground from one second of the flight to another, turning only."""
    rng = np.random.default_rng(7)
    wide = 2 * SIZE_PX
    ground = cv2.GaussianBlur(rng.integers(0, 255, (wide, wide), dtype=np.uint8), (0, 0), 1.5)
    ground = cv2.normalize(ground, None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), VIDEO_HZ, (SIZE_PX, SIZE_PX))
    for yaw in yaw_at(np.arange(from_s, to_s, 1.0 / VIDEO_HZ)):
        turn = cv2.getRotationMatrix2D((wide / 2, wide / 2), math.degrees(float(yaw)), 1.0)
        turn[:, 2] -= SIZE_PX / 2
        picture = cv2.warpAffine(ground, turn, (SIZE_PX, SIZE_PX))
        writer.write(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


@pytest.mark.slow
def test_a_video_that_is_longer_than_the_log_is_used_where_the_log_is(log: FlightLog, tmp_path: Path) -> None:
    """It began 15 s before the log and ran on for 5 s: those pictures are left out, that is said, the others are at
    their times."""
    frames = tmp_path / "frames"
    frames.mkdir()
    found = take_video(log, film(tmp_path / "long.avi", 15.0, 115.0), frames, 1.0, 60.0)
    assert found.alignment.by is AlignedBy.TURNS, found.alignment.notes
    assert found.alignment.offset_s == pytest.approx(15.0 - LOG_FROM_S, abs=max(3.0 * found.alignment.sigma_s, 0.2))
    assert any("longer than the log" in note for note in found.notes)
    assert len(found.frames) == len(list(frames.iterdir())) == pytest.approx(LOG_TO_S - LOG_FROM_S, abs=2)
    assert all(0 <= frame.t_ns <= log.duration_ns for frame in found.frames)


@pytest.mark.slow
def test_a_video_that_is_shorter_than_the_log_is_placed_in_it(log: FlightLog, tmp_path: Path) -> None:
    """Forty seconds from the middle of the log are found there, and nothing is said of a video that is too long."""
    frames = tmp_path / "frames"
    frames.mkdir()
    found = take_video(log, film(tmp_path / "short.avi", 50.0, 90.0), frames, 1.0, 60.0)
    assert found.alignment.offset_s == pytest.approx(50.0 - LOG_FROM_S, abs=max(3.0 * found.alignment.sigma_s, 0.2))
    assert len(found.frames) == 40
    assert not any("longer" in note for note in found.notes)
