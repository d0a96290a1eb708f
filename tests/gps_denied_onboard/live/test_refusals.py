"""What `run` refuses before it starts, and that nothing of it stays behind."""

from __future__ import annotations

import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from gps_denied_onboard.config import Config, StrategyNames, load_config
from gps_denied_onboard.errors import StrategyNotLinkedError, UserError
from gps_denied_onboard.live.service import run_live

from .flying import write_config, write_video


@pytest.fixture
def flyable(short_recording: Path, tmp_path: Path) -> Config:
    """Return a configuration that could fly."""
    write_video(short_recording, tmp_path / "frames.avi")
    return load_config(write_config(short_recording, tmp_path / "frames.avi", 14999, tmp_path / "flight.toml"))


def changed(config: Config, **tables: dict[str, object]) -> Config:
    """The configuration with some values of some tables replaced."""
    return replace(config, **{name: replace(getattr(config, name), **values) for name, values in tables.items()})


def refusal(config: Config) -> str:
    """The sentence of a flight that must not start; signals, threads and switch interval are as before."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), sys.getswitchinterval()
    threads = threading.active_count()
    with pytest.raises(UserError) as error:
        run_live(config, 1.0)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), sys.getswitchinterval()) == before
    assert threading.active_count() == threads
    return str(error.value)


def test_what_a_flight_needs(flyable: Config) -> None:
    """Camera, origin, map and autopilot must be given; each sentence says how."""
    nan = float("nan")
    assert "add a [camera] table" in refusal(replace(flyable, camera=None))
    assert "set mission.origin_latitude_deg" in refusal(changed(flyable, mission={"origin_longitude_deg": nan}))
    assert "set map.directory" in refusal(changed(flyable, map={"directory": ""}))
    assert "set autopilot.address" in refusal(changed(flyable, autopilot={"address": ""}))


def test_values_that_cannot_be(flyable: Config, tmp_path: Path) -> None:
    """Wrong addresses, times, folders, rates and sources are named with what would be right."""
    cases: list[tuple[dict[str, dict[str, object]], str]] = [
        ({"autopilot": {"address": "carrier pigeon"}}, "link 'carrier pigeon' is not known"),
        ({"autopilot": {"gps_id": 300}}, "MAVLink gps_id must be 0 to 255, got 300"),
        ({"mission": {"utc_at_zero": "yesterday"}}, "mission.utc_at_zero must be a time like 2025-07-01T06:00:00Z"),
        ({"mission": {"origin_latitude_deg": 91.0}}, "are the two swapped?"),
        ({"mission": {"origin_latitude_deg": -30.0}}, "it is of another place"),
        ({"map": {"directory": str(tmp_path / "none")}}, "is not a folder; give the folder that holds the tiles"),
        ({"frames": {"source": f"video:{tmp_path / 'none.mp4'}"}}, "is not a file; give a video file"),
        ({"frames": {"source": "/dev/no-such-camera"}}, "camera '/dev/no-such-camera' cannot be opened"),
        ({"frames": {"rate_hz": 0.0}}, "frames.rate_hz must be more than 0"),
    ]
    for tables, says in cases:
        assert says in refusal(changed(flyable, **tables))


def test_a_camera_mode_that_the_calibration_is_not_for(flyable: Config) -> None:
    """Both sizes are named before anything flies."""
    assert flyable.camera is not None
    said = refusal(replace(flyable, camera=replace(flyable.camera, width_px=1920, height_px=1080)))
    assert "gives 684x456 px, the camera calibration is for 1920x1080" in said


def test_a_later_step_that_fails_closes_the_earlier_ones(flyable: Config) -> None:
    """A strategy that is not linked is refused after the map was opened, and everything is as before."""
    with pytest.raises(StrategyNotLinkedError):
        run_live(replace(flyable, strategies=StrategyNames(place="descriptor")), 1.0)
    assert "odometry" not in {thread.name for thread in threading.enumerate()}
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_lengths_that_cannot_be(flyable: Config, seconds: float) -> None:
    """A flight lasts a positive time, or until it is told to stop."""
    with pytest.raises(UserError, match="--seconds must be 0 or a positive number"):
        run_live(flyable, seconds)
