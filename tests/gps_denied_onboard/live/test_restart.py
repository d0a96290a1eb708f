"""`run` is killed in flight and started again: it goes on from what it had recorded (AC-5.3)."""

from __future__ import annotations

import bisect
import math
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.messages import FixType, TruthSample
from gps_denied_onboard.recorder.mcap_io import RecordingReader
from gps_denied_onboard.recorder.meta import RecordingMeta, read_meta
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.verify import verify_flight
from gps_denied_onboard.replay.flight import replay_flight

from .flying import start, write_config, write_video
from .peer import Autopilot, free_port

SECONDS = 45.0
WORKING_AGAIN_S = 30.0
FIRST_ERROR_M = 100.0


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recording of most of a minute with small pictures."""
    from gps_denied_sim.recording import FlyRequest, make_recording

    out = tmp_path_factory.mktemp("long") / "recording"
    fly = FlyRequest(3, SECONDS / 60.0, frame_rate_hz=2.0, width_px=456, height_px=304, buffer_m=200.0)
    make_recording(fly, out, lambda *_: None)
    return out


def wait_for(process: subprocess.Popen[str], what: Callable[[], bool], limit_s: float) -> None:
    """Until it is so. Fails with the program's words when that takes too long, or the program ends."""
    end_s = time.monotonic() + limit_s
    while not what():
        if time.monotonic() > end_s or process.poll() is not None:
            process.kill()
            pytest.fail(f"did not happen within {limit_s} s: {process.communicate()[1][-2000:]}")
        time.sleep(0.02)  # another process is waited for


def positions(autopilot: Autopilot, since_ns: int = 0) -> list[tuple[int, Any]]:
    """(arrival, GPS_INPUT) with a place in them."""
    return [
        (t_ns, m) for t_ns, m in tuple(autopilot.heard)
        if t_ns >= since_ns and m.get_type() == "GPS_INPUT" and m.fix_type >= FixType.FIX_2D
    ]  # fmt: skip


def error_m(autopilot: Autopilot, truth: list[TruthSample], position: tuple[int, Any]) -> float:
    """Horizontal distance of a position from where the aircraft was when it arrived."""
    arrival_ns, message = position
    times = [sample.t_ns for sample in truth]
    sample = truth[min(bisect.bisect(times, autopilot.recording_ns(arrival_ns)), len(truth) - 1)]
    here = LocalFrame(sample.latitude_deg, sample.longitude_deg, sample.altitude_amsl_m)
    off = here.enu_from_geodetic(message.lat / 1e7, message.lon / 1e7, message.alt)
    return math.hypot(off[0], off[1])


def takeoff(meta: RecordingMeta, first: TruthSample) -> str:
    """A mission that starts at a known place: without what was recorded, a restart would begin there again."""
    return (
        f"[mission]\norigin_latitude_deg = {first.latitude_deg}\norigin_longitude_deg = {first.longitude_deg}\n"
        f"ground_altitude_amsl_m = {meta.origin_altitude_m}\nground_sigma_m = {meta.ground_sigma_m}\n"
        "takeoff_known = true\ntakeoff_sigma_vertical_m = 1000.0\n"
    )


@pytest.mark.slow
def test_a_killed_companion_goes_on_in_the_air(long_recording: Path, tmp_path: Path) -> None:
    """The first position after the kill comes within 30 s and lies within 100 m, by what the killed flight had
    recorded; that flight replays."""
    truth = list(RecordingReader(long_recording).truth())
    begin_ns = write_video(long_recording, tmp_path / "frames.avi")
    port = free_port()
    mission = takeoff(read_meta(long_recording), truth[0])
    config = write_config(long_recording, tmp_path / "frames.avi", port, tmp_path / "flight.toml", mission)
    autopilot = Autopilot(port, long_recording, begin_ns)
    first = start(config)
    wait_for(first, lambda: len(positions(autopilot)) >= 40, 60.0)
    first.kill()
    first.communicate()
    killed_ns = time.monotonic_ns()
    second = start(config, "--seconds", "8")
    wait_for(second, lambda: bool(positions(autopilot, killed_ns)), 60.0)
    _, errors = second.communicate(timeout=60)
    autopilot.close()
    assert second.returncode == 0, errors
    again = positions(autopilot, killed_ns)[0]
    assert (again[0] - killed_ns) / 1e9 <= WORKING_AGAIN_S
    assert error_m(autopilot, truth, again) <= FIRST_ERROR_M
    texts = [m.text for t_ns, m in autopilot.heard if t_ns >= killed_ns and m.get_type() == "STATUSTEXT"]
    assert any(text.startswith("resumed ") for text in texts), texts
    before, after = sorted(entry for entry in (tmp_path / "flights").iterdir() if entry.is_dir())
    assert verify_flight(before).state == "interrupted"
    assert FlightReader(after).first("header").resumed_from == before.name
    replayed = replay_flight(before, None, None)
    assert replayed.identical == replayed.recorded > 0
