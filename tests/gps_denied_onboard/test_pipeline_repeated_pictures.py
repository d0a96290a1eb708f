"""What the pipeline does with pictures that are not new: nothing, and it says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from gps_denied_onboard.messages import AidRecord, Alert, Frame, OdometryStep, Telemetry
from gps_denied_onboard.pipeline import Pipeline

Messages = list[Frame | Telemetry]
SECOND = 1_000_000_000


def until(pipeline: Pipeline, messages: Messages, t_ns: int) -> list[Frame]:
    """Feed the flight up to a time; returns its frames so far."""
    frames = []
    for message in messages:
        if message.t_ns > t_ns:
            break
        if isinstance(message, Frame):
            frames.append(message)
            pipeline.on_frame(message)
            while pipeline.take_job() is not None:
                pass
        else:
            pipeline.on_telemetry(message)
    return frames


@pytest.mark.parametrize("stamp_s", [0.5, 0.0])
def test_repeated_picture_is_neither_moved_to_nor_searched_for(
    new_pipeline: Callable[[], Pipeline], short_flight: Messages, stamp_s: float
) -> None:
    """The last picture again, with a new stamp or its old one: no step, no job, one record and one alert."""
    pipeline = new_pipeline()
    frames = until(pipeline, short_flight, short_flight[0].t_ns + 3 * SECOND)
    out = pipeline.on_frame(replace(frames[-1], t_ns=frames[-1].t_ns + round(stamp_s * SECOND), index=99))
    assert pipeline.take_job() is None
    assert not [o for o in out if isinstance(o, OdometryStep)]
    (record,) = [o for o in out if isinstance(o, AidRecord)]
    assert (record.source, record.observation, record.accepted) == ("frame", (99.0,), False)
    assert [o.severity for o in out if isinstance(o, Alert)] == [4]


def test_next_new_picture_is_measured_against_the_last_good_one(
    new_pipeline: Callable[[], Pipeline], short_flight: Messages
) -> None:
    """After a repeated picture the odometry goes from the last that was new."""
    pipeline = new_pipeline()
    start_ns = short_flight[0].t_ns
    frames = until(pipeline, short_flight, start_ns + 3 * SECOND)
    assert pipeline.begin(replace(frames[-1], t_ns=frames[-1].t_ns + SECOND // 10)) is None
    later = next(m for m in short_flight if isinstance(m, Frame) and m.t_ns > start_ns + 3 * SECOND)
    for message in short_flight:
        if start_ns + 3 * SECOND < message.t_ns <= later.t_ns and not isinstance(message, Frame):
            pipeline.on_telemetry(message)
    job = pipeline.begin(later)
    assert job is not None
    assert job.previous is not None
    assert job.previous.index == frames[-1].index
    told = pipeline.on_tick(later.t_ns)
    assert [o.source for o in told if isinstance(o, AidRecord) and o.source == "frame"] == ["frame"]
