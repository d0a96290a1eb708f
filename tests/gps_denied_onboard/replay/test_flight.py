"""A flight replays to the same positions, bit by bit: three scenarios, with pictures and without."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from gps_denied_onboard.config import Config, MapConfig
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.fusion.config import FusionConfig
from gps_denied_onboard.localisation.matching.config import MatchingConfig
from gps_denied_onboard.recorder.config import RecorderConfig
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


@pytest.fixture(scope="module")
def flown_with_pictures(short_recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the short recording as a test flight that kept a picture a second beside it."""
    folder = tmp_path_factory.mktemp("kept")
    config = dataclasses.replace(Config(), recorder=RecorderConfig(pictures="key", pictures_dir=str(folder / "volume")))
    replay_recording(short_recording, config, folder / "flight", record=True)
    return folder / "flight"


def pictures_of(flight: Path) -> Path:
    (folder,) = (flight.parent / "volume").iterdir()
    return folder


def with_map(short_recording: Path, **more: object) -> Config:
    return dataclasses.replace(Config(), map=MapConfig(directory=str(short_recording / "tiles")), **more)


@pytest.mark.slow
def test_kept_pictures_go_through_the_matcher_again(
    short_recording: Path, flown_with_pictures: Path, tmp_path: Path
) -> None:
    """A picture a second is searched for again; a changed matcher gives other fixes, and so other positions."""
    flown = flown_with_pictures
    assert FlightReader(flown).first("header").config["recorder"]["pictures"] == "key"
    same = replay_flight(flown, with_map(short_recording), tmp_path / "same", pictures_of(flown))
    assert (same.pictures, same.frames_with_picture, same.frames_without_picture) == (True, 8, 8)
    other = with_map(short_recording, matching=MatchingConfig(inlier_cells=0.4))
    changed = replay_flight(flown, other, tmp_path / "changed", pictures_of(flown))
    assert (changed.states, changed.problems, same.problems) == (same.states, (), ())
    for name in ("navstate.jsonl", "decisions.jsonl"):
        assert (tmp_path / "same" / name).read_bytes() != (tmp_path / "changed" / name).read_bytes()


@pytest.mark.slow
def test_a_recording_says_where_its_pictures_are_not(flown_with_pictures: Path, short_recording: Path) -> None:
    """Without the volume the recorded fixes are taken, bit by bit, and it is said; a folder of something else no."""
    summary = replay_flight(flown_with_pictures, None, None)
    assert (summary.pictures, summary.identical) == (False, summary.recorded)
    (said,) = summary.problems
    assert "kept pictures (key)" in said
    assert "--pictures" in said
    with pytest.raises(UserError, match="holds no folder 'frames'"):
        replay_flight(flown_with_pictures, None, None, short_recording / "tiles")


@pytest.mark.slow
def test_hostile_pictures_are_left_out(short_recording: Path, flown_with_pictures: Path, tmp_path: Path) -> None:
    """A torn file, a bomb of pixels and a link are told; the recorded fixes stand for them."""
    kept = tmp_path / "kept"
    shutil.copytree(pictures_of(flown_with_pictures), kept)
    torn, bomb, link, *_ = sorted((kept / "frames").iterdir())
    torn.write_bytes(torn.read_bytes()[:200])
    head = bytes.fromhex("89504e470d0a1a0a0000000d49484452 0000ea60 0000ea60 0800000000")
    bomb.write_bytes(head + b"\0" * 40)
    link.unlink()
    link.symlink_to("/etc/passwd")
    summary = replay_flight(flown_with_pictures, with_map(short_recording), None, kept)
    assert summary.frames_with_picture == 5
    assert summary.states == summary.recorded
    assert {name for name in (torn.name, bomb.name) if any(name in told for told in summary.problems)} == {
        torn.name, bomb.name,
    }  # fmt: skip
