"""The navigation service in real time over a map from the store: it leaves candidates, and the map stays the map."""

from __future__ import annotations

from pathlib import Path

import pytest

from gps_denied_onboard.recorder.mcap_io import RecordingReader
from gps_denied_onboard.recorder.meta import read_meta
from gps_denied_onboard.tiles.grid import TileKey
from gps_denied_onboard.tiles.records import NewTile
from gps_denied_onboard.tiles.sources import StoreTileSource
from gps_denied_onboard.tiles.store import TileStore

from .flying import start as start_flight
from .flying import write_config, write_video
from .peer import Autopilot, free_port


@pytest.mark.slow
def test_a_live_flight_stores_candidates_beside_the_map(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Place and mount known: tiles of this flight alone, none of a frame known worse than 5 m, map untouched."""
    from gps_denied_sim.recording import FlyRequest, make_recording
    from gps_denied_sim.render.sim_camera import make_camera

    monkeypatch.setenv("DATABASE_URL", database_url)
    recording, root = tmp_path / "recording", tmp_path / "store"
    make_recording(FlyRequest(1, 50.0 / 60.0, frame_rate_hz=2.0, buffer_m=200.0), recording, lambda *_: None)
    meta = read_meta(recording)
    zoom, start = meta.tiles_zoom, next(iter(RecordingReader(recording).truth()))
    assert zoom is not None
    folder = recording / "tiles" / meta.tiles_source / str(zoom)
    with TileStore.open(root) as store:
        store.insert([NewTile(TileKey("provider", zoom, int(file.parent.name), int(file.stem)), file.read_bytes(), 0.4)
                      for file in folder.glob("*/*.jpg")])  # fmt: skip
        tiles_of_the_map = store.totals()[0]
    mission = (
        f"[mission]\norigin_latitude_deg = {start.latitude_deg}\norigin_longitude_deg = {start.longitude_deg}\n"
        f"ground_altitude_amsl_m = {meta.origin_altitude_m}\nground_sigma_m = {meta.ground_sigma_m}\n"
        f'takeoff_known = true\ntakeoff_sigma_vertical_m = 1000.0\nutc_at_zero = "{meta.utc_at_zero}"\n'
    )
    more = f"[tiles]\ncandidates = true\ncandidate_zoom = {zoom}\ncandidate_interval_s = 2.0\n"
    video, port = tmp_path / "frames.avi", free_port()
    begin_ns = write_video(recording, video)
    mount = make_camera(1, meta.camera.width_px, meta.camera.height_px)[0].rotation_camera_to_body
    config = write_config(recording, video, port, tmp_path / "flight.toml", mission, more, mount)
    plain = f'directory = "{recording / "tiles"}"\n'
    assert plain in config.read_text()
    config.write_text(config.read_text().replace(plain, f'directory = "{root}"\nuse_store = true\nzoom = {zoom}\n'))
    autopilot = Autopilot(port, recording, begin_ns)
    process = start_flight(config, "--seconds", "52")
    _, errors = process.communicate(timeout=90)
    autopilot.close()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    with TileStore.open(root) as store:
        made = store.query_tiles("onboard_ingest", zoom, 0, 0, 1 << zoom, 1 << zoom)
        assert made
        assert len({record.key.flight_id for record in made}) == 1
        assert {record.voting_status for record in made} == {"pending"}
        assert max(record.parent_sigma_m or 99.0 for record in made) <= 5.0
        assert store.totals()[0] == tiles_of_the_map + len(made)
        for record in made:
            under = StoreTileSource(store, "provider", zoom).read_tile(record.key.x, record.key.y)
            file = folder / str(record.key.x) / f"{record.key.y}.jpg"
            assert (under is not None) == file.exists()
