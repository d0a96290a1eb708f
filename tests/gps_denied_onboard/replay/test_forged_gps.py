"""Whole replays with a forged GPS: it moves nothing, and the monitor alone can be asked again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gps_denied_onboard.config import Config
from gps_denied_onboard.messages import GpsHealth, GpsSample, NavState
from gps_denied_onboard.recorder.mcap_io import RecordingReader
from gps_denied_onboard.replay.recording import replay_recording
from gps_denied_operator.evaluate.campaign_tap import Tap, ask_again


@pytest.fixture(scope="module")
def forged(short_recording: Path) -> dict[int, GpsSample]:
    """Return the recording's GPS, near the truth for four seconds and then 400 m off."""
    truth = {sample.t_ns: sample for sample in RecordingReader(short_recording).truth()}
    samples = [event for event in RecordingReader(short_recording).events() if isinstance(event, GpsSample)]
    start_ns = samples[0].t_ns
    return {
        s.t_ns: GpsSample(
            s.t_ns,
            truth[s.t_ns].latitude_deg + (0.0036 if s.t_ns - start_ns > 4e9 else 0.0),
            truth[s.t_ns].longitude_deg,
            truth[s.t_ns].altitude_amsl_m,
            truth[s.t_ns].velocity_ned_mps,
            3,
            12,
            1.0,
        )
        for s in samples
        if s.t_ns in truth
    }


def states(tap: Tap) -> list[NavState]:
    return [answer.state for answer in tap.answers if answer.state is not None]


@pytest.mark.slow
def test_a_forged_gps_moves_nothing_and_can_be_judged_afterwards(
    short_recording: Path, forged: dict[int, GpsSample]
) -> None:
    """Bit for bit the same positions with and without it; and asking the monitor again gives what a replay gives."""
    plain, misled = Tap(), Tap()
    for tap, gps in ((plain, None), (misled, forged)):
        replay_recording(short_recording, Config(), None, None, (tap,), gps)
    assert len(forged) > 30
    assert {s.gps_health for s in states(misled)} >= {GpsHealth.STABLE_NON_SPOOFED, GpsHealth.SPOOFED}
    assert GpsHealth.SPOOFED not in {s.gps_health for s in states(plain)}
    blank = {"gps_health": GpsHealth.UNKNOWN}
    assert [replace(s, **blank) for s in states(misled)] == [replace(s, **blank) for s in states(plain)]
    assert plain.monitor is not None
    again = ask_again(plain.calls, plain.monitor, forged)
    assert [(a.t_ns, a.state, list(a.told)) for a in again] == [(a.t_ns, a.state, list(a.told)) for a in misled.answers]
