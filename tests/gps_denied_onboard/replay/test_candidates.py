"""A replayed flight over a map from the store leaves candidates that lie where the map says, and obey AC-N7."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from gps_denied_onboard.config import Config, MapConfig
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.recorder.meta import read_meta
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.verify import verify_flight
from gps_denied_onboard.replay.recording import replay_recording
from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.config import TilesConfig
from gps_denied_onboard.tiles.grid import TileKey
from gps_denied_onboard.tiles.records import NewTile
from gps_denied_onboard.tiles.store import TileStore


@pytest.fixture(scope="module")
def sharp_recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recording of eight pictures that are as fine as the map."""
    from gps_denied_sim.recording import FlyRequest, make_recording

    out = tmp_path_factory.mktemp("sharp") / "recording"
    make_recording(FlyRequest(1, 8.0 / 60.0, frame_rate_hz=1.0, buffer_m=200.0), out, lambda *_: None)
    return out


def over_store(recording: Path, root: Path) -> Config:
    """Put the recording's map into a store at `root`; returns what flies over it and makes tiles."""
    meta = read_meta(recording)
    assert meta.tiles_directory is not None
    assert meta.tiles_zoom is not None
    folder = recording / meta.tiles_directory / meta.tiles_source / str(meta.tiles_zoom)
    with TileStore.open(root) as store:
        store.insert([NewTile(TileKey("provider", meta.tiles_zoom, int(file.parent.name), int(file.stem)),
                              file.read_bytes(), 0.4) for file in folder.glob("*/*.jpg")])  # fmt: skip
    tiles = TilesConfig(candidates=True, candidate_zoom=meta.tiles_zoom, candidate_interval_s=3.0)
    return replace(Config(), map=MapConfig(str(root), "provider", meta.tiles_zoom, True), tiles=tiles)


@pytest.mark.slow
def test_a_flight_leaves_candidates_over_the_map(
    sharp_recording: Path, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Candidates agree with the map under them to some pixels, none has a sigma over 5 m, a second replay adds none."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    root = tmp_path / "store"
    config = over_store(sharp_recording, root)
    zoom = config.map.zoom
    summary = replay_recording(sharp_recording, config, None)
    assert summary.anchored > 0
    with TileStore.open(root) as store:
        found = store.query_tiles("onboard_ingest", zoom, 0, 0, 1 << 20, 1 << 20)
        assert found
        off_px = []
        for record in found:
            assert record.parent_sigma_m is not None
            assert record.parent_sigma_m <= 5.0
            assert record.captured_at is not None
            under = store.get(replace(record.key, source="provider", flight_id=None))
            if under is not None:
                pictures = [codec.decode_tile(*store.read(one))[0].astype(np.float32) for one in (record, under)]
                window = cv2.createHanningWindow((256, 256), cv2.CV_32F)
                shift, _ = cv2.phaseCorrelate(pictures[0], pictures[1], window)
                off_px.append(float(np.hypot(*shift)))
        assert np.median(off_px) < 8.0
    replay_recording(sharp_recording, config, None)
    with TileStore.open(root) as store:
        again = store.query_tiles("onboard_ingest", zoom, 0, 0, 1 << 20, 1 << 20)
    assert [record.row_id for record in again] == [record.row_id for record in found]


@pytest.mark.slow
def test_what_a_recorded_flight_stores_is_on_record(
    sharp_recording: Path, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recording names each tile that went into the store, and holds its picture."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    config = over_store(sharp_recording, tmp_path / "store")
    replay_recording(sharp_recording, config, tmp_path / "flown", record=True)
    with TileStore.open(tmp_path / "store") as store:
        found = store.query_tiles("onboard_ingest", config.map.zoom or 0, 0, 0, 1 << 20, 1 << 20)
    recorded = list(FlightReader(tmp_path / "flown").messages({"tile"}))
    assert {(m.x, m.y) for m in recorded if m.event == "write"} == {(one.key.x, one.key.y) for one in found} != set()
    assert {m.detail for m in recorded if m.event == "snapshot"} == {one.content_sha256.hex() for one in found}
    assert verify_flight(tmp_path / "flown").state == "clean"


def test_candidates_without_a_store_are_refused(short_recording: Path) -> None:
    """Candidates over a plain folder have nowhere to go, which is said before the flight."""
    with pytest.raises(UserError, match="needs the tile store"):
        replay_recording(short_recording, replace(Config(), tiles=TilesConfig(candidates=True)), None)
