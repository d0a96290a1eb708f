"""Pictures on a log's clock: by messages, positions, times and turns, each with an honest sigma."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gps_denied_onboard.messages import AttitudeSample, GpsSample, ImuSample
from gps_denied_operator.logs.flight_log import FlightLog, LogKind
from gps_denied_operator.logs.picture_times import AlignedBy, Stamp, align_stamps, align_turns
from tests.gps_denied_operator.logs.log_files import START_UNIX_NS, flight

START_S = START_UNIX_NS / 1e9
MINUTES = 2.0


@pytest.fixture(scope="module")
def log() -> FlightLog:
    """Two minutes of flight with UTC."""
    messages = flight(minutes=MINUTES)
    return FlightLog(
        Path("x.bin"), LogKind.DATAFLASH, messages[-1].t_ns, tuple(messages), unix_ns_at_zero=START_UNIX_NS
    )


def test_as_many_messages_as_pictures_are_matched_in_order(log: FlightLog) -> None:
    """Each picture takes its message's time, whatever the camera's clock says."""
    events = tuple(k * 2_000_000_000 for k in range(5))
    found = align_stamps(replace(log, camera_ns=events), [Stamp(own_s=1e9 + 2.0 * k + 0.1) for k in range(5)])
    assert found.by is AlignedBy.CAMERA_MESSAGES
    assert found.times_ns == events


def test_messages_without_pictures_are_found_by_the_intervals(log: FlightLog) -> None:
    """Of ten messages with six pictures the run whose gaps are the pictures' own is taken."""
    seconds = np.cumsum([1.0, 2.0, 3.5, 2.5, 6.0, 1.5, 4.5, 2.0, 7.0, 3.0])
    events = tuple(round(s * 1e9) for s in seconds)
    found = align_stamps(replace(log, camera_ns=events), [Stamp(own_s=500.0 + s) for s in seconds[3:9]])
    assert found.times_ns == events[3:9]


def test_positions_of_the_pictures_tell_the_offset(log: FlightLog) -> None:
    """A camera clock that is 7.3 s off, in another time zone that it does not name, is found by where it was."""
    gps = [m for m in log.messages if isinstance(m, GpsSample)][50:-50:25]
    stamps = [
        Stamp(
            own_s=START_S + m.t_ns / 1e9 + 3 * 3600.0 + 7.3, latitude_deg=m.latitude_deg, longitude_deg=m.longitude_deg
        )
        for m in gps
    ]
    found = align_stamps(log, stamps)
    assert found.by is AlignedBy.POSITIONS
    errors = [t / 1e9 - m.t_ns / 1e9 for t, m in zip(found.times_ns, gps, strict=True) if t is not None]
    assert abs(float(np.mean(errors))) < max(3.0 * found.sigma_s, 0.3)
    assert found.sigma_s < 1.0


def test_times_without_a_zone_are_tried_in_each_and_said(log: FlightLog) -> None:
    """Naive EXIF times fall into the flight in one zone only."""
    found = align_stamps(log, [Stamp(own_s=START_S + t + 5.5 * 3600.0) for t in (20.0, 40.0, 60.0)])
    assert found.by is AlignedBy.TIMES
    assert [t / 1e9 for t in found.times_ns if t is not None] == pytest.approx([20.0, 40.0, 60.0], abs=1e-3)
    assert any("no time zone" in note for note in found.notes)


def test_pictures_of_another_day_are_not_placed(log: FlightLog) -> None:
    """Nothing is guessed."""
    found = align_stamps(
        log, [Stamp(own_s=START_S + 86_400.0 * 3 + t, utc_s=START_S + 86_400.0 * 3 + t) for t in (1.0, 2.0)]
    )
    assert found.by is AlignedBy.NOTHING
    assert found.times_ns == (None, None)


@pytest.mark.parametrize("with_gyro", [True, False])
def test_a_videos_turns_place_it(with_gyro: bool, log: FlightLog) -> None:
    """A video that began 31.4 s into the log is found by its turns, mounted either way, within three sigmas."""
    rng = np.random.default_rng(5)
    imu = [m for m in log.messages if isinstance(m, ImuSample)]
    t = np.array([m.t_ns for m in imu]) / 1e9
    yaw = np.concatenate([[0.0], np.cumsum(np.diff(t) * np.array([m.gyro_body_radps[2] for m in imu])[1:])])
    own = np.arange(0.0, 70.0, 0.2)
    turned = -np.diff(np.interp(own + 31.4, t, yaw)) + rng.normal(0.0, 0.004, len(own) - 1)
    kept = log.messages if with_gyro else tuple(m for m in log.messages if isinstance(m, AttitudeSample))
    found = align_turns(replace(log, messages=kept), own, turned)
    assert found.by is AlignedBy.TURNS, found.notes
    assert found.offset_s == pytest.approx(31.4, abs=max(3.0 * found.sigma_s, 0.1))
    assert found.sigma_s < 0.5


def test_a_video_of_another_flight_is_not_placed(log: FlightLog) -> None:
    """Turns that fit nowhere are told."""
    own = np.arange(0.0, 60.0, 0.2)
    found = align_turns(log, own, np.random.default_rng(2).normal(0.0, 0.05, len(own) - 1))
    assert found.by is AlignedBy.NOTHING
    assert "fit the gyro's nowhere" in found.notes[0]
