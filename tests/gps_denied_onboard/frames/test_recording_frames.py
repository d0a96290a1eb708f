"""Pictures of a recording: what is missing or damaged is left out by name, what does not fit is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.frames.recording import RecordingFrames
from gps_denied_onboard.recorder.kinds import FrameRecord


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A recording's folder with three pictures of 64x48."""
    (tmp_path / "frames").mkdir()
    for k in range(3):
        Image.fromarray(np.full((48, 64), 50 * k, np.uint8)).save(tmp_path / "frames" / f"{k}.png")
    return tmp_path


def test_frames_carry_their_records(recording: Path) -> None:
    """Time, number and name are the record's, the pixels the file's."""
    frames = list(RecordingFrames(recording, [FrameRecord(5 + k, k, f"{k}.png") for k in range(3)], grey=True))
    assert [(f.t_ns, f.index, f.name, int(f.image[0, 0])) for f in frames] == [
        (5, 0, "0.png", 0),
        (6, 1, "1.png", 50),
        (7, 2, "2.png", 100),
    ]


@pytest.mark.parametrize("name", ["absent.png", "", ".", "..", "../../etc/passwd", "/etc/passwd", "torn.png"])
def test_pictures_that_cannot_be_had(name: str, recording: Path) -> None:
    """Missing and damaged pictures and names that lead outside are left out and told; the rest goes on."""
    data = (recording / "frames" / "0.png").read_bytes()
    (recording / "frames" / "torn.png").write_bytes(data[: len(data) - 30])
    source = RecordingFrames(recording, [FrameRecord(1, 0, name), FrameRecord(2, 1, "1.png")])
    assert [frame.index for frame in source] == [1]
    assert len(source.problems) == 1
    assert source.problems[0].startswith("frame 0: ")


def test_another_size_than_the_calibration_is_refused(recording: Path) -> None:
    """A calibration of another size is the user's mistake."""
    with pytest.raises(UserError, match=r"is 64x48, the camera calibration is for 128x96"):
        RecordingFrames(recording, expected_size_px=(128, 96)).load(FrameRecord(1, 0, "0.png"))


def test_a_recording_without_pictures_is_refused(tmp_path: Path) -> None:
    """The folder of pictures must be there."""
    with pytest.raises(UserError, match="holds no folder 'frames'"):
        RecordingFrames(tmp_path)
