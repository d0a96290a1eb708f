"""What `run` records: a flight that verifies and replays bit by bit; and no take-off without a recorder."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import time
from pathlib import Path

import pytest

from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.verify import verify_flight
from gps_denied_onboard.replay.flight import replay_flight

from .flying import start, write_config, write_video
from .peer import Autopilot, free_port


@pytest.mark.slow
def test_a_live_flight_verifies_and_replays(short_recording: Path, tmp_path: Path) -> None:
    """Against an autopilot on loopback: inputs, positions and what was sent are there; the positions follow again."""
    begin_ns = write_video(short_recording, tmp_path / "frames.avi")
    port = free_port()
    config = write_config(short_recording, tmp_path / "frames.avi", port, tmp_path / "flight.toml")
    autopilot = Autopilot(port, short_recording, begin_ns)
    _, errors = start(config, "--seconds", "3").communicate(timeout=60)
    autopilot.close()
    (flight,) = (entry for entry in (tmp_path / "flights").iterdir() if entry.is_dir())
    verdict = verify_flight(flight)
    assert (verdict.state, verdict.errors, verdict.lost) == ("clean", (), 0), errors
    kinds = {record.kind for record in FlightReader(flight).records()}
    assert {"header", "imu", "attitude", "frame", "tick", "navstate", "position", "autopilot_out", "footer"} <= kinds
    again = replay_flight(flight, None, None)
    assert again.identical == again.recorded == again.states > 0
    assert again.problems == ()


@pytest.mark.slow
def test_a_killed_test_flight_leaves_whole_pictures(short_recording: Path, tmp_path: Path) -> None:
    """With pictures kept on another folder and the process killed: each picture is whole and on record as it is, the
    ground and the header were told, and the recording lost nothing by it."""
    begin_ns = write_video(short_recording, tmp_path / "frames.avi")
    port = free_port()
    more = f'pictures = "all"\npictures_dir = "{tmp_path / "volume"}"\n'
    config = write_config(short_recording, tmp_path / "frames.avi", port, tmp_path / "flight.toml", more=more)
    autopilot = Autopilot(port, short_recording, begin_ns)
    process = start(config)
    until = time.monotonic() + 120.0
    while len(list(tmp_path.glob("volume/*/frames/*.jpg"))) < 4:
        assert time.monotonic() < until
        with contextlib.suppress(subprocess.TimeoutExpired):
            pytest.fail(f"ended early with {process.wait(timeout=0.1)}")
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=1.5)
    process.kill()
    process.communicate()
    autopilot.close()
    (flight,) = (entry for entry in (tmp_path / "flights").iterdir() if entry.is_dir())
    verdict = verify_flight(flight)
    assert (verdict.state, verdict.errors, verdict.lost) == ("interrupted", (), 0)
    kept = list(FlightReader(flight).messages({"picture"}))
    assert len(kept) >= 3
    for told in kept:
        jpeg = (tmp_path / "volume" / flight.name / "frames" / told.name).read_bytes()
        assert (len(jpeg), hashlib.sha256(jpeg).hexdigest()) == (told.bytes, told.sha256)
    assert "recorder keeps pictures: all" in {alert.text for alert in FlightReader(flight).messages({"alert"})}
    assert FlightReader(flight).first("header").config["recorder"]["pictures"] == "all"


def test_no_take_off_without_a_recorder(short_recording: Path, tmp_path: Path) -> None:
    """A flight root that is a file: one FATAL line, exit code 2, nothing else."""
    write_video(short_recording, tmp_path / "frames.avi")
    config = write_config(short_recording, tmp_path / "frames.avi", free_port(), tmp_path / "flight.toml")
    (tmp_path / "flights").write_text("a file")
    process = start(config, "--seconds", "3")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.startswith("FATAL: the flight recorder cannot be opened: ")
    assert len(errors.splitlines()) == 1


@pytest.mark.slow
def test_a_start_that_fails_later_is_on_record(short_recording: Path, tmp_path: Path) -> None:
    """A map of another place: one FATAL line, exit code 2, and the flight holds the reason and no clean end."""
    write_video(short_recording, tmp_path / "frames.avi")
    far = "[mission]\norigin_latitude_deg = -30.0\norigin_longitude_deg = 20.0\nground_altitude_amsl_m = 100.0\n"
    config = write_config(short_recording, tmp_path / "frames.avi", free_port(), tmp_path / "flight.toml", far)
    process = start(config, "--seconds", "3")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert [line for line in errors.splitlines() if line.startswith("FATAL: the map ends")]
    (flight,) = (entry for entry in (tmp_path / "flights").iterdir() if entry.is_dir())
    assert verify_flight(flight).state == "failed"
    assert any("it is of another place" in m.fields["error"] for m in FlightReader(flight).messages({"log"}))
