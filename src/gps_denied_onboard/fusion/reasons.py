"""What the filter does with a measurement, and why: one sentence a case, by the names of cpp/eskf/reasons.inc."""

from __future__ import annotations

from enum import StrEnum

from gps_denied_onboard._native import EskfReason


class FilterReason(StrEnum):
    """`AidRecord.reason` of the filter's own records."""

    NONE = ""
    FUSED = "fused"
    PROPAGATED = "propagated"
    STARTED = "started"
    KEPT_FOR_START = "kept for the start"
    POSITION_STARTS = "position starts here"
    RELOCATED = "relocated: consistent fixes against the state"
    REALIGNED = "realigned: the autopilot set its attitude anew, and no map fix had confirmed the one before"
    OUTSIDE_GATE = "innovation outside the gate"
    NOT_FINITE = "value is not a finite number"
    NOT_UNIT_QUATERNION = "quaternion is not of unit length"
    BEYOND_IMU_RANGE = "beyond what an IMU can measure"
    COVARIANCE_NOT_POSITIVE = "covariance is not positive definite"
    INNOVATION_NOT_POSITIVE = "innovation covariance is not positive definite"
    FRAMES_OUT_OF_ORDER = "first frame is not before the second"
    SIGMA_NOT_POSITIVE = "sigma is not positive"
    REPEATED_STAMP = "same time stamp as the sample before"
    CLOCK_BACKWARDS = "clock went backwards"
    CLOCK_AHEAD = "clock jumped ahead"
    OLDER_THAN_HISTORY = "older than the history"
    NOT_STARTED = "no attitude and IMU yet"
    TOO_SLOW = "too slow to be flying"
    TILTED_TOO_FAR = "tilted too far to look at the ground"
    NO_CLONE = "no remembered pose at the first frame"


_SENTENCES = {native: FilterReason[name.upper()] for name, native in EskfReason.__members__.items()}


def reason_of(native: EskfReason) -> FilterReason:
    """The sentence of the core's reason; a name that only one side knows fails at import."""
    return _SENTENCES[native]
