"""The navigation service with an iNav at the other end of its link."""

from __future__ import annotations

import runpy
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .flying import start, write_config, write_video

PEER = Path(__file__).resolve().parents[1] / "autopilot" / "inav_peer.py"


@pytest.fixture
def inav() -> Iterator[Any]:
    """An iNav that lives in a thread, on the real clock."""
    peer, stop = runpy.run_path(str(PEER))["Inav"](), threading.Event()

    def live() -> None:
        while not stop.wait(0.001):
            peer.step(time.monotonic_ns())

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    yield peer
    stop.set()
    thread.join()
    peer.close()


@pytest.mark.slow
def test_positions_reach_an_inav(short_recording: Path, tmp_path: Path, inav: Any) -> None:
    """By strategy "inav": telemetry is asked for, positions of 52 bytes come at 5 Hz or more, honest about no fix."""
    write_video(short_recording, tmp_path / "frames.avi")
    config = write_config(
        short_recording, tmp_path / "frames.avi", 9, tmp_path / "flight.toml", more='[strategies]\nautopilot = "inav"\n'
    )
    text = config.read_text().replace('"udpout:127.0.0.1:9"', f'"tcp:127.0.0.1:{inav.port}"')
    config.write_text(text)
    process = start(config, "--seconds", "4")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert set(inav.asked) >= {102, 106, 108, 109, 118, 151, 0x2000, 0x2009}
    assert len(inav.positions) >= 5 * 2
    assert {values[3] for values in inav.positions[:5]} == {1}  # nobody knows where we are
    assert all(values[4] >= 6 and values[17] == 0 for values in inav.positions)


def test_a_key_for_a_link_that_cannot_be_signed(short_recording: Path, tmp_path: Path, inav: Any) -> None:
    """A signing key for MSP is refused before anything flies."""
    write_video(short_recording, tmp_path / "frames.avi")
    key = tmp_path / "flight.key"
    config = write_config(
        short_recording, tmp_path / "frames.avi", 9, tmp_path / "flight.toml", more='[strategies]\nautopilot = "inav"\n'
    )
    text = config.read_text().replace('"udpout:127.0.0.1:9"', f'"tcp:127.0.0.1:{inav.port}"\nsigning_key = "{key}"')
    config.write_text(text)
    process = start(config, "--seconds", "4")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "an iNav link cannot be signed" in errors
    assert inav.positions == []
