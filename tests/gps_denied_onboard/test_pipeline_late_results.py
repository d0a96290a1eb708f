"""Slow stages behind the flight: old frames give way, late fixes count at their own time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.messages import AidRecord, Frame, NavState, PoseFix, TakeoffOrigin, Telemetry
from gps_denied_onboard.pipeline import Pipeline
from gps_denied_onboard.pipeline_parts import MatchJob

Messages = list[Frame | Telemetry]
SECOND = 1_000_000_000


def feed(pipeline: Pipeline, messages: Messages) -> list[object]:
    """Everything that comes out while `messages` go in."""
    out: list[object] = []
    for message in messages:
        out += pipeline.on_frame(message) if isinstance(message, Frame) else pipeline.on_telemetry(message)
    return out


def jobs_of(pipeline: Pipeline) -> list[MatchJob]:
    out = []
    while (job := pipeline.take_job()) is not None:
        out.append(job)
    return out


def test_the_oldest_frame_gives_way(new_pipeline: Callable[[], Pipeline], short_flight: Messages) -> None:
    """When nobody takes jobs only the newest two wait, and each one that was dropped is on record."""
    pipeline = new_pipeline()
    start_ns = short_flight[0].t_ns
    out = feed(pipeline, [m for m in short_flight if m.t_ns <= start_ns + 2 * SECOND])
    dropped = [r for r in out if isinstance(r, AidRecord) and r.source == "frame"]
    assert [r.observation for r in dropped] == [(0.0,), (1.0,)]
    assert all(not r.accepted and "the queue was full" in r.reason for r in dropped)
    assert [job.frame.index for job in jobs_of(pipeline)] == [2, 3]


def test_a_late_fix_counts_at_its_own_time(new_pipeline: Callable[[], Pipeline], short_flight: Messages) -> None:
    """A fix that is fused a second late leads to the very state that it leads to in time."""
    start_ns = short_flight[0].t_ns
    before = [m for m in short_flight if m.t_ns <= start_ns + SECOND]
    after = [
        m for m in short_flight if start_ns + SECOND < m.t_ns <= start_ns + 2 * SECOND and not isinstance(m, Frame)
    ]
    states: list[NavState | None] = []
    fix: PoseFix | None = None
    for late in (False, True):
        pipeline = new_pipeline()
        feed(pipeline, before)
        job = jobs_of(pipeline)[-1]
        fix = fix or pipeline.locate(job)
        assert fix.accepted, fix.reason
        outputs = pipeline.on_fix(fix) if not late else []
        feed(pipeline, after)
        outputs += pipeline.on_fix(fix) if late else []
        assert any(isinstance(o, AidRecord) and o.source == "fix" and o.accepted for o in outputs)
        assert all(o.t_ns == job.frame.t_ns for o in outputs)
        states.append(pipeline.state_at(start_ns + 2 * SECOND))
    assert states[0] is not None
    assert states[0] == states[1]


def test_the_parts_of_a_frame_are_the_whole(new_pipeline: Callable[[], Pipeline], short_flight: Messages) -> None:
    """Odometry that is done beside the flight gives the same state as odometry inside it."""
    start_ns = short_flight[0].t_ns
    messages = [m for m in short_flight if m.t_ns <= start_ns + 2 * SECOND]
    whole, parts = new_pipeline(), new_pipeline()
    feed(whole, messages)
    for message in messages:
        if isinstance(message, Frame):
            job = parts.begin(message)
            assert job is not None
            parts.on_odometry(job, parts.run_odometry(job))
        else:
            parts.on_telemetry(message)
    assert parts.state_at(start_ns + 2 * SECOND) == whole.state_at(start_ns + 2 * SECOND)


def test_a_rejected_fix_changes_nothing(new_pipeline: Callable[[], Pipeline], short_flight: Messages) -> None:
    """A frame that was not found on the map leaves the state alone and is passed on with its reason."""
    start_ns = short_flight[0].t_ns
    pipeline = new_pipeline()
    feed(pipeline, [m for m in short_flight if m.t_ns <= start_ns + SECOND])
    job = jobs_of(pipeline)[-1]
    before = pipeline.state_at(start_ns + SECOND)
    dark = Frame(job.frame.t_ns, job.frame.index, job.frame.image // 64)
    fix = pipeline.locate(MatchJob(dark, job.prior))
    assert pipeline.on_fix(fix) == [fix]
    assert fix.reason == "no_texture"
    assert pipeline.state_at(start_ns + SECOND) == before


def test_a_fix_later_than_the_history_tells_where_to_look(
    new_pipeline: Callable[[], Pipeline], short_flight: Messages
) -> None:
    """From an unknown place, a search that took six seconds cannot be fused, but the next frame is searched for where
    the flight has gone on to since."""
    start_ns = short_flight[0].t_ns
    messages = [m for m in short_flight if not isinstance(m, TakeoffOrigin)]
    pipeline = new_pipeline()
    feed(pipeline, [m for m in messages if m.t_ns <= start_ns + SECOND // 2])
    fix = pipeline.locate(jobs_of(pipeline)[-1])
    assert fix.accepted, fix.reason
    last = [m for m in messages if start_ns + SECOND // 2 < m.t_ns <= start_ns + 6 * SECOND]
    feed(pipeline, [m for m in last if not isinstance(m, Frame)])
    records = [o for o in pipeline.on_fix(fix) if isinstance(o, AidRecord)]
    assert [(r.accepted, r.reason) for r in records] == [(False, "older than the history")]
    feed(pipeline, [m for m in last if isinstance(m, Frame)][-1:])
    (job,) = jobs_of(pipeline)
    assert job.prior.position_known
    assert job.prior.horizontal_sigma_m < 200.0
    aided = new_pipeline()
    told = [m for m in short_flight if m.t_ns <= job.frame.t_ns and not isinstance(m, Frame)]
    feed(aided, [m for m in told if m.t_ns <= fix.t_ns])
    before = aided.state_at(fix.t_ns)
    feed(aided, [m for m in told if m.t_ns > fix.t_ns])
    now = aided.state_at(job.frame.t_ns)
    assert before is not None
    assert now is not None
    there = LocalFrame(before.latitude_deg, before.longitude_deg, before.altitude_amsl_m)
    flown = there.enu_from_geodetic(now.latitude_deg, now.longitude_deg, now.altitude_amsl_m)[:2]
    assert float(np.hypot(*flown)) > 50.0
    off = job.prior.position_enu_m[:2] - fix.position_enu_m[:2] - flown
    assert float(np.hypot(*off)) < 15.0
