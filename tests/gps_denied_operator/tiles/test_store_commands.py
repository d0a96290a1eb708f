"""`operator-tool tiles sectors|explain|stats|gc` on a real store."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.budget import protect_area
from gps_denied_onboard.tiles.grid import TileKey
from gps_denied_onboard.tiles.records import NewTile
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_operator.tiles import cli

SECTORS = {"type": "FeatureCollection", "features": [{"properties": {"name": "front", "class": "active_conflict"},
    "geometry": {"type": "Polygon", "coordinates": [[[37, 48], [38, 48], [38, 49], [37, 49], [37, 48]]]}}]}  # fmt: skip


@pytest.fixture
def root(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("GPS_DENIED_TILES", str(tmp_path / "store"))
    return tmp_path / "store"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments))


def test_explain_follows_the_sectors_that_were_given(root: Path, tmp_path: Path) -> None:
    """The same place and day are refused in an active sector and downgraded without sectors; the store stays empty."""
    south = run("explain", "-48.5", "37.8", "2020-01-01", "--json")
    assert json.loads(south.stdout)["label"] == "downgraded"
    (tmp_path / "sectors.geojson").write_text(json.dumps(SECTORS))
    assert run("sectors", str(tmp_path / "sectors.geojson")).stdout == "1 sectors: front (active_conflict)\n"
    said = run("explain", "48.5", "37.8", "2020-01-01")
    assert said.stdout.startswith("refused: sector 'front'")
    assert "older than 180 days" in said.stdout
    assert json.loads(run("stats", "--json").stdout)["tiles"] == 0
    assert root.is_dir()


def test_stats_and_gc_speak_of_the_same_tiles(root: Path) -> None:
    """stats counts what is there; gc evicts down to the budget but not a mission's tiles until it is released."""
    picture = codec.encode_jpeg(np.random.default_rng(1).integers(0, 256, (256, 256), dtype=np.uint8))
    with TileStore.open(root) as store:
        store.insert([NewTile(TileKey("provider", 18, x, 5), picture, 0.5) for x in range(4)])
        protect_area(store, "night", "provider", 18, (0, 0, 2, 9))
    found = json.loads(run("stats", "--json").stdout)
    assert (found["tiles"], found["bytes"], found["missions"]) == (4, 4 * len(picture), ["night"])
    assert "4 tiles" in run("stats").stdout
    half = str(2 * len(picture) / 1e9)
    assert "2 tiles" in run("gc", "--budget-gb", half).stdout
    assert "night" in str(run("gc", "--budget-gb", "0.000000001", "--release", "day").exception)
    assert "0 tiles" in run("gc", "--budget-gb", "0.000000001", "--release", "night").stdout


def test_an_import_without_a_day_says_what_that_means(root: Path, tmp_path: Path) -> None:
    """A map whose day nobody told is stored as downgraded, and the operator hears of it and of --captured."""
    folder = tmp_path / "map" / "18" / "5"
    folder.mkdir(parents=True)
    picture = np.random.default_rng(1).integers(0, 256, (256, 256), dtype=np.uint8)
    (folder / "7.jpg").write_bytes(codec.encode_jpeg(picture))
    undated = run("import", str(tmp_path / "map"))
    assert "1 stored as stale (downgraded)" in undated.stdout
    assert "flies as downgraded" in undated.stdout
    assert "--captured YYYY-MM-DD" in undated.stdout
    today = datetime.now(UTC).date().isoformat()
    dated = run("import", str(tmp_path / "map"), "--captured", today, "--source", "dated")
    assert "1 tiles written" in dated.stdout
    assert "downgraded" not in dated.stdout
    with TileStore.open(root) as store:
        assert [store.holds_downgraded(source, 18) for source in ("provider", "dated")] == [True, False]


@pytest.mark.parametrize(
    "command", [["stats"], ["gc"], ["explain", "48", "37", "2026-01-01"], ["serve", "--port", "0"]]
)
def test_a_store_that_is_not_there_is_not_an_empty_one(root: Path, tmp_path: Path, command: list[str]) -> None:
    """A mistyped --root is named, and nothing is made there."""
    absent = tmp_path / "mistyped"
    said = run(*command, "--root", str(absent))
    assert isinstance(said.exception, UserError)
    assert str(absent) in str(said.exception)
    assert not absent.exists()
    assert not root.exists()


@pytest.mark.parametrize("budget", ["nan", "inf", "-1"])
def test_a_budget_that_is_none_is_refused(root: Path, budget: str) -> None:
    """What is no size is a usage error, and the store is not touched."""
    assert run("gc", "--budget-gb", budget).exit_code == 2
    assert not root.exists()
