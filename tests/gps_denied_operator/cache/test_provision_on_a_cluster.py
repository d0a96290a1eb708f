"""A cache made by a Dask cluster is the one that a single machine makes, and a cluster that cannot is told apart."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gps_denied_onboard.geometry import geodesy
from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.grid import TileKey
from gps_denied_onboard.tiles.records import NewTile
from gps_denied_onboard.tiles.store import TileStore

SRC = Path(__file__).resolve().parents[3] / "src"
COMPOSITION = "5" * 64
ZOOM, SOURCE = 18, "provider"
X0, Y0, COLUMNS, ROWS = 157_920 - 3, 90_208 - 2, 6, 5  # the corner of four squares is in the middle
CONFIG = """[map]
directory = "{store}"
use_store = true
source = "{source}"
zoom = {zoom}
[camera]
width_px = 684
height_px = 456
fx_px = 550.0
fy_px = 550.0
cx_px = 341.5
cy_px = 227.5
"""


def fill(store: TileStore) -> None:
    """Noisy tiles in four squares."""
    rng = np.random.default_rng(3)
    for x in range(X0, X0 + COLUMNS):
        jpegs = [codec.encode_jpeg(rng.integers(1, 256, (256, 256), np.uint8)) for _ in range(ROWS)]
        store.insert([NewTile(TileKey(SOURCE, ZOOM, x, Y0 + j), jpeg, 0.4) for j, jpeg in enumerate(jpegs)])


@pytest.fixture
def desk(tmp_path: Path, database_url: str) -> Callable[..., SimpleNamespace]:
    """Return what runs `operator-tool provision` over a small store: exit code, report, stderr."""
    environment = {**os.environ, "PYTHONPATH": str(SRC), "DATABASE_URL": database_url}
    environment["GPS_DENIED_KEYS"] = str(tmp_path / "keys")
    with TileStore.open(tmp_path / "store", database_url) as store:
        fill(store)
    corners = [[X0 * 256 + 1, (Y0 + ROWS) * 256 - 1], [(X0 + COLUMNS) * 256 - 1, Y0 * 256 + 1]]
    ends = [
        [longitude, latitude, 300.0]
        for latitude, longitude in geodesy.geodetic_from_mercator_px(corners, ZOOM).tolist()
    ]
    route = {"type": "LineString", "coordinates": ends}
    (tmp_path / "route.geojson").write_text(json.dumps(route), encoding="utf-8")
    (tmp_path / "flight.toml").write_text(CONFIG.format(store=tmp_path / "store", source=SOURCE, zoom=ZOOM))
    tool = [sys.executable, "-m", "gps_denied_operator.cli"]
    subprocess.run([*tool, "keys", "new"], env=environment, check=True, capture_output=True)

    def run(out: str, *more: str) -> SimpleNamespace:
        words = [
            "provision",
            "--flight-file",
            "route.geojson",
            "--config",
            "flight.toml",
            "--buffer",
            "0",
            "--companion-id",
            "c" * 32,
            "--counter-past",
            "4",
        ]
        words += ["--out", out, "--composition", COMPOSITION, *more, "--json"]
        done = subprocess.run(
            [*tool, *words], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        report = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
        return SimpleNamespace(code=done.returncode, report=report, errors=done.stderr)

    return run


def files_of(cache: Path) -> dict[str, bytes]:
    """Every file of a cache."""
    return {str(file.relative_to(cache)): file.read_bytes() for file in cache.rglob("*") if file.is_file()}


@pytest.mark.slow
def test_two_workers_make_the_same_bytes(
    desk: Callable[..., SimpleNamespace], scheduler: Callable[[int], str], tmp_path: Path
) -> None:
    """Two real workers and one machine alone make the same files and manifest; a second run is a no-op."""
    alone = desk("alone")
    assert (alone.code, alone.report["outcome"]) == (0, "success"), alone.errors
    address = scheduler(2)
    shared = desk("shared", "--cluster", address)
    assert (shared.code, shared.report["overviews_made"]) == (0, 4), shared.errors
    assert files_of(tmp_path / "alone") == files_of(tmp_path / "shared")
    assert desk("shared", "--cluster", address).report["outcome"] == "idempotent_no_op"
    assert json.loads((tmp_path / "shared" / "manifest.json").read_text())["body"]["composition_sha256"] == COMPOSITION


@pytest.mark.slow
def test_a_damaged_tile_is_named_from_a_worker(
    desk: Callable[..., SimpleNamespace], scheduler: Callable[[int], str], tmp_path: Path
) -> None:
    """A tile that changed on the disk stops the work: the sentence comes from the worker, no manifest is left."""
    damaged = next((tmp_path / "store").rglob(f"{X0 + 1}/{Y0 + 1}*.jpg"))
    damaged.chmod(0o644)
    damaged.write_bytes(damaged.read_bytes()[:-40])
    done = desk("cache", "--cluster", scheduler(1))
    assert done.code == 2
    assert f"{damaged} is not what was stored" in done.errors
    assert not (tmp_path / "cache" / "manifest.json").exists()


@pytest.mark.slow
def test_a_cluster_without_workers_is_refused(
    desk: Callable[..., SimpleNamespace], scheduler: Callable[[int], str]
) -> None:
    """A scheduler alone would let everybody wait for ever."""
    done = desk("cache", "--cluster", scheduler(0))
    assert (done.code, "has no workers" in done.errors) == (2, True), done.errors


@pytest.mark.slow
def test_no_scheduler_and_no_composition_are_refused(tmp_path: Path, desk: Callable[..., SimpleNamespace]) -> None:
    """An address where nobody listens, one that is none and a composition that is no digest: a sentence each."""
    for address in ("tcp://127.0.0.1:1", "nowhere://x", "tcp://[x"):
        done = desk("cache", "--cluster", address)
        assert (done.code, "No Dask scheduler answers" in done.errors) == (2, True), done.errors
        assert "Traceback" not in done.errors
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    done = desk("cache", "--composition", "abc")
    assert (done.code, "64 hex digits" in done.errors) == (2, True)
    assert not (tmp_path / "cache").exists()
