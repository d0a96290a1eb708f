"""A flight with a manifest starts on what was signed, or does not start."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gps_denied_onboard.config import Config, MapConfig, MissionConfig
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.provisioning.verify import CacheNotTrustedError
from gps_denied_onboard.runtime_root.provisioned_cache import Provisioned, open_provisioned
from gps_denied_onboard.runtime_root.strategies import load_composition
from gps_denied_onboard.tiles.store import TileStore

from ..provisioning import making


@pytest.fixture
def flown(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Return a configuration of a provisioned cache."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    with TileStore.open(tmp_path / "store") as store:
        making.fill(store)
        store.insert([making.tile(making.X0 + 200, making.Y0, 1)])
        making.make_cache(store, tmp_path / "cache")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / f"{making.FINGERPRINT}.pub").write_text(making.PUBLIC_KEY.hex())
    mission = MissionConfig(manifest=str(tmp_path / "cache" / "manifest.json"), trusted_keys=str(tmp_path / "keys"))
    return Config(mission=mission, map=MapConfig(str(tmp_path / "store"), "provider", making.ZOOM, True))


def opened(config: Config, *, flying: bool = False) -> Provisioned:
    with ExitStack() as stack:
        provisioned = open_provisioned(config, load_composition(), stack, flying=flying)
        assert provisioned is not None
        return provisioned


def test_camera_origin_and_map_come_from_the_cache(flown: Config, tmp_path: Path) -> None:
    """What the configuration does not name is the mission's; the map ends with what is signed; revoked, no start."""
    config = flown
    provisioned = opened(config)
    assert provisioned.config.camera == making.CAMERA
    assert provisioned.config.mission.origin_latitude_deg == making.mission().takeoff_latitude_deg
    x1 = provisioned.mosaic.bounds_px(0)[2]
    assert x1 // 256 < making.X0 + 200  # a tile of the store that nobody signed
    (tmp_path / "keys" / "revoked").write_text(f"{making.FINGERPRINT}\n")
    with pytest.raises(CacheNotTrustedError, match="revoked"):
        opened(config)


def test_mondays_manifest_over_fridays_does_not_fly(flown: Config, tmp_path: Path) -> None:
    """An older manifest of the same key and companion is refused once a newer one flew; a replay reads it."""
    config = flown
    manifest = tmp_path / "cache" / "manifest.json"
    monday = manifest.read_bytes()
    opened(config, flying=True)
    with TileStore.open(tmp_path / "store") as store:
        camera = dataclasses.replace(making.CAMERA, fx_px=551.0)
        friday = making.make_cache(store, tmp_path / "cache", camera=camera)
    assert friday.outcome == "success"
    opened(config, flying=True)
    with TileStore.open(tmp_path / "store") as store:
        making.make_cache(store, tmp_path / "other")  # what Monday's manifest names is there again
    for file in (tmp_path / "other" / "calibration").iterdir():
        (tmp_path / "cache" / "calibration" / file.name).write_bytes(file.read_bytes())
    manifest.write_bytes(monday)
    with pytest.raises(CacheNotTrustedError, match="a later one") as refused:
        opened(config, flying=True)
    assert len(refused.value.faults) == 1
    opened(config)
    named = dataclasses.replace(config, mission=dataclasses.replace(config.mission, mission_id="another"))
    with pytest.raises(CacheNotTrustedError, match="the configuration names another"):
        opened(named, flying=True)


@pytest.mark.slow
def test_a_configuration_that_does_not_fit_is_refused(flown: Config) -> None:
    """Another map, an origin outside of the box and another calibration are all named at once."""
    config = flown

    def changed(**parts: Any) -> Config:
        return dataclasses.replace(config, **parts)

    unfit = changed(
        map=dataclasses.replace(config.map, zoom=17),
        mission=dataclasses.replace(config.mission, origin_latitude_deg=0.0, origin_longitude_deg=0.0),
        camera=dataclasses.replace(making.CAMERA, fx_px=551.0),
    )
    with pytest.raises(CacheNotTrustedError) as refused:
        opened(unfit)
    assert len(refused.value.faults) == 3
    right = making.mission()
    turned = {"origin_latitude_deg": right.takeoff_longitude_deg, "origin_longitude_deg": right.takeoff_latitude_deg}
    with pytest.raises(CacheNotTrustedError, match="latitude and longitude are swapped"):
        opened(changed(mission=dataclasses.replace(config.mission, **turned)))
    with pytest.raises(UserError, match="trusted_keys"):
        opened(changed(mission=dataclasses.replace(config.mission, trusted_keys="")))
    with pytest.raises(UserError, match="use_store"):
        opened(changed(map=dataclasses.replace(config.map, use_store=False)))
