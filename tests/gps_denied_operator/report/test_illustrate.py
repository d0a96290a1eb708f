"""Pictures beside the moments of a flight: where a recording kept them, and nothing where none did."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.recorder.kinds import FrameRecord
from gps_denied_onboard.recorder.mcap_io import RecordingWriter
from gps_denied_onboard.recorder.meta import RecordingMeta, write_meta
from gps_denied_operator.report.illustrate import PICTURES_MAX, illustrated
from gps_denied_operator.scoring.frames import FrameResult


def recording(folder: Path, rows: list[FrameResult], meta: RecordingMeta, pictures: bool) -> Path:
    """A recording with a picture of its own grey for each row, 40 ms before it."""
    (folder / "frames").mkdir(parents=True)
    write_meta(folder, meta)
    with RecordingWriter(folder) as writer:
        for row in rows:
            writer.write(FrameRecord(row.t_ns - 40_000_000, row.index, row.name))
            if pictures:
                grey = np.full((48, 64), 60, np.uint8)
                grey[:, : row.index % 64] = 200
                cv2.imwrite(str(folder / "frames" / row.name), grey)
    return folder


def test_pictures_come_from_the_recording_that_has_them(
    tmp_path: Path, make_flight: Callable[..., list[FrameResult]], origin: LocalFrame
) -> None:
    """Up to the limit the worst rows get their own picture; a damaged one is left out; without any nothing changes."""
    rows = [dataclasses.replace(row, frame_jpeg=None, map_jpeg=None) for row in make_flight(1, 60)]
    meta = RecordingMeta(
        CameraModel(64, 48, 50.0, 50.0, 32.0, 24.0), origin.latitude_deg, origin.longitude_deg, origin.altitude_m, 2.0
    )
    bare = recording(tmp_path / "bare", rows, meta, pictures=False)
    full = recording(tmp_path / "full", rows, meta, pictures=True)
    (full / "frames" / rows[30].name).write_bytes(b"no picture")
    made = illustrated(rows, (bare, full), meta, origin, None)
    shown = [row for row in made if row.frame_jpeg is not None]
    assert 0 < len(shown) <= PICTURES_MAX
    assert made[30].frame_jpeg is None
    for row in shown:
        image = cv2.imdecode(np.frombuffer(row.frame_jpeg or b"", np.uint8), cv2.IMREAD_GRAYSCALE)
        assert int((image[24] > 128).sum()) in range(row.index % 64 - 2, row.index % 64 + 3)
        assert row.map_jpeg is None
    assert illustrated(rows, (bare, None), meta, origin, None) == rows
