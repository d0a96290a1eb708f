"""The page of a flown recording in a real browser, opened from a file."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.messages import NavState, SourceLabel
from gps_denied_onboard.recorder.config import RecorderConfig
from gps_denied_onboard.recorder.flight import BuildInfo, open_flight
from gps_denied_onboard.recorder.meta import RecordingMeta
from gps_denied_operator.report.flight_report import report_flights
from gps_denied_operator.report.html import write_page

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--virtual-time-budget=8000", "--enable-logging=stderr",
)  # fmt: skip


def state(second: int) -> NavState:
    covariance = (9.0, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 16.0)
    return NavState(
        second * 10**9, 48.0 + second * 1e-4, 37.0, 900.0, (11.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), covariance, 7.3, 7.3,
        0.0, 3.0, 4.0, 0.5, SourceLabel.SATELLITE_ANCHORED, 200, 3, second,
    )  # fmt: skip


@pytest.mark.slow
def test_a_recording_is_drawn_without_complaint_and_without_a_score(tmp_path: Path) -> None:
    """The script comes to its end, the console stays empty, and no figure is shown that would need the truth."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium here: install it (apt-get install chromium) to look at the page in a browser")
    meta = RecordingMeta(CameraModel(64, 48, 50.0, 50.0, 32.0, 24.0), 48.0, 37.0, 100.0, 2.0)
    flight = open_flight(
        RecorderConfig(directory=str(tmp_path / "flights")), meta, BuildInfo({}, "test", "", {}, {}), clock_ns=lambda: 0
    )
    client = flight.client("flight")
    for second in range(1, 30):
        client.record(state(second))
    flight.close(flight.flight_id, clean=True)
    write_page(report_flights([flight.folder], None, None).page, tmp_path / "flight.html")
    command = [program, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    page = (tmp_path / "flight.html").as_uri()
    done = subprocess.run([*command, page], capture_output=True, text=True, timeout=120, check=True)
    assert 'data-ready="yes"' in done.stdout
    assert "CONSOLE" not in done.stderr
    body = re.sub(r"<(script|style|details)\b.*?</\1>", "", done.stdout, flags=re.DOTALL)
    assert "The recording is clean" in body
    assert "verdict good" in body
    assert "Source label of our position: satellite anchored from" in body
    for word in ("false anchors", "acceptance criteria", "≤ 50 m", "Share of scored frames"):
        assert word not in body
