"""Whoever listens to a pipeline hears everything once, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gps_denied_onboard.messages import Frame, NavState, Output, Telemetry
from gps_denied_onboard.pipeline import Pipeline
from gps_denied_onboard.pipeline_parts import Input, MatchJob, OdometryDone, PipelineObserver, Tick

SECOND = 1_000_000_000


class Listener(PipelineObserver):
    """Keeps what it hears; `calls` are those of the integrity monitor."""

    def __init__(self) -> None:
        self.inputs: list[Input] = []
        self.outputs: list[Output] = []
        self.calls: list[tuple[object, str, tuple[Any, ...], Any]] = []

    def on_input(self, taken: Input) -> None:
        self.inputs.append(taken)

    def on_output(self, told: Output) -> None:
        self.outputs.append(told)

    def on_integrity(self, monitor: object, method: str, arguments: tuple[Any, ...], answer: Any) -> None:
        self.calls.append((monitor, method, arguments, answer))


def fly(pipeline: Pipeline, messages: list[Frame | Telemetry]) -> list[Output]:
    """What leaves in two seconds of flight, frames by stages as in flight, and at a last tick."""
    out: list[Output] = []
    for message in messages:
        if not isinstance(message, Frame):
            out += pipeline.on_telemetry(message)
        elif (job := pipeline.begin(message)) is not None:
            out += pipeline.on_odometry(job, pipeline.run_odometry(job))
    assert pipeline.take_job() is not None
    return out + pipeline.on_tick(messages[-1].t_ns)


def test_observers_hear_every_input_and_every_output_once(
    new_pipeline: Callable[..., Pipeline], short_flight: list[Frame | Telemetry]
) -> None:
    """Two listeners hear the inputs in their order and all that leaves; the same leaves when nobody listens."""
    messages = [m for m in short_flight if m.t_ns <= short_flight[0].t_ns + 2 * SECOND]
    first, second = Listener(), Listener()
    out = fly(new_pipeline(first, second), messages)
    assert [m for m in first.inputs if not isinstance(m, OdometryDone | MatchJob | Tick)] == messages
    done = [m.job.frame.index for m in first.inputs if isinstance(m, OdometryDone)]
    assert done
    assert [m.frame.index for m in first.inputs if isinstance(m, MatchJob)] == [done[-2]]  # two wait at most
    assert first.inputs[-1] == Tick(messages[-1].t_ns, -1)
    assert list(map(id, first.outputs)) == list(map(id, out)) == list(map(id, second.outputs))
    assert {"on_gps", "on_frame", "on_odometry", "on_tick"} == {method for _, method, _, _ in first.calls}
    alone = fly(new_pipeline(), messages)
    assert [o for o in alone if isinstance(o, NavState)] == [o for o in out if isinstance(o, NavState)] != []
    assert list(map(repr, alone)) == list(map(repr, out))
