"""Uploads to a real provider: each tile acknowledged once, or given up on record; nothing lost, nothing new twice."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import cv2
import numpy as np
import pytest

from gps_denied_onboard.tiles.grid import TileKey
from gps_denied_onboard.tiles.records import NewTile
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_onboard.tiles.uploads import UploadQueue
from gps_denied_operator.tiles.http import RetrySchedule
from gps_denied_operator.tiles.upload import TileUploader, UploadReport
from gps_denied_sim.provider.app import Provider
from gps_denied_sim.provider.faults import Faults, FaultyApp
from gps_denied_sim.provider.ingest import Ingest

from .providers import KEY, QUICK, X0, Y0, ZOOM, offer_folder, picture, provider

FLIGHTS = (UUID("6fd1f3a2-6a4c-4f9e-9b8e-2f5c5b1f9a10"), UUID("11111111-6a4c-4f9e-9b8e-2f5c5b1f9a10"))


def flown(count: int, flight: UUID = FLIGHTS[0], age: timedelta = timedelta(hours=1)) -> list[NewTile]:
    captured = datetime.now(UTC) - age
    return [
        NewTile(TileKey("onboard_ingest", ZOOM, X0 + n % 40, Y0 + n // 40, flight), picture(n % 50), 0.3,
                captured_at=captured, quality_metadata={"sharpness": 40.5 + n}, parent_sigma_m=2.0)
        for n in range(count)
    ]  # fmt: skip


@pytest.fixture
def tiles(tmp_path: Path) -> Path:
    return offer_folder(tmp_path / "tiles", 1)


def send(store: TileStore, url: str, schedule: RetrySchedule = QUICK, attempts_max: int = 5) -> UploadReport:
    with closing(TileUploader(store, url, KEY, "companion-1", None, schedule, attempts_max)) as uploader:
        return uploader.upload_pending_tiles()


def ingest_of(app: FaultyApp) -> Ingest:
    assert isinstance(app.inner, Provider)
    return app.inner.ingest


@pytest.mark.slow
def test_every_tile_is_acknowledged_once_through_faults(store: TileStore, tiles: Path) -> None:
    """500 tiles of two flights, 30 % of requests failing, answers lost among them: each queued there exactly once."""
    store.insert(flown(300) + flown(200, FLIGHTS[1]))
    faults = Faults(retry_after_s=0.01, slow_s=0.05, too_many=0.05, too_many_date=0.03, server_error=0.03,
                    truncate=0.05, lost_answer=0.1, garbage=0.04)  # fmt: skip
    with provider(tiles, faults, seed=3) as (url, app):
        reports = [send(store, url) for _ in range(3)]
        ledger = ingest_of(app).ledger
    total: Counter[str] = Counter()
    for report in reports:
        counts = report.as_dict()
        total.update({name: counts[name] for name in ("queued", "duplicate", "superseded", "given_up", "rejected")})
    assert total["queued"] + total["duplicate"] + total["superseded"] == 500
    assert (total["rejected"], total["given_up"]) == (0, 0)
    new = Counter((entry["flight_id"], entry["latitude"], entry["longitude"]) for entry in ledger
                  if entry["status"] in {"queued", "superseded"})  # fmt: skip
    assert len(new) == 500
    assert set(new.values()) == {1}
    assert total["duplicate"] > 0  # answers were lost, and found again
    assert UploadQueue(store).pending() == []
    assert store.totals()[0] == 500
    assert reports[-1].outcome == "idempotent_no_op"
    assert {r.acknowledged for r in store.query_tiles("onboard_ingest", ZOOM, X0, Y0, X0 + 40, Y0 + 20)} == {True}


def test_rejected_tiles_are_final_and_reported(store: TileStore, tiles: Path) -> None:
    """Too old, flat and small tiles are rejected by the provider, marked so for good, and named in the report."""
    old, flat, small = flown(3)
    flat_picture = cv2.imencode(".jpg", np.full((256, 256), 90, np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    flat_picture = flat_picture[:-2] + b"\xff\xfe\x17\x72" + bytes(6000) + b"\xff\xd9"
    store.insert([
        replace(old, captured_at=datetime.now(UTC) - timedelta(days=8)), replace(flat, jpeg=flat_picture),
        replace(small, jpeg=cv2.imencode(".jpg", np.zeros((256, 256), np.uint8))[1].tobytes()),
    ])  # fmt: skip
    with provider(tiles) as (url, _):
        report = send(store, url)
        again = send(store, url)
    assert (report.rejected, report.outcome) == (3, "failure")
    assert again.outcome == "idempotent_no_op"
    assert again.reason == "nothing waits for upload; 3 were rejected by the provider before"
    assert report.reason.startswith("the provider took nothing: 3 of 3 tiles were rejected (")
    old_said, flat_said, small_said = (entry["reason"] for entry in report.rejections)
    assert (old_said, flat_said) == ("captured more than 7 days ago", "a flat image")
    assert "bytes, not" in small_said
    found = store.query_tiles("onboard_ingest", ZOOM, X0, Y0, X0 + 40, Y0 + 20)
    assert {record.voting_status for record in found} == {"rejected"}


def test_a_tile_is_given_up_after_its_attempts(store: TileStore, tiles: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A provider that never answers: the tile waits, attempt by attempt, and is given up on record at the limit."""
    store.insert(flown(1))
    impatient = RetrySchedule(attempts=2, wait_first_s=0.001, wait_cap_s=0.002)
    app_faults = Faults(server_error=1.0)
    with provider(tiles, app_faults) as (url, _):
        reports = [send(store, url, impatient, attempts_max=2) for _ in range(3)]
        assert [r.outcome for r in reports] == ["failure", "failure", "failure"]
        assert reports[0].next_retry_at_s is not None
    record = store.query_tiles("onboard_ingest", ZOOM, X0, Y0, X0 + 1, Y0 + 1)[0]
    assert (record.upload_attempts, record.voting_status) == (0, "pending")  # the key never got there: no attempt
    with provider(tiles, Faults(lost_answer=1.0)) as (url, app):
        app.spare = "/keys"
        reports = [send(store, url, impatient, attempts_max=2) for _ in range(3)]
    assert [r.given_up for r in reports] == [0, 1, 0]
    assert reports[2].outcome == "idempotent_no_op"
    record = store.query_tiles("onboard_ingest", ZOOM, X0, Y0, X0 + 1, Y0 + 1)[0]
    assert (record.upload_attempts, record.voting_status) == (2, "upload_giveup")
    assert any("upload given up" in r.message and r.levelname == "ERROR" for r in caplog.records)


def test_a_refused_signature_is_a_security_event(
    store: TileStore, tiles: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that does not know the key: ERROR line, a count in the report, tiles stay pending."""
    store.insert(flown(2))
    with provider(tiles) as (url, app):
        monkeypatch.setattr(ingest_of(app), "register", lambda _flight, key: key.hex())  # the provider forgets keys
        report = send(store, url)
    assert (report.outcome, report.security_events, report.still_pending) == ("failure", 2, 2)
    assert sum("SECURITY" in r.message and r.levelname == "ERROR" for r in caplog.records) == 2
    assert len(UploadQueue(store).pending()) == 2


def test_without_time_of_capture_nothing_is_sent(store: TileStore, tiles: Path) -> None:
    """A tile whose time is not known cannot be signed for; it is given up with that reason."""
    store.insert([replace(flown(1)[0], captured_at=None)])
    with provider(tiles) as (url, app):
        report = send(store, url)
        assert ingest_of(app).ledger == []
    assert (report.given_up, report.giveups[0]["reason"]) == (1, "its time of capture is not known")
