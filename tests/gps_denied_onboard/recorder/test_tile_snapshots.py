"""Tiles made in flight are on record with their pictures, within a cap, and verification covers both."""

from __future__ import annotations

import hashlib
from pathlib import Path
from uuid import UUID

from gps_denied_onboard.recorder.client import RecorderClient
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.snapshots import TileSnapshots, snapshot_name
from gps_denied_onboard.recorder.verify import verify_flight
from gps_denied_onboard.tiles.grid import TileKey
from gps_denied_onboard.tiles.records import NewTile

from .flights import Stepped


def tile(x: int, size: int = 1000) -> NewTile:
    jpeg = b"\xff\xd8\xff" + bytes([x]) * (size - 3)
    return NewTile(TileKey("onboard_ingest", 18, x, 7, UUID(int=5)), jpeg, 0.4, parent_sigma_m=2.5)


def flight(folder: Path, cap_bytes: int = 64 << 20) -> tuple[Stepped, TileSnapshots]:
    made = Stepped(folder)
    client = RecorderClient("tiles", 64)
    made.writer.add_producer(client)
    return made, TileSnapshots(folder, client, cap_bytes)


def events(folder: Path) -> list[tuple[str, int]]:
    return [(m.event, m.x) for m in FlightReader(folder).messages({"tile"})]


def test_a_stored_tile_is_on_record_with_its_picture(tmp_path: Path) -> None:
    """Who made it and how sure it was of its place; the picture beside the segments is the one that the hash names."""
    recorder, snapshots = flight(tmp_path)
    snapshots.stored(5, tile(1))
    snapshots.refused(6, tile(2), "no room")
    recorder.close()
    write, snapshot, refused = FlightReader(tmp_path).messages({"tile"})
    assert (write.event, write.source, write.zoom, write.x, write.y) == ("write", "onboard_ingest", 18, 1, 7)
    assert write.detail == f"flight {UUID(int=5)}, sigma 2.5 m"
    picture = (tmp_path / "snapshots" / snapshot_name(18, 1, 7)).read_bytes()
    assert (picture, snapshot.detail) == (tile(1).jpeg, hashlib.sha256(tile(1).jpeg).hexdigest())
    assert (refused.event, refused.x, refused.detail) == ("refused", 2, "no room")
    assert (verify_flight(tmp_path).state, verify_flight(tmp_path).notes) == ("clean", ())


def test_a_picture_that_was_touched_is_found(tmp_path: Path) -> None:
    """Changed or removed: damaged; added: told."""
    recorder, snapshots = flight(tmp_path)
    snapshots.stored(5, tile(1))
    recorder.close()
    path = tmp_path / "snapshots" / snapshot_name(18, 1, 7)
    path.write_bytes(tile(2).jpeg)
    assert verify_flight(tmp_path).errors == (f"snapshots/{path.name} is not what was recorded",)
    path.unlink()
    assert verify_flight(tmp_path).errors == (f"snapshots/{path.name} is missing",)
    path.write_bytes(tile(1).jpeg)
    (path.parent / snapshot_name(18, 9, 9)).write_bytes(tile(9).jpeg)
    verdict = verify_flight(tmp_path)
    assert (verdict.state, verdict.errors) == ("clean", ())
    assert verdict.notes == ("1 picture(s) in snapshots are named by no record that is left",)


def test_pictures_stay_under_the_cap(tmp_path: Path) -> None:
    """What is stored is always on record; pictures only as long as they fit, which is told once."""
    recorder, snapshots = flight(tmp_path, cap_bytes=2500)
    for x in range(1, 6):
        snapshots.stored(x, tile(x))
    recorder.close()
    assert [x for event, x in events(tmp_path) if event == "write"] == [1, 2, 3, 4, 5]
    assert [x for event, x in events(tmp_path) if event == "snapshot"] == [1, 2]
    assert [x for event, x in events(tmp_path) if event == "no_snapshot"] == [3]
    assert len(list((tmp_path / "snapshots").iterdir())) == 2


def test_a_disk_that_refuses_is_told_and_flown_with(tmp_path: Path) -> None:
    """A folder that cannot be made costs the picture, not the flight and not the record."""
    recorder, snapshots = flight(tmp_path)
    (tmp_path / "snapshots").write_text("in the way")
    snapshots.stored(5, tile(1))
    recorder.close()
    assert events(tmp_path) == [("write", 1), ("no_snapshot", 1)]
    assert verify_flight(tmp_path).state == "clean"
