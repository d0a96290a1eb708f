"""The camera's pictures of a test flight: JPEG files of bounded size, within a budget, each on record with its SHA-256.

Nothing of a normal flight is here: pictures are kept only where `recorder.pictures` says so.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
from collections import deque
from pathlib import Path

from gps_denied_onboard.atomic_file import replace_whole
from gps_denied_onboard.messages import Frame, Severity
from gps_denied_onboard.recorder.client import RecorderClient
from gps_denied_onboard.recorder.config import MIB, PictureKeeping, RecorderConfig
from gps_denied_onboard.recorder.meta import FRAMES_FOLDER, SOURCE_NAME
from gps_denied_onboard.recorder.records import FrameRecord, PictureRecord

KEY_NS = 1_000_000_000
PICTURE_BYTES_MAX = 2 * MIB
QUALITIES = (95, 85, 70, 50)
"""Tried in turn until a picture has no more than PICTURE_BYTES_MAX."""
RETRY_NS = 10_000_000_000
RESERVE_BYTES = 1024 * MIB
"""What pictures leave free of the disk that the recording itself lies on."""

log = logging.getLogger(__name__)


def file_name(frame: FrameRecord) -> str:
    """The file that would hold a frame's picture: its own name, or its number where that is none for a file, as of
    live pictures and of a video's frames."""
    return frame.name if SOURCE_NAME.fullmatch(frame.name) else f"{frame.index:06d}.jpg"


def pictures_folder(config: RecorderConfig, flight: Path, flight_id: str) -> Path:
    """Where the pictures of a flight go, whose recording lies in `flight`."""
    return (Path(config.pictures_dir) / flight_id if config.pictures_dir else flight) / FRAMES_FOLDER


class PictureStore:
    """Used by one thread, which may wait for the disk. Nothing that the disk does is raised: `alerts` tells of it.

    `kept`, `lost` and `bytes` count; lost is a picture that was to be kept and was not, for whatever reason.
    """

    def __init__(self, config: RecorderConfig, flight: Path, flight_id: str, client: RecorderClient) -> None:
        self._keeping = config.keeping
        self._folder = pictures_folder(config, flight, flight_id)
        self._flight = flight
        self._client = client
        self._cap_bytes = config.pictures_cap_mib * MIB
        self._alerts: deque[tuple[int, str]] = deque(maxlen=16)
        self._second: int | None = None
        self._retry_ns: int | None = None
        self._full = False
        self.kept = self.lost = self.bytes = 0
        if self._keeping is not PictureKeeping.NONE:
            log.warning("pictures of this flight are kept (%s) in %s", self._keeping.value, self._folder)

    @property
    def announcement(self) -> str:
        """What the ground is told before the flight."""
        return f"recorder keeps pictures: {self._keeping.value}"

    def alerts(self) -> list[tuple[int, str]]:
        """(severity, text) of what happened since the last call, for the ground."""
        out = []
        while self._alerts:
            out.append(self._alerts.popleft())
        return out

    def wants(self, t_ns: int) -> bool:
        """Whether the picture of a frame is to be kept; of `key` the first of each second."""
        if self._keeping is PictureKeeping.KEY:
            second = t_ns // KEY_NS
            new, self._second = second != self._second, second
            return new
        return self._keeping is PictureKeeping.ALL

    def keep(self, frame: Frame) -> None:
        """Write a frame's picture and its record, where budget and disk allow it."""
        if self._full or (self._retry_ns is not None and frame.t_ns < self._retry_ns):
            self.lost += 1
            return
        name = file_name(FrameRecord(frame.t_ns, frame.index, frame.name))
        jpeg = _encoded(frame)
        if jpeg is None:
            self.lost += 1
            return
        if self.bytes + len(jpeg) > self._cap_bytes:
            self._full = True
            self.lost += 1
            self._tell(f"recorder: picture budget of {self._cap_bytes // MIB} MiB used")
            return
        try:
            self._write(name, jpeg)
        except OSError as error:
            self.lost += 1
            if self._retry_ns is None:
                self._tell("recorder: no room for pictures" if error.errno in (errno.ENOSPC, errno.EDQUOT)
                           else "recorder: cannot keep pictures")  # fmt: skip
                log.warning("pictures cannot be kept in %s: %s", self._folder, error)
            self._retry_ns = frame.t_ns + RETRY_NS
            return
        self._retry_ns = None
        self.kept += 1
        self.bytes += len(jpeg)
        self._client.record(PictureRecord(frame.t_ns, frame.index, name, len(jpeg), hashlib.sha256(jpeg).hexdigest()))

    def _write(self, name: str, jpeg: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        shared = os.stat(self._folder).st_dev == os.stat(self._flight).st_dev
        if shared and shutil.disk_usage(self._folder).free < RESERVE_BYTES + len(jpeg):
            raise OSError(errno.ENOSPC, "what is left of the disk is for the recording")
        replace_whole(self._folder / name, jpeg)

    def _tell(self, text: str) -> None:
        self._alerts.append((Severity.WARNING, text))


def _encoded(frame: Frame) -> bytes | None:
    """A frame as JPEG; None where it cannot be made small enough."""
    import cv2

    if not frame.image.size:
        return None
    for quality in QUALITIES:
        made, jpeg = cv2.imencode(".jpg", frame.image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if made and len(jpeg) <= PICTURE_BYTES_MAX:
            return jpeg.tobytes()
    return None
