"""The flight recorder at the pipeline: every input in the order in which it was taken, every output, once.

What is recorded here is enough to run the pipeline's state again: `replay/flight.py` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gps_denied_onboard.messages import Frame, NavState, OdometryStep, Output, PoseFix, ThermalSample
from gps_denied_onboard.pipeline_parts import Input, MatchJob, OdometryDone, PipelineObserver, Tick
from gps_denied_onboard.recorder.client import RecorderClient, thumbnail
from gps_denied_onboard.recorder.records import ChangeRecord, FrameRecord, JobTakenRecord, MovedRecord, TickRecord

WATCHED = ("source_label", "gps_health", "position_source")


class RecordingObserver(PipelineObserver):
    """`flight` records inputs and outputs, `pictures` small pictures of frames that failed: the map search has a thread
    of its own. `frame_offset_ns` is what frames' times were moved by (the camera's time offset). `keep` is given each
    frame as it was taken, where a test flight keeps pictures; it must not wait."""

    def __init__(
        self,
        flight: RecorderClient,
        pictures: RecorderClient,
        frame_offset_ns: int,
        keep: Callable[[Frame], None] | None = None,
    ) -> None:
        self._flight = flight
        self._pictures = pictures
        self._frame_offset_ns = frame_offset_ns
        self._keep = keep
        self._said: NavState | None = None

    def on_input(self, taken: Input) -> None:
        match taken:
            case Frame():
                taken_ns = taken.t_ns - self._frame_offset_ns
                self._flight.record(FrameRecord(taken_ns, taken.index, taken.name))
                if self._keep is not None:
                    self._keep(replace(taken, t_ns=taken_ns))
            case OdometryDone():
                self._flight.record(MovedRecord(taken.job.frame.t_ns, taken.job.frame.index, taken.step))
            case MatchJob():
                self._flight.record(JobTakenRecord(taken.frame.t_ns, taken.frame.index))
            case Tick():
                self._flight.record(TickRecord(taken.t_ns, taken.frame_index))
            case _:
                self._flight.record(taken)

    def on_located(self, job: MatchJob, fix: PoseFix) -> None:
        if not fix.accepted:
            self._pictures.record(thumbnail(job.frame, fix.reason))

    def on_output(self, told: Output) -> None:
        """Record what leaves, but what came in as it is."""
        if isinstance(told, OdometryStep | PoseFix | ThermalSample):
            return
        self._flight.record(told)
        if isinstance(told, NavState):
            for change in changes(self._said, told):
                self._flight.record(change)
            self._said = told


def changes(before: NavState | None, now: NavState) -> Sequence[ChangeRecord]:
    """What of the watched words differs between two positions; all of them in the first."""
    out = []
    for what in WATCHED:
        was = "" if before is None else str(getattr(before, what).value)
        is_now = str(getattr(now, what).value)
        if was != is_now:
            out.append(ChangeRecord(now.t_ns, what, was, is_now))
    return out
