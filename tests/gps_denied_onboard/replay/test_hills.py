"""A flight over hills uses the heights that its recording brings, and is replayed from its recording alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from gps_denied_onboard.config import Config
from gps_denied_onboard.recorder.meta import TERRAIN_FILE, read_meta
from gps_denied_onboard.replay.flight import replay_flight
from gps_denied_onboard.replay.recording import replay_recording


@pytest.mark.slow
def test_a_flight_over_hills_is_replayed_from_its_recording_alone(tmp_path: Path) -> None:
    """Heights on board change what is flown; they go into the flight's recording, and the same states come again."""
    from gps_denied_sim.recording import FlyRequest, make_recording

    made, flown, flat = tmp_path / "made", tmp_path / "flown", tmp_path / "flat"
    request = FlyRequest(5, 4.0 / 60.0, "relief-150", frame_rate_hz=2.0, width_px=456, height_px=304, buffer_m=60.0)
    make_recording(request, made, lambda *_: None)
    replay_recording(made, Config(), flown, record=True)
    replay_recording(made, Config(), flat, heights=False, record=True)
    assert (flown / TERRAIN_FILE).read_bytes() == (made / TERRAIN_FILE).read_bytes()
    assert read_meta(flat).terrain_file is None
    assert (flown / "navstate.jsonl").read_bytes() != (flat / "navstate.jsonl").read_bytes()
    for folder in (flown, flat):
        summary = replay_flight(folder, None, None)
        assert summary.identical == summary.recorded > 0
