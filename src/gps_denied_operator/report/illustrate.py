"""Pictures of the moments of a flight that a person should look at, where a recording kept the camera's pictures."""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gps_denied_onboard.recorder.kinds import FrameRecord
from gps_denied_onboard.recorder.mcap_io import RecordingReader, recording_files
from gps_denied_onboard.recorder.meta import FRAMES_FOLDER, RecordingMeta
from gps_denied_operator.scoring.frames import FrameResult

if TYPE_CHECKING:
    from gps_denied_onboard.geometry.geodesy import LocalFrame
    from gps_denied_onboard.tiles.mosaic import MapMosaic

PICTURES_MAX = 12
NEAR_NS = 250_000_000


def illustrated(
    rows: Sequence[FrameResult], sources: Sequence[Path | None], meta: RecordingMeta, local: LocalFrame,
    mosaic: MapMosaic | None,
) -> list[FrameResult]:  # fmt: skip
    """Put the camera's picture, and the map where it was put at, beside the worst rows, up to PICTURES_MAX.

    sources: recordings that may hold pictures, the flight's own first. Without any the rows stay as they are: with the
    thumbnails of the flight, where it kept some.
    """
    from gps_denied_onboard.frames.recording import RecordingFrames
    from gps_denied_operator.report.pictures import camera_pose, jpeg, map_view, readable, thumbnail, worst_first

    out = list(rows)
    source = next((s for s in sources if s is not None and s.is_dir() and _has_pictures(s)), None)
    if source is None:
        return out
    taken = sorted(RecordingReader(source).frames(), key=lambda frame: frame.t_ns)
    times, frames = [frame.t_ns for frame in taken], RecordingFrames(source, grey=True)
    for i in worst_first(rows, PICTURES_MAX):
        row = rows[i]
        record = _nearest(taken, times, row.t_ns if row.fix is None else row.fix.t_ns)
        frame = None if record is None else frames.load(record)
        if frame is None:
            continue
        pose = None if mosaic is None else camera_pose(row, local, meta.camera)
        view = None if mosaic is None or pose is None else map_view(mosaic, local, meta.camera, pose)
        out[i] = dataclasses.replace(
            row,
            frame_jpeg=jpeg(readable(thumbnail(frame.image))),
            map_jpeg=None if view is None else jpeg(view),
        )
    return out


def _has_pictures(folder: Path) -> bool:
    frames = folder / FRAMES_FOLDER
    return bool(recording_files(folder)) and frames.is_dir() and any(frames.iterdir())


def _nearest(taken: Sequence[FrameRecord], times: Sequence[int], t_ns: int) -> FrameRecord | None:
    place = bisect_left(times, t_ns)
    near = [taken[k] for k in (place - 1, place) if 0 <= k < len(taken) and abs(times[k] - t_ns) <= NEAR_NS]
    return min(near, key=lambda frame: abs(frame.t_ns - t_ns), default=None)
