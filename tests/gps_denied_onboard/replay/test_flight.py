"""A flight replays to the same positions, bit by bit: three scenarios, with pictures and without."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from gps_denied_onboard.config import Config
from gps_denied_onboard.fusion.config import FusionConfig
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.verify import verify_flight
from gps_denied_onboard.replay.flight import replay_flight
from gps_denied_onboard.replay.recording import replay_recording

SCENARIOS = ("cruise", *(pytest.param(name, marks=pytest.mark.slow) for name in ("spoof-jump", "turns")))


@pytest.fixture(scope="module", params=SCENARIOS)
def simulated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, short_recording: Path) -> Path:
    """Return a simulated flight of a few seconds with small pictures, one a scenario."""
    if request.param == "cruise":
        return short_recording
    from gps_denied_sim.recording import FlyRequest, make_recording

    out = tmp_path_factory.mktemp(request.param) / "recording"
    fly = FlyRequest(5, 3.0 / 60.0, request.param, frame_rate_hz=2.0, width_px=456, height_px=304, buffer_m=40.0)
    make_recording(fly, out, lambda *_: None)
    return out


@pytest.fixture(scope="module")
def flown(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same as a flight: what the recorder taps while the simulation is replayed."""
    out = tmp_path_factory.mktemp("flown") / "flight"
    replay_recording(simulated, Config(), out, record=True)
    return out


def test_positions_come_out_bit_by_bit(flown: Path, tmp_path: Path) -> None:
    """From the recorded inputs, odometry steps and map fixes alone the same positions follow."""
    assert verify_flight(flown).state == "clean"
    summary = replay_flight(flown, None, tmp_path / "again")
    assert summary.recorded >= 25
    assert (summary.identical, summary.states) == (summary.recorded, summary.recorded)
    assert (summary.first_difference_ns, summary.pictures, summary.problems) == (None, False, ())
    assert (tmp_path / "again" / "navstate.jsonl").read_bytes() == (flown / "navstate.jsonl").read_bytes()
    assert sum(1 for _ in FlightReader(flown).messages({"fix"})) >= 5


@pytest.mark.slow
def test_the_whole_pipeline_comes_out_bit_by_bit(simulated: Path, flown: Path, tmp_path: Path) -> None:
    """With the pictures beside it, odometry and map search are computed again, to the same positions."""
    whole = tmp_path / "whole"
    shutil.copytree(flown, whole)
    for folder in ("frames", "tiles"):
        shutil.copytree(simulated / folder, whole / folder)
    summary = replay_flight(whole, None, None)
    assert summary.pictures
    assert summary.identical == summary.states == summary.recorded >= 25
    assert summary.problems == ()


def test_another_configuration_is_seen(flown: Path) -> None:
    """The comparison can fail: with other noise the positions differ, and it is told from when on."""
    other = dataclasses.replace(Config(), fusion=FusionConfig(map_sigma_m=9.0))
    summary = replay_flight(flown, other, None)
    assert summary.identical < summary.recorded
    assert summary.first_difference_ns is not None
