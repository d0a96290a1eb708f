"""The tiles of a flight go to the provider only after its recording proves a clean shutdown."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import orjson
import pytest
from typer.testing import CliRunner

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.recorder.config import RecorderConfig
from gps_denied_onboard.recorder.flight import BuildInfo, FlightRecorder, open_flight
from gps_denied_onboard.recorder.mcap_io import recording_files
from gps_denied_onboard.recorder.meta import RecordingMeta
from gps_denied_onboard.tiles.grid import TileKey, flight_uuid
from gps_denied_onboard.tiles.records import NewTile
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_operator.cli import app
from gps_denied_operator.flights.after_flight import (
    NoFooterError,
    NotCleanError,
    OtherFlightError,
    UnreadableFlightError,
    UploadRefusedError,
    landed_flight,
)
from gps_denied_sim.provider.app import Provider
from gps_denied_sim.provider.faults import Faults
from gps_denied_sim.provider.serve import provider_app, running

META = RecordingMeta(CameraModel(64, 48, 50.0, 50.0, 32.0, 24.0), 48.0, 37.0, 100.0, 2.0)


def recorder(root: Path) -> FlightRecorder:
    return open_flight(RecorderConfig(directory=str(root)), META, BuildInfo({}, "test", "", {}, {}))


@pytest.fixture
def landed(tmp_path: Path) -> Path:
    """Return the recording of a flight that was shut down cleanly."""
    made = recorder(tmp_path)
    made.close(made.flight_id, clean=True)
    return tmp_path / made.flight_id


def test_a_clean_flight_gives_its_name(landed: Path, tmp_path: Path) -> None:
    """Under its own folder, under another one, and asked for by name."""
    assert landed_flight(landed) == landed.name
    assert landed_flight(landed, landed.name) == landed.name
    shutil.copytree(landed, tmp_path / "copy")
    assert landed_flight(tmp_path / "copy") == landed.name


def refused(folder: Path, kind: type[UploadRefusedError], code: int, said: str, flight: str = "") -> None:
    with pytest.raises(kind, match=said) as caught:
        landed_flight(folder, flight)
    assert caught.value.exit_code == code


def test_a_flight_without_a_footer_is_refused(tmp_path: Path) -> None:
    """A recording that is still being written has no footer."""
    flying = recorder(tmp_path)
    copy = tmp_path / "copy" / flying.flight_id
    shutil.copytree(tmp_path / flying.flight_id, copy)
    refused(copy, NoFooterError, 60, "power was cut")
    flying.close(flying.flight_id, clean=True)


def test_a_flight_that_ended_by_an_error_is_refused(tmp_path: Path) -> None:
    """The footer is there and says so."""
    made = recorder(tmp_path)
    made.close(made.flight_id, clean=False)
    refused(tmp_path / made.flight_id, NotCleanError, 61, "ended by an error")


def test_another_flight_is_refused(landed: Path) -> None:
    """By the name that was asked for, and by a folder that is named as another flight."""
    refused(landed, OtherFlightError, 62, "not of 20260101T000000Z-000000", "20260101T000000Z-000000")
    other = landed.with_name("20260101T000000Z-000000")
    shutil.copytree(landed, other)
    refused(other, OtherFlightError, 62, landed.name)


def test_what_cannot_be_read_or_was_changed_is_refused(landed: Path, tmp_path: Path) -> None:
    """No recording, a simulation's file, and a recording with one changed byte."""
    refused(tmp_path / "none", UnreadableFlightError, 63, "cannot be read")
    refused(tmp_path, UnreadableFlightError, 63, "cannot be read")
    path = recording_files(landed)[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(UploadRefusedError) as caught:
        landed_flight(landed)
    assert caught.value.exit_code == 63


def test_only_that_flights_tiles_are_sent(
    landed: Path, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command sends the flight's tile, leaves another flight's, and is a no-op the second time."""
    jpeg = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (256, 256), dtype=np.uint8))[1].tobytes()
    captured = datetime.now(UTC) - timedelta(hours=1)
    made = [
        NewTile(TileKey("onboard_ingest", 18, 157_900 + n, 90_200, flight_uuid(name)), jpeg, 0.3, captured_at=captured,
                parent_sigma_m=2.0)
        for n, name in enumerate((landed.name, "another"))
    ]  # fmt: skip
    with TileStore.open(tmp_path / "store", database_url) as store:
        store.insert(made)
    offered = tmp_path / "offered/18/1"
    offered.mkdir(parents=True)
    (offered / "1.jpg").write_bytes(jpeg)
    monkeypatch.setenv("GPS_DENIED_PROVIDER_KEY", "planted-api-key-upload")
    monkeypatch.setenv("DATABASE_URL", database_url)
    faulty = provider_app(tmp_path / "offered", "planted-api-key-upload", Faults())
    with running(faulty) as port:
        command = ["upload", str(landed), "--provider", f"http://127.0.0.1:{port}", "--root", str(tmp_path / "store")]
        told = [CliRunner().invoke(app, [*command, "--json"]) for _ in range(2)]
    assert [answer.exit_code for answer in told] == [0, 0], told[0].output
    reports = [orjson.loads(answer.stdout) for answer in told]
    assert [(report["outcome"], report["queued"]) for report in reports] == [("success", 1), ("idempotent_no_op", 0)]
    assert isinstance(faulty.inner, Provider)
    assert list(reports[0]["flights"]) == [str(flight_uuid(landed.name))]
