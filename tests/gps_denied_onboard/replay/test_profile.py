"""Where the time of a replay goes: stages that sum up, functions of ours among them, one page; flights too."""

from __future__ import annotations

import json
import pstats
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gps_denied_onboard.cli.main import app
from gps_denied_onboard.config import Config
from gps_denied_onboard.replay.profile import REST, profile_replay
from gps_denied_onboard.replay.recording import replay_recording


@pytest.mark.slow
def test_a_recording_is_profiled_onto_one_page(tiny_recording: Path, tmp_path: Path) -> None:
    """Stages sum to the run's length; the page, the object and a file for pstats are in the folder."""
    done = CliRunner().invoke(app, ["profile", str(tiny_recording), "--out", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["frames"] == 4
    assert {"odometry", "place", "match", "pose", "fusion", REST} <= told["stages"].keys()
    assert sum(stage["seconds"] for stage in told["stages"].values()) == pytest.approx(told["wall_s"], abs=0.01)
    assert any("gps_denied_onboard/" in one["function"] for one in told["functions"])
    page = (tmp_path / "out" / "profile.html").read_text()
    assert "place_search" in page
    assert "<script" not in page
    assert pstats.Stats(str(tmp_path / "out" / "profile.pstats")).total_calls > 1000  # type: ignore[attr-defined]


def test_a_flight_is_profiled_without_its_pictures(tiny_recording: Path, tmp_path: Path) -> None:
    """Of a flight without pictures the fusion is left to look at, and nothing is searched for."""
    replay_recording(tiny_recording, Config(), tmp_path / "flight", record=True)
    found = profile_replay(tmp_path / "flight", None)
    assert found.frames == 4
    assert "match" not in found.stages_s
    assert found.stages_s["fusion"] > 0.0
