"""What the writer holds back, whatever a producer says."""

from __future__ import annotations

from gps_denied_onboard.recorder.kinds import KINDS

THUMBNAIL_INTERVAL_NS = 10_000_000_000
LOST_TO_POLICY = "thumbnails: more than one in ten seconds"
THUMBNAIL = KINDS["thumbnail"].number


class ThumbnailPolicy:
    """At most one thumbnail in ten seconds of the records' time (R-7)."""

    def __init__(self) -> None:
        self._last_ns: int | None = None

    def lets_through(self, number: int, t_ns: int) -> bool:
        """Whether a record of the kind `number` may be written."""
        if number != THUMBNAIL:
            return True
        if self._last_ns is not None and abs(t_ns - self._last_ns) < THUMBNAIL_INTERVAL_NS:
            return False
        self._last_ns = t_ns
        return True
