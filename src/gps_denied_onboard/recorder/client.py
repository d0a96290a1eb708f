"""A producer's end of the recorder: its own ring, and nothing that could wait or fail."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from gps_denied_onboard._native import Ring
from gps_denied_onboard.messages import Frame, NavState
from gps_denied_onboard.recorder.kinds import encoded, kind_of
from gps_denied_onboard.recorder.mcap_io import location_fix
from gps_denied_onboard.recorder.records import ThumbnailRecord
from gps_denied_onboard.recorder.segment import LOCATION_FIX_NUMBER

SLOT_BYTES = 4096
THUMBNAIL_SLOT_BYTES = 64 * 1024
THUMBNAIL_PX = 160
KNOWN_COVARIANCE = 3


class RawFrameWriteForbiddenError(TypeError):
    """Pictures of the navigation camera are never stored (R-7); only small ones of frames that failed."""


class RecorderClient:
    """One producer, used by one thread. `record` never waits; what the writer does not take in time is counted as lost.

    Every record has a sequence number, lost ones too: `produced` of them so far.
    """

    def __init__(self, name: str, slots: int, slot_bytes: int = SLOT_BYTES, checked: bool = False) -> None:
        self.name = name
        self.ring = Ring(slots, slot_bytes, checked)

    @property
    def produced(self) -> int:
        return self.ring.produced()

    def record(self, message: Any) -> None:
        """Record a message of the table in recorder.kinds. RawFrameWriteForbiddenError for a picture."""
        if isinstance(message, Frame | np.ndarray):
            raise RawFrameWriteForbiddenError(
                f"{self.name}: a picture cannot be recorded; record a FrameRecord, or a thumbnail of one that failed"
            )
        kind = kind_of(message)
        self.ring.push(kind.number, message.t_ns, encoded(kind, message, self.name))
        if isinstance(message, NavState):
            fix = location_fix(message, message.covariance_enu_m2, KNOWN_COVARIANCE, self.name)
            self.ring.push(LOCATION_FIX_NUMBER, message.t_ns, fix)


def thumbnail(frame: Frame, reason: str) -> ThumbnailRecord:
    """At most THUMBNAIL_PX wide or high: every n-th pixel, too coarse to be a picture of anything but the ground."""
    import cv2

    step = max(1, -(-max(frame.image.shape[:2]) // THUMBNAIL_PX))
    small = np.ascontiguousarray(frame.image[::step, ::step])
    made, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 60])
    assert made
    return ThumbnailRecord(frame.t_ns, frame.index, reason, base64.b64encode(jpeg.tobytes()).decode("ascii"))
