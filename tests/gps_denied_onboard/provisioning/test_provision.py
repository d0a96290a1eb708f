"""A cache made of a real store: the same bytes for the same input, whole at every moment, verified by what it says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.provisioning.cache_manifest import parse_cache_manifest, seal, sign
from gps_denied_onboard.provisioning.overview_build import processes
from gps_denied_onboard.provisioning.provision import UNSIGNED_FILE
from gps_denied_onboard.provisioning.verify import CacheNotTrustedError, verify_cache
from gps_denied_onboard.tiles.grid import TileKey
from gps_denied_onboard.tiles.mosaic import MapMosaic
from gps_denied_onboard.tiles.overview import LEVEL_MAX, LEVEL_MIN, Overview, OverviewHeader
from gps_denied_onboard.tiles.sources import StoreTileSource
from gps_denied_onboard.tiles.store import TileStore

from .making import PRIVATE_KEY, SOURCE, TRUSTED, X0, Y0, ZOOM, fill, make_cache, tile


@pytest.fixture
def store(tmp_path: Path, database_url: str) -> Iterator[TileStore]:
    """Return a store with tiles in four squares."""
    with TileStore.open(tmp_path / "store", database_url) as store:
        fill(store)
        yield store


def files_of(cache: Path) -> dict[str, str]:
    """Digests of all files of a cache by path."""
    found = (file for file in cache.rglob("*") if file.is_file() and file.name != ".lock")
    return {f.relative_to(cache).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in found}


def test_the_same_bytes_twice_and_then_nothing(store: TileStore, tmp_path: Path) -> None:
    """Two caches of one store are equal byte by byte; a second run on one writes nothing and says so."""
    report = make_cache(store, tmp_path / "a")
    make_cache(store, tmp_path / "b")
    assert report.outcome == "success"
    assert (report.tiles, report.squares, report.overviews_made) == (29, 4, 4)
    before = files_of(tmp_path / "a")
    assert before == files_of(tmp_path / "b")
    times = {file: file.stat().st_mtime_ns for file in (tmp_path / "a").rglob("*")}
    again = make_cache(store, tmp_path / "a")
    assert (again.outcome, again.overviews_made, again.removed) == ("idempotent_no_op", 0, [])
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "a").rglob("*")} == times
    assert verify_cache(tmp_path / "a", TRUSTED, store, every_tile=True).tiles == 29


@pytest.mark.slow
def test_several_processes_make_the_same_bytes(store: TileStore, tmp_path: Path) -> None:
    """The number of processes does not show in the cache."""
    make_cache(store, tmp_path / "a")
    make_cache(store, tmp_path / "b", pool=processes(2))
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_coarse_levels_are_those_of_the_tiles(store: TileStore, tmp_path: Path) -> None:
    """Windows of every coarse level are equal, pixel by pixel, with the overview and without it."""
    make_cache(store, tmp_path / "cache")
    body = verify_cache(tmp_path / "cache", TRUSTED, store)
    headers = [OverviewHeader(ZOOM, s.column, s.row, s.sha256) for s in body.squares]
    source = StoreTileSource(store, SOURCE, ZOOM)
    digests = {artefact.path.rpartition("/")[2]: artefact.sha256 for artefact in body.artefacts}
    quick = MapMosaic(source, overview=Overview(tmp_path / "cache" / "overview", headers, digests))
    plain = MapMosaic(source)
    for level in range(LEVEL_MIN, LEVEL_MAX + 1):
        x0, y0, x1, y1 = plain.bounds_px(level)
        window = (level, x0 - 3, y0 - 3, x1 - x0 + 6, y1 - y0 + 6)
        for ours, theirs in zip(quick.window(*window), plain.window(*window), strict=True):
            assert np.array_equal(ours, theirs)
        assert plain.window(*window)[1].any()


def test_a_changed_tile_is_seen_and_only_its_square_is_made_again(store: TileStore, tmp_path: Path) -> None:
    """After a tile was replaced the old cache is refused; provisioning makes one square and removes the old one."""
    make_cache(store, tmp_path / "cache")
    record = store.get(TileKey(SOURCE, ZOOM, X0, Y0))
    assert record is not None
    store.replace(record, tile(X0, Y0, 999))
    with pytest.raises(CacheNotTrustedError, match="not those that were signed"):
        verify_cache(tmp_path / "cache", TRUSTED, store)
    report = make_cache(store, tmp_path / "cache")
    assert (report.overviews_made, report.overviews_kept, len(report.removed)) == (1, 3, 1)
    verify_cache(tmp_path / "cache", TRUSTED, store)


@pytest.mark.slow
def test_a_cache_to_be_signed_elsewhere_leaves_the_one_that_flies(store: TileStore, tmp_path: Path) -> None:
    """Without a key the old cache stays valid beside the new, until the signed manifest takes its place."""
    cache = tmp_path / "cache"
    make_cache(store, cache)
    old = (cache / "manifest.json").read_bytes()
    record = store.get(TileKey(SOURCE, ZOOM, X0, Y0))
    assert record is not None
    store.replace(record, tile(X0, Y0, 999))
    report = make_cache(store, cache, key=None)
    assert not report.signed
    assert (cache / "manifest.json").read_bytes() == old
    verify_cache(cache, TRUSTED)  # every file of the old one is still there
    body = parse_cache_manifest((cache / UNSIGNED_FILE).read_bytes()).body
    (cache / "manifest.json").write_bytes(seal(body, sign(body, PRIVATE_KEY)))
    verify_cache(cache, TRUSTED, store)
    again = make_cache(store, cache, key=None)
    assert (again.outcome, again.signed) == ("idempotent_no_op", True)
    assert sorted(files_of(cache)) == sorted([*(a.path for a in body.artefacts), "manifest.json"])


def test_a_damaged_tile_is_not_provisioned(store: TileStore, tmp_path: Path) -> None:
    """A tile whose file was changed stops the work with its name; no manifest is written."""
    image = store.image_path(TileKey(SOURCE, ZOOM, X0 + 1, Y0))
    image.write_bytes(image.read_bytes()[:-9] + b"123456789")
    with pytest.raises(UserError, match=rf"{image.name} is not what was stored"):
        make_cache(store, tmp_path / "cache")
    assert not (tmp_path / "cache" / "manifest.json").exists()


@pytest.mark.slow
def test_a_damaged_tile_is_found_by_the_operator(store: TileStore, tmp_path: Path) -> None:
    """The rows still agree with what was signed; reading every tile again shows the damage."""
    make_cache(store, tmp_path / "cache")
    image = store.image_path(TileKey(SOURCE, ZOOM, X0 + 1, Y0))
    image.write_bytes(image.read_bytes()[:-9] + b"123456789")
    verify_cache(tmp_path / "cache", TRUSTED, store)
    with pytest.raises(CacheNotTrustedError, match="not what was stored"):
        verify_cache(tmp_path / "cache", TRUSTED, store, every_tile=True)


@pytest.mark.slow
def test_a_changed_file_of_the_cache_is_made_again(store: TileStore, tmp_path: Path) -> None:
    """Rot in a cache's file is a fault, and the next run mends it with the same bytes."""
    make_cache(store, tmp_path / "cache")
    before = files_of(tmp_path / "cache")
    victim = sorted((tmp_path / "cache" / "overview").iterdir())[0]
    data = bytearray(victim.read_bytes())
    data[5000] ^= 1
    victim.write_bytes(data)
    with pytest.raises(CacheNotTrustedError, match=victim.name):
        verify_cache(tmp_path / "cache", TRUSTED)
    assert make_cache(store, tmp_path / "cache").overviews_made == 1
    assert files_of(tmp_path / "cache") == before


@pytest.mark.slow
def test_a_link_in_the_cache_is_no_file(store: TileStore, tmp_path: Path) -> None:
    """A symbolic link in an artefact's place is a fault even where it leads to the right bytes."""
    make_cache(store, tmp_path / "cache")
    victim = sorted((tmp_path / "cache" / "overview").iterdir())[0]
    victim.rename(tmp_path / "elsewhere")
    victim.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CacheNotTrustedError, match="no plain file"):
        verify_cache(tmp_path / "cache", TRUSTED)


def test_an_empty_area_is_refused(tmp_path: Path, database_url: str) -> None:
    """A store without the mission's tiles cannot be provisioned from."""
    with (
        TileStore.open(tmp_path / "store", database_url) as store,
        pytest.raises(UserError, match="holds no tile"),
    ):
        make_cache(store, tmp_path / "cache")
