"""What a flight's integrity monitor was asked and what it answered, kept so that it can be asked again.

The autopilot's GPS never enters the state: whatever it claims, pictures, odometry, map fixes and estimates are the
same. So one replay's calls hold for every GPS, and only the integrity monitor has to be run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gps_denied_onboard.integrity.monitor import Integrity, IntegrityOutput
from gps_denied_onboard.messages import GpsSample, NavState
from gps_denied_onboard.pipeline_parts import PipelineObserver


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


class Tap(PipelineObserver):
    """Keeps the calls of one flight's monitor; `monitor` is that one, None before the first call."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answers: list[Answer] = []
        self.monitor: Integrity | None = None

    def on_integrity(self, monitor: Integrity, method: str, arguments: tuple[Any, ...], answer: Any) -> None:
        self.monitor = monitor
        first = arguments[0]
        t_ns = first if isinstance(first, int) else first.t_ns
        self.calls.append(Call(method, t_ns, arguments))
        if method == "on_tick":
            self.answers.append(Answer(t_ns, *answer))
        elif answer is not None:
            self.answers.append(Answer(t_ns, None, answer))


def ask_again(calls: Sequence[Call], monitor: Integrity, gps: Mapping[int, GpsSample]) -> list[Answer]:
    """The same calls to a fresh monitor like `monitor`, with another GPS: samples are exchanged by their times."""
    monitor = monitor.fresh()
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
