"""Tiles on their way from one store to another: all of them, as they were, or an error and nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gps_denied_onboard.provisioning.tile_bundles import (
    PARCEL_BYTES_MAX,
    ReceiveReport,
    TileBundleError,
    area_state,
    receive_tile_bundles,
    tile_bundle_bytes,
    tile_bundle_name,
)
from gps_denied_onboard.tiles.budget import CacheBudgetExhaustedError
from gps_denied_onboard.tiles.grid import TileKey
from gps_denied_onboard.tiles.store import TileStore

from .making import SOURCE, X0, Y0, ZOOM, fill, mission, tile


@pytest.fixture
def home(tmp_path: Path, database_url: str) -> Iterator[TileStore]:
    """Return the workstation's store, filled."""
    with TileStore.open(tmp_path / "home", database_url) as store:
        fill(store)
        yield store


@pytest.fixture
def aircraft(tmp_path: Path, other_database_url: str) -> Iterator[TileStore]:
    """Return the aircraft's store, empty."""
    with TileStore.open(tmp_path / "aircraft", other_database_url) as store:
        yield store


def send(home: TileStore, folder: Path) -> None:
    """Write the parcels of the mission's area."""
    folder.mkdir(exist_ok=True)
    for square in area_state(home, mission(), SOURCE, ZOOM):
        data = tile_bundle_bytes(home, SOURCE, ZOOM, square.column, square.row)
        (folder / tile_bundle_name(data)).write_bytes(data)


def receive(aircraft: TileStore, folder: Path, budget_bytes: int = 10**9) -> ReceiveReport:
    """Take in what lies in the folder."""
    return receive_tile_bundles(aircraft, folder, mission(), SOURCE, ZOOM, budget_bytes)


def test_both_stores_hold_the_same_after_it(home: TileStore, aircraft: TileStore, tmp_path: Path) -> None:
    """Missing tiles are stored, other ones replaced, foreign ones removed; the digests agree and parcels are gone."""
    aircraft.insert([tile(X0, Y0, 777), tile(X0 - 1, Y0, 5), tile(X0 + 1, Y0, 10)])
    send(home, tmp_path / "parcels")
    assert receive(aircraft, tmp_path / "parcels") == ReceiveReport(4, 27, 1, 1, 1)
    assert area_state(aircraft, mission(), SOURCE, ZOOM) == area_state(home, mission(), SOURCE, ZOOM)
    assert list((tmp_path / "parcels").iterdir()) == []
    key = TileKey(SOURCE, ZOOM, X0, Y0)
    theirs, ours = home.get(key), aircraft.get(key)
    assert theirs is not None
    assert ours is not None
    assert bytes(home.read(theirs)[0]) == bytes(aircraft.read(ours)[0])
    assert (theirs.valid_fraction, theirs.voting_status) == (ours.valid_fraction, ours.voting_status)


def test_a_damaged_parcel_stores_nothing_of_it(home: TileStore, aircraft: TileStore, tmp_path: Path) -> None:
    """Flipped, cut and lengthened parcels are refused, removed, and leave the store empty."""
    send(home, tmp_path / "parcels")
    parcel = sorted((tmp_path / "parcels").iterdir())[0]
    whole = parcel.read_bytes()
    for other in sorted((tmp_path / "parcels").iterdir())[1:]:
        other.unlink()
    flipped = whole[:-50] + bytes([whole[-50] ^ 4]) + whole[-49:]
    for bad in (flipped, whole[:-1], whole + b"x", whole[:200], b"", b"{}\n"):
        parcel.write_bytes(bad)
        with pytest.raises(TileBundleError, match="removed and nothing stored"):
            receive(aircraft, tmp_path / "parcels")
        assert not parcel.exists()
        assert aircraft.totals()[0] == 0


def test_no_room_is_said_before_a_tile_is_written(home: TileStore, aircraft: TileStore, tmp_path: Path) -> None:
    """A budget that is too small ends it with what to do; the parcels stay for the next run."""
    send(home, tmp_path / "parcels")
    with pytest.raises(CacheBudgetExhaustedError):
        receive(aircraft, tmp_path / "parcels", budget_bytes=10_000)
    assert aircraft.totals()[0] == 0
    assert len(list((tmp_path / "parcels").iterdir())) == 4


def test_a_parcel_that_is_too_large_is_not_in_the_way_for_ever(
    home: TileStore, aircraft: TileStore, tmp_path: Path
) -> None:
    """A parcel beyond the most bytes is removed with what to do; the run after it takes in the others."""
    send(home, tmp_path / "parcels")
    with (tmp_path / "parcels" / "0.parcel").open("wb") as file:
        file.truncate(PARCEL_BYTES_MAX + 1)
    with pytest.raises(TileBundleError, match=r"0\.parcel has more than .* removed and nothing stored; send again"):
        receive(aircraft, tmp_path / "parcels")
    assert aircraft.totals()[0] == 0
    assert receive(aircraft, tmp_path / "parcels").parcels == 4
