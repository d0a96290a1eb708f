"""A short simulated flight that the tests of the onboard program share."""

from __future__ import annotations

from pathlib import Path

import pytest

SHORT_FLIGHT_S = 8.0


@pytest.fixture(scope="session")
def short_recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recording of eight seconds, sixteen small pictures, good conditions. Nobody writes into it."""
    from gps_denied_sim.recording import FlyRequest, make_recording

    out = tmp_path_factory.mktemp("flight") / "recording"
    request = FlyRequest(3, SHORT_FLIGHT_S / 60.0, frame_rate_hz=2.0, width_px=684, height_px=456, buffer_m=200.0)
    make_recording(request, out, lambda *_: None)
    return out
