"""Heights of the ground are a signed part of the cache: verified, used as signed, not missed where there are none."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import orjson
import pytest

from gps_denied_onboard.cli.flight_check import ground_regrets
from gps_denied_onboard.cli.main import main
from gps_denied_onboard.config import Config, MapConfig, MissionConfig
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.terrain import TerrainGrid
from gps_denied_onboard.provisioning.verify import CacheNotTrustedError, verify_cache
from gps_denied_onboard.runtime_root.provisioned_cache import Provisioned, open_provisioned, signed_terrain
from gps_denied_onboard.runtime_root.strategies import load_composition
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_onboard.tiles.terrain_file import terrain_bytes

from . import making


def heights(level_m: float = 180.0) -> TerrainGrid:
    """Sloping ground around the mission of `making`."""
    west, south, _, _ = making.mission().bbox_deg
    rows = np.arange(80.0)[:, None] + np.zeros(90)
    return TerrainGrid(south - 0.02, west - 0.02, 0.0005, 0.0005, (level_m + rows).astype("<f4"), 4.0)


@pytest.fixture
def store(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TileStore]:
    """Return a store of a few tiles, with the key that signs caches trusted."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / f"{making.FINGERPRINT}.pub").write_text(making.PUBLIC_KEY.hex())
    with TileStore.open(tmp_path / "store", database_url) as made:
        making.fill(made)
        yield made


def opened(tmp_path: Path) -> Provisioned:
    mission = MissionConfig(manifest=str(tmp_path / "cache" / "manifest.json"), trusted_keys=str(tmp_path / "keys"))
    config = Config(mission=mission, map=MapConfig(str(tmp_path / "store"), "provider", making.ZOOM, True))
    with ExitStack() as stack:
        provisioned = open_provisioned(config, load_composition(), stack)
        assert provisioned is not None
        return provisioned


def test_a_flight_gets_the_heights_that_were_signed(store: TileStore, tmp_path: Path) -> None:
    """The artefact is named in the manifest by what it holds; the flight's grid is it; the same again is no work."""
    data = terrain_bytes(heights())
    assert making.make_cache(store, tmp_path / "cache", terrain=data).outcome == "success"
    assert making.make_cache(store, tmp_path / "cache", terrain=data).outcome == "idempotent_no_op"
    body = verify_cache(tmp_path / "cache", making.TRUSTED, store)
    (artefact,) = body.artefacts_of("terrain")
    digest = hashlib.sha256(data).hexdigest()
    assert (artefact.path, artefact.sha256) == (f"terrain/terrain-{digest[:16]}.grid", digest)
    terrain = opened(tmp_path).terrain
    assert terrain is not None
    np.testing.assert_array_equal(terrain.heights_amsl_m, heights().heights_amsl_m)
    assert (terrain.south_deg, terrain.sigma_m) == (heights().south_deg, 4.0)


def test_other_heights_and_none(store: TileStore, tmp_path: Path) -> None:
    """Other heights are another manifest and the old file goes; without any the cache is good and the ground flat."""
    making.make_cache(store, tmp_path / "cache", terrain=terrain_bytes(heights()))
    report = making.make_cache(store, tmp_path / "cache", terrain=terrain_bytes(heights(200.0)))
    assert report.outcome == "success"
    assert len(list((tmp_path / "cache" / "terrain").iterdir())) == 1
    assert making.make_cache(store, tmp_path / "cache").outcome == "success"
    assert list((tmp_path / "cache" / "terrain").iterdir()) == []
    assert opened(tmp_path).terrain is None


def test_changed_heights_are_not_flown(store: TileStore, tmp_path: Path) -> None:
    """A changed byte is a fault of the cache; a file exchanged after verification is found as it is mapped."""
    cache = tmp_path / "cache"
    making.make_cache(store, cache, terrain=terrain_bytes(heights()))
    body = verify_cache(cache, making.TRUSTED, store)
    (artefact,) = body.artefacts_of("terrain")
    (cache / artefact.path).unlink()
    (cache / artefact.path).write_bytes(terrain_bytes(heights(181.0)))
    with pytest.raises(CacheNotTrustedError, match="not the file that was signed"):
        signed_terrain(body, cache)
    with pytest.raises(CacheNotTrustedError, match=r"terrain-.*\(SHA-256\)"):
        verify_cache(cache, making.TRUSTED, store)
    (cache / artefact.path).unlink()
    (cache / artefact.path).symlink_to("/dev/zero")
    with pytest.raises(CacheNotTrustedError):
        signed_terrain(body, cache)


@pytest.mark.parametrize("data", [b"heights", terrain_bytes(heights())[:-4]])
def test_what_is_no_file_of_heights_is_not_provisioned(store: TileStore, tmp_path: Path, data: bytes) -> None:
    """A damaged file never gets into a manifest."""
    with pytest.raises(UserError, match="no file of heights"):
        making.make_cache(store, tmp_path / "cache", terrain=data)
    assert not (tmp_path / "cache" / "manifest.json").exists()


def test_verify_cache_tells_of_them(
    store: TileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its report names box, posts, sigma and range of the heights; null without any."""
    command = ["gps-denied-onboard", "verify-cache", str(tmp_path / "cache"), "--trusted-keys", str(tmp_path / "keys")]
    monkeypatch.setattr(sys, "argv", [*command, "--json"])
    told = []
    for terrain in (terrain_bytes(heights()), b""):
        making.make_cache(store, tmp_path / "cache", terrain=terrain)
        with pytest.raises(SystemExit):
            main()
        told.append(orjson.loads(capsys.readouterr().out)["terrain"])
    assert (told[0]["rows"], told[0]["lowest_m"], told[0]["highest_m"]) == (80, 180.0, 259.0)
    assert told[1] is None


def test_the_configured_ground_is_held_against_them() -> None:
    """A ground altitude that differs by more than both sigmas allow is regretted; a hole at the origin is told."""
    place = making.mission()
    grid = dataclasses.replace(heights(), heights_amsl_m=np.full((80, 90), 220.0, dtype="<f4"))
    fits = MissionConfig(
        origin_latitude_deg=place.takeoff_latitude_deg, origin_longitude_deg=place.takeoff_longitude_deg,
        ground_altitude_amsl_m=220.0, ground_sigma_m=3.0,
    )  # fmt: skip
    assert ground_regrets(fits, grid) == []
    assert ground_regrets(dataclasses.replace(fits, ground_altitude_amsl_m=229.0), grid) == []
    (regret,) = ground_regrets(dataclasses.replace(fits, ground_altitude_amsl_m=0.0), grid)
    assert "is 0.0 m" in regret
    assert "say 220.0 m" in regret
    grid.heights_amsl_m[:] = np.nan
    (regret,) = ground_regrets(fits, grid)
    assert "hole" in regret
