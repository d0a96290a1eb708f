"""How often a flight left a true GPS: the one thing that a wrong state must not talk the autopilot into."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gps_denied_onboard.messages import NavState, Output, PositionSource
from gps_denied_onboard.pipeline_parts import PipelineObserver
from gps_denied_onboard.recorder.meta import RecordingMeta

FAULTY = ("gps_jam", "gps_jump", "gps_ramp", "gps_replay")
AFTER_NS = 1_000_000_000
"""What is left this long after the last forged sample was left for its sake."""

Sources = Sequence[tuple[int, PositionSource]]


class SourceLog(PipelineObserver):
    """Keeps the position source of every position of one replay."""

    def __init__(self) -> None:
        self.sources: list[tuple[int, PositionSource]] = []

    def on_output(self, told: Output) -> None:
        if isinstance(told, NavState):
            self.sources.append((told.t_ns, told.position_source))


def faulty_spans_ns(meta: RecordingMeta, start_ns: int) -> list[tuple[int, int]]:
    """When the GPS of a simulated flight was jammed or forged, in the recording's time; `start_ns` is its first."""
    spans = [event for event in meta.schedule if event.get("kind") in FAULTY]
    return [(start_ns + _ns(event, "start_s"), start_ns + _ns(event, "end_s") + AFTER_NS) for event in spans]


def _ns(event: Mapping[str, Any], key: str) -> int:
    return round(float(event.get(key, 0.0)) * 1e9)


def true_gps_left(sources: Sources, faulty: Iterable[tuple[int, int]]) -> int:
    """How often the source went from the autopilot's GPS to ours while that GPS was neither jammed nor forged."""
    spans = list(faulty)
    left = [
        t_ns
        for (_, before), (t_ns, now) in itertools.pairwise(sources)
        if before is PositionSource.GPS and now is PositionSource.COMPANION
    ]
    return sum(not any(start <= t_ns < end for start, end in spans) for t_ns in left)
