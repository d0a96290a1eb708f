"""The pipeline with the recorder's tap: every input in the order in which it was taken, every output, once.

What is recorded here is enough to run the pipeline's state again: `recorded.py` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gps_denied_onboard.messages import (
    Frame,
    NavState,
    OdometryStep,
    Output,
    PoseFix,
    Telemetry,
    ThermalSample,
)
from gps_denied_onboard.pipeline import MatchJob, OdometryJob, Pipeline, Stage
from gps_denied_onboard.recorder.client import RecorderClient, thumbnail
from gps_denied_onboard.recorder.records import ChangeRecord, FrameRecord, JobTakenRecord, MovedRecord, TickRecord

WATCHED = ("source_label", "gps_health", "position_source")


class TappedPipeline(Pipeline):
    """See `Pipeline`. `flight` records inputs and outputs, `pictures` small pictures of frames that failed: the map
    search has a thread of its own. `frame_offset_ns` is what frames' times were moved by (the camera's time offset)."""

    def __init__(
        self, *parts: Any, flight: RecorderClient, pictures: RecorderClient, frame_offset_ns: int, **more: Any
    ) -> None:
        super().__init__(*parts, **more)
        self._flight = flight
        self._pictures = pictures
        self._frame_offset_ns = frame_offset_ns
        self._said: NavState | None = None

    def on_telemetry(self, message: Telemetry) -> list[Output]:
        self._flight.record(message)
        return self._told(super().on_telemetry(message))

    def begin(self, frame: Frame) -> OdometryJob | None:
        self._flight.record(FrameRecord(frame.t_ns - self._frame_offset_ns, frame.index, frame.name))
        return super().begin(frame)

    def on_odometry(self, job: OdometryJob, step: OdometryStep | None) -> list[Output]:
        self._flight.record(MovedRecord(job.frame.t_ns, job.frame.index, step))
        return self._told(super().on_odometry(job, step))

    def take_job(self) -> MatchJob | None:
        job = super().take_job()
        if job is not None:
            self._flight.record(JobTakenRecord(job.frame.t_ns, job.frame.index))
        return job

    def locate(self, job: MatchJob, stage: Stage | None = None) -> PoseFix:
        fix = super().locate(job, stage)
        if not fix.accepted:
            self._pictures.record(thumbnail(job.frame, fix.reason))
        return fix

    def on_fix(self, fix: PoseFix) -> list[Output]:
        self._flight.record(fix)
        return self._told(super().on_fix(fix))

    def on_thermal(self, sample: ThermalSample) -> list[Output]:
        self._flight.record(sample)
        return self._told(super().on_thermal(sample))

    def on_tick(self, t_ns: int, frame_index: int = -1) -> list[Output]:
        self._flight.record(TickRecord(t_ns, frame_index))
        return self._told(super().on_tick(t_ns, frame_index))

    def _told(self, outputs: list[Output]) -> list[Output]:
        """Record what leaves, but what came in as it is."""
        for output in outputs:
            if isinstance(output, OdometryStep | PoseFix | ThermalSample):
                continue
            self._flight.record(output)
            if isinstance(output, NavState):
                for change in changes(self._said, output):
                    self._flight.record(change)
                self._said = output
        return outputs


def file_name(frame: FrameRecord) -> str:
    """The file that would hold a frame's picture: live pictures have no name."""
    return frame.name or f"{frame.index:06d}.jpg"


def changes(before: NavState | None, now: NavState) -> Sequence[ChangeRecord]:
    """What of the watched words differs between two positions; all of them in the first."""
    out = []
    for what in WATCHED:
        was = "" if before is None else str(getattr(before, what).value)
        is_now = str(getattr(now, what).value)
        if was != is_now:
            out.append(ChangeRecord(now.t_ns, what, was, is_now))
    return out
