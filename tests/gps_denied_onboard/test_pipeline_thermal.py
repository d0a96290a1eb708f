"""A throttled computer searches for fewer frames on the map, and says so; positions go on."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from gps_denied_onboard.messages import (
    AidRecord,
    Alert,
    Frame,
    InferenceRecord,
    NavState,
    Output,
    Telemetry,
    ThermalSample,
    ThermalState,
)
from gps_denied_onboard.pipeline import Pipeline


def sample(state: ThermalState, t_ns: int = 0) -> ThermalSample:
    return ThermalSample(t_ns, state, math.nan, "sysfs", "cpu-thermal")


def fly(pipeline: Pipeline, flight: list[Frame | Telemetry]) -> tuple[list[int], list[Output]]:
    """The frames that were handed to the map search, and all outputs; a tick after each frame."""
    searched: list[int] = []
    outputs: list[Output] = []
    for message in flight:
        if isinstance(message, Frame):
            outputs += pipeline.on_frame(message)
            if (job := pipeline.take_job()) is not None:
                searched.append(job.frame.index)
            outputs += pipeline.on_tick(message.t_ns)
        else:
            outputs += pipeline.on_telemetry(message)
    return searched, outputs


@pytest.mark.slow
def test_throttled_frames_are_searched_for_every_other_second(
    new_pipeline: Callable[[], Pipeline], short_flight: list[Frame | Telemetry]
) -> None:
    """At two frames a second a throttled flight searches a quarter of them; each other one has a record with why."""
    cool, _ = fly(new_pipeline(), short_flight)
    pipeline = new_pipeline()
    pipeline.on_thermal(sample(ThermalState.THROTTLED))
    hot, outputs = fly(pipeline, short_flight)
    assert hot == cool[::4]
    passed = [o for o in outputs if isinstance(o, AidRecord) and o.reason.startswith("passed over: the computer")]
    assert [int(o.observation[0]) for o in passed] == [index for index in cool if index not in hot]


@pytest.mark.slow
def test_positions_do_not_thin_out(new_pipeline: Callable[[], Pipeline], short_flight: list[Frame | Telemetry]) -> None:
    """As many positions leave a throttled computer as a cool one."""
    counts = []
    for state in (ThermalState.NORMAL, ThermalState.THROTTLED):
        pipeline = new_pipeline()
        pipeline.on_thermal(sample(state))
        counts.append(sum(isinstance(o, NavState) for o in fly(pipeline, short_flight)[1]))
    assert counts[0] == counts[1] > 0


def test_unknown_is_not_throttled(new_pipeline: Callable[[], Pipeline], short_flight: list[Frame | Telemetry]) -> None:
    """Missing telemetry, and a throttle that is over, leave every frame to be searched for."""
    pipeline = new_pipeline()
    pipeline.on_thermal(sample(ThermalState.THROTTLED))
    told = pipeline.on_thermal(sample(ThermalState.UNKNOWN, 5))
    assert told == [sample(ThermalState.UNKNOWN, 5), Alert(5, 5, "no longer throttled for heat")]
    searched, _ = fly(pipeline, short_flight)
    assert len(searched) == sum(isinstance(m, Frame) for m in short_flight)


def test_a_change_is_a_record_and_an_alert(new_pipeline: Callable[[], Pipeline]) -> None:
    """A throttle is told to the recorder and to the ground; a normal start to the recorder only."""
    pipeline = new_pipeline()
    assert pipeline.on_thermal(sample(ThermalState.NORMAL)) == [sample(ThermalState.NORMAL)]
    hot = sample(ThermalState.THROTTLED, 7)
    assert pipeline.on_thermal(hot) == [hot, Alert(7, 4, "throttled for heat: cpu-thermal")]


def test_a_flight_by_the_classic_matcher_has_no_model_to_tell_of(
    new_pipeline: Callable[[], Pipeline], short_flight: list[Frame | Telemetry]
) -> None:
    """Without models there is no record of inference, and no alert of a fallback."""
    _, outputs = fly(new_pipeline(), short_flight[:50])
    assert not any(isinstance(o, InferenceRecord) for o in outputs)
