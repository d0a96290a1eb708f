"""Pictures beside a log: what a folder of stills or a video holds, and how they become a recording's frames."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from gps_denied_onboard.frames.camera_metadata import combined_view
from gps_denied_onboard.frames.folder import FolderSource
from gps_denied_onboard.frames.photo_info import PhotoInfo
from gps_denied_onboard.frames.video import VideoSource
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.messages import FloatArray, ImageArray
from gps_denied_onboard.recorder.kinds import FrameRecord
from gps_denied_operator.logs.flight_log import FlightLog
from gps_denied_operator.logs.picture_times import Alignment, Stamp, align_stamps, align_turns

FOV_ASSUMED_DEG = 60.0
TURN_HZ = 5.0
TURN_WIDTH_PX = 480
FEATURES = 400
INLIERS_MIN = 12
JPEG_QUALITY = 92

Features = tuple[Sequence[cv2.KeyPoint], npt.NDArray[np.uint8] | None]


@dataclass(frozen=True, slots=True)
class Pictures:
    """Frames as they were written, their camera, and how their times were found."""

    frames: tuple[FrameRecord, ...]
    camera: CameraModel
    alignment: Alignment
    notes: tuple[str, ...]


def take_photos(log: FlightLog, folder: Path, frames: Path, fov_deg: float | None) -> Pictures:
    """Copy the stills that can be placed on the log's clock into `frames`."""
    source = FolderSource(folder)
    alignment = align_stamps(log, [_stamp(photo) for photo in source.photos])
    notes = [*source.problems]
    records = []
    kept = [
        (t_ns, photo)
        for t_ns, photo in zip(alignment.times_ns, source.photos, strict=True)
        if t_ns is not None and 0 <= t_ns <= log.duration_ns
    ]
    outside = len(source.photos) - len(kept)
    if outside and any(t is not None for t in alignment.times_ns):
        notes.append(f"{outside} of {len(source.photos)} pictures are of before or after the log: left out.")
    for index, (t_ns, photo) in enumerate(sorted(kept, key=lambda pair: pair[0])):
        name = f"{index:06d}{photo.path.suffix.lower()}"
        shutil.copyfile(photo.path, frames / name)
        records.append(FrameRecord(t_ns, index, name))
    view = combined_view([view for photo in source.photos[:20] for view in photo.camera.views])
    camera = _camera(source.size_px, fov_deg, None if view is None else view.fov_deg, notes)
    return Pictures(tuple(records), camera, alignment, tuple(notes))


def _stamp(photo: PhotoInfo) -> Stamp:
    known = photo.taken_s is not None and photo.utc_offset_s is not None
    utc_s = (photo.taken_s or 0.0) - (photo.utc_offset_s or 0.0) if known else photo.gps_time_s
    return Stamp(photo.taken_s, utc_s, photo.taken_subsecond, photo.latitude_deg, photo.longitude_deg)


def take_video(log: FlightLog, path: Path, frames: Path, rate_hz: float, fov_deg: float | None) -> Pictures:
    """Write `rate_hz` frames a second of a video into `frames`, placed by the turns that it shows."""
    notes: list[str] = []
    times_s, turned = _turns(path)
    alignment = align_turns(log, times_s, turned)
    source = VideoSource(path)
    camera = _camera(source.size_px, fov_deg, None, notes)
    records: list[FrameRecord] = []
    outside = 0
    if alignment.offset_s is not None:
        next_s = -math.inf
        for frame in source:
            own_s = frame.t_ns / 1e9
            if own_s < next_s:
                continue
            next_s = own_s + 0.999 / rate_hz
            t_ns = round((own_s + alignment.offset_s) * 1e9)
            if not 0 <= t_ns <= log.duration_ns:
                outside += 1
                continue
            name = f"{len(records):06d}.jpg"
            done, data = cv2.imencode(".jpg", frame.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            if done:
                (frames / name).write_bytes(data.tobytes())
                records.append(FrameRecord(t_ns, len(records), name))
    notes += source.problems
    if outside:
        notes.append(
            f"the video is longer than the log: {outside} of its pictures are of before or after it, left out."
        )
    return Pictures(tuple(records), camera, alignment, tuple(notes))


def _camera(size_px: tuple[int, int], told_deg: float | None, own_deg: float | None, notes: list[str]) -> CameraModel:
    if told_deg is None and own_deg is None:
        notes.append(
            f"nothing tells the field of view: {FOV_ASSUMED_DEG:.0f} degrees are assumed; give --fov, or [camera] of "
            "`operator-tool calibrate camera` in the replay's configuration."
        )
    return CameraModel.from_fov(*size_px, told_deg or own_deg or FOV_ASSUMED_DEG)


def _turns(path: Path) -> tuple[FloatArray, FloatArray]:
    """Times in s of some pictures of a video, TURN_HZ a second, and the turn from each to the next in rad."""
    times: list[float] = []
    turned: list[float] = []
    finder = cv2.ORB.create(FEATURES)
    before: Features | None = None
    next_s = -math.inf
    for frame in VideoSource(path, grey=True):
        t_s = frame.t_ns / 1e9
        if t_s < next_s:
            continue
        next_s = t_s + 0.999 / TURN_HZ
        points, words = finder.detectAndCompute(_small(frame.image), np.array([]))
        now: Features = points, None if words is None else np.asarray(words, dtype=np.uint8)
        if before is not None:
            turned.append(_turn(before, now))
        times.append(t_s)
        before = now
    return np.array(times), np.array(turned)


def _small(image: ImageArray) -> ImageArray:
    scale = TURN_WIDTH_PX / image.shape[1]
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _turn(before: Features, now: Features) -> float:
    """By how much the second picture is turned against the first, in rad; 0 where nothing tells."""
    if before[1] is None or now[1] is None:
        return 0.0
    matches = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(before[1], now[1])
    if len(matches) < INLIERS_MIN:
        return 0.0
    a = np.array([before[0][m.queryIdx].pt for m in matches])
    b = np.array([now[0][m.trainIdx].pt for m in matches])
    found, inliers = cv2.estimateAffinePartial2D(a, b, ransacReprojThreshold=3.0)
    if found is None or int(inliers.sum()) < INLIERS_MIN:
        return 0.0
    return math.atan2(float(found[1, 0]), float(found[0, 0]))
