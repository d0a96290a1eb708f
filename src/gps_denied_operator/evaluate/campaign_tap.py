"""An integrity monitor that keeps what it was asked and what it answered, so that it can be asked again.

The autopilot's GPS never enters the state: whatever it claims, pictures, odometry, map fixes and estimates are the
same. So one replay's calls hold for every GPS, and only the integrity monitor has to be run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.integrity.config import IntegrityConfig
from gps_denied_onboard.integrity.monitor import Integrity, IntegrityOutput
from gps_denied_onboard.integrity.source_label import LabelLimits
from gps_denied_onboard.messages import Estimate, GpsSample, NavState, PoseFix

Setup = tuple[LocalFrame, LabelLimits, IntegrityConfig, float]


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One call of the monitor: its method, time, and arguments."""

    method: str
    t_ns: int
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What left at a time: the position (of ticks only) and what was told."""

    t_ns: int
    state: NavState | None
    told: Sequence[IntegrityOutput]


@dataclass(slots=True, eq=False)
class Tap:
    """Listens to one flight's monitor. `gps` replaces the samples of the recording, by their times."""

    gps: Mapping[int, GpsSample] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    setup: Setup | None = None

    def make(self, local: LocalFrame, limits: LabelLimits, config: IntegrityConfig, map_sigma_m: float) -> Integrity:
        """The monitor for `replay_recording`."""
        self.setup = (local, limits, config, map_sigma_m)
        return _Tapped(self, *self.setup)


class _Tapped(Integrity):
    def __init__(
        self, tap: Tap, local: LocalFrame, limits: LabelLimits, config: IntegrityConfig, map_sigma_m: float
    ) -> None:
        super().__init__(local, limits, config, map_sigma_m)
        self._tap = tap

    def on_frame(self, t_ns: int) -> None:
        self._tap.calls.append(Call("on_frame", t_ns, (t_ns,)))
        super().on_frame(t_ns)

    def on_odometry(self, t_ns: int, accepted: bool) -> None:
        self._tap.calls.append(Call("on_odometry", t_ns, (t_ns, accepted)))
        super().on_odometry(t_ns, accepted)

    def on_gps(self, sample: GpsSample, estimate: Estimate | None) -> list[IntegrityOutput]:
        sample = self._tap.gps.get(sample.t_ns, sample)
        self._tap.calls.append(Call("on_gps", sample.t_ns, (sample, estimate)))
        told = super().on_gps(sample, estimate)
        self._tap.answers.append(Answer(sample.t_ns, None, told))
        return told

    def on_fix(self, fix: PoseFix, estimate: Estimate | None) -> list[IntegrityOutput]:
        self._tap.calls.append(Call("on_fix", fix.t_ns, (fix, estimate)))
        told = super().on_fix(fix, estimate)
        self._tap.answers.append(Answer(fix.t_ns, None, told))
        return told

    def on_tick(
        self, t_ns: int, state: NavState | None, position_known: bool
    ) -> tuple[NavState | None, list[IntegrityOutput]]:
        self._tap.calls.append(Call("on_tick", t_ns, (t_ns, state, position_known)))
        out, told = super().on_tick(t_ns, state, position_known)
        self._tap.answers.append(Answer(t_ns, out, told))
        return out, told


def ask_again(calls: Sequence[Call], setup: Setup, gps: Mapping[int, GpsSample]) -> list[Answer]:
    """The same calls to a fresh monitor, with another GPS: samples are exchanged by their times."""
    monitor = Integrity(*setup)
    answers: list[Answer] = []
    if calls:
        monitor.on_sample(calls[0].t_ns)
    for call in calls:
        if call.method == "on_gps":
            sample, estimate = call.arguments
            answers.append(Answer(call.t_ns, None, monitor.on_gps(gps.get(call.t_ns, sample), estimate)))
        elif call.method == "on_fix":
            answers.append(Answer(call.t_ns, None, monitor.on_fix(*call.arguments)))
        elif call.method == "on_tick":
            answers.append(Answer(call.t_ns, *monitor.on_tick(*call.arguments)))
        else:
            getattr(monitor, call.method)(*call.arguments)
    return answers
