"""Fusion: everything that was measured, each at its own time, into one honest state.

`eskf.Eskf` is an error-state Kalman filter with replay of late measurements (native core), `isam2.Isam2` a fixed-lag
smoother over the frames that hands over to the filter when it fails. `integrity.source_label` tells what an estimate
is worth.
"""

from __future__ import annotations

from typing import Protocol

from gps_denied_onboard.messages import (
    AidRecord,
    AirspeedSample,
    AttitudeSample,
    BaroSample,
    Estimate,
    GpsSample,
    ImuSample,
    OdometryStep,
    PoseFix,
    RangefinderSample,
    RelocHint,
    TakeoffOrigin,
)

FusionInput = (
    ImuSample
    | AttitudeSample
    | AirspeedSample
    | BaroSample
    | RangefinderSample
    | GpsSample
    | TakeoffOrigin
    | RelocHint
    | OdometryStep
    | PoseFix
)


class Fusion(Protocol):
    """One state estimator. Built from a LocalFrame, a CameraModel (nominal mount) and a FusionConfig."""

    def update(self, message: FusionInput) -> tuple[AidRecord, ...]:
        """Fuse one message at its own time, however late within the history; say what was done with it.

        GpsSample and RelocHint are ignored. Bad values are refused in the record, never raised. An IMU sample that
        is simply used gives no record.
        """
        ...

    def estimate(self, t_ns: int) -> Estimate | None:
        """State at `t_ns`: propagated after the last sample, from the history before it; None where there is none."""
        ...

    def doubt(self, radius_m: float) -> None:
        """The position may be wrong by so much (0: it is not in doubt): fixes elsewhere need less to be believed."""
        ...

    def renew_without_map(self, t_ns: int, both: bool = False) -> None:
        """Begin the older of the two solutions without the map anew from the state; or both of them."""
        ...
