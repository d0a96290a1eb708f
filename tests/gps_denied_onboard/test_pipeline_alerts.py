"""What the ground station hears: changes of the label, what became of a hint, frames that cannot be used."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from gps_denied_onboard.fusion.reasons import FilterReason
from gps_denied_onboard.localisation.belief_config import BeliefConfig
from gps_denied_onboard.messages import (
    AidRecord,
    AidSource,
    Alert,
    Frame,
    GpsSample,
    NavState,
    RelocHint,
    SourceLabel,
    TakeoffOrigin,
    Telemetry,
)
from gps_denied_onboard.pipeline import Pipeline

Messages = list[Frame | Telemetry]
SECOND = 1_000_000_000


def feed(pipeline: Pipeline, messages: Messages) -> None:
    for message in messages:
        if isinstance(message, Frame):
            pipeline.on_frame(message)
        else:
            pipeline.on_telemetry(message)


def fitting(t_ns: int) -> AidRecord:
    """Of a map fix that the fusion took, where the state is."""
    return AidRecord(t_ns, AidSource.FIX, (), (), (0.0, 0.0), (1.0, 1.0), 0.0, True, FilterReason.FUSED)


def test_every_change_of_the_label_is_told_once(new_pipeline: Callable[[], Pipeline], short_flight: Messages) -> None:
    """Dead reckoned, anchored by a fix, dead reckoned again without pictures: one alert for each change."""
    pipeline = new_pipeline()
    start_ns = short_flight[0].t_ns
    alerts: list[Alert] = []
    labels: list[SourceLabel] = []
    next_ns = start_ns + SECOND // 10
    for message in short_flight:
        while message.t_ns >= next_ns:
            for output in pipeline.on_tick(next_ns):
                if isinstance(output, Alert) and output.text.startswith("position is"):
                    alerts.append(output)
                elif isinstance(output, NavState):
                    labels.append(output.source_label)
            next_ns += SECOND // 10
        if not isinstance(message, Frame):
            pipeline.on_telemetry(message)
        elif message.t_ns < start_ns + SECOND:
            pipeline.on_frame(message)
            job = pipeline.take_job()
            assert job is not None
            pipeline.on_fix(pipeline.locate(job))
    assert [(a.text, a.severity) for a in alerts] == [
        ("position is dead_reckoned", 4),
        ("position is satellite_anchored", 6),
        ("position is dead_reckoned", 4),
    ]
    assert 11 <= labels.count(SourceLabel.SATELLITE_ANCHORED) <= 16  # until the next picture is 0.4 s late, at 10 Hz
    assert len(labels) >= 78


def test_nothing_leaves_before_anything_is_known(new_pipeline: Callable[[], Pipeline], short_flight: Messages) -> None:
    """Without attitude a tick gives nothing, and a frame is not used and says so."""
    pipeline = new_pipeline()
    frame = next(m for m in short_flight if isinstance(m, Frame))
    assert pipeline.on_tick(frame.t_ns) == []
    (alert,) = pipeline.on_frame(frame)
    assert isinstance(alert, Alert)
    assert alert.text == "frame not used: no attitude yet"
    assert pipeline.take_job() is None


def far_gps(before: NavState, t_ns: int) -> GpsSample:
    """A GPS 5 km north of a position."""
    return GpsSample(t_ns, before.latitude_deg + 0.05, before.longitude_deg, 500.0, (0.0, 0.0, 0.0), 3, 12, 0.5)


def test_the_autopilots_gps_moves_nothing(new_pipeline: Callable[[], Pipeline], short_flight: Messages) -> None:
    """A GPS that claims to be 5 km away gets a record, and leaves a state that map fixes confirmed bit for bit."""
    start_ns = short_flight[0].t_ns
    pipeline = new_pipeline()
    feed(pipeline, [m for m in short_flight if m.t_ns <= start_ns + SECOND])
    pipeline._monitor.on_records([fitting(start_ns), fitting(start_ns + 1)])
    before = pipeline.state_at(start_ns + SECOND)
    assert before is not None
    record = pipeline.on_telemetry(far_gps(before, start_ns + SECOND + 1))[0]
    assert isinstance(record, AidRecord)
    assert record.source == "gps"
    assert record.innovation[1] == pytest.approx(5560.0, abs=30.0)
    assert not record.accepted
    assert pipeline.state_at(start_ns + SECOND) == before


def test_the_autopilots_gps_makes_an_unconfirmed_place_unsure(
    new_pipeline: Callable[[], Pipeline], short_flight: Messages
) -> None:
    """Before any map fix the position stays where it was, too, but the ellipse reaches the GPS, and that is told."""
    start_ns = short_flight[0].t_ns
    pipeline = new_pipeline()
    feed(pipeline, [m for m in short_flight if m.t_ns <= start_ns + SECOND and not isinstance(m, Frame)])
    before = pipeline.state_at(start_ns + SECOND)
    assert before is not None
    told = pipeline.on_telemetry(far_gps(before, start_ns + SECOND + 1))
    assert any(isinstance(t, Alert) and "not at the take-off place" in t.text for t in told)
    after = pipeline.state_at(start_ns + SECOND)
    assert after is not None
    assert (after.latitude_deg, after.longitude_deg) == (before.latitude_deg, before.longitude_deg)
    assert after.velocity_ned_mps == before.velocity_ned_mps
    assert after.ellipse_semi_major_m > 5560.0 > 100.0 > before.ellipse_semi_major_m


@pytest.mark.parametrize("known", [False, True])
def test_a_hint_leads_the_search(new_pipeline: Callable[[], Pipeline], short_flight: Messages, known: bool) -> None:
    """The next frames are searched around the operator's place, unless the state is surer than the operator."""
    start_ns = short_flight[0].t_ns
    pipeline = new_pipeline()
    feed(
        pipeline,
        [m for m in short_flight if m.t_ns <= start_ns + SECOND // 5 and (known or not isinstance(m, TakeoffOrigin))],
    )
    (alert,) = pipeline.on_telemetry(RelocHint(start_ns + SECOND // 5, 48.19, 37.34, 300.0))
    assert isinstance(alert, Alert)
    assert alert.text == "RELOC taken: 48.19000,37.34000,300"
    frame = next(m for m in short_flight if isinstance(m, Frame))
    pipeline.on_frame(frame)
    job = pipeline.take_job()
    assert job is not None
    assert job.prior.position_known
    if known:
        assert job.prior.horizontal_sigma_m < 10.0
    else:
        assert 150.0 <= job.prior.horizontal_sigma_m < 151.0


def test_an_old_hint_is_forgotten(new_pipeline: Callable[[], Pipeline], short_flight: Messages) -> None:
    """After two minutes a hint counts no more."""
    start_ns = short_flight[0].t_ns
    pipeline = new_pipeline()
    feed(pipeline, [m for m in short_flight if m.t_ns <= start_ns + SECOND // 5 and not isinstance(m, TakeoffOrigin)])
    pipeline.on_hint(RelocHint(start_ns - round(BeliefConfig().age_s_max * SECOND), 48.19, 37.34, 300.0))
    pipeline.on_frame(next(m for m in short_flight if isinstance(m, Frame)))
    job = pipeline.take_job()
    assert job is not None
    assert not job.prior.position_known


@pytest.mark.parametrize(
    ("latitude", "longitude", "radius"),
    [(91.0, 0.0, 100.0), (0.0, 181.0, 100.0), (48.0, 37.0, 0.0), (48.0, 37.0, 2e5), (math.nan, 37.0, 100.0)],
)
def test_impossible_hints_are_refused(
    new_pipeline: Callable[[], Pipeline], latitude: float, longitude: float, radius: float
) -> None:
    """A hint that is nowhere on earth, or of no size, is refused and said to be."""
    (alert,) = new_pipeline().on_hint(RelocHint(5, latitude, longitude, radius))
    assert isinstance(alert, Alert)
    assert alert.text == "RELOC refused: latitude, longitude or radius is out of range"
