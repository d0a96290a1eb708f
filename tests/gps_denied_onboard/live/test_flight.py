"""The navigation service flies a recording in real time, with a pymavlink peer as the autopilot."""

from __future__ import annotations

import bisect
import itertools
import math
import signal
import statistics
import threading
from pathlib import Path
from typing import Any

import pytest

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.messages import FloatArray
from gps_denied_onboard.recorder.mcap_io import RecordingReader
from gps_denied_onboard.recorder.meta import read_meta
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.records import JobTakenRecord
from gps_denied_sim.render.sim_camera import make_camera

from .flying import start, write_config, write_video
from .peer import Autopilot, free_port

STALL_S = 5.0
SHORT_FLIGHT_SEED = 3
"""Of `short_recording`."""
SLOW_SEARCH = "[place]\nwhole_cells_max = 0\ncoarse_yaw_step_deg = 0.02\ncoarse_height_step = 0.003\n"


def fly(
    recording: Path,
    folder: Path,
    *options: str,
    mission: str = "",
    more: str = "",
    mount: FloatArray | None = None,
    stop_after_s: float = 0.0,
) -> tuple[Autopilot, str]:
    """Fly the recording's pictures; returns the autopilot with all that it heard, and the program's stderr."""
    begin_ns = write_video(recording, folder / "frames.avi")
    port = free_port()
    config = write_config(recording, folder / "frames.avi", port, folder / "flight.toml", mission, more, mount)
    autopilot = Autopilot(port, recording, begin_ns)
    process = start(config, *options)
    if stop_after_s:
        threading.Timer(stop_after_s, process.send_signal, [signal.SIGTERM]).start()
    _, errors = process.communicate(timeout=60)
    autopilot.close()
    assert process.returncode == 0, errors
    return autopilot, errors


def heard(autopilot: Autopilot, kind: str) -> list[tuple[int, Any]]:
    return [(t_ns, message) for t_ns, message in autopilot.heard if message.get_type() == kind]


def gaps_ms(positions: list[tuple[int, Any]]) -> list[float]:
    """Time between positions by the program's own clock."""
    return [(b.time_usec - a.time_usec) / 1e3 for (_, a), (_, b) in itertools.pairwise(positions)]


def shown_since_ns(flights: Path, recording: Path) -> int:
    """The monotonic clock at the recording's time zero, by the pictures that the flight recorder has."""
    (flight,) = (path for path in flights.iterdir() if path.is_dir())
    taken_ns = [frame.t_ns for frame in RecordingReader(recording).frames()]
    shown = FlightReader(flight).messages({"frame"})
    return round(float(statistics.median(frame.t_ns - taken_ns[frame.index] for frame in shown)))


@pytest.mark.slow
def test_positions_keep_coming_while_the_map_search_stalls(short_recording: Path, tmp_path: Path) -> None:
    """The one search that is begun gives nothing during the flight: positions at 5 Hz, never 220 ms apart."""
    autopilot, errors = fly(short_recording, tmp_path, "--seconds", "8", more=SLOW_SEARCH)
    positions = heard(autopilot, "GPS_INPUT")
    assert positions[-1][1].time_usec - positions[0][1].time_usec > STALL_S * 1e6
    assert len(positions) >= 5 * STALL_S
    assert max(gaps_ms(positions)) <= 220.0
    assert [message.fix_type for _, message in positions[: int(4 * STALL_S)]] == [1] * int(4 * STALL_S)  # honest
    assert all(math.isfinite(m.horiz_accuracy) and m.satellites_visible >= 6 for _, m in positions)
    assert "Traceback" not in errors
    texts = [message.text for _, message in heard(autopilot, "STATUSTEXT")]
    assert "position is dead_reckoned" in texts
    (flight,) = (path for path in (tmp_path / "flights").iterdir() if path.is_dir())
    assert [type(record) for record in FlightReader(flight).messages({"job_taken", "fix"})] == [JobTakenRecord]


@pytest.mark.slow
def test_positions_follow_the_truth_until_it_is_told_to_stop(short_recording: Path, tmp_path: Path) -> None:
    """From a known take-off place, with a calibrated mount, they are anchored and near the truth; SIGTERM ends it."""
    truth = list(RecordingReader(short_recording).truth())
    meta = read_meta(short_recording)
    mission = (
        f"[mission]\norigin_latitude_deg = {truth[0].latitude_deg}\norigin_longitude_deg = {truth[0].longitude_deg}\n"
        f"ground_altitude_amsl_m = {meta.origin_altitude_m}\nground_sigma_m = {meta.ground_sigma_m}\n"
        "takeoff_known = true\ntakeoff_sigma_vertical_m = 1000.0\n"
    )
    mount = make_camera(SHORT_FLIGHT_SEED, meta.camera.width_px, meta.camera.height_px)[0].rotation_camera_to_body
    autopilot, errors = fly(short_recording, tmp_path, mission=mission, mount=mount, stop_after_s=9.0)
    assert heard(autopilot, "STATUSTEXT")[-1][1].text == "navigation has ended"
    positions = heard(autopilot, "GPS_INPUT")
    assert max(gaps_ms(positions)) <= 220.0
    times = [sample.t_ns for sample in truth]
    # The video begins when the program opens it, not with the telemetry: the truth is where the pictures are.
    began_ns = shown_since_ns(tmp_path / "flights", short_recording)
    for _, message in positions[20:60]:
        sample = truth[min(bisect.bisect(times, message.time_usec * 1000 - began_ns), len(truth) - 1)]
        here = LocalFrame(sample.latitude_deg, sample.longitude_deg, sample.altitude_amsl_m)
        off = here.enu_from_geodetic(message.lat / 1e7, message.lon / 1e7, message.alt)
        assert math.hypot(off[0], off[1]) < 30.0
    texts = [message.text for _, message in heard(autopilot, "STATUSTEXT")]
    assert "position is satellite_anchored" in texts
    assert any(m.name == "nav_source" and m.value == 2.0 for _, m in heard(autopilot, "NAMED_VALUE_FLOAT"))
    assert "event=status" not in errors
