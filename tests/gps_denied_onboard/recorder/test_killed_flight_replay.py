"""A flight whose recorder was killed replays as far as it goes: every position that is in it, bit by bit."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from gps_denied_onboard.config import Config
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.replay.flight import replay_flight
from gps_denied_onboard.replay.recording import replay_recording

from .kills import check, kill_at, nursery


@pytest.mark.slow
def test_fifty_killed_flights_replay(short_recording: Path, tmp_path: Path) -> None:
    """A flown recording is recorded again by a process that dies on the way; what it left is replayed."""
    flown = tmp_path / "flown"
    replay_recording(short_recording, Config(), flown, record=True)
    rng = random.Random(9)
    states = 0
    with nursery() as process:
        for batch in range(10):
            folder = tmp_path / str(batch)
            folder.mkdir()
            moments_s = [rng.uniform(0.1, 3.0) for _ in range(5)]
            for killed in kill_at(process, folder, moments_s, str(flown), 2.5):
                check(killed)
                again = replay_flight(killed.folder, None, None)
                kept = sum(1 for _ in FlightReader(killed.folder).messages({"navstate"}))
                assert again.identical == again.recorded == kept
                assert again.first_difference_ns is None
                states += kept
    assert states > 500
