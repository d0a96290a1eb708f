"""`verify-cache --config` says how much of the signed route has map: exit code 22 where a leg has none."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from gps_denied_onboard.cli.main import main
from gps_denied_onboard.geometry.geodesy import geodetic_from_mercator_px
from gps_denied_onboard.provisioning.companion_memory import memory_of
from gps_denied_onboard.provisioning.mission_file import MissionFile, read_mission
from gps_denied_onboard.provisioning.provision import Wanted, provision
from gps_denied_onboard.tiles.store import TileStore

from .making import CAMERA, FINGERPRINT, PRIVATE_KEY, PUBLIC_KEY, SOURCE, X0, Y0, ZOOM, fill, mission


def at(column: float, row: float = 2.5) -> tuple[float, float]:
    place = geodetic_from_mercator_px([[(X0 + column) * 256.0, (Y0 + row) * 256.0]], ZOOM)[0]
    return float(place[0]), float(place[1])


def flown(*paths: tuple[tuple[float, float], ...]) -> MissionFile:
    return dataclasses.replace(mission(columns=40), paths_deg=paths)


@pytest.fixture
def store(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TileStore]:
    """Return a store with six columns of tiles, and the files that verify-cache wants."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / f"{FINGERPRINT}.pub").write_text(f"{PUBLIC_KEY.hex()}\n")
    (tmp_path / "flight.toml").write_text(
        f'[map]\nuse_store = true\ndirectory = "{tmp_path / "store"}"\nsource = "{SOURCE}"\nzoom = {ZOOM}\n'
    )
    with TileStore.open(tmp_path / "store", database_url) as made:
        fill(made)
        yield made


def verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    command = ["gps-denied-onboard", "verify-cache", str(tmp_path / "cache"), "--trusted-keys", str(tmp_path / "keys")]
    monkeypatch.setattr(sys, "argv", [*command, *more])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_a_leg_without_map_fails_and_is_named(
    store: TileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second leg has no tile: 22, in JSON too; --allow-gaps is good and still tells; counts are of the box."""
    asked = flown((at(0.2), at(3.0), at(3.0), at(30.0)), (at(10.0), at(20.0)))
    report = provision(
        store,
        Wanted(asked, SOURCE, ZOOM, CAMERA, "", memory_of(store.root).companion_id, 0),
        tmp_path / "cache",
        None,
        PRIVATE_KEY,
    )
    assert report.route["legs_without_map"] != []
    config = ("--config", str(tmp_path / "flight.toml"))
    assert verify(tmp_path, monkeypatch, *config) == 22
    assert "without map: leg" in capsys.readouterr().err
    assert verify(tmp_path, monkeypatch, *config, "--json") == 22
    told = orjson.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["outcome"] == "failure"
    assert told["route"]["covered_km"] < told["route"]["length_km"]
    assert told["tiles_in_box"] == [29, 40 * 5]
    assert verify(tmp_path, monkeypatch, *config, "--allow-gaps") == 0
    assert "% ); without map" in capsys.readouterr().out.replace("%)", "% )")


def test_a_covered_route_is_good_and_unknown_is_said(
    store: TileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of the route on the map: 0 and 100 %. Without --config nothing is claimed."""
    asked = flown((at(0.2), at(0.8)))
    provision(
        store,
        Wanted(asked, SOURCE, ZOOM, CAMERA, "", memory_of(store.root).companion_id, 0),
        tmp_path / "cache",
        None,
        PRIVATE_KEY,
    )
    assert verify(tmp_path, monkeypatch, "--config", str(tmp_path / "flight.toml")) == 0
    assert "of the route have map (" in capsys.readouterr().out
    assert verify(tmp_path, monkeypatch) == 0
    assert "is not known: give --config" in capsys.readouterr().out


def test_the_route_goes_through_the_mission_file(tmp_path: Path) -> None:
    """Paths are written and read as they were; a mission without a route has none."""
    for asked in (flown((at(0.0), at(1.0)), (at(2.0), at(3.0))), mission()):
        (tmp_path / "mission.json").write_bytes(asked.to_bytes())
        assert read_mission(tmp_path / "mission.json") == asked
