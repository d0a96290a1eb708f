"""How often a flight left a true GPS: the one thing that a wrong state must not talk the autopilot into."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.integrity.config import IntegrityConfig
from gps_denied_onboard.integrity.monitor import Integrity, IntegrityOutput
from gps_denied_onboard.integrity.source_label import LabelLimits
from gps_denied_onboard.messages import NavState, PositionSource
from gps_denied_onboard.recorder.meta import RecordingMeta

FAULTY = ("gps_jam", "gps_jump", "gps_ramp", "gps_replay")
AFTER_NS = 1_000_000_000
"""What is left this long after the last forged sample was left for its sake."""

Sources = Sequence[tuple[int, PositionSource]]


class SourceLog:
    """Keeps the position source of every tick of one replay: `make` is what `replay_recording` takes."""

    def __init__(self) -> None:
        self.sources: list[tuple[int, PositionSource]] = []

    def make(self, local: LocalFrame, limits: LabelLimits, config: IntegrityConfig, map_sigma_m: float) -> Integrity:
        """The monitor of the flight, with an ear at it."""
        return _Logged(self.sources, local, limits, config, map_sigma_m)


class _Logged(Integrity):
    def __init__(
        self,
        sources: list[tuple[int, PositionSource]],
        local: LocalFrame,
        limits: LabelLimits,
        config: IntegrityConfig,
        map_sigma_m: float,
    ) -> None:
        super().__init__(local, limits, config, map_sigma_m)
        self._sources = sources

    def on_tick(
        self, t_ns: int, state: NavState | None, position_known: bool
    ) -> tuple[NavState | None, list[IntegrityOutput]]:
        out, told = super().on_tick(t_ns, state, position_known)
        if out is not None:
            self._sources.append((t_ns, out.position_source))
        return out, told


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
